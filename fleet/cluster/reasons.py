"""Why a runtime does not run: read from its Deployment, ReplicaSets, pods, claims and events.

Pure: objects as the API returns them in, one line out. Only pods of the template that the
Deployment asks for now are judged, so that a corrected file is not blamed for what its predecessor
did. What pods, registries and schedulers say is data: one bounded line, escaped. Leaves out:
asking, and how long each reason is waited for (`waiting`). Long because one judgement looks at five
kinds of objects, and which reason comes before which is seen only side by side.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias, cast

from fleet.cluster.untrusted import one_line
from fleet.errors import HIDDEN, looks_secret

# An object as the API returns it; its shape is the API's, not ours.
Live: TypeAlias = dict[str, Any]

LONGEST = 300
_POD_HASH = "pod-template-hash"
_PULL = frozenset({"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable"})
_BAD_IMAGE = frozenset({"ErrImageNeverPull", "InvalidImageName", "ImageInspectError"})
_STARTING = frozenset({"PodInitializing", "ContainerCreating"})
_STARTED_NOT = frozenset({"CreateContainerError", "RunContainerError"})
_VOLUME_EVENTS = frozenset({"FailedAttachVolume", "FailedMount", "FailedMapVolume"})
_CLAIM_EVENTS = frozenset({"ProvisioningFailed", "FailedBinding"})
_EVENT_NOT_FOUND = re.compile(r'\b(?:secret|configmap)s? "[^"]+" not found', re.IGNORECASE)
_QUOTA = re.compile(r"exceeded quota: (?P<name>[^,]+), (?P<figures>.*)", re.DOTALL)
# The scheduler repeats its sentence in what follows.
_PREEMPTION = re.compile(r"\s*(?:no new claims to deallocate,\s*)?preemption:.*", re.DOTALL)
# kubelet, containerd and runc each put words of their own before the cause.
_LAYERS = re.compile(r"^.*unable to start container process: (?:error during [^:]*: )?", re.DOTALL)
_PROBE_ADDRESS = re.compile(r'Get "[^"]*": (?:dial tcp \S+: (?:connect: )?)?')
_NO_CLASS = re.compile(r"storageclass\S* \"[^\"]*\" not found|no storage class is set")
_QUIET = "runs, does not answer yet"
_CLAIM_WORDS = "PersistentVolumeClaim"


class Kind(StrEnum):
    """What sort of thing is in the way; a script reads it."""

    GONE = "gone"
    """There is no Deployment."""
    QUOTA = "quota"
    REFUSED = "refused"
    """The cluster takes no such pod: Pod Security, a webhook."""
    UNSCHEDULABLE = "unschedulable"
    CLAIM = "claim"
    NO_CLASS = "no-class"
    """Nothing will ever make the claim's volume."""
    IMAGE = "image"
    IMAGE_PULL = "image-pull"
    MISSING = "missing"
    """A Secret or ConfigMap that the pod names is not there."""
    INIT = "init"
    CRASH = "crash"
    MEMORY = "memory"
    CONTAINER = "container"
    """The container engine cannot make the container."""
    VOLUME = "volume"
    SANDBOX = "sandbox"
    """The node cannot make the pod itself: its network, mostly."""
    NODE = "node"
    EVICTED = "evicted"
    ENDING = "ending"
    """The former pod has not ended yet."""
    SILENT = "silent"
    """It runs and does not answer."""
    STARTING = "starting"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """What keeps a runtime from running."""

    kind: Kind
    text: str
    """One line, safe to print."""
    pod: str = ""
    """Identity of the pod that is judged; empty where there is none."""
    restarts: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the reason for `--json`."""
        return {"kind": str(self.kind), "text": self.text, "restarts": self.restarts}


def reason_of(
    deployment: Live | None,
    replicasets: Sequence[Live],
    pods: Sequence[Live],
    events: Sequence[Live] = (),
    claims: Sequence[Live] = (),
) -> Reason | None:
    """Return what keeps one user's runtime from running; None when nothing does, or none is known.

    Everything given must be that user's. Without events some reasons are less exact.
    """
    if deployment is None:
        return Reason(kind=Kind.GONE, text="its Deployment is not there: fleet up makes it again")
    if not _part(deployment, "spec").get("replicas", 1):
        return None
    current = current_replicaset(deployment, replicasets)
    pod = judged_pod(current, pods)
    if pod is None:
        return _without_pod(deployment, current, pods)
    return _Judged(pod, _newest_first(events), claims).reason()


def reason_of_pod(pod: Live) -> Reason | None:
    """Return what keeps a pod from running, by what it says itself; None when nothing does."""
    return _Judged(pod, (), ()).reason()


def ending_of(ended: Live) -> str:
    """Return how a container ended, by its `terminated` state: code, cause, last words."""
    return safe(f"{_ending(ended)}{_last_words(ended)}")


def current_replicaset(deployment: Live, replicasets: Iterable[Live]) -> Live | None:
    """Return the ReplicaSet of the template that the Deployment asks for now.

    Its template is compared, not its revision: while the former pod ends, the newest revision is
    still the former one.
    """
    wanted = _comparable(deployment)
    return next((item for item in replicasets if _comparable(item) == wanted), None)


def judged_pod(current: Live | None, pods: Iterable[Live]) -> Live | None:
    """Return the pod that counts: the newest of a ReplicaSet that neither ended nor goes away."""
    live = [
        pod
        for pod in pods
        if current is not None
        and _is_of(pod, current)
        and not pod["metadata"].get("deletionTimestamp")
        and _part(pod, "status").get("phase") not in {"Failed", "Succeeded"}
    ]
    return max(live, key=_created, default=None)


def safe(text: str) -> str:
    """Return what a cluster says as part of a message: one short line, no credential."""
    line = one_line(text, LONGEST)
    if not looks_secret(line):
        return line
    return " ".join(HIDDEN if looks_secret(word) else word for word in line.split(" "))


def _without_pod(deployment: Live, current: Live | None, pods: Sequence[Live]) -> Reason | None:
    """Return why there is no pod to judge."""
    refusal = _refusal(current) if current else _not_made(deployment)
    if refusal is not None:
        return refusal
    ending = [pod for pod in pods if pod["metadata"].get("deletionTimestamp")]
    if ending:
        node = _part(ending[0], "spec").get("nodeName")
        where = f" on node {safe(str(node))}" if node else ""
        return Reason(kind=Kind.ENDING, text=f"the former pod has not ended yet{where}")
    mine = [pod for pod in pods if current is not None and _is_of(pod, current)]
    failed = max((pod for pod in mine if _failed(pod)), key=_created, default=None)
    if failed is None:
        return None
    status = _part(failed, "status")
    why = safe(str(status.get("message") or "the node gave no reason"))
    return Reason(kind=Kind.EVICTED, text=f"{safe(str(status.get('reason') or 'Failed'))}: {why}")


def _refusal(replicaset: Live) -> Reason | None:
    """Return why the cluster makes no pod of a ReplicaSet."""
    for condition in _conditions(replicaset):
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            return _refused(str(condition.get("message", "")))
    return None


def _not_made(deployment: Live) -> Reason | None:
    """Return why there is no ReplicaSet of the present template."""
    for condition in _conditions(deployment):
        if condition["type"] == "Progressing" and condition["reason"] == "ReplicaSetCreateError":
            return _refused(str(condition.get("message", "")))
    return None


def _refused(message: str) -> Reason:
    quota = _QUOTA.search(message)
    if quota is not None:
        # Without the pod's random name, so that fifty users with this reason are told in one line.
        text = f"quota {quota['name']} is used up: {quota['figures']}"
        return Reason(kind=Kind.QUOTA, text=safe(text))
    words = re.sub(r'^.*?" is forbidden: ', "", message, count=1, flags=re.DOTALL)
    return Reason(kind=Kind.REFUSED, text=safe(f"the cluster refuses its pod: {words}"))


class _Judged:
    """One pod with what was said about it."""

    def __init__(self, pod: Live, events: Sequence[Live], claims: Sequence[Live]) -> None:
        self._pod = pod
        self._claims = claims
        self._name = pod["metadata"]["name"]
        self._events = [item for item in events if _about(item, "Pod", self._name)]
        self._others = events

    def reason(self) -> Reason | None:
        """Return the first reason that applies; the nearest to the cause is asked first."""
        checks: tuple[Callable[[], Reason | None], ...] = (
            self._unscheduled,
            self._containers,
            self._node,
            self._volumes,
            self._sandbox,
            self._silent,
        )
        if _ready(self._pod):
            return None
        return next((found for check in checks if (found := check()) is not None), None)

    def _told(self, kind: Kind, text: str, restarts: int = 0) -> Reason:
        uid = str(self._pod["metadata"].get("uid", ""))
        return Reason(kind=kind, text=safe(text), pod=uid, restarts=restarts)

    def _unscheduled(self) -> Reason | None:
        for condition in _conditions(self._pod):
            if condition["type"] != "PodScheduled" or condition["status"] != "False":
                continue
            if condition.get("reason") == "SchedulingGated":
                return self._told(Kind.UNSCHEDULABLE, "a scheduling gate holds the pod back")
            message = _PREEMPTION.sub("", str(condition.get("message", "")))
            claim = self._claim(message)
            if claim is not None:
                return claim
            return self._told(Kind.UNSCHEDULABLE, f"no node takes the pod: {message}")
        return None

    def _claim(self, message: str) -> Reason | None:
        """Return why a claim keeps the pod from a node; None when it is something else."""
        if _CLAIM_WORDS.lower() not in message.lower():
            return None
        named = _claims_of(self._pod)
        for claim in self._claims:
            name = claim["metadata"]["name"]
            if name in named and _part(claim, "status").get("phase") != "Bound":
                storage = _part(claim, "spec").get("storageClassName")
                where = f"of class {storage}" if storage else "of no class"
                said = self._said_of(name) or "no volume was made yet"
                kind = Kind.NO_CLASS if _NO_CLASS.search(said) else Kind.CLAIM
                return self._told(kind, f"its claim {where} is not bound: {said}")
        said = next((text for name in named if (text := self._said_of(name))), message)
        kind = Kind.NO_CLASS if _NO_CLASS.search(said) else Kind.CLAIM
        return self._told(kind, f"its claim is not bound: {said}")

    def _said_of(self, claim: str) -> str:
        """Return why a claim has no volume, by its events; empty when none says."""
        for event in self._others:
            if _about(event, _CLAIM_WORDS, claim) and event.get("reason") in _CLAIM_EVENTS:
                return str(event.get("message", ""))
        return ""

    def _containers(self) -> Reason | None:
        status = _part(self._pod, "status")
        for first, key in ((True, "initContainerStatuses"), (False, "containerStatuses")):
            for state in _list(status, key):
                reason = self._waiting(state) or self._ended(state, first=first)
                if reason is not None:
                    return reason
        return None

    def _waiting(self, state: Live) -> Reason | None:
        waiting = _part(_part(state, "state"), "waiting")
        reason, message = str(waiting.get("reason", "")), str(waiting.get("message", ""))
        if reason in _PULL or reason in _BAD_IMAGE:
            kind = Kind.IMAGE_PULL if reason in _PULL else Kind.IMAGE
            words = self._pull_words(message) or reason
            return self._told(kind, f"image {state.get('image')} cannot be used: {words}")
        if reason == "CreateContainerConfigError":
            return self._told(Kind.MISSING, message or reason)
        if reason in _STARTED_NOT:
            words = _LAYERS.sub("", message) or reason
            return self._told(Kind.CONTAINER, f"container {state['name']} cannot start: {words}")
        return None

    def _pull_words(self, message: str) -> str:
        """Return what the registry said; a back-off's own message does not always repeat it."""
        if "rror" not in message and "not present" not in message:
            for event in self._events:
                if event.get("reason") == "Failed" and "pull" in str(event.get("message", "")):
                    message = str(event["message"])
                    break
        # Kubelet and containerd each put their own sentence before the registry's.
        words = message.rpartition("desc = ")[2]
        return re.sub(r'^.*failed to resolve reference "[^"]*": ', "", words, flags=re.DOTALL)

    def _ended(self, state: Live, *, first: bool) -> Reason | None:
        """Return how a container failed that is to run.

        Between two tries the kubelet shows it as waiting (CrashLoopBackOff) or still as ended; in
        a try that has just begun only the former state tells.
        """
        now, before = _part(state, "state"), _part(state, "lastState")
        ended = _part(now, "terminated")
        if not ended and not (first and _part(now, "running")):
            ended = _part(before, "terminated")
        if not ended or (ended.get("exitCode") == 0 and first):
            return None
        restarts = int(state.get("restartCount", 0))
        what = f"{'init ' if first else ''}container {state['name']}"
        probe = "" if first else self._unhealthy("Liveness probe failed")
        if probe and ended.get("reason") != "OOMKilled":
            text = f"{what} does not answer and was ended: {probe}"
            return self._told(Kind.CRASH, text, restarts)
        text = f"{what} {_ending(ended)}{_last_words(ended)}"
        return self._told(_ended_kind(ended, first=first), text, restarts)

    def _unhealthy(self, beginning: str = "") -> str:
        """Return what a probe of the pod last said; empty when none failed."""
        for event in self._events:
            message = str(event.get("message", ""))
            if event.get("reason") == "Unhealthy" and message.startswith(beginning):
                # The pod's address says nothing, and makes equal reasons differ.
                return _PROBE_ADDRESS.sub("", message)
        return ""

    def _node(self) -> Reason | None:
        node = _part(self._pod, "spec").get("nodeName")
        for event in self._events:
            if event.get("reason") == "NodeNotReady":
                return self._told(Kind.NODE, f"node {node} does not answer")
        return None

    def _volumes(self) -> Reason | None:
        if self._started():
            return None
        for event in self._events:
            message = str(event.get("message", ""))
            if event.get("reason") in _VOLUME_EVENTS:
                missing = _EVENT_NOT_FOUND.search(message)
                if missing is not None:
                    return self._told(Kind.MISSING, missing[0])
                return self._told(Kind.VOLUME, message)
        return None

    def _sandbox(self) -> Reason | None:
        if self._started():
            return None
        for event in self._events:
            if event.get("reason") in {"FailedCreatePodSandBox", "NetworkNotReady"}:
                words = str(event.get("message", "")).rpartition("desc = ")[2]
                return self._told(Kind.SANDBOX, f"its node cannot start the pod: {words}")
        return None

    def _started(self) -> bool:
        """Return whether a container ever ran: its volumes and network are there then."""
        status = _part(self._pod, "status")
        keys = ("initContainerStatuses", "containerStatuses")
        states = [_part(state, "state") for key in keys for state in _list(status, key)]
        return any("running" in state or "terminated" in state for state in states)

    def _silent(self) -> Reason | None:
        states = _list(_part(self._pod, "status"), "containerStatuses")
        if not states or not all("running" in _part(state, "state") for state in states):
            return self._told(Kind.STARTING, "its containers are still being made")
        said = self._unhealthy()
        return self._told(Kind.SILENT, f"runs, does not answer: {said}" if said else _QUIET)


