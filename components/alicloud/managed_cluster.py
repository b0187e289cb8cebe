"""The cloud side of an `ack` cluster: network, managed Kubernetes, files, names, repository.

Owns: the order of its parts. Leaves out: the parts themselves, everything inside the cluster.
"""

from __future__ import annotations

import pulumi

from components.alicloud.ack import Ack, AckArgs
from components.alicloud.addons import ClusterAddonsArgs
from components.alicloud.cluster import (
    CloudArgs,
    CloudCluster,
    all_tags,
    declare_files,
    declare_records,
    declare_repository,
    renamed,
)
from components.alicloud.network import Network, NetworkArgs
from fleet.alicloud.addresses import ip_domain
from fleet.alicloud.config import AckCluster
from fleet.alicloud.network_plan import inner_ranges, switches


class ManagedCluster(pulumi.ComponentResource):
    """Managed Kubernetes with everything around it."""

    made: CloudCluster
    """The cluster."""
    addons: ClusterAddonsArgs
    """What has to be installed in it."""

    def __init__(
        self, name: str, args: CloudArgs[AckCluster], opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("opencode-fleet:ack:ManagedCluster", name, None, renamed(opts))
        cluster = args.cluster
        child = pulumi.ResourceOptions(parent=self)
        network = _network(name, args, child)
        files = declare_files(name, args, cluster.zones[0], network, child)
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
                tags=all_tags(name, args),
            ),
            child,
        )
        declare_records(name, args, ack.address, child)
        repository, pushed = declare_repository(name, args, child)
        self.made = CloudCluster(
            kubeconfig=ack.kubeconfig,
            identifier=ack.cluster_id,
            address=ack.address,
            domain=ack.address.apply(ip_domain),
            image_repository=repository,
            reports=files | pushed,
        )
        self.addons = ClusterAddonsArgs(
            balancer_id=ack.balancer_id,
            access_list_id=ack.access_list_id,
            nas_server=files.get("nasServer"),
            nas_path=cluster.nas.existing.path if cluster.nas and cluster.nas.existing else "/",
            https=args.https,
            charts=cluster.charts,
        )
        self.register_outputs({"address": self.made.address, "domain": self.made.domain})


def _network(name: str, args: CloudArgs[AckCluster], opts: pulumi.ResourceOptions) -> Network:
    cluster = args.cluster
    wanted = NetworkArgs(
        vpc_cidr=cluster.network.vpc_cidr,
        zones=cluster.zones,
        switches=switches(cluster),
        reuse=cluster.network.reuse,
        inner=inner_ranges(cluster),
        bandwidth=cluster.network.address.bandwidth,
        make_nat=True,
        protect=cluster.production,
        tags=all_tags(name, args),
    )
    return Network(name, wanted, opts)
