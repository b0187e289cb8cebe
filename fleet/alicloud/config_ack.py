"""Stack-file models of the `ack` cluster: Alibaba's managed Kubernetes.

Leaves out: what both clusters share (`config`), network and access keys.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fleet.alicloud.cloud_scalars import (
    AddressRange,
    CloudName,
    HttpsUrl,
    InstanceType,
    RegistryHost,
)
from fleet.alicloud.config_vm import InstanceSize
from fleet.values.model import Model, broken

LogComponent = Literal["apiserver", "kcm", "scheduler", "ccm", "controlplane-events"]


class NodePool(Model):
    """Machines of one kind; grows and shrinks between two bounds."""

    name: CloudName
    """Name, kept for ever: another name is another pool."""
    types: Annotated[tuple[InstanceType, ...], Field(min_length=1, max_length=10)]
    """Instance types, tried in this order."""
    size: InstanceSize | None = None
    """CPUs and memory of types that this program does not know."""
    price_cny_hour: Annotated[float, Field(gt=0)] | None = None
    """Price of the first type an hour, for the cost estimate."""
    min_nodes: Annotated[int, Field(ge=0, le=100, strict=True)] = 2
    """Always there."""
    max_nodes: Annotated[int, Field(ge=1, le=100, strict=True)] = 4
    """Never more."""
    spot: bool = False
    """Use spare capacity; a node can go at any time."""
    system_disk_gib: Annotated[int, Field(ge=40, le=2048, strict=True)] = 80
    """Boot disk, images and containers' own files."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.max_nodes < max(self.min_nodes, 1):
            raise broken(
                f"maxNodes {self.max_nodes} is below minNodes {self.min_nodes}", "raise maxNodes"
            )
        return self

    @property
    def scales(self) -> bool:
        """Whether the pool grows by itself."""
        return self.max_nodes > self.min_nodes


class Charts(Model):
    """Where the ingress controller that is installed here comes from."""

    traefik: HttpsUrl = "https://traefik.github.io/charts"
    """Repository of the Traefik chart."""
    registry: RegistryHost | None = None
    """Registry of its image, instead of docker.io."""


class ControlPlane(Model):
    """The managed part."""

    spec: Literal["ack.pro.small", "ack.standard"] = "ack.pro.small"
    """Pro has an SLA and audit logs; standard is free of charge."""
    version: Annotated[str, Field(pattern=r"^1\.[0-9]{2}\.[0-9]+-aliyun\.[0-9]+$")] | None = None
    """Kubernetes version; the newest when left out. It can only be raised."""
    public_endpoint: bool = False
    """Give the API a public address too. It answers everybody, so it needs allowOpenAdmin."""
    service_cidr: AddressRange = "192.168.0.0/20"
    """Addresses of Services; chosen once."""
    log_components: tuple[LogComponent, ...] = ("apiserver", "controlplane-events")
    """Control plane logs sent to Log Service."""
    log_days: Annotated[int, Field(ge=1, le=365, strict=True)] = 30
    """How long they are kept."""
    audit_log: bool = True
    """Keep the API audit log in Log Service."""
    access_minutes: Annotated[int, Field(ge=15, le=4320, strict=True)] = 180
    """How long the kubeconfig that a run fetches is valid."""
