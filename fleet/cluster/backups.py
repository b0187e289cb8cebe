"""Backups and restores asked for by an operator: one pod a user, as the CronJobs make them.

Owns: the lock of a claim (the pod's name), stopping and starting a runtime around a restore, what
is noted of the last backup. Leaves out: what the pod does (`image/backup`), the objects of the
CronJobs (`manifests.backup`), printing.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

from fleet.cluster import pods as judged
from fleet.cluster.client import Cluster, Live
from fleet.cluster.pods import part, parts
from fleet.cluster.report import Report
from fleet.cluster.runtimes import user_pods
from fleet.cluster.untrusted import one_line
from fleet.errors import ClusterError, InputError, Problem, RefusedError
from fleet.manifests.backup import BACKUP, CONTAINER, EXPORT_COMMAND, RESULTS, user_values
from fleet.names import LABEL_USER, slug, user_selector
from fleet.plan.environment import Plan, PoolPlan, UserPlan

_PAUSE = 1.0
_START_SECONDS, _STOP_SECONDS, _WORK_SECONDS = 600.0, 120.0, 6 * 3600.0
_NOT_FOUND, _CONFLICT = 404, 409
_WARNINGS = 8
_COUNTING = re.compile(r"chat [0-9]+ of [0-9]+$")


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """What the pod of a user is to do."""

    verb: str
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    claim: str | None = "user"
    """`user`: the user's own, which is locked meanwhile; another by its name; None for none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """What is known of a user's backups without asking the store."""

    at: str = ""
    """When the last good one was made (RFC 3339); empty when none is known."""
    failed_at: str = ""
    error: str = ""
    drill_at: str = ""
    """Of when the backup is that the last good drill restored."""
    drill_error: str = ""

    def as_json(self) -> dict[str, str]:
        """Return the note for `--json`."""
        return {
            "at": self.at,
            "failedAt": self.failed_at,
            "error": self.error,
            "drillAt": self.drill_at,
            "drillError": self.drill_error,
        }

    def in_words(self, now: datetime) -> str:
        """Return the age of the last backup, and whether something failed since."""
        told = age(self.at, now) if self.at else "never"
        if self.error:
            told += ", failed"
        return told + (", drill failed" if self.drill_error else "")


def backup_json(noted: Mapping[str, Note], user_id: str) -> dict[str, object]:
    """Return what `fleet status --json` says of a user's backups."""
    return {"backup": noted[user_id].as_json() if user_id in noted else None}


def backup_words(noted: Mapping[str, Note], user_id: str) -> tuple[str, ...]:
    """Return the cell of a user in `fleet status`; no column where there are no backups."""
    if not noted:
        return ()
    note = noted.get(user_id)
    return (note.in_words(datetime.now(UTC)) if note is not None else "-",)


def age(moment: str, now: datetime) -> str:
    """Return how long ago a time is, in its largest unit."""
    try:
        seconds = int((now - datetime.fromisoformat(moment)).total_seconds())
    except (ValueError, TypeError):
        return "unknown"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{max(seconds, 0)} s"


def pool_of(plan: Plan, user: UserPlan) -> PoolPlan:
    """Return the pool of a user; raise InputError where the stack file has no backups."""
    pool = next(item for item in plan.pools if item.name == user.pool)
    if pool.backup is None:
        rule = "the stack file has no backups"
        change = "add it, as docs/operations.md shows, and run fleet up"
        raise InputError([Problem("backup", "missing", rule, change)])
    return pool


def notes(cluster: Cluster, plan: Plan) -> dict[str, Note]:
    """Return what is noted of each user, by id; of those without backups nothing."""
    found: dict[str, Note] = {}
    for pool in plan.pools:
        if pool.backup is None:
            continue
        held = part(cluster.get("configmaps", RESULTS, pool.namespace) or {}, "data")
        for user in pool.users:
            backup = _noted(held.get(f"backup.{slug(user.id)}"))
            drill = _noted(held.get(f"drill.{slug(user.id)}"))
            found[user.id] = Note(
                at=backup.get("at", ""),
                failed_at=backup.get("failedAt", ""),
                error=backup.get("error", ""),
                drill_at=drill.get("at", ""),
                drill_error=drill.get("error", ""),
            )
    return found


