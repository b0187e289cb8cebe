"""Waiting until runtimes answer, and telling meanwhile why one does not.

One list a kind a poll for all users, by label; events only while somebody's reason needs them. A
reason is told as soon as it stays, and ends the wait for its user when waiting longer would not
mend it; the others go on. What an earlier run counted does not fail this one: patience begins with
this wait. Leaves out: what the reasons are (`reasons`), and how lines look (the shell).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from fleet.cluster.reasons import (
    Kind,
    Live,
    Reason,
    current_replicaset,
    judged_pod,
    reason_of,
)
from fleet.cluster.report import LISTED, Failure, Progress, named
from fleet.errors import ClusterError
from fleet.names import LABEL_ENVIRONMENT, LABEL_USER, slug
from fleet.plan.environment import UserPlan

STEP = "wait until ready"
POLL_SECONDS = 1.0
# A cluster that is updated itself may be away for a moment; longer is told.
_AWAY_SECONDS = 60.0
# Events are read no more often than this: the cluster writes them late anyway.
_EVENTS_SECONDS = 5.0
# So many ids fit the URL of one request.
_NAMED = 50
# A reason that shows for a shorter time is a normal part of starting.
_SETTLE_SECONDS = 2.0
_LATE_SECONDS = 60.0
_LATE = frozenset({Kind.ENDING, Kind.SILENT, Kind.STARTING})
_PATIENCE: Mapping[Kind, float] = {
    Kind.GONE: 5.0,
    Kind.IMAGE: 15.0,
    Kind.REFUSED: 30.0,
    Kind.MISSING: 30.0,
    Kind.NO_CLASS: 30.0,
    # The first try may meet a registry that is busy; the second comes after ten seconds.
    Kind.IMAGE_PULL: 40.0,
    Kind.CONTAINER: 40.0,
    # Pods that are ending give their part of the quota back after at most 30 seconds.
    Kind.QUOTA: 60.0,
}
"""Seconds after which a reason that has stayed ends the wait for its user. No other does."""
_ENDS = frozenset({Kind.INIT, Kind.CRASH, Kind.MEMORY})
# A container that ended so often during this wait is stuck; once or twice may be chance.
_STUCK = 3
_BACK_OFF = frozenset({"CrashLoopBackOff", "ImagePullBackOff", "ErrImagePull"})
_NOBODY = "not ready in time, and the cluster names no reason: look at fleet logs"

Key = tuple[str, str]


class Lists(Protocol):
    """What is asked of a cluster (`client.Cluster`)."""

    def list(
        self,
        kind: str,
        *,
        namespace: str | None = None,
        labels: Mapping[str, str] | str | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> list[Live]:
        """Return the objects of a kind."""
        ...


class Deletes(Lists, Protocol):
    """The same, and deleting."""

    def delete(
        self,
        kind: str,
        name: str,
        namespace: str | None = None,
        *,
        wait: float | None = None,
        uid: str | None = None,
    ) -> bool:
        """Delete an object; return whether it was there."""
        ...


@dataclass(frozen=True, slots=True)
class Clock:
    """Where the time comes from; a test has its own."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def wait_ready(
    cluster: Lists,
    users: Sequence[UserPlan],
    timeout: float,
    progress: Progress,
    clock: Clock | None = None,
) -> list[Failure]:
    """Wait until the runtimes of `users`, of one environment, are ready.

    Returns a failure for each that is not. `timeout` is in seconds, for all of them together. Who
    has no pod to wait for is ready.
    """
    return _Wait(cluster, users, progress, clock or Clock()).run(timeout)


def retry_stuck(cluster: Deletes, users: Sequence[UserPlan]) -> list[str]:
    """Delete pods that wait minutes for their next try, so that it comes now; return their users.

    Their cause may have been mended outside the stack file since.
    """
    listed = _Listed(cluster, users)
    tried: list[str] = []
    for user in users:
        pod = listed.judged_pod(user)
        if pod is None or not _backs_off(pod):
            continue
        metadata = pod["metadata"]
        cluster.delete("pods", metadata["name"], metadata["namespace"], uid=metadata["uid"])
        tried.append(user.id)
    return tried


