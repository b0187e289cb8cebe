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

from lightkube.models.core_v1 import ContainerStateTerminated, ContainerStatus
from lightkube.resources.core_v1 import Pod

from door.control import names
from door.control.roster import Person, line
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


def pod_facts(pod: Pod) -> PodFacts | None:
    """Read a pod; None for one that belongs to no Deployment of a user."""
    metadata, status = pod.metadata, pod.status
    if metadata is None or not metadata.name or not metadata.namespace:
        return None
    labels = metadata.labels or {}
    slug, suffix = labels.get(names.LABEL_USER), f"-{labels.get(_HASH, '')}"
    sets = [one.name for one in metadata.ownerReferences or [] if one.kind == "ReplicaSet"]
    if not slug or not sets or not sets[0].endswith(suffix):
        return None
    conditions = {one.type: one for one in (status.conditions if status else None) or []}
    ready = conditions.get("Ready")
    scheduled = conditions.get("PodScheduled")
    states = _states(pod)
    trouble = None
    if scheduled is not None and scheduled.status == "False":
        trouble = _unscheduled(scheduled.message or scheduled.reason or "")
    return PodFacts(
        slug=slug,
        namespace=metadata.namespace,
        name=metadata.name,
        owner=sets[0].removesuffix(suffix),
        created=metadata.creationTimestamp,
        ending=metadata.deletionTimestamp is not None,
        over=status is not None and status.phase in {"Failed", "Succeeded"},
        ready=ready is not None and ready.status == "True",
        address=status.podIP if status else None,
        runs=any(one.state and one.state.running for _, one in states),
        trouble=trouble or next(filter(None, (_trouble(*state) for state in states)), None),
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


def _unscheduled(message: str) -> str:
    words = _PREEMPTION.sub("", message)
    if _FULL.search(words):
        return line(f"no room: the cluster's nodes are full ({words})")
    return line(f"no node takes its pod: {words}")


def _states(pod: Pod) -> list[tuple[bool, ContainerStatus]]:
    """Return the states of containers, and of each whether it is one of the first steps."""
    status = pod.status
    if status is None:
        return []
    first = [(True, one) for one in status.initContainerStatuses or []]
    return first + [(False, one) for one in status.containerStatuses or []]


def _trouble(first: bool, status: ContainerStatus) -> str | None:
    state = status.state
    waiting = state.waiting if state else None
    if waiting is not None and waiting.reason in _IMAGE:
        words = (waiting.message or waiting.reason).rpartition("desc = ")[2]
        return line(f"its image {status.image} cannot be had: {words}")
    if waiting is not None and waiting.reason in _BROKEN:
        return line(f"its container cannot be made: {waiting.message or waiting.reason}")
    ended = state.terminated if state else None
    if ended is None and status.lastState is not None and not status.ready:
        ended = status.lastState.terminated
    if ended is None or (first and ended.exitCode == 0):
        return None
    return line(f"{'its first step' if first else 'OpenCode'} {_ending(ended)}{_again(status)}")


def _ending(ended: ContainerStateTerminated) -> str:
    if ended.reason == "OOMKilled":
        return "was killed: it needs more memory than its limit"
    return f"ended with exit code {ended.exitCode}"


def _again(status: ContainerStatus) -> str:
    count = status.restartCount
    return f", started again {count} {'time' if count == 1 else 'times'}" if count else ""


def _doing(states: Sequence[tuple[bool, ContainerStatus]]) -> str:
    main = [one for first, one in states if not first]
    if main and all(one.state and one.state.running for one in main):
        return "it runs and does not answer yet"
    if any(one.state and one.state.running for _, one in states):
        return "its files are being laid out"
    return "its container is being made"
