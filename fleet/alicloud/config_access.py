"""Stack-file models of names, certificates and images.

Leaves out: the domain itself, which is `access.domain` of the stack file.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fleet.alicloud.cloud_scalars import CloudName, Email, RegistryHost, RegistryId
from fleet.values.model import Model
from fleet.values.scalars import Domain, ObjectName, SecretKey


class Dns(Model):
    """Records in Alibaba Cloud DNS."""

    zone: Domain
    """The zone as it stands in Alibaba Cloud DNS; `access.domain` lies in it."""
    records: Literal["wildcard", "perUser"] = "wildcard"
    """One record for all users, or one a user."""
    ttl: Annotated[int, Field(ge=60, le=86400, strict=True)] = 600
    """Seconds; free zones allow 600 and more, Basic 120, Standard 60."""


class Dns01(Model):
    """Proof by DNS, needed for one certificate for all users."""

    group_name: Domain
    """API group of the cert-manager webhook for Alibaba Cloud DNS that you installed."""
    secret_name: ObjectName
    """Secret in the cert-manager namespace with `access-key` and `secret-key`."""


class Certificates(Model):
    """cert-manager and a cluster issuer of Let's Encrypt, installed by this program."""

    email: Email
    """Gets notice of expiring certificates."""
    staging: bool = False
    """Use Let's Encrypt's staging service (untrusted certificates, wide limits) for a try."""
    dns01: Dns01 | None = None
    """Prove by DNS; without it, by HTTP on port 80."""
    chart_version: Annotated[str, Field(pattern=r"^v[0-9]+\.[0-9]+\.[0-9]+$")] = "v1.19.1"
    """Version of the cert-manager chart."""


class AcrInstance(Model):
    """An Enterprise instance of Container Registry that you have subscribed to."""

    instance_id: RegistryId
    """Its id; namespace and repository are made in it."""
    namespace: CloudName = "fleet"
    """The namespace made there."""
    repository: CloudName = "runtime"
    """The repository made there."""


class Registry(Model):
    """Where nodes pull the runtime image from."""

    server: RegistryHost
    """Host of the registry, seen from the nodes."""
    username: Annotated[str, Field(min_length=1, max_length=128)]
    """Who pulls."""
    password_secret: SecretKey = "registryPassword"  # noqa: S105  (names a key, holds no secret)
    """Top-level config key that holds the password."""
    acr: AcrInstance | None = None
    """Make the repository in an Enterprise instance; without it the registry is used as it is."""