class _Listed:
    """What one poll finds: objects by user."""

    def __init__(self, cluster: Lists, users: Sequence[UserPlan]) -> None:
        self._cluster = cluster
        self._selector = _selector(users)
        self.deployments = self.of("deployments")
        self._pods: dict[Key, list[Live]] | None = None
        self._sets: dict[Key, list[Live]] = {}
        self._claims: dict[Key, list[Live]] | None = None

    def of(self, kind: str) -> dict[Key, list[Live]]:
        """Return the objects of a kind, by user."""
        objects: dict[Key, list[Live]] = {}
        for item in self._cluster.list(kind, labels=self._selector):
            metadata = item["metadata"]
            key = (metadata["namespace"], metadata["labels"].get(LABEL_USER, ""))
            objects.setdefault(key, []).append(item)
        return objects

    def deployment(self, user: UserPlan) -> Live | None:
        """Return a user's Deployment."""
        return next(iter(self.deployments.get(_key(user), [])), None)

    def judged_pod(self, user: UserPlan) -> Live | None:
        """Return the pod of what is asked for now."""
        deployment = self.deployment(user)
        if deployment is None:
            return None
        return judged_pod(current_replicaset(deployment, self.sets(user)), self.pods(user))

    def pods(self, user: UserPlan) -> list[Live]:
        """Return a user's pods; those of all are asked for at the first call."""
        if self._pods is None:
            self._pods = self.of("pods")
            self._sets = self.of("replicasets")
        return self._pods.get(_key(user), [])

    def sets(self, user: UserPlan) -> list[Live]:
        """Return a user's ReplicaSets."""
        self.pods(user)
        return self._sets.get(_key(user), [])

    def claims(self, user: UserPlan) -> list[Live]:
        """Return a user's claims."""
        if self._claims is None:
            self._claims = self.of("persistentvolumeclaims")
        return self._claims.get(_key(user), [])

    def reason(self, user: UserPlan, events: Sequence[Live]) -> Reason | None:
        """Return why a user's runtime does not run."""
        deployment = self.deployment(user)
        given = (deployment, self.sets(user), self.pods(user), events)
        reason = reason_of(*given)
        if reason is not None and reason.kind in {Kind.CLAIM, Kind.NO_CLASS}:
            return reason_of(*given, self.claims(user))
        return reason


@dataclass(slots=True)
class _Seen:
    """What this wait has seen of one user."""

    kind: Kind
    since: float
    restarts: int
    pod: str


@dataclass(slots=True)
class _Wait:
    """One wait for some users."""

    cluster: Lists
    users: Sequence[UserPlan]
    progress: Progress
    clock: Clock
    _waiting: dict[str, UserPlan] = field(init=False)
    _failures: list[Failure] = field(default_factory=list[Failure])
    _seen: dict[str, _Seen] = field(default_factory=dict[str, _Seen])
    _counted: dict[str, int] = field(default_factory=dict[str, int])
    """Restarts of pods that were there when this wait began: an earlier run's."""
    _told: set[tuple[str, Kind]] = field(default_factory=set[tuple[str, Kind]])
    _lines: int = 0
    _events: dict[str, list[Live]] = field(default_factory=dict[str, list[Live]])
    _asked: float | None = None
    _answered: float = 0.0

    def run(self, timeout: float) -> list[Failure]:
        """Poll until everybody is ready, failed, or the time is up."""
        self._waiting = {user.id: user for user in self.users}
        total = len(self._waiting)
        begun = self._answered = self.clock.now()
        first = True
        while self._waiting:
            polled = self.clock.now()
            last = polled - begun >= timeout
            reasons = self._poll(first=first, last=last)
            first = first and reasons is None
            now = [
                f"waiting for {user}" if not at else user for at, user in enumerate(self._waiting)
            ]
            done = total - len(self._waiting) - len(self._failures)
            self.progress.at("ready", done, total, now)
            if last:
                self._give_up(reasons or {})
            elif self._waiting:
                # Where reading takes long, pause as long: half of the time is the cluster's.
                self.clock.sleep(max(POLL_SECONDS, self.clock.now() - polled))
        return self._failures

    def _poll(self, *, first: bool, last: bool) -> dict[str, Reason] | None:
        """Look once; return the reasons of who is not ready, None when the cluster was away."""
        try:
            listed = _Listed(self.cluster, list(self._waiting.values()))
            for user in list(self._waiting.values()):
                if has_its_pods(listed.deployment(user)):
                    del self._waiting[user.id]
            reasons = self._reasons(listed, last=last) if self._waiting else {}
        except ClusterError:
            if last or self.clock.now() - self._answered > _AWAY_SECONDS:
                raise
            return None
        self._answered = self.clock.now()
        for user_id, reason in reasons.items():
            self._note(user_id, reason, first=first)
        for user_id in set(self._seen) - set(reasons):
            del self._seen[user_id]
        self._tell(reasons)
        for user_id in [key for key in reasons if self._hopeless(key)]:
            self._fail(user_id, reasons[user_id].text)
        return reasons

    def _reasons(self, listed: _Listed, *, last: bool) -> dict[str, Reason]:
        reasons = {user.id: listed.reason(user, ()) for user in self._waiting.values()}
        unclear = [self._waiting[key] for key, reason in reasons.items() if _needs_events(reason)]
        self._read_events(unclear, last=last)
        for user in unclear:
            reasons[user.id] = listed.reason(user, self._events.get(user.namespace, ()))
        return {key: reason for key, reason in reasons.items() if reason is not None}

    def _read_events(self, users: Sequence[UserPlan], *, last: bool) -> None:
        now = self.clock.now()
        if not users or (self._asked and now - self._asked < _EVENTS_SECONDS and not last):
            return
        self._asked = now
        for namespace in {user.namespace for user in users}:
            events = self.cluster.list("events", namespace=namespace, fields={"type": "Warning"})
            # That no class is set is told as a normal event.
            claims = {"involvedObject.kind": "PersistentVolumeClaim", "reason": "FailedBinding"}
            events += self.cluster.list("events", namespace=namespace, fields=claims)
            self._events[namespace] = events

    def _note(self, user_id: str, reason: Reason, *, first: bool) -> None:
        seen = self._seen.get(user_id)
        if seen is None or (seen.kind, seen.pod) != (reason.kind, reason.pod):
            self._seen[user_id] = _Seen(
                kind=reason.kind,
                since=self.clock.now(),
                restarts=reason.restarts,
                pod=reason.pod,
            )
        self._seen[user_id].restarts = reason.restarts
        if first:
            self._counted[reason.pod] = reason.restarts

    def _hopeless(self, user_id: str) -> bool:
        """Return whether waiting longer does not mend what a user's runtime lacks."""
        seen = self._seen[user_id]
        if seen.kind in _ENDS:
            return seen.restarts - self._counted.get(seen.pod, 0) >= _STUCK
        patience = _PATIENCE.get(seen.kind)
        return patience is not None and self.clock.now() - seen.since >= patience

    def _tell(self, reasons: Mapping[str, Reason]) -> None:
        alike: dict[str, list[str]] = {}
        for user_id, reason in reasons.items():
            stays = _LATE_SECONDS if reason.kind in _LATE else _SETTLE_SECONDS
            since = self.clock.now() - self._seen[user_id].since
            if (user_id, reason.kind) not in self._told and since >= stays:
                self._told.add((user_id, reason.kind))
                alike.setdefault(reason.text, []).append(user_id)
        for text, users in alike.items():
            self._lines += 1
            if self._lines <= LISTED:
                self.progress.say(f"{named(users)}: {text}")
            elif self._lines == LISTED + 1:
                self.progress.say(f"more reasons: fleet status -s {self.users[0].environment}")

    def _give_up(self, reasons: Mapping[str, Reason]) -> None:
        for user_id in list(self._waiting):
            reason = reasons.get(user_id)
            self._fail(user_id, f"not ready in time: {reason.text}" if reason else _NOBODY)

    def _fail(self, user_id: str, cause: str) -> None:
        del self._waiting[user_id]
        self._failures.append(Failure(user=user_id, step=STEP, cause=cause))


