"""Which networks an environment has and what may enter them.

Decides vSwitches (and their addresses) and openings. Leaves out: the checks that the chosen
addresses fit (`rules`) and declaring anything (`components.alicloud.network`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fleet.alicloud import addresses
from fleet.alicloud.config import AckCluster, VmCluster

SSH, HTTP, HTTPS, API = 22, 80, 443, 6443
WORLD = "0.0.0.0/0"
# A VPC is cut into this many slots: the first half for machines, the second for pods, so that a
# zone added later takes the next free slot and no vSwitch ever moves.
SLOTS = 8


@dataclass(frozen=True)
class SwitchPlan:
    """One vSwitch to make."""

    role: Literal["node", "pod"]
    zone: str
    cidr: str


@dataclass(frozen=True, order=True)
class Opening:
    """One TCP port open to one network."""

    port: int
    cidr: str
    why: str


def inner_ranges(cluster: VmCluster | AckCluster) -> dict[str, str]:
    """Return the addresses that the cluster uses inside, by the key that says them.

    A VPC that overlaps one could not be reached from pods, nor pods from it.
    """
    if isinstance(cluster, VmCluster):
        k3s = cluster.k3s
        return {
            "cluster.k3s.podCidr": k3s.pod_cidr,
            "cluster.k3s.serviceCidr": k3s.service_cidr,
        }
    return {"cluster.controlPlane.serviceCidr": cluster.control_plane.service_cidr}


def switches(cluster: VmCluster | AckCluster) -> tuple[SwitchPlan, ...]:
    """Return the vSwitches to make; none when the network is reused.

    Raises ValueError when the VPC is too small to be divided (`rules` says so in better words).
    """
    if cluster.network.reuse is not None:
        return ()
    slots = addresses.divide(cluster.network.vpc_cidr, SLOTS)
    if isinstance(cluster, VmCluster):
        return (SwitchPlan("node", cluster.zone, slots[0]),)
    half = SLOTS // 2
    nodes = [SwitchPlan("node", zone, slots[n]) for n, zone in enumerate(cluster.zones)]
    pods = [SwitchPlan("pod", zone, slots[half + n]) for n, zone in enumerate(cluster.zones)]
    return (*nodes, *pods)


def openings(cluster: VmCluster) -> tuple[Opening, ...]:
    """Return what may enter the machine: each port and network once.

    Two resources for one rule would share it in the cloud, and deleting one would delete both.
    """
    admin = {(port, cidr): "administration" for port in (SSH, API) for cidr in cluster.admin_cidrs}
    web = {(port, cidr): "workspaces" for port in (HTTP, HTTPS) for cidr in cluster.web_cidrs}
    acme = {(HTTP, WORLD): "certificate challenges"} if cluster.network.acme_open else {}
    return tuple(
        sorted(Opening(port, cidr, why) for (port, cidr), why in (admin | acme | web).items())
    )
