"""Runtimes that fail, each in its own way, as a real cluster showed them; and a cluster of them.

Recorded from Kubernetes 1.35, one file a case: the Deployment, its ReplicaSets, pods, claims and
the events about them. Trimmed of what names nothing: managed fields, addresses, resources. Each was
made to fail in that way, except `node`: there the pod's status was written by hand in the place of
a kubelet that does not exist, and what the cluster made of it was recorded.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from fleet.cluster.reasons import Live, Reason, reason_of
from fleet.names import LABEL_USER

_FOLDER = Path(__file__).parent / "corpus" / "pods"
# Inside a class with a method `list` the type's name means the method.
Objects: TypeAlias = list[Live]
NAMESPACE = "opencode-test--default"


@dataclass(kw_only=True)
class Recorded:
    """One user's objects; a test may edit them."""

    deployment: Live
    replicasets: list[Live]
    pods: list[Live]
    events: list[Live]
    claims: list[Live]

    def reason(self) -> Reason | None:
        """Return why the runtime does not run."""
        return reason_of(self.deployment, self.replicasets, self.pods, self.events, self.claims)

    @property
    def pod(self) -> Live:
        """The only pod."""
        (pod,) = self.pods
        return pod


def cases() -> list[str]:
    """Return the names of all recordings."""
    return sorted(file.stem for file in _FOLDER.glob("*.json"))


def recorded(case: str) -> Recorded:
    """Return a recording as it is."""
    return Recorded(**json.loads((_FOLDER / f"{case}.json").read_text(encoding="utf-8")))


def recorded_for(case: str, user: str) -> Recorded:
    """Return a recording as if its objects were those of a user of the environment `test`."""
    found = recorded(case)
    for item in (found.deployment, *found.replicasets, *found.pods, *found.claims):
        item["metadata"]["namespace"] = NAMESPACE
        item["metadata"]["labels"][LABEL_USER] = user
    for item in (*found.replicasets, *found.pods):
        item["metadata"]["uid"] += user
        for owner in item["metadata"]["ownerReferences"]:
            owner["uid"] += user
    return found


@dataclass
class FakeCluster:
    """A cluster that shows each user's recording, and can change between two polls."""

    users: dict[str, Recorded]
    time: float = 0.0
    asked: list[str] = field(default_factory=list[str])
    deleted: list[str] = field(default_factory=list[str])
    at: dict[float, Callable[[], object]] = field(default_factory=dict[float, Callable[[], object]])
    """What happens at which second."""

    def now(self) -> float:
        """Return the time."""
        return self.time

    def sleep(self, seconds: float) -> None:
        """Let time pass, and with it what is to happen."""
        self.time += seconds
        for moment in sorted(self.at):
            if moment <= self.time:
                self.at.pop(moment)()

    def list(
        self,
        kind: str,
        *,
        namespace: str | None = None,
        labels: Mapping[str, str] | str | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> Objects:
        """Return objects as the API would, by kind and selector."""
        asked = labels or f"{namespace} {sorted((fields or {}).items())}"
        self.asked.append(f"{kind} {asked}")
        named = str(labels).partition(" in (")[2].rstrip(")").split(",") if labels else [""]
        items = [
            item
            for user, mine in self.users.items()
            if named == [""] or user in named
            for item in self._items(mine, kind)
        ]
        if kind == "events" and fields and "type" in fields:
            items = [item for item in items if item["type"] == fields["type"]]
        return copy.deepcopy(items)

    def _items(self, mine: Recorded, kind: str) -> Objects:
        return {
            "deployments": [mine.deployment] if mine.deployment else [],
            "replicasets": mine.replicasets,
            "pods": mine.pods,
            "events": mine.events,
            "persistentvolumeclaims": mine.claims,
        }[kind]

    def delete(
        self,
        kind: str,
        name: str,
        namespace: str | None = None,
        *,
        wait: float | None = None,
        uid: str | None = None,
    ) -> bool:
        """Note what is deleted."""
        del wait, uid
        self.deleted.append(f"{kind} {namespace}/{name}")
        return True


@dataclass
class Told:
    """What was reported."""

    lines: list[str] = field(default_factory=list[str])
    states: list[tuple[str, int, int, tuple[str, ...]]] = field(
        default_factory=list[tuple[str, int, int, tuple[str, ...]]]
    )

    def at(self, step: str, done: int, total: int, now: Sequence[str] = ()) -> None:
        """Note how far it is."""
        self.states.append((step, done, total, tuple(now)))

    def say(self, line: str) -> None:
        """Note a line."""
        self.lines.append(line)
