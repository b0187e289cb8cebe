"""Where an environment runs: a cluster that exists, or one that the program makes.

Owns: the choice, and what the rest of the program may ask of either. Leaves out: Alibaba Cloud
(`cloud_target`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi

from components.environment import FleetEnvironment
from components.providers import ClusterApi, KubernetesProviders
from fleet.config import ExistingCluster, StackConfig
from fleet.image_config import Image

Sealed = Mapping[str, pulumi.Output[str]]
"""The stack file's secrets, by top-level key."""


class Target:
    """A cluster that is there already and needs nothing beside the workspaces."""

    def __init__(self, api: ClusterApi) -> None:
        self.api = api

    def delivered(self, image: Image, reference: pulumi.Output[str]) -> pulumi.Output[str]:
        """Return the image reference, once the cluster can have the image."""
        del image
        return reference

    def declare_services(
        self, providers: KubernetesProviders, fleet: FleetEnvironment, sealed: Sealed
    ) -> dict[str, Any]:
        """Declare what the cluster needs beside the workspaces; return the stack outputs of it."""
        del providers, fleet, sealed
        return {}


def declare_target(environment: str, config: StackConfig, variables: Mapping[str, str]) -> Target:
    """Declare the cluster of an environment.

    `variables` are the process's, for credentials. Raises RunError when a cloud has none.
    """
    if isinstance(config.cluster, ExistingCluster):
        # Known by its environment. Were it known by its context, one `up` with a mistyped context
        # would replace the providers in state, and mending it would replace them again, under
        # objects that exist already.
        identifier = f"environment:{environment}"
        return Target(ClusterApi(identifier=identifier, context=config.cluster.context))
    # Nearly two seconds and 40 MB of SDK that an existing cluster has no use for.
    from components.cloud_target import CloudTarget  # noqa: PLC0415

    return CloudTarget(environment, config, config.cluster, variables)
