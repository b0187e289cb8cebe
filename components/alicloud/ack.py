"""Alibaba's managed Kubernetes: control plane, node pools, and the address users come in by.

Terway gives every pod an address of the VPC and enforces NetworkPolicies. Leaves out: network, what
runs in the cluster (`addons`), service activation and service roles, which an
administrator grants once for the account.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import pulumi
import pulumi_alicloud as alicloud
from pulumi_alicloud.cs import GetClusterCredentialResult

from fleet.alicloud.config_ack import ControlPlane, NodePool
from fleet.alicloud.kubeconfig import kubeconfig_of
from fleet.alicloud.machine_settings import POD_PIDS
from fleet.alicloud.network_plan import WORLD
from fleet.names import LABEL_NODE_POOL

_TERWAY = {"IPVlan": "false", "NetworkPolicy": "true", "ENITrunking": "false"}
ADDONS = MappingProxyType(
    {
        "terway-eniip": json.dumps(_TERWAY),
        "csi-plugin": "",
        "csi-provisioner": "",
        "ack-node-problem-detector": "",
    }
)
# ACK installs these unless told not to. They cost money, or do what `addons` installs better.
_UNWANTED = ("nginx-ingress-controller", "arms-prometheus", "alb-ingress-controller")


@dataclass(frozen=True, kw_only=True, slots=True)
class AckArgs:
    """What the cluster is to be."""

    control_plane: ControlPlane
    node_pools: tuple[NodePool, ...]
    web_cidrs: tuple[str, ...]
    production: bool
    node_switch_ids: pulumi.Output[list[str]]
    pod_switch_ids: pulumi.Output[list[str]]
    security_group_id: pulumi.Input[str] | None = None
    tags: Mapping[str, str] = field(default_factory=dict[str, str])


class Ack(pulumi.ComponentResource):
    """A managed cluster with its nodes and its load balancer."""

    cluster_id: pulumi.Output[str]
    """The cluster's id: what a Kubernetes provider is told it talks to."""
    kubeconfig: pulumi.Output[str]
    """Secret; valid for `accessMinutes`."""
    address: pulumi.Output[str]
    """Where users come in."""
    balancer_id: pulumi.Output[str]
    """The load balancer's id, for the ingress controller's Service."""
    access_list_id: pulumi.Output[str] | None
    """Who may come in; None when everybody may."""

    def __init__(
        self, name: str, args: AckArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("opencode-fleet:ack:Ack", name, None, opts)
        self._name = name
        self._args = args
        self._child = pulumi.ResourceOptions(parent=self)
        cluster = self._control_plane()
        self.cluster_id = cluster.id
        pools = [self._node_pool(cluster.id, pool) for pool in args.node_pools]
        self.kubeconfig = self._credential(cluster, pools)
        balancer = self._balancer()
        self.balancer_id, self.address = balancer.id, balancer.address
        self.access_list_id = self._access_list()
        self.register_outputs({"clusterId": self.cluster_id, "address": self.address})

    def _control_plane(self) -> alicloud.cs.ManagedKubernetes:
        args, wanted = self._args, self._args.control_plane
        return alicloud.cs.ManagedKubernetes(
            f"{self._name}-cluster",
            name=self._name,
            cluster_spec=wanted.spec,
            version=wanted.version,
            vswitch_ids=args.node_switch_ids,
            pod_vswitch_ids=args.pod_switch_ids,
            service_cidr=wanted.service_cidr,
            security_group_id=args.security_group_id,
            is_enterprise_security_group=True if args.security_group_id is None else None,
            # Both default to true, cost money, and stand outside of this program's state.
            new_nat_gateway=False,
            slb_internet_enabled=wanted.public_endpoint,
            addons=[
                *({"name": name, "config": config} for name, config in ADDONS.items()),
                *({"name": name, "disabled": True} for name in _UNWANTED),
            ],
            control_plane_log_components=list(wanted.log_components),
            control_plane_log_ttl=str(wanted.log_days),
            audit_log_config={"enabled": wanted.audit_log},
            # Without it the provider writes certificates to files beside the program.
            skip_set_certificate_authority=True,
            deletion_protection=args.production,
            delete_options=[
                {"resource_type": "SLB", "delete_mode": "delete"},
                {"resource_type": "ALB", "delete_mode": "delete"},
                {"resource_type": "SLS_Data", "delete_mode": "retain"},
                {"resource_type": "SLS_ControlPlane", "delete_mode": "retain"},
            ],
            tags=args.tags,
            opts=pulumi.ResourceOptions(
                parent=self,
                protect=args.production,
                # Read at creation only; addons are changed in place afterwards.
                ignore_changes=["addons", "pod_vswitch_ids", "new_nat_gateway"],
            ),
        )

    def _node_pool(self, cluster_id: pulumi.Output[str], pool: NodePool) -> alicloud.cs.NodePool:
        return alicloud.cs.NodePool(
            f"{self._name}-pool-{pool.name}",
            cluster_id=cluster_id,
            node_pool_name=pool.name,
            vswitch_ids=self._args.node_switch_ids,
            instance_types=list(pool.types),
            multi_az_policy="BALANCE",
            image_type="AliyunLinux3",
            instance_charge_type="PostPaid",
            spot_strategy="SpotAsPriceGo" if pool.spot else "NoSpot",
            system_disk_category="cloud_essd",
            system_disk_size=pool.system_disk_gib,
            system_disk_encrypted=True,
            desired_size=None if pool.scales else str(pool.min_nodes),
            scaling_config={
                "enable": True,
                "min_size": pool.min_nodes,
                "max_size": pool.max_nodes,
                "type": "spot" if pool.spot else "cpu",
            }
            if pool.scales
            else None,
            management={
                "enable": True,
                "auto_repair": True,
                "auto_repair_policy": {"restart_node": True},
                "auto_vul_fix": True,
                "auto_vul_fix_policy": {"vul_level": "asap", "restart_node": False},
                "max_unavailable": 1,
            },
            instance_metadata_options={"http_tokens": "required"},
            kubelet_configuration={
                "pod_pids_limit": str(POD_PIDS),
                "system_reserved": {"cpu": "100m", "memory": "512Mi", "pid": "1000"},
            },
            labels=[{"key": LABEL_NODE_POOL, "value": pool.name}],
            tags=self._args.tags,
            opts=pulumi.ResourceOptions(
                parent=self,
                # What the autoscaler decides is not undone by the next run.
                ignore_changes=["desired_size"] if pool.scales else None,
            ),
        )

    def _credential(
        self, cluster: alicloud.cs.ManagedKubernetes, pools: list[alicloud.cs.NodePool]
    ) -> pulumi.Output[str]:
        wanted = self._args.control_plane
        credential = alicloud.cs.get_cluster_credential_output(
            cluster_id=cluster.id,
            temporary_duration_minutes=wanted.access_minutes,
            # Nothing can run before there is a node.
            opts=pulumi.InvokeOutputOptions(parent=self, depends_on=pools),
        )
        server = cluster.connections.apply(
            lambda known: (
                known[0].api_server_internet
                if wanted.public_endpoint
                else known[0].api_server_intranet
            )
        )
        access = pulumi.Output.all(server=server, found=credential)
        return pulumi.Output.secret(access.apply(lambda known: _config(**known)))

    def _balancer(self) -> alicloud.slb.ApplicationLoadBalancer:
        public = bool(self._args.web_cidrs)
        return alicloud.slb.ApplicationLoadBalancer(
            f"{self._name}-balancer",
            load_balancer_name=self._name,
            address_type="internet" if public else "intranet",
            vswitch_id=None if public else self._args.node_switch_ids.apply(lambda ids: ids[0]),
            instance_charge_type="PayByCLCU",
            internet_charge_type="PayByTraffic" if public else None,
            payment_type="PayAsYouGo",
            delete_protection="on" if self._args.production else "off",
            tags=self._args.tags,
            opts=pulumi.ResourceOptions(parent=self, protect=self._args.production),
        )

    def _access_list(self) -> pulumi.Output[str] | None:
        cidrs = self._args.web_cidrs
        if not cidrs or WORLD in cidrs:
            return None
        acl = alicloud.slb.Acl(
            f"{self._name}-web",
            name=f"{self._name}-web",
            ip_version="ipv4",
            tags=self._args.tags,
            opts=self._child,
        )
        for cidr in sorted(set(cidrs)):
            alicloud.slb.AclEntryAttachment(
                f"{self._name}-web-{cidr.replace('/', '-')}",
                acl_id=acl.id,
                entry=cidr,
                comment="workspaces",
                opts=self._child,
            )
        return acl.id


def _config(server: str, found: GetClusterCredentialResult) -> str:
    known = found.certificate_authorities[0]
    return kubeconfig_of(server, known.cluster_cert, known.client_cert, known.client_key)