def _ended_kind(ended: Live, *, first: bool) -> Kind:
    if ended.get("reason") == "OOMKilled":
        return Kind.MEMORY
    return Kind.INIT if first else Kind.CRASH


def _ending(ended: Live) -> str:
    code = ended.get("exitCode")
    if ended.get("reason") == "OOMKilled":
        return f"was killed: it needs more memory than its limit (OOMKilled, exit code {code})"
    if ended.get("reason") == "StartError":
        return f"cannot be started (exit code {code})"
    return f"ended with exit code {code}"


def _last_words(ended: Live) -> str:
    """Return the last line that a container left as its termination message."""
    lines = str(ended.get("message") or "").strip().splitlines()
    return f": {lines[-1]}" if lines else ""


def _comparable(item: Live) -> Live:
    """Return an object's pod template without what a ReplicaSet adds to it."""
    template = _part(_part(item, "spec"), "template")
    metadata = _part(template, "metadata")
    labels = {key: value for key, value in _part(metadata, "labels").items() if key != _POD_HASH}
    return {**template, "metadata": {**metadata, "labels": labels, "creationTimestamp": None}}


def _is_of(pod: Live, replicaset: Live) -> bool:
    uid = replicaset["metadata"].get("uid")
    return any(owner.get("uid") == uid for owner in _list(pod["metadata"], "ownerReferences"))


