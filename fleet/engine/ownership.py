"""Whose an environment's objects in a cluster are, before a run touches anything.

Two environments of one name would delete each other's objects: each of their namespaces says which
seed its environment has. Leaves out: making the seed (`seed`).
"""

from __future__ import annotations

from collections.abc import Mapping

from fleet.cluster.client import Cluster, Live
from fleet.cluster.owned import Key, labels_of, notes_of
from fleet.errors import ClusterError, shown
from fleet.names import IDENTITY, LABEL_ENVIRONMENT
from fleet.plan.environment import Plan


def identities(live: Mapping[Key, Live]) -> dict[str, str]:
    """Return the identity that each namespace of an environment carries; one without has none."""
    return {
        key.name: identity
        for key, item in live.items()
        if key.kind == "Namespace" and (identity := notes_of(item).get(IDENTITY))
    }


def refuse_foreign(
    cluster: Cluster, plan: Plan, live: Mapping[Key, Live], identity: str | None
) -> None:
    """Raise ClusterError when what is in the cluster belongs to somebody else.

    A namespace of ours without an identity is of release 0.1.0 and is taken over.
    """
    for namespace, other in identities(live).items():
        if other != identity:
            raise ClusterError(
                f"namespace {namespace}: it belongs to another environment named"
                f" {plan.environment}: its identity is {shown(other)}, and this stack file's seed"
                f" {f'gives {identity}' if identity else 'is missing'}: use the stack file that it"
                " was made with, or give this environment another name"
            )
    for namespace in (plan.door.namespace, *(pool.namespace for pool in plan.pools)):
        if Key("Namespace", "", namespace) not in live:
            _refuse_unlabelled(cluster, namespace)


def _refuse_unlabelled(cluster: Cluster, name: str) -> None:
    namespace = cluster.get("namespaces", name)
    if namespace is None:
        return
    owner = labels_of(namespace).get(LABEL_ENVIRONMENT, "nobody we know")
    raise ClusterError(
        f"namespace {name}: it exists and belongs to {shown(owner)}: this environment would take"
        " over what is in it: rename the environment or the pool, or delete that namespace"
    )
