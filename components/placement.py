"""Where an environment runs: on a cluster that exists, or on one that the program makes.

Short because only here the choice is made which SDK is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping

from components.providers import ClusterApi
from components.target import Target
from fleet.stackfile.config import ExistingCluster, StackConfig


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
    from components.alicloud.target import cloud_target  # noqa: PLC0415

    return cloud_target(environment, config, config.cluster, variables)
