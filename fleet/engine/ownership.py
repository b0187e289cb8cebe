"""Whose an environment's objects in a cluster are, before a run touches anything.

Two environments of one name would delete each other's objects: a pool's namespace says which seed
its environment has. A file that lost its users would delete everybody's. Leaves out: making the
seed (`seed`), asking (`cli.runs`).
"""

from __future__ import annotations

from collections.abc import Mapping

from fleet.cluster.client import Cluster, Live
from fleet.cluster.owned import Key, labels_of, notes_of
from fleet.cluster.report import named
from fleet.errors import ClusterError, shown
from fleet.names import IDENTITY, LABEL_ENVIRONMENT, LABEL_USER, slug
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
    for pool in plan.pools:
        if Key("Namespace", "", pool.namespace) not in live:
            _refuse_unlabelled(cluster, pool.namespace)
    if identity is not None and not live:
        _refuse_renamed(cluster, plan.environment, identity)


def _refuse_renamed(cluster: Cluster, environment: str, identity: str) -> None:
    """Refuse a new environment whose seed is another one's: renamed, or its file copied.

    Names of objects and passwords hang on the environment's name: everybody would start empty.
    """
    for namespace in cluster.list("namespaces", labels={LABEL_ENVIRONMENT: ""}):
        former = labels_of(namespace).get(LABEL_ENVIRONMENT)
        if former != environment and notes_of(namespace).get(IDENTITY) == identity:
            raise ClusterError(
                f"namespace {shown(namespace['metadata']['name'])}: it has the seed of this stack"
                f" file, and belongs to environment {shown(former)}: everybody would start empty"
                f" in {environment}. Renamed: give the stack and its file the old name again."
                f" Copied: take passwordSeed out of this file, `fleet up` makes another one"
            )


def _refuse_unlabelled(cluster: Cluster, name: str) -> None:
    namespace = cluster.get("namespaces", name)
    if namespace is None:
        return
    owner = labels_of(namespace).get(LABEL_ENVIRONMENT, "nobody we know")
    raise ClusterError(
        f"namespace {name}: it exists and belongs to {shown(owner)}: this environment would take"
        " over what is in it: rename the environment or the pool, or delete that namespace"
    )


# Removing more users than this, and more than one of so many, is no everyday edit.
_FEW, _FIFTH = 2, 5
_NAMED = 6


def many_removed(plan: Plan, live: Mapping[Key, Live]) -> str | None:
    """Return whose runtimes a run would remove, as part of a line, when they are many.

    More than a fifth of all, and more than two: a file by mistake, of another clone or emptied.
    """
    there = {
        owner
        for key, item in live.items()
        if key.kind == "Deployment" and (owner := labels_of(item).get(LABEL_USER))
    }
    gone = sorted(there - {slug(user.id) for user in plan.users})
    if len(gone) <= _FEW or len(gone) * _FIFTH <= len(there):
        return None
    return f"the runtimes of {len(gone)} of {len(there)} users ({named(gone, _NAMED)})"
