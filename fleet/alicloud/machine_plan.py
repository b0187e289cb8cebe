"""What the k3s machine is to be: its bootstrap, its names, what is retained at the end.

Leaves out: declaring it (`components.alicloud.vm`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from fleet.alicloud.config import AckCluster, VmCluster
from fleet.alicloud.machine_settings import Bootstrap, k3s_urls

# A change of any of these would replace the machine, or wipe its boot disk. It waits for the next
# generation of the machine, which the operator asks for in the stack file.
HELD_UNTIL_NEXT_GENERATION = (
    "image_id",
    "user_data",
    "availability_zone",
    "system_disk_category",
    "system_disk_encrypted",
    "spot_strategy",
    "spot_price_limit",
    "spot_interruption_behavior",
    "spot_duration",
)
# A change of any would give an empty disk in place of the one with everybody's work.
HELD_FOR_EVER = ("zone_id", "encrypted", "kms_key_id", "snapshot_id", "multi_attach")


@dataclass(frozen=True, kw_only=True, slots=True)
class MachineFacts:
    """What is known of a machine only once its surroundings exist.

    No tuple: Outputs turn a named tuple into a plain one.
    """

    address: str
    vpc_cidr: str
    disk_id: str | None


def bootstrap_of(
    cluster: VmCluster, name: str, domain: str | None, facts: MachineFacts, *, https: bool
) -> Bootstrap:
    """Return what the machine is told at its first boot."""
    k3s = cluster.k3s
    cn = k3s.mirror == "cn"
    return Bootstrap(
        node_name=name,
        sans=(facts.address, *((domain,) if domain else ())),
        k3s_version=k3s.version,
        k3s_sha256=k3s.sha256,
        k3s_urls=k3s_urls(k3s.version, k3s.mirror, k3s.binary_url),
        system_registry="registry.cn-hangzhou.aliyuncs.com" if cn else None,
        registry_mirrors=k3s.registry_mirrors,
        vpc_cidr=facts.vpc_cidr,
        host_egress=cluster.network.host_egress,
        disk_serial=facts.disk_id.removeprefix("d-") if facts.disk_id else None,
        disk_may_be_formatted=disk_is_new(cluster),
        access_days=k3s.access_days,
        access_generation=k3s.access_generation,
        reboot_for_updates=cluster.instance.reboot_for_updates,
        own_machine=cluster.instance.id is None,
        https=https,
    )


def disk_is_new(cluster: VmCluster) -> bool:
    """Tell whether the data disk is made together with the machine: nobody's work is on it yet.

    A later generation gets the disk of the machine before it.
    """
    disk, instance = cluster.data_disk, cluster.instance
    made_here = disk is not None and disk.id is None
    return made_here and instance.id is None and instance.generation == 1


def key_pair_name(name: str, public_key: str) -> str:
    """Return a key pair's name that changes with the key.

    The cloud ignores a changed key under an old name (terraform-provider-alicloud #5552).
    """
    digest = hashlib.sha256(public_key.encode()).hexdigest()
    return f"{name}-{digest[:10]}"


def retained(cluster: VmCluster | AckCluster, disk_id: str | None = None) -> tuple[str, ...]:
    """Return what `destroy` leaves behind, in words, ids where they are known.

    `disk_id` is of the data disk that was made.
    """
    reuse = cluster.network.reuse
    left = [f"network {reuse.vpc_id} (yours)"] if reuse else []
    if cluster.network.address.id:
        left.append(f"public address {cluster.network.address.id} (yours)")
    if cluster.nas is not None:
        existing = cluster.nas.existing
        left.append(f"file system {existing.server} (yours)" if existing else "file system (data)")
    if isinstance(cluster, VmCluster):
        left += _retained_of_machine(cluster, disk_id)
    else:
        left.append("ESSD disks of users' volumes (reclaim policy Retain)")
        left.append("Log Service projects of the control plane and the audit log")
    return tuple(left)


def _retained_of_machine(cluster: VmCluster, disk_id: str | None) -> list[str]:
    if cluster.instance.id:
        # Disks come with it; none is made or attached here.
        return [f"instance {cluster.instance.id} (yours)"]
    left: list[str] = []
    disk = cluster.data_disk
    if disk is not None and disk.id:
        left.append(f"data disk {disk.id} (yours)")
    elif disk is not None and disk.keep:
        left.append(f"data disk {disk_id} (keep: true)" if disk_id else "data disk (keep: true)")
    if disk is not None and disk.snapshot_days:
        left.append("snapshots of the data disk, until their days are over")
    return left
