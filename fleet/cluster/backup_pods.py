"""The pod that works on a user's claim or repository, made by hand as the CronJobs make it.

Owns: the lock of a claim, which is the pod's name, and what an ended pod says of itself. Leaves
out: what is asked of it (`backups`), what it does (`image/backup`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import cast

from fleet.cluster import pods as judged
from fleet.cluster.client import Cluster, Live
from fleet.cluster.pods import part, parts
from fleet.cluster.report import Report
from fleet.cluster.runtimes import user_pods
from fleet.errors import ClusterError, RefusedError
from fleet.manifests.backup_pods import BACKUP, CONTAINER, user_values
from fleet.names import slug, user_selector
from fleet.plan.environment import UserPlan

_PAUSE = 1.0
GONE_SECONDS, WORK_SECONDS = 120.0, 6 * 3600.0
_START_SECONDS = 600.0
_CONFLICT = 409


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """What the pod of a user is to do."""

    verb: str
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    claim: str | None = "user"
    """`user`: the user's own, which is locked meanwhile; another by its name; None for none."""


def work(cluster: Cluster, user: UserPlan, wanted: Work, report: Report) -> Live:
    """Have a pod do some work for a user and return what came of it (`ok` says whether)."""
    with pod_of(cluster, user, wanted) as name:
        return _wait_ended(cluster, user, name, report)


@contextmanager
def pod_of(cluster: Cluster, user: UserPlan, wanted: Work) -> Generator[str]:
    """Make the pod, yield its name, delete it."""
    pod = _manifest(cluster, user, wanted)
    name = pod["metadata"]["name"]
    _need_free(cluster, user, name)
    try:
        made = cluster.create(pod)
    except RefusedError as refusal:
        if refusal.status == _CONFLICT:
            raise _busy(user, name) from None
        raise
    try:
        yield name
    finally:
        cluster.delete("pods", name, user.namespace, wait=GONE_SECONDS, uid=judged.uid(made))


def _busy(user: UserPlan, name: str) -> ClusterError:
    return ClusterError(
        f"user {user.id}: another backup, restore or export is under way (pod {user.namespace}/"
        f"{name}): wait for its end"
    )


def _need_free(cluster: Cluster, user: UserPlan, name: str) -> None:
    there = cluster.get("pods", name, user.namespace)
    if there is None:
        return
    if not judged.ended(there):
        raise _busy(user, name)
    cluster.delete("pods", name, user.namespace, wait=GONE_SECONDS, uid=judged.uid(there))


def _manifest(cluster: Cluster, user: UserPlan, wanted: Work) -> Live:
    """Return the pod, as the CronJob of the user's pool would make it."""
    job = cluster.get("cronjobs", BACKUP, user.namespace)
    own: Live = {}
    if job is not None:
        own = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    names = [part(item, "configMap").get("name") for item in parts(own, "volumes")]
    named = next((str(name) for name in names if name), None)
    settings = cluster.get("configmaps", named, user.namespace) if named is not None else None
    if settings is None:
        raise ClusterError(f"pool {user.pool}: backups are not deployed: run fleet up")
    template = str(settings["data"]["backup.json"])
    for key, value in user_values(user).items():
        template = template.replace(f"<{key}>", value)
    pod: Live = json.loads(template)
    spec = pod["spec"]
    container = spec["containers"][0]
    container["image"] = own["containers"][0]["image"]
    container["args"] = [wanted.verb]
    container["env"] = [
        *(item for item in container["env"] if item["name"] not in wanted.variables),
        *({"name": key, "value": value} for key, value in wanted.variables.items()),
    ]
    if "imagePullSecrets" in own:
        spec["imagePullSecrets"] = own["imagePullSecrets"]
    if wanted.claim == "user":
        _place_beside(cluster, user, spec)
        return pod
    # Not the claim's lock: the claim is not touched.
    pod["metadata"]["name"] = f"{wanted.verb}s-{slug(user.id)}"[:63]
    if wanted.claim is None:
        spec["volumes"][0] = {"name": "user", "emptyDir": {}}
    else:
        held = {"claimName": wanted.claim}
        spec["volumes"][0] = {"name": "user", "persistentVolumeClaim": held}
    shared = [item for item in spec["volumes"] if item["name"] != "shared"]
    spec["volumes"] = shared
    mounts = [item for item in container["volumeMounts"] if item["name"] != "shared"]
    container["volumeMounts"] = mounts
    return pod


def _place_beside(cluster: Cluster, user: UserPlan, spec: Live) -> None:
    """Put the pod on the node of a running runtime: a disk is on one node."""
    if any(judged.ready(pod) for pod in user_pods(cluster, user)):
        selector = {"matchLabels": user_selector(user.id)}
        term = {"labelSelector": selector, "topologyKey": "kubernetes.io/hostname"}
        spec["affinity"] = {
            "podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}
        }


def _wait_ended(cluster: Cluster, user: UserPlan, name: str, report: Report) -> Live:
    pod = _wait(cluster, user, name, judged.ended, report)
    told = _outcome(_words(cluster, user, name, pod))
    if told is not None:
        return told
    doing = judged.doing(pod)
    return {"ok": False, "error": doing.note or doing.phase}


def _words(cluster: Cluster, user: UserPlan, name: str, pod: Live) -> Iterable[str]:
    """Yield what may be the outcome: of the log the whole, of the pod's status a short form."""
    with suppress(ClusterError):
        yield "".join(cluster.logs(user.namespace, name, CONTAINER, tail=1))
    for status in parts(part(pod, "status"), "containerStatuses"):
        yield str(part(part(status, "state"), "terminated").get("message") or "")


def _outcome(words: Iterable[str]) -> Live | None:
    for text in words:
        try:
            told: object = json.loads(text)
        except ValueError:
            continue
        if isinstance(told, dict) and isinstance(cast("Live", told).get("ok"), bool):
            return cast("Live", told)
    return None


def wait_running(cluster: Cluster, user: UserPlan, name: str, report: Report) -> None:
    """Wait until the pod runs."""

    def runs(pod: Live) -> bool:
        return judged.ended(pod) or part(pod, "status").get("phase") == "Running"

    pod = _wait(cluster, user, name, runs, report)
    if judged.ended(pod):
        doing = judged.doing(pod)
        raise ClusterError(f"user {user.id}: {doing.note or doing.phase}")


def _wait(
    cluster: Cluster, user: UserPlan, name: str, done: Callable[[Live], bool], report: Report
) -> Live:
    begun = time.monotonic()
    while True:
        pod = cluster.get("pods", name, user.namespace)
        if pod is None:
            raise ClusterError(f"user {user.id}: the pod {name} was deleted by somebody")
        if done(pod):
            return pod
        spent, phase = time.monotonic() - begun, part(pod, "status").get("phase")
        if (phase == "Pending" and spent > _START_SECONDS) or spent > WORK_SECONDS:
            doing = judged.doing(pod)
            why = doing.note or doing.phase
            raise ClusterError(f"user {user.id}: pod {name}: not done in {spent:.0f} s: {why}")
        report("done", 0, 1, [f"{user.id}: {judged.doing(pod).phase}"])
        time.sleep(_PAUSE)
