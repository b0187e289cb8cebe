"""Stack-file models of the network: made here, or found by id.

Leaves out: address arithmetic (`addresses`) and rules across keys (`rules`).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fleet.alicloud.cloud_scalars import AddressRange, EipId, SecurityGroupId, VpcId, VswitchId
from fleet.values.model import Model


class ReusedNetwork(Model):
    """What the account already has; looked up and checked, never changed or deleted."""

    vpc_id: VpcId
    """The VPC."""
    vswitch_ids: Annotated[tuple[VswitchId, ...], Field(min_length=1)]
    """vSwitches for machines: one for `vm`, one a zone for `ack`."""
    pod_vswitch_ids: tuple[VswitchId, ...] = ()
    """vSwitches for pods (`ack` only), one a zone."""
    security_group_id: SecurityGroupId | None = None
    """A security group whose rules you keep yourself; without it one is made."""


class PublicAddress(Model):
    """The public address of the environment."""

    id: EipId | None = None
    """An address you already hold; it is bound and, at the end, released from the machine only."""
    bandwidth: Annotated[int, Field(ge=1, le=200, strict=True)] = 10
    """Peak bandwidth in Mbit/s; traffic is what is paid for."""


class Network(Model):
    """The private network and what may enter it."""

    vpc_cidr: AddressRange = "172.20.0.0/16"
    """Addresses of the VPC made here."""
    reuse: ReusedNetwork | None = None
    """Use a network that is already there instead."""
    address: PublicAddress = PublicAddress()
    """The public address."""
    allow_open_admin: bool = False
    """Accept 0.0.0.0/0 in adminCidrs. SSH and the Kubernetes API are then open to the world."""
    acme_open: bool = False
    """Open port 80, and nothing else, to the world, for HTTP-01 certificates."""
    host_egress: tuple[AddressRange, ...] = ()
    """Private networks that pods may reach (`vm`), e.g. a model endpoint inside the VPC."""


class NasExisting(Model):
    """A file system you already have."""

    server: Annotated[str, Field(pattern=r"^[a-z0-9.-]+\.nas\.aliyuncs\.com$")]
    """Its mount target's domain, e.g. 0abc4d567-xyz12.ap-southeast-1.nas.aliyuncs.com."""
    path: Annotated[str, Field(pattern=r"^/[A-Za-z0-9._/-]*$")] = "/"
    """The folder on it."""


class Nas(Model):
    """Shared files: `/app` folders and scenes in one place (optional)."""

    storage_type: Literal["Capacity", "Performance"] = "Capacity"
    """Cheap, or quick. Each lives in some zones only."""
    existing: NasExisting | None = None
    """Use this file system instead of making one."""
    recycle_bin_days: Annotated[int, Field(ge=1, le=180, strict=True)] = 7
    """Days for which deleted files can be brought back (standard NAS has no snapshots)."""
    estimated_gib: Annotated[int, Field(ge=1, strict=True)] = 50
    """Expected use, for the cost estimate only."""
