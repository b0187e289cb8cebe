"""What the stacks of pools take from the base stack: the cluster, the image, a certificate.

On a cluster that is there already they need nothing of it, unless only the base stack knows the
image's digest or has made the certificate. Leaves out: what a stack declares (`program`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from components.placement import declare_target
from components.providers import ClusterApi
from components.pull_secret import pull_secret
from components.target import Sealed, Target
from fleet.images.tags import ImageTags
from fleet.manifests.pool import SharedSecret
from fleet.names import SELF_SIGNED_SECRET
from fleet.plan.stacks import BASE_OUTPUT, takes_from_base
from fleet.stackfile.config import ExistingCluster, StackConfig, TlsMode
from fleet.stackfile.image import Image

_CERTIFICATE_KEYS = ("tls.crt", "tls.key")


@dataclass(frozen=True, kw_only=True, slots=True)
class Shared:
    """What all pools of an environment have in common."""

    api: ClusterApi
    image: pulumi.Input[str]
    secrets: tuple[SharedSecret, ...]
    """What every pool gets a copy of."""


def for_pools(
    target: Target, image: pulumi.Input[str], certificate: SharedSecret | None
) -> pulumi.Output[Any]:
    """Return the base stack's output for the pools, a secret."""
    held: Any = {
        "identifier": target.api.identifier,
        "kubeconfig": target.api.kubeconfig,
        "image": image,
        "certificate": dict(certificate.data) if certificate is not None else {},
    }
    return pulumi.Output.secret(held)


def shared_by_pools(
    environment: str, config: StackConfig, image: Image, tags: ImageTags, sealed: Sealed
) -> Shared:
    """Return what pools share; of the base stack's last run, as far as it is needed."""
    held = _of_base(environment) if takes_from_base(config, image) else None
    if held is None:
        reference = image.reference or f"{image.repository}:{tags.source}"
        api = declare_target(environment, config, {}).api
        return Shared(api=api, image=reference, secrets=())
    return Shared(
        api=_api(environment, config, held),
        image=pulumi.Output.unsecret(_field(held, "image")),
        secrets=(*_login(config, sealed), *_certificate(config, held)),
    )


def _of_base(environment: str) -> pulumi.Output[Any]:
    name = f"{pulumi.get_organization()}/{pulumi.get_project()}/{environment}"
    # A secret whatever the reference says of it.
    return pulumi.Output.secret(pulumi.StackReference(name).require_output(BASE_OUTPUT))


def _field(held: pulumi.Output[Any], *path: str) -> pulumi.Output[Any]:
    def read(known: Mapping[str, Any]) -> Any:
        value: Any = known
        for key in path:
            value = value[key]
        return value

    return held.apply(read)


def _api(environment: str, config: StackConfig, held: pulumi.Output[Any]) -> ClusterApi:
    if isinstance(config.cluster, ExistingCluster):
        return declare_target(environment, config, {}).api
    return ClusterApi(
        # Not secret: a provider's settings would hide in every preview which cluster it is.
        identifier=pulumi.Output.unsecret(_field(held, "identifier")),
        kubeconfig=_field(held, "kubeconfig"),
    )


def _login(config: StackConfig, sealed: Sealed) -> tuple[SharedSecret, ...]:
    registry = None if isinstance(config.cluster, ExistingCluster) else config.cluster.registry
    if registry is None:
        return ()
    return (pull_secret(registry.server, registry.username, sealed[registry.password_secret]),)


def _certificate(config: StackConfig, held: pulumi.Output[Any]) -> tuple[SharedSecret, ...]:
    if config.access.tls is not TlsMode.SELF_SIGNED:
        return ()
    data = {key: _field(held, "certificate", key) for key in _CERTIFICATE_KEYS}
    return (SharedSecret(name=SELF_SIGNED_SECRET, type="kubernetes.io/tls", data=data),)
