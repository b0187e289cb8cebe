"""Stack-file models of the `vm` cluster: one ECS instance with k3s.

Leaves out: what both clusters share (`config`), network and access keys.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fleet.alicloud.cloud_scalars import (
    AddressRange,
    CloudName,
    Cron,
    DiskId,
    HttpsUrl,
    ImageId,
    InstanceId,
    InstanceType,
    K3sVersion,
    RegistryHost,
    Sha256,
    SshPublicKey,
    TimeZone,
)
from fleet.values.model import Model, broken

DiskCategory = Literal["cloud_essd", "cloud_essd_entry", "cloud_auto"]


class SystemDisk(Model):
    """The disk the machine boots from; lost when the machine is rebuilt."""

    category: DiskCategory = "cloud_essd"
    """ESSD, its entry class, or AutoPL."""
    size_gib: Annotated[int, Field(ge=20, le=2048, strict=True)] = 40
    """Size; it can only grow."""
    encrypted: bool = True
    """Encrypt it with the account's own service key (Key Management Service is activated once)."""


class DataDisk(Model):
    """The disk with all users' volumes and the cluster's own state; outlives the machine."""

    id: DiskId | None = None
    """A disk kept from an earlier environment; it is attached as it is, never formatted."""
    category: DiskCategory = "cloud_essd"
    """ESSD, its entry class, or AutoPL."""
    size_gib: Annotated[int, Field(ge=20, le=32768, strict=True)] = 100
    """Size; it can only grow."""
    encrypted: bool = True
    """Encrypt it, decided once when it is made."""
    keep: bool = True
    """Keep the disk when the environment is destroyed (it goes on costing money)."""
    snapshot_days: Annotated[int, Field(ge=0, le=365, strict=True)] = 7
    """Keep a daily snapshot this long; 0 for none."""


class Spot(Model):
    """Spare capacity at a varying price; the machine can be stopped at any time."""

    price_limit: Annotated[float, Field(gt=0)] | None = None
    """Highest price an hour in the account's currency; without it the market's."""


class SshKey(Model):
    """Who may log in. Without both keys a pair is generated and kept in the stack's state."""

    public_key: SshPublicKey | None = None
    """Your public key."""
    existing_name: Annotated[str, Field(min_length=2, max_length=128)] | None = None
    """A key pair that the region already has."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.public_key and self.existing_name:
            raise broken("publicKey and existingName exclude each other", "keep one of them")
        return self


class RamRole(Model):
    """A role for the machine. Any process on it that reaches the metadata service can use it."""

    existing_name: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """A role you already have."""
    actions: tuple[Annotated[str, Field(pattern=r"^[a-z]+:[A-Za-z]+$")], ...] = ()
    """Or: the actions of a role made here, each in full."""
    resources: tuple[Annotated[str, Field(pattern=r"^acs:.+$")], ...] = ()
    """What they act on, e.g. acs:cr:*:*:repository/fleet/*."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.existing_name and (self.actions or self.resources):
            raise broken("existingName excludes actions and resources", "keep one of the two")
        if not self.existing_name and not (self.actions and self.resources):
            raise broken(
                "a role made here needs actions and resources",
                "name both, or give existingName",
            )
        return self


class InstanceSize(Model):
    """Size of an instance type whose name does not tell."""

    cpus: Annotated[int, Field(ge=1, strict=True)]
    """Virtual CPUs."""
    memory_gib: Annotated[int, Field(ge=1, strict=True)]
    """Memory in GiB."""


class Instance(Model):
    """The machine."""

    id: InstanceId | None = None
    """A machine you already have (Debian or Ubuntu): k3s is installed on it, and it is kept."""
    type: InstanceType = "ecs.e-c1m2.large"
    """Instance type; changing it stops and starts the machine."""
    size: InstanceSize | None = None
    """CPUs and memory of a type that this program does not know."""
    price_cny_hour: Annotated[float, Field(gt=0)] | None = None
    """Its price an hour, for the cost estimate."""
    image: ImageId = "ubuntu_24_04_x64_20G_alibase_20260916.vhd"
    """Image for the first boot and for rebuilds; a change alone does nothing."""
    system_disk: SystemDisk = SystemDisk()
    """The boot disk."""
    spot: Spot | None = None
    """Use spare capacity; changes take effect with the next generation."""
    ssh_key: SshKey = SshKey()
    """Who may log in by SSH."""
    ram_role: RamRole | None = None
    """Rights of the machine itself; none by default."""
    generation: Annotated[int, Field(ge=1, strict=True)] = 1
    """Raise it to replace the machine: nothing else does. The data disk moves over."""
    power: Literal["running", "stopped"] | None = None
    """Start or stop (economical mode) by `pulumi up`; leave out when a schedule does it."""
    reboot_for_updates: bool = False
    """Let security updates reboot the machine at 04:00 when they need to."""


class K3s(Model):
    """The Kubernetes on the machine."""

    version: K3sVersion = "v1.35.5+k3s1"
    """Version; raise one minor at a time."""
    sha256: Sha256 = "267d18da7b3c837d82283f0588fb9031a8a6ff3c0dac772c260c40852ce515f6"
    """Checksum of the amd64 binary of this version."""
    mirror: Literal["none", "cn"] = "none"
    """`cn` downloads from mirrors in mainland China."""
    binary_url: HttpsUrl | None = None
    """Download the binary from here instead."""
    registry_mirrors: dict[RegistryHost, tuple[HttpsUrl, ...]] = Field(default_factory=dict)
    """Mirrors of image registries, e.g. docker.io."""
    pod_cidr: AddressRange = "10.42.0.0/16"
    """Addresses of pods inside the machine; chosen once, when the cluster is made."""
    service_cidr: AddressRange = "10.43.0.0/16"
    """Addresses of Services inside the machine; chosen once, when the cluster is made."""
    access_days: Annotated[int, Field(ge=1, le=3650, strict=True)] = 365
    """How long the program's own client certificate is valid."""
    access_generation: Annotated[int, Field(ge=1, strict=True)] = 1
    """Raise it to renew the program's access."""


class Schedule(Model):
    """Start and stop by the clock, without paying for CPU and memory in between."""

    start: Cron
    """When to start, e.g. 0 8 * * MON-FRI."""
    stop: Cron
    """When to stop, e.g. 0 20 * * MON-FRI."""
    time_zone: TimeZone = "Asia/Singapore"
    """Whose clock."""
    hours_per_week: Annotated[float, Field(gt=0, le=168)]
    """Running hours a week that this gives, for the cost estimate."""
    function_name: CloudName | None = None
    """Name of the Function Compute function; without it named after the environment."""
