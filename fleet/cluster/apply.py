"""`fleet apply`: bring a cluster to what the stack file says, applying only what differs.

Order: objects are made or changed, rollouts are waited for, then what is no longer rendered is
deleted, so that a pod that restarts in between still finds its old scenes. Claims, volumes and
namespaces are never deleted here. Running it again finishes what a failed run left.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from fleet.cluster.changes import Changes, find_changes
from fleet.cluster.desired import Desired, desired_objects
from fleet.cluster.kubectl import Kubectl, Live, Reply, as_list, part
from fleet.cluster.live import APPLIED_HASH, Key, key_of, owned
from fleet.cluster.report import Report
from fleet.errors import ClusterError
from fleet.names import FIELD_MANAGER, LABEL_ENVIRONMENT
from fleet.plan.environment import Plan

# So many objects a kubectl call: progress shows, and a lost connection costs little.
_BATCH = 250
# kubectl waits for each answer before it asks again; a server has time for some of it.
_PARALLEL = 4
# Fewer are not worth a kubectl of their own.
_SMALL = 20
_RETRIES = 3
_PASSING = "the object has been modified"
# kubectl's advice after any conflict; it does not know that ours are forced.
_ADVICE = "Please review the fields above"
_NAMED = re.compile(r'"(?P<name>[a-z0-9.-]+)"')


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """A step that did not work, for a user or (None) for what users share."""

    user: str | None
    step: str
    cause: str

    def __str__(self) -> str:
        who = f"user {self.user}" if self.user else "environment"
        return f"{who}: {self.step}: {self.cause}"


@dataclass(kw_only=True, slots=True)
class Outcome:
    """What an apply did."""

    applied: list[str] = field(default_factory=list[str])
    deleted: list[str] = field(default_factory=list[str])
    unchanged: int = 0
    failures: list[Failure] = field(default_factory=list[Failure])

    def as_json(self) -> dict[str, Any]:
        """Return the outcome for `--json`."""
        return {
            "applied": self.applied,
            "deleted": self.deleted,
            "unchanged": self.unchanged,
            "failures": [str(item) for item in self.failures],
        }


def read_changes(
    kubectl: Kubectl, secrets: Mapping[str, str], plan: Plan, image: str
) -> tuple[Changes, dict[Key, Live]]:
    """Return what an apply would do, and the live objects it was compared with."""
    live = owned(kubectl, plan.environment)
    _refuse_foreign_namespaces(kubectl, plan, live)
    desired = desired_objects(secrets, plan, image, live)
    return find_changes(plan, desired, live), live


def refuse_other_engine(environment: str, live: Mapping[Key, Live]) -> None:
    """Raise ClusterError when another engine made the runtimes: two would undo each other."""
    for key, item in live.items():
        annotations = part(item["metadata"], "annotations")
        if key.kind == "Deployment" and APPLIED_HASH not in annotations:
            raise ClusterError(
                f"environment {environment}: {key} was not made by fleet apply: Pulumi or GitOps"
                " owns it and would undo this: use that, or give --take-over and never use it again"
            )


def make_objects(
    kubectl: Kubectl, items: Sequence[Desired], outcome: Outcome, report: Report
) -> None:
    """Server-side apply `items`: what users share in its order, then the users side by side.

    Failures are recorded by user and the rest goes on; raise ClusterError when nothing can.
    """
    done = 0
    report("apply", done, len(items))
    pool = ThreadPoolExecutor(_PARALLEL)
    try:
        for batches in _waves(items):
            for batch, reply in zip(
                batches, pool.map(partial(_send, kubectl), batches), strict=True
            ):
                _record(kubectl, batch, reply, outcome)
                done += len(batch)
                report("apply", done, len(items))
    finally:
        pool.shutdown(cancel_futures=True)


def _waves(items: Sequence[Desired]) -> list[list[list[Desired]]]:
    """Return waves of batches: pools, then users. What one owner has stays together, in order."""
    return [
        _batches([item for item in items if item.user is None], lambda item: item.key.namespace),
        _batches([item for item in items if item.user], lambda item: item.key.name),
    ]


def _batches(items: Sequence[Desired], owner: Callable[[Desired], str]) -> list[list[Desired]]:
    size = min(_BATCH, -(-len(items) // _PARALLEL))
    owners: dict[str, list[Desired]] = {}
    for item in items:
        owners.setdefault(owner(item) or item.key.name, []).append(item)
    batches: list[list[Desired]] = []
    for group in owners.values():
        if not batches or len(batches[-1]) + len(group) > max(size, _SMALL):
            batches.append([])
        batches[-1].extend(group)
    # Neighbours are sent at once: those of one pool would wait for each other's quota.
    return [batch for start in range(_PARALLEL) for batch in batches[start::_PARALLEL]]


def _send(kubectl: Kubectl, batch: Sequence[Desired]) -> Reply:
    command = ("apply", "--server-side", "--force-conflicts", f"--field-manager={FIELD_MANAGER}")
    text = as_list([item.manifest for item in batch])
    reply = kubectl.run(*command, "-o", "name", "-f", "-", stdin=text)
    for _ in range(_RETRIES):
        # A pool's quota is written with every object and pod; the server gives up after some tries.
        if reply.code == 0 or _PASSING not in reply.err:
            break
        reply = kubectl.run(*command, "-o", "name", "-f", "-", stdin=text)
    return reply


def _record(kubectl: Kubectl, batch: Sequence[Desired], reply: Reply, outcome: Outcome) -> None:
    failures: list[Failure] = []
    if reply.code != 0:
        failures = _failures(kubectl, batch, reply.err)
        if not reply.out.strip() and not any(item.user for item in failures):
            raise ClusterError(kubectl.explain(reply.err))
    bad = {(item.user, item.step) for item in failures}
    outcome.applied.extend(
        str(item.key)
        for item in batch
        if (item.user.id if item.user else None, _step(item)) not in bad
    )
    outcome.failures.extend(failures)


def delete_objects(kubectl: Kubectl, items: Sequence[Live], outcome: Outcome) -> None:
    """Delete objects that are no longer rendered; pods go with their grace period."""
    if not items:
        return
    names = [
        {
            "apiVersion": item["apiVersion"],
            "kind": item["kind"],
            "metadata": {
                key: item["metadata"][key]
                for key in ("name", "namespace")
                if key in item["metadata"]
            },
        }
        for item in items
    ]
    kubectl.ask("delete", "--ignore-not-found", "--wait=true", "-f", "-", stdin=as_list(names))
    outcome.deleted.extend(str(key_of(item)) for item in items)


def _refuse_foreign_namespaces(kubectl: Kubectl, plan: Plan, live: dict[Key, Live]) -> None:
    """Raise when a namespace of ours exists without our label: its contents are somebody else's."""
    missing = [
        pool.namespace for pool in plan.pools if Key("Namespace", "", pool.namespace) not in live
    ]
    if not missing:
        return
    for item in kubectl.get(["namespaces"], *missing, "--ignore-not-found"):
        name = item["metadata"]["name"]
        owner = part(item["metadata"], "labels").get(LABEL_ENVIRONMENT, "nobody we know")
        raise ClusterError(
            f"namespace {name}: it exists and belongs to {owner}: this environment would take over"
            " what is in it: rename the environment or the pool, or delete that namespace"
        )


def _step(item: Desired) -> str:
    return f"apply {item.key.kind}"


def _failures(kubectl: Kubectl, batch: Sequence[Desired], err: str) -> list[Failure]:
    """Return kubectl's complaints, each with the user whose object it names."""
    found: list[Failure] = []
    for line in err.partition(_ADVICE)[0].splitlines():
        if not line.strip() or line.startswith("Warning:"):
            continue
        names = set(_NAMED.findall(line))
        item = next(
            (
                item
                for item in batch
                if item.key.name in names and item.key.kind.lower() in line.lower()
            ),
            None,
        ) or next((item for item in batch if item.key.name in names), None)
        cause = kubectl.explain(line)
        if item is None:
            found.append(Failure(user=None, step="apply", cause=cause))
        else:
            user = item.user.id if item.user else None
            found.append(Failure(user=user, step=_step(item), cause=cause))
    return found
