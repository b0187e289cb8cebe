"""The `network:` key: what runtimes may reach, and through what.

Leaves out: the rules between its keys (`access_rules`), the policies (`manifests.policies`).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from fleet.values.model import Model, broken
from fleet.values.scalars import (
    Address,
    BaseUrl,
    Cidr,
    LabelKey,
    LabelValue,
    NamespaceName,
    Port,
    RelativePath,
)

# A policy with thousands of ranges costs every node; beyond these numbers a wider range is meant.
_MAX_ALLOWED, _MAX_DENIED = 100, 200


def _exempt(value: str) -> str:
    if not value.isascii() or not value.isprintable() or set(value) & set(" ,;"):
        raise broken(
            "an exception of a proxy is a host, a .domain or a range",
            "write it like .example.com, one an item",
        )
    return value


class Peer(Model):
    """Pods of another namespace, for a network rule."""

    namespace: NamespaceName
    """The namespace they run in."""
    pod_labels: Annotated[dict[LabelKey, LabelValue], Field(max_length=20)] = Field(
        default_factory=dict[str, str]
    )
    """Labels the pods carry; empty means every pod of the namespace."""


class PrivateEndpoint(Model):
    """What runtimes may reach after all, on one TCP port: a private range, or pods."""

    cidr: Cidr | None = None
    """Address range, at most a /16 (IPv6: a /112)."""
    namespace: NamespaceName | None = None
    """Namespace of pods of this cluster."""
    pod_labels: Annotated[dict[LabelKey, LabelValue], Field(max_length=20)] = Field(
        default_factory=dict[str, str]
    )
    """Labels those pods carry; empty means every pod of the namespace."""
    port: Port
    """TCP port; of pods their own, which a Service may call otherwise."""


class Proxy(Model):
    """The proxy that leads out of a closed network."""

    http: BaseUrl | None = None
    """For http:// addresses."""
    https: BaseUrl | None = None
    """For https:// addresses; unset uses that of http."""
    no: Annotated[tuple[Annotated[str, AfterValidator(_exempt)], ...], Field(max_length=100)] = ()
    """Hosts, .domains and ranges reached without it; the cluster's own are by themselves."""


class Network(Model):
    """What runtimes may reach beyond the public internet."""

    internet: bool = True
    """`false` closes the public internet: only DNS, the proxy and what `allow` names are left."""
    proxy: Proxy | None = None
    """The proxy that OpenCode, git, npm, pip, curl and all else go through."""
    ca_bundle: RelativePath | None = None
    """File beside the stack file: authorities (PEM) to trust beside the public ones."""
    allow: Annotated[tuple[PrivateEndpoint, ...], Field(max_length=_MAX_ALLOWED)] = ()
    """Endpoints that are open after all: an internal model server, a Git server."""
    deny: Annotated[tuple[Cidr, ...], Field(max_length=_MAX_DENIED)] = ()
    """More ranges to close: a VPC with public addresses, say."""
    dns: Peer = Peer(namespace="kube-system", pod_labels={"k8s-app": "kube-dns"})
    """The cluster's DNS servers."""
    dns_addresses: Annotated[tuple[Address, ...], Field(max_length=8)] = ()
    """Resolvers that are no pods: NodeLocal DNSCache (169.254.20.10), one on the node itself."""
