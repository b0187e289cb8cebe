"""What a runtime does, judged from its Deployment and pods, with a reason in people's words.

Pure. Only the pod of what the Deployment asks for now counts: a user whose mistake was corrected
is not told about the former pod. What pods, nodes and registries say is data: one bounded line.
The door may read neither events nor ReplicaSets, so some reasons are less exact than those of
`fleet status`. Leaves out: asking the cluster.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from door.control import names
from door.control.live import Live, line, moment, number, part, parts, text
from door.control.roster import Person
from door.control.world import Phase, Wanted

_PULL = frozenset({"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable"})
_IMAGE = frozenset({"ErrImageNeverPull", "InvalidImageName", "ImageInspectError"}) | _PULL
_BROKEN = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
_HASH = "pod-template-hash"
_QUOTA = re.compile(r"exceeded quota: (?P<name>[^,]+)")
# The scheduler repeats its sentence in what follows.
_PREEMPTION = re.compile(r"\s*(?:no new claims to deallocate,\s*)?preemption:.*", re.DOTALL)
_FULL = re.compile(r"Insufficient|Too many pods", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class PodFacts:
    """What counts of a pod."""

    slug: str
    namespace: str
    name: str
    owner: str
    """Name of the Deployment that asked for it."""
    created: datetime | None
    ending: bool
    over: bool
    """Whether it will never run again: evicted, or ended."""
    ready: bool
    address: str | None
    runs: bool
    """Whether any of its containers runs: there may be work in it."""
    trouble: str | None
    """What keeps it from running; None while it just starts."""
    doing: str
    """What it does meanwhile."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """What a runtime does."""

    phase: Phase
    reason: str | None = None
    address: str | None = None
    since: datetime | None = None
    """When its pod was made."""
    runs: bool = False
    """Whether anything runs that could be at work."""
    gone: bool = True
    """Whether no pod is left, not even one that ends."""


def pod_facts(pod: Live) -> PodFacts | None:
    """Read a pod; None for one that belongs to no Deployment of a user."""
    metadata, status = part(pod, "metadata"), part(pod, "status")
    labels = part(metadata, "labels")
    slug, suffix = text(labels, names.LABEL_USER), f"-{text(labels, _HASH)}"
    owners = parts(metadata, "ownerReferences")
    sets = [text(one, "name") for one in owners if one.get("kind") == "ReplicaSet"]
    if not slug or not sets or not sets[0].endswith(suffix):
        return None
    conditions = {one.get("type"): one for one in parts(status, "conditions")}
    ready, scheduled = conditions.get("Ready", {}), conditions.get("PodScheduled", {})
    states = _states(status)
    trouble = _unscheduled(scheduled) or next(filter(None, map(_trouble, states)), None)
    return PodFacts(
        slug=slug,
        namespace=text(metadata, "namespace"),
        name=text(metadata, "name"),
        owner=sets[0].removesuffix(suffix),
        created=moment(metadata, "creationTimestamp"),
        ending="deletionTimestamp" in metadata,
        over=status.get("phase") in {"Failed", "Succeeded"},
        ready=ready.get("status") == "True",
        address=text(status, "podIP") or None,
        runs=any(state.running for state in states),
        trouble=trouble,
        doing=_doing(states),
    )


def judge(person: Person, pods: Iterable[PodFacts]) -> Judged:
    """Judge a runtime by all the pods of its Deployment."""
    mine = [pod for pod in pods if pod.owner == person.name]
    live = [pod for pod in mine if not pod.over]
    gone, runs = not live, any(pod.runs for pod in live)
    if person.held:
        return Judged(phase=Phase.FAILING, reason=person.problems[0], gone=gone, runs=runs)
    note = person.problems[0] if person.problems else None
    if person.wanted is Wanted.SUSPENDED:
        return Judged(phase=Phase.SUSPENDED, reason=note, gone=gone, runs=runs)
    if person.replicas == 0:
        return Judged(phase=Phase.ASLEEP, reason=note, gone=gone, runs=runs)
    found = _awake(person, live, note)
    return Judged(
        phase=found.phase,
        reason=found.reason,
        address=found.address,
        since=min((pod.created for pod in live if pod.created), default=None),
        gone=gone,
        runs=runs,
    )


def _awake(person: Person, live: Sequence[PodFacts], note: str | None) -> Judged:
    current = [pod for pod in live if not pod.ending]
    if not current and person.refusal and person.seen:
        return Judged(phase=Phase.FAILING, reason=_refused(person.refusal))
    if not current:
        reason = "its former pod is still ending" if live else "a pod is being made"
        return Judged(phase=Phase.STARTING, reason=reason)
    if not person.seen or not person.updated:
        return Judged(phase=Phase.STARTING, reason="its pod is about to be replaced")
    pod = max(current, key=lambda one: (one.created is not None and one.created.timestamp()) or 0)
    if pod.ready and pod.address:
        return Judged(phase=Phase.READY, reason=note, address=pod.address)
    if pod.trouble:
        return Judged(phase=Phase.FAILING, reason=pod.trouble)
    return Judged(phase=Phase.STARTING, reason=pod.doing)


def _refused(message: str) -> str:
    quota = _QUOTA.search(message)
    if quota is not None:
        return line(f"the quota {quota['name']} of its pool is used up")
    return line(f"the cluster refuses its pod: {message}")


def _unscheduled(scheduled: Live) -> str | None:
    if scheduled.get("status") != "False":
        return None
    words = _PREEMPTION.sub("", text(scheduled, "message") or text(scheduled, "reason"))
    if _FULL.search(words):
        return line(f"no room: the cluster's nodes are full ({words})")
    return line(f"no node takes its pod: {words}")


@dataclass(frozen=True, slots=True)
class _State:
    """One container's state."""

    status: Live
    first: bool
    """Whether it is one of the steps before OpenCode."""

    @property
    def running(self) -> bool:
        return "running" in part(self.status, "state")


def _states(status: Live) -> list[_State]:
    first = [_State(one, first=True) for one in parts(status, "initContainerStatuses")]
    return first + [_State(one, first=False) for one in parts(status, "containerStatuses")]


def _trouble(state: _State) -> str | None:
    status = state.status
    waiting = part(status, "state", "waiting")
    reason, message = text(waiting, "reason"), text(waiting, "message")
    if reason in _IMAGE:
        words = (message or reason).rpartition("desc = ")[2]
        return line(f"its image {text(status, 'image')} cannot be had: {words}")
    if reason in _BROKEN:
        return line(f"its container cannot be made: {message or reason}")
    ended = part(status, "state", "terminated")
    if not ended and not status.get("ready"):
        # Between two tries only the former state tells.
        ended = part(status, "lastState", "terminated")
    if not ended or (state.first and ended.get("exitCode") == 0):
        return None
    what = "its first step" if state.first else "OpenCode"
    return line(f"{what} {_ending(ended)}{_again(number(status, 'restartCount'))}")


def _ending(ended: Live) -> str:
    if ended.get("reason") == "OOMKilled":
        return "was killed: it needs more memory than its limit"
    return f"ended with exit code {ended.get('exitCode')}"


def _again(count: int) -> str:
    return f", started again {count} {'time' if count == 1 else 'times'}" if count else ""


def _doing(states: Sequence[_State]) -> str:
    main = [state for state in states if not state.first]
    if main and all(state.running for state in main):
        return "it runs and does not answer yet"
    if any(state.running for state in states):
        return "its files are being laid out"
    return "its container is being made"
