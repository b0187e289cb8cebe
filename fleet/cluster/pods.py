"""Which of a runtime's pods is meant, and what it is doing, in a word and a reason.

The word is the API's, the reason that of `reasons`, as `fleet up` tells it while it waits. Pure
functions over pods as the API returns them. An evicted or failed pod stays in the cluster
beside its replacement, and an old one beside the new for as long as it takes to stop, so the
choice has rules. Leaves out: asking the cluster, and words for a whole environment.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from fleet.cluster.client import Live
from fleet.cluster.reasons import Kind, ending_of, reason_of_pod
from fleet.cluster.untrusted import one_line

_ENDED = frozenset({"Failed", "Succeeded"})
_STARTING = frozenset({"PodInitializing", "ContainerCreating"})
_NOTE = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Doing:
    """What a pod is doing."""

    phase: str
    """Ready, Starting, or what went wrong in the API's word, such as ImagePullBackOff."""
    note: str = ""
    """The reason behind it, when there is one: a line, safe to print."""
    container: str = ""
    """The container it is about, when it failed."""
    ended: bool = False
    """Whether that container ended, and may have said why in its log."""


def part(item: Mapping[str, Any], key: str) -> Live:
    """Return a mapping inside an object; an absent or null one is empty."""
    value = item.get(key)
    return cast("Live", value) if isinstance(value, dict) else {}


def parts(item: Mapping[str, Any], key: str) -> list[Live]:
    """Return a list of mappings inside an object; an absent or null one is empty."""
    value = item.get(key)
    return cast("list[Live]", value) if isinstance(value, list) else []


def uid(item: Live) -> str:
    """Return what tells an object from another of the same name."""
    return str(item["metadata"].get("uid", ""))


def ended(pod: Live) -> bool:
    """Return whether a pod will never run again, as an evicted one."""
    return part(pod, "status").get("phase") in _ENDED


def stopping(pod: Live) -> bool:
    """Return whether a pod is being deleted."""
    return "deletionTimestamp" in pod["metadata"]


def choose(pods: Iterable[Live]) -> Live | None:
    """Return the pod that counts: one that runs or will, else one that stops, else the newest."""

    def rank(pod: Live) -> tuple[bool, bool, str]:
        return not ended(pod), not stopping(pod), str(pod["metadata"].get("creationTimestamp", ""))

    return max(pods, key=rank, default=None)


def left_over(pods: Sequence[Live]) -> str:
    """Return how many ended pods lie beside the one that counts, in words."""
    chosen = choose(pods)
    others = [pod for pod in pods if pod is not chosen and ended(pod)]
    words = sorted({_ended_phase(pod).lower() for pod in others})
    if not others:
        return ""
    return f"{len(others)} {' and '.join(words)} pod{'s' if len(others) > 1 else ''} left"


def ready(pod: Live) -> bool:
    """Return whether a pod takes requests."""
    if ended(pod) or stopping(pod):
        return False
    return _condition(pod, "Ready").get("status") == "True"


def restarts(pod: Live) -> int:
    """Return how often a pod's containers were started again, those of its beginning too."""
    return sum(int(status.get("restartCount", 0)) for _, status in containers(pod))


def containers(pod: Live) -> Iterator[tuple[bool, Live]]:
    """Yield each container's status, in starting order, and whether it is an init container."""
    status = part(pod, "status")
    for item in parts(status, "initContainerStatuses"):
        yield True, item
    for item in parts(status, "containerStatuses"):
        yield False, item


def doing(pod: Live) -> Doing:
    """Return what a pod is doing and why."""
    if ended(pod):
        return Doing(phase=_ended_phase(pod), note=_note(part(pod, "status").get("message")))
    if stopping(pod):
        return Doing(phase="Terminating")
    for init, status in containers(pod):
        trouble = _trouble(status, init=init)
        if trouble is not None:
            return replace(trouble, note=_why(pod) or trouble.note)
    if ready(pod):
        return Doing(phase="Ready", note=_last_death(pod))
    placed = _condition(pod, "PodScheduled")
    if placed.get("status") == "False":
        return Doing(phase=_word(placed.get("reason")) or "Pending", note=_why(pod))
    phase = str(part(pod, "status").get("phase", "Unknown"))
    if phase == "Running":
        # A runtime that was up and takes no requests now is stuck, or its node is away.
        up = any(item.get("started") for init, item in containers(pod) if not init)
        phase = "NotReady" if up else "Starting"
    return Doing(phase=one_line(phase, 40))


def _ended_phase(pod: Live) -> str:
    status = part(pod, "status")
    return _word(status.get("reason")) or str(status.get("phase", "Failed"))


def _condition(pod: Live, kind: str) -> Live:
    conditions = parts(part(pod, "status"), "conditions")
    none: Live = {}
    return next((item for item in conditions if item.get("type") == kind), none)


def _trouble(status: Live, *, init: bool) -> Doing | None:
    """Return what is wrong with a container, in the API's words; None when nothing is."""
    name = str(status.get("name", ""))
    state = part(status, "state")
    died = part(state, "terminated") or part(part(status, "lastState"), "terminated")
    if init and died.get("exitCode", 0) and state.get("running") is None:
        return Doing(phase="Init:Error", container=name, ended=True)
    waiting = part(state, "waiting")
    reason = _word(waiting.get("reason"))
    if reason == "CrashLoopBackOff":
        return Doing(phase=reason, container=name, ended=True)
    if reason and reason not in _STARTING:
        return Doing(phase=reason, note=_note(waiting.get("message")), container=name)
    if part(state, "terminated") and not init:
        return Doing(phase=_word(died.get("reason")) or "Error", container=name, ended=True)
    return None


def _why(pod: Live) -> str:
    """Return the reason why a pod does not run; empty where it may be only a matter of time."""
    reason = reason_of_pod(pod)
    if reason is None or reason.kind in {Kind.STARTING, Kind.SILENT}:
        return ""
    return _note(reason.text)


def _last_death(pod: Live) -> str:
    for init, status in containers(pod):
        died = part(part(status, "lastState"), "terminated")
        if died and not init:
            return _note(f"started again: the container before {ending_of(died)}")
    return ""


def _word(value: object) -> str:
    return one_line(str(value or ""), 40)


def _note(value: object) -> str:
    return one_line(str(value or ""), _NOTE)
