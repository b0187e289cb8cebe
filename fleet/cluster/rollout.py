"""Waiting until runtimes answer, and saying why one does not.

Poll with a deadline. A cause that waiting cannot mend ends the wait for that user at once.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping

from fleet.cluster.apply import Failure
from fleet.cluster.kubectl import Kubectl, Live, container_states, part
from fleet.cluster.live import Key
from fleet.cluster.report import Report
from fleet.names import LABEL_ENVIRONMENT, LABEL_USER, slug
from fleet.plan.environment import UserPlan

POLL_SECONDS = 1.0
_STUCK = 3
# A list of so many ids still fits a URL.
_NAMED = 50
_HOPELESS = frozenset(
    {"ErrImageNeverPull", "InvalidImageName", "CreateContainerConfigError", "CreateContainerError"}
)
_PULL = frozenset({"ErrImagePull", "ImagePullBackOff"})


def unready(
    users: Iterable[UserPlan], live: Mapping[Key, Live], applied: Iterable[Key]
) -> list[UserPlan]:
    """Return the users to wait for: their Deployment is applied, or was not ready when listed."""
    touched = set(applied)
    keys = {user.id: Key("Deployment", user.namespace, user.name) for user in users}
    return [
        user
        for user in users
        if keys[user.id] in touched or not _ready(live.get(keys[user.id]), user)
    ]


def wait_ready(
    kubectl: Kubectl,
    environment: str,
    users: Iterable[UserPlan],
    timeout: float,
    report: Report,
) -> list[Failure]:
    """Wait until the runtimes of `users` are ready; return a failure for each that is not.

    `timeout` is in seconds, for all of them together.
    """
    waiting = {(user.namespace, user.name): user for user in users}
    total = len(waiting)
    deadline = time.monotonic() + timeout
    failures: list[Failure] = []
    while waiting:
        begun = time.monotonic()
        selector = _selector(environment, waiting.values())
        states = _deployments(kubectl, selector)
        for key in [key for key in waiting if _ready(states.get(key), waiting[key])]:
            del waiting[key]
        left = [user.id for user in waiting.values()]
        report("ready", total - len(left) - len(failures), total, left)
        if not waiting:
            break
        last = time.monotonic() > deadline
        for key, cause in _causes(kubectl, selector, waiting, states, last=last).items():
            user = waiting.pop(key)
            failures.append(Failure(user=user.id, step="wait until ready", cause=cause))
        if waiting and not last:
            # A large environment leaves the cluster as much time as it takes from it.
            time.sleep(max(POLL_SECONDS, time.monotonic() - begun))
    return failures


def _deployments(kubectl: Kubectl, selector: str) -> dict[tuple[str, str], Live]:
    items = kubectl.listing("/apis/apps/v1/deployments", selector)
    return {(item["metadata"]["namespace"], item["metadata"]["name"]): item for item in items}


def _selector(environment: str, users: Collection[UserPlan]) -> str:
    """Return a selector of these users' objects, or of everybody's when they are many."""
    of_users = LABEL_USER
    if len(users) <= _NAMED:
        of_users = f"{LABEL_USER} in ({','.join(slug(user.id) for user in users)})"
    return f"{LABEL_ENVIRONMENT}={environment},{of_users}"


def _ready(item: Live | None, user: UserPlan) -> bool:
    if item is None:
        return False
    status = part(item, "status")
    if status.get("observedGeneration", 0) < item["metadata"]["generation"]:
        return False
    wanted = 1 if user.active else 0
    counts = [status.get(key, 0) for key in ("replicas", "updatedReplicas", "readyReplicas")]
    return counts == [wanted] * 3


def _causes(
    kubectl: Kubectl,
    selector: str,
    waiting: Mapping[tuple[str, str], UserPlan],
    states: Mapping[tuple[str, str], Live],
    *,
    last: bool,
) -> dict[tuple[str, str], str]:
    """Return why users will not get ready; with `last`, a cause for every one of them."""
    pods: dict[tuple[str, str], list[Live]] = {}
    for pod in kubectl.listing("/api/v1/pods", selector):
        metadata = pod["metadata"]
        pods.setdefault((metadata["namespace"], metadata["labels"][LABEL_USER]), []).append(pod)
    found: dict[tuple[str, str], str] = {}
    for key, user in waiting.items():
        state = states.get(key)
        if state is None:
            found[key] = "its Deployment is gone: somebody deleted it: run this again"
            continue
        mine = pods.get((user.namespace, slug(user.id)), [])
        cause = _blocked(state) or next((text for pod in mine if (text := _fatal(pod))), None)
        if cause is None and last:
            cause = next((text for pod in mine if (text := _pending(pod))), None)
            cause = cause or "not ready in time: look at `fleet logs` and run this again"
        if cause is not None:
            found[key] = cause
    return found


def _blocked(deployment: Live) -> str | None:
    """Return why no pod can be made: quota, admission."""
    for condition in part(deployment, "status").get("conditions", []):
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            return shown_long(condition["message"])
    return None


def _fatal(pod: Live) -> str | None:
    """Return a cause in a pod that waiting does not mend."""
    if pod["metadata"].get("deletionTimestamp"):
        return None
    for state in container_states(pod):
        wait = part(state["state"], "waiting")
        reason, message = wait.get("reason", ""), wait.get("message", "")
        if reason in _HOPELESS or (reason in _PULL and _old(pod)):
            return f"{reason}: {shown_long(message)}"
        ended = _ended(state)
        if ended and state["restartCount"] >= _STUCK:
            return f"container {state['name']} ends again and again ({ended}): see `fleet logs`"
    return None


def _ended(state: Live) -> str | None:
    """Return how a container that is to run failed last; None while it runs or was not started.

    Between two tries the kubelet shows it as waiting (CrashLoopBackOff) or still as terminated.
    """
    if part(state["state"], "waiting").get("reason") == "CrashLoopBackOff":
        ended = part(part(state, "lastState"), "terminated")
    else:
        ended = part(state["state"], "terminated")
        if ended.get("exitCode", 0) == 0:
            return None
    return f"{ended.get('reason', 'Error')}, exit code {ended.get('exitCode')}"


def _old(pod: Live) -> bool:
    """Return whether a pod has waited long enough that a pull has been tried more than once."""
    started = pod["status"].get("startTime")
    return started is not None and _age(started) > _PULL_PATIENCE


_PULL_PATIENCE = 20.0


def _age(stamp: str) -> float:
    return time.time() - time.mktime(time.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ")) + time.timezone


def _pending(pod: Live) -> str | None:
    """Return what a pod waits for; one that ends is not what is waited for."""
    if pod["metadata"].get("deletionTimestamp"):
        return None
    status = part(pod, "status")
    for condition in status.get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return f"no node takes the pod: {shown_long(condition.get('message', ''))}"
    for state in container_states(pod):
        wait = part(state["state"], "waiting")
        if wait.get("reason") not in (None, "PodInitializing", "ContainerCreating"):
            return f"{wait.get('reason')}: {shown_long(wait.get('message', ''))}"
        if ended := _ended(state):
            return f"container {state['name']} ended ({ended}): see `fleet logs`"
    return None


def shown_long(text: str) -> str:
    """Return a cluster's message as one line of at most 300 characters."""
    line = " ".join(text.split())
    return line if len(line) <= _LINE else line[:_LINE] + "…"


_LINE = 300
