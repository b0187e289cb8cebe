"""The whole cloud side of an environment: from a stack file's `cluster` to a kubeconfig.

Wires network, machine or managed cluster, files, schedule and records. Leaves out: everything
inside the cluster.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi
import pulumi_alicloud as alicloud
from pulumi_alicloud.ecs import GetInstancesResult

from components.alicloud.ack import Ack, AckArgs
from components.alicloud.dns import DnsArgs, DnsRecords
from components.alicloud.nas import NasArgs, SharedFiles
from components.alicloud.network import Network, NetworkArgs
from components.alicloud.registry import Repository, RepositoryArgs
from components.alicloud.schedule import PowerSchedule, PowerScheduleArgs
from components.alicloud.vm import DataVolume, DiskArgs, Machine, MachineArgs
from components.alicloud.vm_access import AccessArgs, ClusterAccess
from fleet.alicloud.addresses import ip_domain
from fleet.alicloud.cloud_init import access_command, user_data
from fleet.alicloud.config import AckCluster, VmCluster
from fleet.alicloud.machine_plan import MachineFacts, bootstrap_of, kept
from fleet.alicloud.machine_settings import Bootstrap
from fleet.alicloud.network_plan import openings, switches
from fleet.errors import Problem


@dataclass(frozen=True, kw_only=True, slots=True)
class CloudArgs:
    """The `cluster` key, and what the rest of the stack file adds to it."""

    cluster: VmCluster | AckCluster
    hosts: tuple[str, ...] = ()
    """Hosts for DNS records, in full; used when `cluster.dns` is set."""
    domain: str | None = None
    https: bool = True
    tags: Mapping[str, str] = field(default_factory=dict[str, str])


class Cloud(pulumi.ComponentResource):
    """A cluster on Alibaba Cloud with everything around it."""

    kubeconfig: pulumi.Output[str]
    """Secret."""
    cluster_identifier: pulumi.Output[str]
    """Stays the same while the cluster's own data does; for the Kubernetes provider."""
    address: pulumi.Output[str]
    """Where users come in."""
    domain: pulumi.Output[str]
    """The domain; without one, a name that resolves to the address."""
    known_hosts: pulumi.Output[str] | None
    """SSH host keys of the machine."""
    login_key: pulumi.Output[str] | None
    """Generated login key, secret; None when it is yours."""
    nas_server: pulumi.Output[str] | None
    """Where shared files are mounted from."""
    balancer_id: pulumi.Output[str] | None
    """Load balancer for the ingress controller (`ack`)."""
    access_list_id: pulumi.Output[str] | None
    """Access list of that load balancer."""
    repository: pulumi.Output[str] | None
    """Image repository made here: registry, namespace and name."""
    kept: tuple[str, ...]
    """What `destroy` leaves behind."""

    def __init__(
        self, name: str, args: CloudArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("opencode-fleet:cloud:Cloud", name, None, opts)
        self._name = name
        self._args = args
        self._tags = {"opencode-fleet": name, **args.cluster.tags, **args.tags}
        self._child = pulumi.ResourceOptions(parent=self)
        self.known_hosts = self.login_key = self.nas_server = None
        self.balancer_id = self.access_list_id = None
        cluster = args.cluster
        if isinstance(cluster, AckCluster):
            self._declare_ack(cluster)
        elif cluster.instance.id is not None:
            self._adopt_machine(cluster, cluster.instance.id)
        else:
            self._declare_machine(cluster)
        self.domain = (
            pulumi.Output.from_input(args.domain) if args.domain else self.address.apply(ip_domain)
        )
        if cluster.dns is not None:
            wanted = DnsArgs(
                zone=cluster.dns.zone, hosts=args.hosts, address=self.address, ttl=cluster.dns.ttl
            )
            DnsRecords(name, wanted, self._child)
        self.repository = self._repository()
        self.kept = kept(cluster)
        self.register_outputs({"address": self.address, "domain": self.domain})

    def _declare_machine(self, cluster: VmCluster) -> None:
        name = self._name
        network = Network(
            name,
            NetworkArgs(
                vpc_cidr=cluster.network.vpc_cidr,
                zones=(cluster.zone,),
                switches=switches(cluster),
                reuse=cluster.network.reuse,
                openings=openings(cluster),
                address_id=cluster.network.address.id,
                bandwidth=cluster.network.address.bandwidth,
                protect=cluster.production,
                tags=self._tags,
            ),
            self._child,
        )
        if network.address is None or network.address_id is None:
            raise AssertionError("a machine's network always has an address")
        if network.security_group_id is None:
            raise AssertionError("a machine's network always has a security group")
        vswitch_id = network.node_switch_ids.apply(lambda ids: ids[0])
        self._declare_files((cluster.zone,), network, vswitch_id)
        disk_id = self._disk(cluster)
        facts = pulumi.Output.all(network.address, network.vpc_cidr, disk_id)
        machine = Machine(
            name,
            MachineArgs(
                instance=cluster.instance,
                production=cluster.production,
                vswitch_id=vswitch_id,
                security_group_id=network.security_group_id,
                address_id=network.address_id,
                user_data=facts.apply(lambda known: self._user_data(cluster, known)),
                disk_id=disk_id,
                tags=self._tags,
            ),
            self._child,
        )
        self.address, self.login_key = network.address, machine.private_key
        self.cluster_identifier = machine.instance_id if disk_id is None else disk_id
        self._open_access(cluster, machine.instance_id, facts, machine.settled)

    def _adopt_machine(self, cluster: VmCluster, instance_id: str) -> None:
        found = alicloud.ecs.get_instances_output(
            ids=[instance_id], opts=pulumi.InvokeOutputOptions(parent=self)
        )
        self.address = found.apply(lambda known: check_machine(known, instance_id, cluster.zone))
        self.cluster_identifier = pulumi.Output.from_input(instance_id)
        disk = cluster.data_disk
        disk_id = disk.id if disk is not None else None
        facts = pulumi.Output.all(self.address, cluster.network.vpc_cidr, disk_id)
        self._open_access(cluster, self.cluster_identifier, facts, [])

    def _open_access(
        self,
        cluster: VmCluster,
        instance_id: pulumi.Output[str],
        facts: pulumi.Output[list[str]],
        settled: list[pulumi.Resource],
    ) -> None:
        generation = cluster.k3s.access_generation

        def command(request: str) -> pulumi.Output[str]:
            return facts.apply(
                lambda known: access_command(self._bootstrap(cluster, known), request, generation)
            )

        access = ClusterAccess(
            self._name,
            AccessArgs(
                region=cluster.region,
                profile=cluster.profile,
                instance_id=instance_id,
                address=self.address,
                command=command,
                settled=settled,
            ),
            self._child,
        )
        self.kubeconfig, self.known_hosts = access.kubeconfig, access.known_hosts
        if cluster.schedule is not None:
            PowerSchedule(
                self._name,
                PowerScheduleArgs(
                    schedule=cluster.schedule,
                    region=cluster.region,
                    instance_id=instance_id,
                    tags=self._tags,
                ),
                self._child,
            )

    def _declare_ack(self, cluster: AckCluster) -> None:
        name = self._name
        network = Network(
            name,
            NetworkArgs(
                vpc_cidr=cluster.network.vpc_cidr,
                zones=cluster.zones,
                switches=switches(cluster),
                reuse=cluster.network.reuse,
                make_security_group=False,
                make_address=False,
                bandwidth=cluster.network.address.bandwidth,
                make_nat=True,
                protect=cluster.production,
                tags=self._tags,
            ),
            self._child,
        )
        first = network.node_switch_ids.apply(lambda ids: ids[0])
        self._declare_files(cluster.zones, network, first)
        reuse = cluster.network.reuse
        ack = Ack(
            name,
            AckArgs(
                control_plane=cluster.control_plane,
                node_pools=cluster.node_pools,
                web_cidrs=cluster.web_cidrs,
                production=cluster.production,
                node_switch_ids=network.node_switch_ids,
                pod_switch_ids=network.pod_switch_ids,
                security_group_id=reuse.security_group_id if reuse else None,
                tags=self._tags,
            ),
            self._child,
        )
        self.kubeconfig, self.address = ack.kubeconfig, ack.address
        self.cluster_identifier = ack.cluster_id
        self.balancer_id, self.access_list_id = ack.balancer_id, ack.access_list_id

    def _declare_files(
        self, zones: tuple[str, ...], network: Network, vswitch_id: pulumi.Output[str]
    ) -> None:
        nas = self._args.cluster.nas
        if nas is None:
            return
        plans = switches(self._args.cluster)
        sources = {f"{plan.role}-{plan.zone}": plan.cidr for plan in plans if plan.role == "node"}
        self.nas_server = SharedFiles(
            self._name,
            NasArgs(
                nas=nas,
                zone=zones[0],
                vpc_id=network.vpc_id,
                vswitch_id=vswitch_id,
                sources=sources or {"vpc": network.vpc_cidr},
                tags=self._tags,
            ),
            self._child,
        ).server

    def _disk(self, cluster: VmCluster) -> pulumi.Output[str] | None:
        if cluster.data_disk is None:
            return None
        wanted = DiskArgs(
            zone=cluster.zone,
            disk=cluster.data_disk,
            production=cluster.production,
            tags=self._tags,
        )
        return DataVolume(self._name, wanted, self._child).disk_id

    def _repository(self) -> pulumi.Output[str] | None:
        registry = self._args.cluster.registry
        if registry is None or registry.acr is None:
            return None
        made = Repository(self._name, RepositoryArgs(acr=registry.acr), self._child)
        return pulumi.Output.concat(registry.server, "/", made.path)

    def _bootstrap(self, cluster: VmCluster, known: list[str]) -> Bootstrap:
        args = self._args
        facts = MachineFacts(*known)
        return bootstrap_of(cluster, self._name, args.domain, facts, https=args.https)

    def _user_data(self, cluster: VmCluster, known: list[str]) -> str:
        return user_data(self._bootstrap(cluster, known))


def check_machine(found: GetInstancesResult, instance_id: str, zone: str) -> str:
    """Return the public address of a machine that is there, runs, and is in the right zone."""
    if len(found.instances) != 1:
        raise _refused(instance_id, "no such instance in this region", "copy it from the console")
    machine = found.instances[0]
    if machine.availability_zone != zone:
        raise _refused(
            instance_id, f"it is in {machine.availability_zone}, not in {zone}", "change the zone"
        )
    if machine.status != "Running":
        raise _refused(instance_id, f"it is {machine.status}", "start it first")
    address = machine.eip or machine.public_ip
    if not address:
        raise _refused(instance_id, "it has no public address", "bind one in the console")
    return address


def _refused(instance_id: str, rule: str, change: str) -> ValueError:
    return ValueError(str(Problem("cluster.instance.id", instance_id, rule, change)))
