"""Rules across the keys of a `vm` cluster.

Leaves out: what both kinds share (`rules`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from fleet.alicloud import addresses
from fleet.alicloud.config import VmCluster
from fleet.alicloud.config_vm import K3s
from fleet.alicloud.instance_types import Size, architecture_of, size_of, takes_entry_disks
from fleet.alicloud.network_plan import inner_ranges, openings
from fleet.alicloud.regions import region_of
from fleet.errors import Problem

# k3s takes about 0.8 GiB, the system as much again, one idle workspace 0.3 to 0.5 GiB.
SMALLEST = Size(2, 4)
# The limit of a security group, both directions together. Each network of webCidrs and of
# adminCidrs takes two of them.
GROUP_RULES = 200
# A node's pods take a /24 of it.
_SMALLEST_INNER = 22
_PINNED = K3s()
# Families of public images; what is yours (m-…) is not judged by its name.
_OTHER_SYSTEM = re.compile(
    r"(win|aliyun|alinux|anolis|centos|rhel|redhat|rocky|alma|fedora|opensuse|suse|sles|freebsd)",
    re.I,
)
_ARM_IMAGE = re.compile(r"(arm64|aarch64)", re.I)


def vm_problems(cluster: VmCluster) -> Iterator[Problem]:
    """Yield every broken rule that only a `vm` cluster has."""
    yield from _size(cluster)
    yield from _k3s(cluster)
    yield from _networks(cluster)
    yield from _lifetime(cluster)
    yield from _openings(cluster)
    yield from _image(cluster)
    yield from _disks(cluster)
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
    if architecture_of(kind) == "arm64":
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
    yield from _inner(cluster)
    if network.reuse is None:
        for key, inner in inner_ranges(cluster).items():
            if addresses.overlap(network.vpc_cidr, inner):
                yield Problem(
                    "cluster.network.vpcCidr",
                    network.vpc_cidr,
                    f"this overlaps {inner}, which k3s uses inside the machine ({key})",
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


def _inner(cluster: VmCluster) -> Iterator[Problem]:
    k3s = cluster.k3s
    for key, cidr in inner_ranges(cluster).items():
        if not addresses.is_private(cidr) or addresses.network(cidr).prefixlen > _SMALLEST_INNER:
            yield Problem(
                key,
                cidr,
                f"this is a private network of /{_SMALLEST_INNER} or larger",
                "write it like 10.42.0.0/16",
            )
    if addresses.overlap(k3s.pod_cidr, k3s.service_cidr):
        yield Problem(
            "cluster.k3s.serviceCidr",
            k3s.service_cidr,
            f"this overlaps cluster.k3s.podCidr {k3s.pod_cidr}",
            "write another private network, e.g. 10.43.0.0/16",
        )


def _openings(cluster: VmCluster) -> Iterator[Problem]:
    network, proof = cluster.network, cluster.certificates
    if network.acme_open and (proof is None or proof.dns01 is not None):
        yield Problem(
            "cluster.network.acmeOpen",
            "true",
            "nothing is proven by HTTP here, so nobody asks at port 80",
            "drop it, or add cluster.certificates without dns01",
        )
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

    elif cluster.instance.id is None and _ARM_IMAGE.search(image):
        yield Problem(
            "cluster.instance.image",
            image,
            f"{cluster.instance.type} is an amd64 machine, this image is for ARM",
            "use the image of the same name with x64 in it",
        )


def _disks(cluster: VmCluster) -> Iterator[Problem]:
    kind = cluster.instance.type
    if cluster.instance.id is not None or takes_entry_disks(kind):
        return
    disk = cluster.data_disk
    categories = {"instance.systemDisk": cluster.instance.system_disk.category}
    if disk is not None and disk.id is None:
        categories["dataDisk"] = disk.category
    for key, category in categories.items():
        if category == "cloud_essd_entry":
            yield Problem(
                f"cluster.{key}.category",
                category,
                f"only economy and universal machines (e, u1) take such disks, not {kind}",
                "write cloud_essd",
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
    yield from _never_made(cluster)
    if cluster.network.reuse is not None or cluster.network.address.id is not None:
        yield Problem(
            "cluster.network",
            instance.id or "",
            "a machine that you already have brings its network and its address along",
            "drop cluster.network.reuse and cluster.network.address",
        )


def _never_made(cluster: VmCluster) -> Iterator[Problem]:
    """Yield what would be made for a machine, and is not for one that is there."""
    instance = cluster.instance
    given = {
        "cluster.dataDisk": "data_disk" in cluster.model_fields_set
        and cluster.data_disk is not None,
        "cluster.nas": cluster.nas is not None and cluster.nas.existing is None,
        "cluster.instance.systemDisk": "system_disk" in instance.model_fields_set,
        "cluster.instance.generation": "generation" in instance.model_fields_set,
        "cluster.instance.type": "type" in instance.model_fields_set,
        "cluster.instance.image": "image" in instance.model_fields_set,
        "cluster.network.acmeOpen": cluster.network.acme_open,
    }
    for key, is_given in given.items():
        if is_given:
            yield Problem(
                key,
                "given",
                "a machine that you already have keeps its disks, its system and its network",
                f"drop {key.rpartition('.')[2]}, or drop cluster.instance.id",
            )
