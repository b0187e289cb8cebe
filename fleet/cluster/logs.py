"""A runtime's log: of every container that has one, safe to print."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fleet.cluster import pods as judged
from fleet.cluster.client import Cluster, Live
from fleet.cluster.pods import part
from fleet.cluster.runtimes import RUNTIME, live_pod, need_active
from fleet.cluster.untrusted import printable
from fleet.errors import ClusterError, RefusedError
from fleet.plan.environment import UserPlan

_BAD_REQUEST = 400


@dataclass(frozen=True, kw_only=True, slots=True)
class LogRequest:
    """Which lines of a log are wanted."""

    follow: bool = False
    previous: bool = False
    tail: int | None = None


def logs(cluster: Cluster, user: UserPlan, request: LogRequest) -> Iterator[str]:
    """Yield a runtime's log, each line with its container and safe to print."""
    need_active(user)
    pod = live_pod(cluster, user)
    if pod is None:
        raise ClusterError(f"user {user.id}: logs: no pod: see fleet status")
    names = _with_logs(pod, previous=request.previous)
    if request.previous and not names:
        raise ClusterError(f"user {user.id}: logs: no container was started again: no --previous")
    if not names and not request.follow:
        doing = judged.doing(pod)
        raise ClusterError(f"user {user.id}: logs: nothing has started yet ({doing.phase})")
    for name in names:
        yield from _log(cluster, pod, name, request)
    if request.follow and RUNTIME not in names:
        yield from _log_when_started(cluster, user, pod, request)


def _with_logs(pod: Live, *, previous: bool) -> Sequence[str]:
    """Return the containers that have a log, in starting order."""
    names: list[str] = []
    for _, status in judged.containers(pod):
        last = part(part(status, "lastState"), "terminated")
        state = part(status, "state")
        started = bool(last) or state.get("running") is not None or bool(part(state, "terminated"))
        if last if previous else started:
            names.append(str(status["name"]))
    return names


def _log(cluster: Cluster, pod: Live, container: str, request: LogRequest) -> Iterator[str]:
    metadata = pod["metadata"]
    lines = cluster.logs(
        metadata["namespace"],
        metadata["name"],
        container,
        follow=request.follow and not request.previous,
        previous=request.previous,
        tail=request.tail,
    )
    for line in lines:
        yield f"[{container}] {printable(line)}"


def _log_when_started(
    cluster: Cluster, user: UserPlan, pod: Live, request: LogRequest
) -> Iterator[str]:
    """Yield the log of OpenCode's container from its start on; it had none when we looked."""
    while True:
        try:
            yield from _log(cluster, pod, RUNTIME, request)
        except RefusedError as refused:
            # The API's answer for a container that has not started.
            if refused.status != _BAD_REQUEST:
                raise
            time.sleep(1)
            live = cluster.get("pods", pod["metadata"]["name"], user.namespace)
            if live is None or judged.ended(live):
                raise ClusterError(f"user {user.id}: logs: the pod is gone") from None
        else:
            return
