"""What claims that exist do not allow, told before a run touches anything.

The API server would refuse it in the middle of a run, or the user's data would stay behind unseen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fleet.cluster.client import Live
from fleet.cluster.owned import Key, labels_of
from fleet.errors import Problem
from fleet.names import LABEL_USER, slug
from fleet.plan.environment import Plan, UserPlan
from fleet.values.quantity import parse_quantity

_KIND = "PersistentVolumeClaim"


def claim_problems(plan: Plan, live: Mapping[Key, Live]) -> list[Problem]:
    """Return what the plan asks of existing claims that they cannot give."""
    claims = {key: item for key, item in live.items() if key.kind == _KIND}
    by_user = {
        labels[LABEL_USER]: key
        for key, item in claims.items()
        if LABEL_USER in (labels := labels_of(item))
    }
    problems: list[Problem] = []
    for user in plan.users:
        claim = claims.get(Key(_KIND, user.namespace, user.name))
        if claim is not None:
            problems.extend(_of_claim(user, claim))
        elif slug(user.id) in by_user:
            problems.append(_left_behind(user, by_user[slug(user.id)]))
    return problems


def _left_behind(user: UserPlan, key: Key) -> Problem:
    return Problem(
        f"users.{user.id}.pool",
        user.pool,
        f"the data of user {user.id} is on claim {key.namespace}/{key.name}, and a claim cannot"
        " move to another namespace",
        "keep the pool, or copy the data to a claim of the same name in the new namespace",
    )


def _of_claim(user: UserPlan, claim: Live) -> Iterator[Problem]:
    spec = claim["spec"]
    waits = "volumeName" not in spec and claim.get("status", {}).get("phase") == "Pending"
    wanted, has_class = user.storage_class, spec.get("storageClassName")
    if waits and wanted is not None and wanted != has_class:
        name = f"{user.name} -n {user.namespace}"
        yield Problem(
            "storage.className",
            wanted,
            f"the claim of user {user.id} still waits for class {has_class}, and a claim's class"
            " never changes",
            f"delete the claim, which holds nothing yet: kubectl delete pvc {name}",
        )
    size, has = user.profile.storage, spec["resources"]["requests"]["storage"]
    if parse_quantity(size) < parse_quantity(has):
        yield Problem(
            f"profiles.{user.profile_name}.storage",
            size,
            f"the claim of user {user.id} already has {has}, and claims never shrink",
            f"write {has} or more, or give the user another profile",
        )
