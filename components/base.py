"""What the stacks of pools take from the base stack: the cluster, the image.

On a cluster that is there already they need nothing of it, unless only the base stack knows the
image's digest. Leaves out: what a stack declares (`program`).
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
from fleet.plan.stacks import BASE_OUTPUT, takes_from_base
from fleet.stackfile.config import ExistingCluster, StackConfig
from fleet.stackfile.image import Image


@dataclass(frozen=True, kw_only=True, slots=True)
class Shared:
    """What all pools of an environment have in common."""

    api: ClusterApi
    image: pulumi.Input[str]
    secrets: tuple[SharedSecret, ...]
    """What every pool gets a copy of."""


def for_pools(target: Target, image: pulumi.Input[str]) -> pulumi.Output[Any]:
    """Return the base stack's output for the pools, a secret."""
    held: Any = {
        "identifier": target.api.identifier,
        "kubeconfig": target.api.kubeconfig,
        "image": image,
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
        secrets=_login(config, sealed),
    )


def refuse_undivided(environment: str) -> None:
    """End the run of a base stack that still holds the pools: the engine would delete them."""
    _reference(environment).outputs.apply(_refuse_users)


def _refuse_users(outputs: Mapping[str, Any]) -> None:
    if "usernames" in outputs:
        raise pulumi.RunError(
            "stacks.per: pool: this stack was deployed with `per: environment` and holds all users:"
            " write per: environment, run fleet destroy, write per: pool and run fleet up: claims,"
            " files and passwords stay"
        )


def _reference(environment: str) -> pulumi.StackReference:
    return pulumi.StackReference(
        f"{pulumi.get_organization()}/{pulumi.get_project()}/{environment}"
    )


def _of_base(environment: str) -> pulumi.Output[Any]:
    # A secret whatever the reference says of it.
    return pulumi.Output.secret(_reference(environment).require_output(BASE_OUTPUT))


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
