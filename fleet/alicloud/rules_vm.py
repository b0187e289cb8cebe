"""Rules across the keys of a `vm` cluster.

Leaves out: what both kinds share (`rules`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from fleet.alicloud import addresses
from fleet.alicloud.config import VmCluster
from fleet.alicloud.config_vm import K3s
from fleet.alicloud.instance_types import Size, size_of
from fleet.alicloud.network_plan import POD_CIDR, SERVICE_CIDR, openings
from fleet.alicloud.regions import region_of
from fleet.errors import Problem

# k3s takes about 0.8 GiB, the system as much again, one idle workspace 0.3 to 0.5 GiB.
SMALLEST = Size(2, 4)
# The limit of a security group, both directions together. Each network of webCidrs and of
# adminCidrs takes two of them.
GROUP_RULES = 200
_PINNED = K3s()
# Families of public images; what is yours (m-…) is not judged by its name.
_OTHER_SYSTEM = re.compile(
    r"(win|aliyun|alinux|anolis|centos|rhel|redhat|rocky|alma|fedora|opensuse|suse|sles|freebsd)",
    re.I,
)
_ARM = re.compile(r"ecs\.[a-z]+[0-9]+y[a-z]*\.")


def vm_problems(cluster: VmCluster) -> Iterator[Problem]:
    """Yield every broken rule that only a `vm` cluster has."""
    yield from _size(cluster)
    yield from _k3s(cluster)
    yield from _networks(cluster)
    yield from _lifetime(cluster)
    yield from _openings(cluster)
    yield from _image(cluster)
    if cluster.instance.id is not None:
        yield from _reused_machine(cluster)


def machine_size(cluster: VmCluster) -> Size | None:
    """Return the machine's size, from the stack file or from the type's name."""
    given = cluster.instance.size
    return Size(given.cpus, given.memory_gib) if given else size_of(cluster.instance.type)


def _size(cluster: VmCluster) -> Iterator[Problem]:
    if cluster.instance.id is not None:
        return
    kind = cluster.instance.type
    key = "cluster.instance.type"
    if _ARM.match(kind):
        yield Problem(
            key, kind, "this is an ARM machine, k3s is pinned for amd64", "use e.g. ecs.g7.large"
        )
        return
    size = machine_size(cluster)
    if size is None:
        yield Problem(
            key,
            kind,
            "the name does not tell this type's size",
            "add cluster.instance.size: {cpus: …, memoryGib: …}",
        )
    elif size.cpus < SMALLEST.cpus or size.memory_gib < SMALLEST.memory_gib:
        yield Problem(
            key,
            kind,
            f"{size.cpus} CPUs and {size.memory_gib} GiB cannot hold k3s and workspaces; "
            f"it takes {SMALLEST.cpus} and {SMALLEST.memory_gib}",
            "use ecs.e-c1m2.large or larger",
        )


def _k3s(cluster: VmCluster) -> Iterator[Problem]:
    k3s = cluster.k3s
    if k3s.version != _PINNED.version and k3s.sha256 == _PINNED.sha256:
        yield Problem(
            "cluster.k3s.sha256",
            k3s.sha256,
            f"this is the checksum of {_PINNED.version}, not of {k3s.version}",
            "copy the line of the file k3s out of that release's sha256sum-amd64.txt",
        )
    if region_of(cluster.region).mainland and k3s.mirror == "none" and k3s.binary_url is None:
        yield Problem(
            "cluster.k3s.mirror",
            k3s.mirror,
            f"the k3s release page is not reliably reached from {cluster.region}",
            "write mirror: cn, or binaryUrl with a mirror of your own",
        )


def _networks(cluster: VmCluster) -> Iterator[Problem]:
    network = cluster.network
    if network.reuse is None:
        for inner in (POD_CIDR, SERVICE_CIDR):
            if addresses.overlap(network.vpc_cidr, inner):
                yield Problem(
                    "cluster.network.vpcCidr",
                    network.vpc_cidr,
                    f"this overlaps {inner}, which k3s uses inside the machine",
                    "write 172.20.0.0/16",
                )
    elif len(network.reuse.vswitch_ids) != 1 or network.reuse.pod_vswitch_ids:
        yield Problem(
            "cluster.network.reuse",
            ", ".join((*network.reuse.vswitch_ids, *network.reuse.pod_vswitch_ids)),
            "one machine has one vSwitch, and its pods none",
            f"keep one of vswitchIds, in {cluster.zone}, and drop podVswitchIds",
        )
    for n, cidr in enumerate(network.host_egress):
        if not addresses.is_private(cidr):
            yield Problem(
                f"cluster.network.hostEgress[{n}]",
                cidr,
                "only private networks are closed to pods, and this is not one",
                "drop it",
            )


def _openings(cluster: VmCluster) -> Iterator[Problem]:
    rules = len(openings(cluster))
    if cluster.instance.id is None and rules > GROUP_RULES:
        yield Problem(
            "cluster.webCidrs",
            f"{len(cluster.web_cidrs)} networks",
            f"with adminCidrs they take {rules} rules, a security group holds {GROUP_RULES}",
            "join them into larger networks",
        )


def _image(cluster: VmCluster) -> Iterator[Problem]:
    image = cluster.instance.image
    if cluster.instance.id is None and _OTHER_SYSTEM.match(image):
        yield Problem(
            "cluster.instance.image",
            image,
            "the machine is set up with apt, which this system does not have",
            "use an Ubuntu or Debian image, as in the console's list of public images",
        )


def _lifetime(cluster: VmCluster) -> Iterator[Problem]:
    instance = cluster.instance
    if cluster.schedule is not None and instance.power is not None:
        yield Problem(
            "cluster.instance.power",
            instance.power,
            "the schedule and power would undo each other",
            "drop power, or drop cluster.schedule",
        )
    if cluster.production and instance.spot is not None:
        yield Problem(
            "cluster.production",
            "true",
            "a spot machine cannot be protected from deletion",
            "drop cluster.instance.spot, or set production: false",
        )
    if cluster.production and cluster.data_disk is None:
        yield Problem(
            "cluster.dataDisk",
            "null",
            "production keeps users' work on a disk that outlives the machine",
            "write dataDisk: {sizeGib: 100}",
        )


def _reused_machine(cluster: VmCluster) -> Iterator[Problem]:
    instance = cluster.instance
    made = {
        "spot": instance.spot,
        "ramRole": instance.ram_role,
        "power": instance.power,
        "sshKey": instance.ssh_key.public_key or instance.ssh_key.existing_name,
    }
    for key, value in made.items():
        if value is not None:
            yield Problem(
                f"cluster.instance.{key}",
                str(value),
                "a machine that you already have is not changed",
                f"drop {key}, or drop cluster.instance.id",
            )
    if cluster.network.reuse is not None or cluster.network.address.id is not None:
        yield Problem(
            "cluster.network",
            instance.id or "",
            "a machine that you already have brings its network and its address along",
            "drop cluster.network.reuse and cluster.network.address",
        )