def _needs_events(reason: Reason | None) -> bool:
    """Return whether events could make a reason more exact."""
    return reason is None or reason.kind in {
        Kind.STARTING,
        Kind.SILENT,
        Kind.CLAIM,
        Kind.NO_CLASS,
        Kind.IMAGE_PULL,
        Kind.CRASH,
    }


def _selector(users: Sequence[UserPlan]) -> str:
    """Return a selector of these users' objects, or of everybody's when they are many."""
    environment = users[0].environment if users else ""
    of_users = LABEL_USER
    if len(users) <= _NAMED:
        of_users = f"{LABEL_USER} in ({','.join(sorted(slug(user.id) for user in users))})"
    return f"{LABEL_ENVIRONMENT}={environment},{of_users}"


def _key(user: UserPlan) -> Key:
    return (user.namespace, slug(user.id))


def has_its_pods(deployment: Live | None) -> bool:
    """Return whether a Deployment has exactly the pods it asks for, of its present template.

    One that is asleep asks for none.
    """
    if deployment is None:
        return False
    status: dict[str, Any] = deployment.get("status") or {}
    if status.get("observedGeneration", 0) < deployment["metadata"]["generation"]:
        return False
    wanted = deployment["spec"].get("replicas", 1)
    if not wanted:
        return True
    counts = [status.get(key, 0) for key in ("replicas", "updatedReplicas", "readyReplicas")]
    return counts == [wanted] * 3


def _backs_off(pod: Live) -> bool:
    status: dict[str, Any] = pod.get("status") or {}
    states: list[Live] = [
        *(status.get("initContainerStatuses") or []),
        *(status.get("containerStatuses") or []),
    ]
    for state in states:
        now: dict[str, Any] = state.get("state") or {}
        waiting: dict[str, Any] = now.get("waiting") or {}
        ended: dict[str, Any] = now.get("terminated") or {}
        if waiting.get("reason") in _BACK_OFF:
            return True
        if ended and ended.get("exitCode") and state.get("restartCount", 0):
            return True
    return False
