"""Rules across the keys of `cluster`, for both kinds; each broken one becomes a problem.

Leaves out: rules of a single value (`cloud_scalars`) and of one kind (`rules_vm`, `rules_ack`).
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from fleet.alicloud import addresses
from fleet.alicloud.config import AckCluster, VmCluster
from fleet.alicloud.network_plan import WORLD
from fleet.alicloud.regions import REGIONS, zone_in_region
from fleet.alicloud.rules_ack import ack_problems
from fleet.alicloud.rules_vm import vm_problems
from fleet.errors import Problem

# A few networks with a shorter prefix than this would be the whole internet.
_WIDEST_ADMIN = 8
# So many tags fit every kind of resource.
_TAGS = 20
_RESERVED_TAGS = ("acs:", "aliyun", "http://", "https://")
_VPC_PREFIXES = range(addresses.LARGEST_VPC, 25)


def cloud_problems(cluster: VmCluster | AckCluster, domain: str) -> tuple[Problem, ...]:
    """Return every broken rule of `cluster`; `domain` is the stack file's `access.domain`."""
    own = vm_problems(cluster) if isinstance(cluster, VmCluster) else ack_problems(cluster)
    return (
        *_region(cluster),
        *_places(cluster),
        *_openings(cluster),
        *_vpc(cluster),
        *_names(cluster, domain),
        *_tags(cluster),
        *own,
    )


def _region(cluster: VmCluster | AckCluster) -> Iterator[Problem]:
    listed = cluster.region in REGIONS
    if not listed and not cluster.allow_unlisted_region:
        near = get_close_matches(cluster.region, REGIONS, n=1)
        meant = f"did you mean {near[0]}? " if near else ""
        yield Problem(
            "cluster.region",
            cluster.region,
            "this region is not in the list of regions",
            f"{meant}use one of {', '.join(sorted(REGIONS))}, "
            "or set cluster.allowUnlistedRegion: true for one that has opened since",
        )
    if listed and cluster.allow_unlisted_region:
        yield Problem(
            "cluster.allowUnlistedRegion",
            "true",
            f"the region {cluster.region} is listed",
            "drop it",
        )


def _places(cluster: VmCluster | AckCluster) -> Iterator[Problem]:
    one = isinstance(cluster, VmCluster)
    zones = (cluster.zone,) if one else cluster.zones
    for n, zone in enumerate(zones):
        if not zone_in_region(zone, cluster.region):
            yield Problem(
                "cluster.zone" if one else f"cluster.zones[{n}]",
                zone,
                f"this zone is not in the region {cluster.region}",
                f"write {cluster.region} and a letter, as in the console's list of zones",
            )


def _openings(cluster: VmCluster | AckCluster) -> Iterator[Problem]:
    admins = cluster.admin_cidrs if isinstance(cluster, VmCluster) else ()
    open_to_all = any(addresses.network(cidr).prefixlen < _WIDEST_ADMIN for cidr in admins)
    if isinstance(cluster, VmCluster) and cluster.network.allow_open_admin and not open_to_all:
        yield Problem(
            "cluster.network.allowOpenAdmin",
            "true",
            "adminCidrs open nothing that would need it",
            "drop it",
        )
    for n, cidr in enumerate(admins):
        wide = addresses.network(cidr).prefixlen < _WIDEST_ADMIN
        if wide and not cluster.network.allow_open_admin:
            yield Problem(
                f"cluster.adminCidrs[{n}]",
                cidr,
                "this opens SSH and the Kubernetes API to the world",
                "write your own public address with /32, "
                "or set cluster.network.allowOpenAdmin: true",
            )
    if cluster.certificates is None or cluster.certificates.dns01 is not None:
        return
    opened = isinstance(cluster, VmCluster) and cluster.network.acme_open
    if WORLD not in cluster.web_cidrs and not opened:
        yield Problem(
            "cluster.certificates.dns01",
            "not set",
            "proof by HTTP needs port 80 open to the world",
            "set cluster.network.acmeOpen: true (vm), "
            f"add {WORLD} to cluster.webCidrs, or prove by DNS with dns01",
        )


def _vpc(cluster: VmCluster | AckCluster) -> Iterator[Problem]:
    if cluster.network.reuse is not None:
        return
    cidr = cluster.network.vpc_cidr
    key = "cluster.network.vpcCidr"
    if addresses.network(cidr).prefixlen not in _VPC_PREFIXES or not addresses.is_private(cidr):
        yield Problem(
            key,
            cidr,
            "a VPC is a private network of /8 to /24",
            "write one inside 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16",
        )
    if met := addresses.overlaps_reserved(cidr):
        yield Problem(
            key, cidr, f"this overlaps {met}, which the cloud uses itself", "write 172.20.0.0/16"
        )


def _names(cluster: VmCluster | AckCluster, domain: str) -> Iterator[Problem]:
    if cluster.dns is None:
        return
    try:
        addresses.record_name(domain, cluster.dns.zone)
    except ValueError:
        yield Problem(
            "access.domain",
            domain,
            f"this is outside of cluster.dns.zone {cluster.dns.zone}",
            f"write a name that ends in .{cluster.dns.zone}, or leave cluster.dns out",
        )


def _tags(cluster: VmCluster | AckCluster) -> Iterator[Problem]:
    if len(cluster.tags) >= _TAGS:
        yield Problem(
            "cluster.tags",
            f"{len(cluster.tags)} tags",
            f"a resource holds {_TAGS}, one of them is this program's",
            f"keep {_TAGS - 1}",
        )
    for key in cluster.tags:
        if key.lower().startswith(_RESERVED_TAGS):
            yield Problem(
                "cluster.tags",
                key,
                "the cloud keeps names of this kind to itself",
                "rename the tag",
            )