def _noted(text: object) -> dict[str, str]:
    try:
        note = json.loads(str(text or "{}"))
    except ValueError:
        return {}
    if not isinstance(note, dict):
        return {}
    return {
        str(key): one_line(value, 200)
        for key, value in cast("dict[str, object]", note).items()
        if isinstance(value, str)
    }


def back_up(cluster: Cluster, user: UserPlan, report: Report) -> Live:
    """Back one user up now; return what came of it, and note it as the CronJob does."""
    variables = {"FLEET_TAG": "by-hand"}
    try:
        done = work(cluster, user, Work(verb="backup", variables=variables), report)
    except ClusterError as error:
        done = {"ok": False, "error": str(error)}
    _note(cluster, user, done)
    return done


def _note(cluster: Cluster, user: UserPlan, done: Live) -> None:
    key = f"backup.{slug(user.id)}"
    held = part(cluster.get("configmaps", RESULTS, user.namespace) or {}, "data")
    if done["ok"]:
        note = {name: item for name, item in done.items() if name not in ("ok", "kept")}
    else:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        note = {**_noted(held.get(key)), "failedAt": now, "error": str(done.get("error"))[:300]}
    change = {"data": {key: json.dumps(note)}}
    try:
        cluster.patch("configmaps", RESULTS, change, user.namespace)
    except RefusedError as refusal:
        if refusal.status != _NOT_FOUND:
            raise
        metadata = {"name": RESULTS, "namespace": user.namespace}
        cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, **change})


def restore(
    cluster: Cluster,
    user: UserPlan,
    wanted: Mapping[str, Any],
    report: Report,
    *,
    into: str | None = None,
) -> Live:
    """Restore a user's backup; return what came of it, which has worked.

    `wanted`: `at` (an id, a time, latest), `paths` (below the claim), `name` (of what is kept). The
    runtime is stopped meanwhile, but for a restore `into` another claim, which is made if need be.
    """
    variables = {"FLEET_RESTORE": json.dumps(dict(wanted))}
    if into is not None:
        _ensure_claim(cluster, user, into)
        return worked(
            user, work(cluster, user, Work(verb="restore", variables=variables, claim=into), report)
        )
    with stopped(cluster, user, report):
        return worked(user, work(cluster, user, Work(verb="restore", variables=variables), report))


def worked(user: UserPlan, done: Live) -> Live:
    """Return what came of it; raise ClusterError when it did not work."""
    if not done["ok"]:
        raise ClusterError(f"user {user.id}: {one_line(str(done.get('error', '')), 300)}")
    return done


@contextmanager
def stopped(cluster: Cluster, user: UserPlan, report: Report) -> Generator[None]:
    """Hold a user's runtime stopped; afterwards it is what it was."""
    live = cluster.get("deployments", user.name, user.namespace)
    if live is None:
        raise ClusterError(f"user {user.id}: not deployed: run fleet up first, then this again")
    before = live["spec"].get("replicas", 1)
    _scale(cluster, user, 0)
    try:
        _wait_stopped(cluster, user, report)
        yield
    finally:
        _scale(cluster, user, before)


def _scale(cluster: Cluster, user: UserPlan, replicas: int) -> None:
    cluster.patch("deployments", user.name, {"spec": {"replicas": replicas}}, user.namespace)


def _wait_stopped(cluster: Cluster, user: UserPlan, report: Report) -> None:
    deadline = time.monotonic() + _STOP_SECONDS
    while running := [pod for pod in user_pods(cluster, user) if not judged.ended(pod)]:
        if time.monotonic() > deadline:
            name = running[0]["metadata"]["name"]
            raise ClusterError(
                f"user {user.id}: pod {name} is still there after {_STOP_SECONDS:g} s: nothing was"
                " restored"
            )
        report("stopped", 0, 1, [user.id])
        time.sleep(_PAUSE)


