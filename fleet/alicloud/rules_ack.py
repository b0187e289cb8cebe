"""Rules across the keys of an `ack` cluster.

Leaves out: what both kinds share (`rules`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from fleet.alicloud import addresses
from fleet.alicloud.config import AckCluster
from fleet.alicloud.config_ack import Charts, NodePool
from fleet.alicloud.instance_types import Size, size_of
from fleet.alicloud.network_plan import SLOTS
from fleet.alicloud.regions import region_of
from fleet.errors import Problem

# Terway gives a node of 2 CPUs 6 to 12 addresses for pods; the system's own pods take about 8.
SMALLEST_NODE = Size(4, 8)
# Each pod, of the system or of a user, takes an address of the VPC (Terway gives it).
PODS_PER_NODE = 30
# So many networks fit an access list of a load balancer.
ACCESS_ENTRIES = 300
_SERVICE_PREFIXES = range(12, 25)


def ack_problems(cluster: AckCluster) -> Iterator[Problem]:
    """Yield every broken rule that only an `ack` cluster has."""
    yield from _zones(cluster)
    yield from _service_cidr(cluster)
    yield from _pod_addresses(cluster)
    yield from _pools(cluster)
    yield from _mirrors(cluster)
    if cluster.control_plane.public_endpoint and not cluster.network.allow_open_admin:
        yield Problem(
            "cluster.controlPlane.publicEndpoint",
            "true",
            "the public API address of ACK answers everybody, adminCidrs cannot limit it",
            "run from inside the VPC with publicEndpoint: false, "
            "or accept it with cluster.network.allowOpenAdmin: true",
        )
    if len(cluster.web_cidrs) > ACCESS_ENTRIES:
        yield Problem(
            "cluster.webCidrs",
            f"{len(cluster.web_cidrs)} networks",
            f"an access list holds {ACCESS_ENTRIES}",
            "join them into larger networks",
        )
    for key, value in (
        ("address.id", cluster.network.address.id),
        ("hostEgress", ", ".join(cluster.network.host_egress)),
    ):
        if value:
            yield Problem(
                f"cluster.network.{key}",
                value,
                "it is for one machine (kind vm): here users come in by a load balancer, and what "
                "pods may reach stands under network.allow",
                "drop it",
            )
    if cluster.network.allow_open_admin and not cluster.control_plane.public_endpoint:
        yield Problem(
            "cluster.network.allowOpenAdmin",
            "true",
            "without controlPlane.publicEndpoint nothing is open",
            "drop it",
        )
    if cluster.network.acme_open:
        yield Problem(
            "cluster.network.acmeOpen",
            "true",
            "one load balancer with one access list serves both ports here",
            "drop it; add 0.0.0.0/0 to cluster.webCidrs, or use certificates.dns01",
        )


def _mirrors(cluster: AckCluster) -> Iterator[Problem]:
    if not region_of(cluster.region).mainland:
        return
    charts = cluster.charts
    for key, value, is_mirror in (
        ("traefik", charts.traefik, charts.traefik != Charts().traefik),
        ("registry", charts.registry or "docker.io", charts.registry is not None),
    ):
        if not is_mirror:
            yield Problem(
                f"cluster.charts.{key}",
                value,
                f"this is not reliably reached from {cluster.region}",
                "write a mirror that the nodes reach",
            )


def _zones(cluster: AckCluster) -> Iterator[Problem]:
    for zone, count in Counter(cluster.zones).items():
        if count > 1:
            yield Problem("cluster.zones", zone, "this zone is named twice", "name it once")
    reuse = cluster.network.reuse
    if reuse is None:
        return
    for key, ids in (("vswitchIds", reuse.vswitch_ids), ("podVswitchIds", reuse.pod_vswitch_ids)):
        if len(ids) != len(cluster.zones):
            yield Problem(
                f"cluster.network.reuse.{key}",
                ", ".join(ids) or "none",
                f"{len(cluster.zones)} zones take as many vSwitches for nodes and for pods",
                "name one vSwitch a zone, in the order of cluster.zones",
            )


def _service_cidr(cluster: AckCluster) -> Iterator[Problem]:
    cidr = cluster.control_plane.service_cidr
    key = "cluster.controlPlane.serviceCidr"
    if addresses.network(cidr).prefixlen not in _SERVICE_PREFIXES:
        yield Problem(key, cidr, "Services take a network of /12 to /24", "write 192.168.0.0/20")
    if cluster.network.reuse is None and addresses.overlap(cidr, cluster.network.vpc_cidr):
        yield Problem(
            key,
            cidr,
            f"this overlaps cluster.network.vpcCidr {cluster.network.vpc_cidr}",
            "write a private network outside of the VPC, e.g. 192.168.0.0/20",
        )
    if met := addresses.overlaps_reserved(cidr):
        yield Problem(
            key, cidr, f"this overlaps {met}, which the cloud uses itself", "write 192.168.0.0/20"
        )


def _pod_addresses(cluster: AckCluster) -> Iterator[Problem]:
    if cluster.network.reuse is not None:
        return
    nodes = sum(pool.max_nodes for pool in cluster.node_pools)
    needed = nodes * PODS_PER_NODE
    try:
        slot = addresses.divide(cluster.network.vpc_cidr, SLOTS)[0]
        room = addresses.usable(slot) * len(cluster.zones)
    except ValueError:
        room = 0
    if room < needed:
        yield Problem(
            "cluster.network.vpcCidr",
            cluster.network.vpc_cidr,
            f"{nodes} nodes with {PODS_PER_NODE} pods take {needed} addresses, "
            f"this leaves {room} for pods",
            "write a larger network, e.g. 172.20.0.0/16, or lower maxNodes",
        )


def _pools(cluster: AckCluster) -> Iterator[Problem]:
    for n, pool in enumerate(cluster.node_pools):
        for kind in pool.types:
            yield from _node_type(n, pool, kind)
    for name, count in Counter(pool.name for pool in cluster.node_pools).items():
        if count > 1:
            yield Problem("cluster.nodePools", name, "two pools have this name", "rename one")
    if not any(pool.min_nodes and not pool.spot for pool in cluster.node_pools):
        yield Problem(
            "cluster.nodePools",
            ", ".join(pool.name for pool in cluster.node_pools),
            "the cluster's own pods need a node that is always there",
            "give one pool without spot minNodes of 1 or more",
        )


def _node_type(n: int, pool: NodePool, kind: str) -> Iterator[Problem]:
    size = Size(pool.size.cpus, pool.size.memory_gib) if pool.size else size_of(kind)
    key = f"cluster.nodePools[{n}].types"
    if size is None:
        yield Problem(
            key,
            kind,
            "the name does not tell this type's size",
            f"add size: {{cpus: …, memoryGib: …}} to the pool {pool.name}",
        )
    elif size.cpus < SMALLEST_NODE.cpus or size.memory_gib < SMALLEST_NODE.memory_gib:
        yield Problem(
            key,
            kind,
            f"{size.cpus} CPUs and {size.memory_gib} GiB are too small for a node; "
            f"it takes {SMALLEST_NODE.cpus} and {SMALLEST_NODE.memory_gib}",
            "use e.g. ecs.g7.xlarge",
        )
