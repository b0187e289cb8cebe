"""The `cluster` key of a stack file for the two kinds that run on Alibaba Cloud.

Owns: `VmCluster`, `AckCluster` and what they share. Leaves out: rules across keys (`rules`) and all
deciding (`network_plan`, `security`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import Field, model_validator

from fleet.alicloud.cloud_scalars import AddressRange, EnvName, RegionId, ZoneId
from fleet.alicloud.config_access import Certificates, Dns, Registry
from fleet.alicloud.config_ack import Charts, ControlPlane, NodePool
from fleet.alicloud.config_network import Nas, Network
from fleet.alicloud.config_vm import DataDisk, Instance, K3s, Schedule
from fleet.values.model import Model, broken

_ADMINS = {
    "adminCidrs": "who may use SSH and the Kubernetes API; write your own public address, "
    "e.g. adminCidrs: [203.0.113.7/32]",
}
_MISSING = {
    "webCidrs": "who may open the workspaces in a browser; write addresses, e.g. "
    "webCidrs: [203.0.113.0/24], or webCidrs: [] for SSH tunnels only",
}


class _CloudCluster(Model):
    """What both kinds share."""

    region: RegionId
    """Where everything is."""
    allow_unlisted_region: bool = False
    """Accept a region that this program does not list yet."""
    profile: EnvName | None = None
    """Profile of the aliyun command line; keys in the environment come before it."""
    account_type: Literal["International", "Domestic"] = "International"
    """Site of the account."""
    account_id: Annotated[str, Field(pattern=r"^[0-9]{10,20}$")] | None = None
    """The account's number; saves a question to the cloud in every run."""
    production: bool = False
    """Protect machine, address and cluster from deletion."""
    network: Network = Network()
    """The private network."""
    web_cidrs: tuple[AddressRange, ...]
    """Who may open the workspaces (443, and 80 for the redirect). No default."""
    dns: Dns | None = None
    """Records in Alibaba Cloud DNS."""
    certificates: Certificates | None = None
    """cert-manager, for `access.tls: certManager`."""
    registry: Registry | None = None
    """Where nodes pull the runtime image from."""
    nas: Nas | None = None
    """Shared files."""
    tags: Annotated[dict[str, Annotated[str, Field(max_length=128)]], Field(default_factory=dict)]
    """Tags for everything made."""

    @model_validator(mode="before")
    @classmethod
    def _openings_are_given(cls, data: object) -> object:
        return _given(data, _MISSING)


class VmCluster(_CloudCluster):
    """One ECS instance with k3s: the cheap start, for about ten users."""

    kind: Literal["vm"]
    admin_cidrs: Annotated[tuple[AddressRange, ...], Field(min_length=1)]
    """Who may use SSH and the Kubernetes API. No default."""
    zone: ZoneId
    """Zone of the machine and its disks; another zone is another machine."""
    instance: Instance = Instance()
    """The machine."""
    data_disk: DataDisk | None = DataDisk()
    """Disk for all that must outlive the machine; null puts it on the boot disk."""
    k3s: K3s = K3s()
    """The Kubernetes on it."""
    schedule: Schedule | None = None
    """Start and stop by the clock."""

    @model_validator(mode="before")
    @classmethod
    def _admins_are_given(cls, data: object) -> object:
        return _given(data, _ADMINS)


class AckCluster(_CloudCluster):
    """Managed Kubernetes with node pools, for a team that outgrew one machine."""

    kind: Literal["ack"]
    zones: Annotated[tuple[ZoneId, ...], Field(min_length=1, max_length=3)]
    """Zones of the nodes; two or more survive the loss of one."""
    control_plane: ControlPlane = ControlPlane()
    """The managed part."""
    node_pools: Annotated[tuple[NodePool, ...], Field(min_length=1, max_length=8)]
    """The machines."""
    charts: Charts = Charts()
    """Where what is installed in the cluster comes from; mirrors in mainland China."""

    @model_validator(mode="before")
    @classmethod
    def _no_admins(cls, data: object) -> object:
        if isinstance(data, Mapping) and "adminCidrs" in data:
            raise broken(
                "adminCidrs limits nothing on ACK: only the VPC reaches a private API address, "
                "and a public one answers everybody who has a certificate",
                "drop adminCidrs",
            )
        return cast("object", data)


CloudCluster = VmCluster | AckCluster


def _given(data: object, keys: Mapping[str, str]) -> object:
    if isinstance(data, Mapping):
        given = cast("Mapping[str, Any]", data)
        for key, change in keys.items():
            if key not in given and _snake(key) not in given:
                raise broken(f"{key} is left out and has no default", change)
    return cast("object", data)


def _snake(key: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in key)