def _ensure_claim(cluster: Cluster, user: UserPlan, name: str) -> None:
    live = cluster.get("persistentvolumeclaims", name, user.namespace)
    if live is not None:
        if LABEL_USER in part(live["metadata"], "labels"):
            rule = "this is the claim of a user"
            change = "give another name, or leave --into out to restore in its place"
            raise InputError([Problem("--into", name, rule, change)])
        return
    spec: Live = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": user.profile.storage}},
    }
    if user.storage_class is not None:
        spec["storageClassName"] = user.storage_class
    # Without the environment's label: it is the operator's, and no run of the engine touches it.
    metadata = {"name": name, "namespace": user.namespace}
    cluster.create(
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}
    )


# -- the pod


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
        cluster.delete("pods", name, user.namespace, wait=_STOP_SECONDS, uid=judged.uid(made))


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
    cluster.delete("pods", name, user.namespace, wait=_STOP_SECONDS, uid=judged.uid(there))


def _manifest(cluster: Cluster, user: UserPlan, wanted: Work) -> Live:
    """Return the pod, as the CronJob of the user's pool would make it."""
    job = cluster.get("cronjobs", BACKUP, user.namespace)
    settings = cluster.get("configmaps", BACKUP, user.namespace)
    if job is None or settings is None:
        raise ClusterError(f"pool {user.pool}: backups are not deployed: run fleet up")
    template = str(settings["data"]["backup.json"])
    for key, value in user_values(user).items():
        template = template.replace(f"<{key}>", value)
    pod: Live = json.loads(template)
    spec, own = pod["spec"], job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
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
    for status in parts(part(pod, "status"), "containerStatuses"):
        message = str(part(part(status, "state"), "terminated").get("message") or "")
        try:
            told: object = json.loads(message)
        except ValueError:
            continue
        if isinstance(told, dict) and isinstance(cast("Live", told).get("ok"), bool):
            return cast("Live", told)
    doing = judged.doing(pod)
    return {"ok": False, "error": doing.note or doing.phase}


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
        if (phase == "Pending" and spent > _START_SECONDS) or spent > _WORK_SECONDS:
            doing = judged.doing(pod)
            why = doing.note or doing.phase
            raise ClusterError(f"user {user.id}: pod {name}: not done in {spent:.0f} s: {why}")
        report("done", 0, 1, [f"{user.id}: {judged.doing(pod).phase}"])
        time.sleep(_PAUSE)


def warnings_of(done: Live) -> Sequence[str]:
    """Return what a backup warns of: lines that are safe to print."""
    found: object = done.get("warnings")
    if not isinstance(found, list):
        return ()
    return [one_line(str(item), 200) for item in cast("list[object]", found)[:_WARNINGS]]


def export(
    cluster: Cluster,
    user: UserPlan,
    sink: Callable[[bytes], None],
    report: Report,
    tell: Callable[[str], None],
) -> bool:
    """Hand a user's chats and files to `sink` as a tar archive; return whether it has all of them.

    The runtime may go on meanwhile. What could not be read is told, a line each.
    """
    hold = Work(verb="hold", variables={"FLEET_HOLD": str(int(_WORK_SECONDS))})
    with pod_of(cluster, user, hold) as name:
        wait_running(cluster, user, name, report)
        report("archive", 0, 1, [user.id])
        done = cluster.exec(
            user.namespace, name, CONTAINER, EXPORT_COMMAND, timeout=_WORK_SECONDS, sink=sink
        )
    unread = [line for line in done.err.splitlines() if not _COUNTING.match(line)]
    for line in unread[-_WARNINGS:]:
        tell(one_line(line, 200))
    if done.code not in (0, 1):
        why = one_line(done.err, 200) or f"exit code {done.code}"
        raise ClusterError(f"user {user.id}: export: {why}")
    return done.code == 0