def _failed(pod: Live) -> bool:
    return _part(pod, "status").get("phase") == "Failed"


def _ready(pod: Live) -> bool:
    return any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in _conditions(pod)
    )


def _claims_of(pod: Live) -> list[str]:
    volumes = _list(_part(pod, "spec"), "volumes")
    names = (_part(volume, "persistentVolumeClaim").get("claimName") for volume in volumes)
    return [str(name) for name in names if name]


def _about(event: Live, kind: str, name: str) -> bool:
    about = _part(event, "involvedObject")
    return about.get("kind") == kind and about.get("name") == name


def _newest_first(events: Sequence[Live]) -> list[Live]:
    return sorted(events, key=_when, reverse=True)


def _when(event: Live) -> str:
    times = (event.get(key) for key in ("lastTimestamp", "eventTime", "firstTimestamp"))
    return str(next(filter(None, times), event["metadata"].get("creationTimestamp") or ""))


def _created(item: Live) -> str:
    return str(item["metadata"].get("creationTimestamp", ""))


def _conditions(item: Live) -> list[Live]:
    return _list(_part(item, "status"), "conditions")


def _part(item: Mapping[str, Any], key: str) -> Live:
    return cast("Live", item.get(key) or {})


def _list(item: Mapping[str, Any], key: str) -> list[Live]:
    return cast("list[Live]", item.get(key) or [])
