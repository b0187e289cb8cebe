"""Backups and restores asked for by an operator: one pod a user, as the CronJobs make them.

Owns: which backup is meant, stopping and starting a runtime around a restore, what is noted of the
last backup. Leaves out: the pod (`backup_pods`), what it does (`image/backup`), printing.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from fleet.cluster import pods as judged
from fleet.cluster.backup_pods import (
    GONE_SECONDS,
    WORK_SECONDS,
    Work,
    pod_of,
    wait_running,
    work,
)
from fleet.cluster.client import Cluster, Live
from fleet.cluster.held import SUSPENDED, set_runtime
from fleet.cluster.pods import part
from fleet.cluster.report import Report
from fleet.cluster.runtimes import user_pods
from fleet.cluster.untrusted import one_line
from fleet.errors import ClusterError, InputError, Problem, RefusedError
from fleet.manifests.backup_pods import CONTAINER, EXPORT_COMMAND, RESULTS
from fleet.manifests.runtime import runtime_state
from fleet.names import LABEL_USER, slug
from fleet.plan.environment import Plan, PoolPlan, UserPlan

_PAUSE = 1.0
_CONFLICT = 409
_WARNINGS = 8
_COUNTING = re.compile(r"chat [0-9]+ of [0-9]+$")


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
    metadata = {"name": RESULTS, "namespace": user.namespace}
    try:
        cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
    except RefusedError as refusal:
        if refusal.status != _CONFLICT:
            raise
    cluster.patch("configmaps", RESULTS, {"data": {key: json.dumps(note)}}, user.namespace)


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """One backup of a user, as the store has it."""

    id: str
    at: str
    """When it was made, RFC 3339 in UTC."""
    tag: str = ""


def snapshots(cluster: Cluster, user: UserPlan, report: Report) -> list[Snapshot]:
    """Return the backups of a user that the store has, the oldest first."""
    done = worked(user, work(cluster, user, Work(verb="snapshots", claim=None), report))
    return [
        Snapshot(
            id=one_line(str(item["id"]), 12),
            at=one_line(str(item["at"]), 40),
            tag=one_line(" ".join(str(tag) for tag in item.get("tags") or ()), 40),
        )
        for item in done["snapshots"]
    ]


def choose(user_id: str, found: Sequence[Snapshot], wanted: str) -> Snapshot:
    """Return the backup of an id, the last one not after a time, or the latest.

    `wanted` is an id, a time as `Snapshot.at` has it, or `latest`. Raises ClusterError.
    """
    if not found:
        raise ClusterError(f"user {user_id}: there is no backup yet: fleet backup {user_id}")
    if wanted == "latest":
        return found[-1]
    if "T" not in wanted:
        named = [item for item in found if wanted.startswith(item.id) or item.id.startswith(wanted)]
        if len(named) != 1:
            raise ClusterError(
                f"user {user_id}: no backup {wanted}: fleet backups {user_id} lists them"
            )
        return named[0]
    before = [item for item in found if item.at <= wanted]
    if not before:
        raise ClusterError(
            f"user {user_id}: no backup is as old as {wanted}: the oldest is of {found[0].at}"
        )
    return before[-1]


def restore(
    cluster: Cluster,
    user: UserPlan,
    wanted: Mapping[str, Any],
    report: Report,
    *,
    into: str | None = None,
) -> Live:
    """Restore a user's backup; return what came of it, which has worked.

    `wanted`: `at` (an id), `paths` (below the claim), `name` (of what is kept). The
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


@dataclass(kw_only=True, slots=True)
class Held:
    """A runtime that is held stopped."""

    replicas: int
    """What it is afterwards."""
    state: str
    """What the door is told afterwards."""

    def stay(self) -> None:
        """Leave it stopped, whoever opens it."""
        self.replicas, self.state = 0, SUSPENDED


@contextmanager
def stopped(cluster: Cluster, user: UserPlan, report: Report) -> Generator[Held]:
    """Hold a user's runtime stopped, whoever opens it meanwhile; afterwards it is what it was."""
    live = cluster.get("deployments", user.name, user.namespace)
    if live is None:
        raise ClusterError(f"user {user.id}: not deployed: run fleet up first, then this again")
    # Not the state that the cluster tells: it may be what a run that was killed left.
    held = Held(replicas=live["spec"].get("replicas", 1), state=runtime_state(user))
    try:
        set_runtime(cluster, user, 0, SUSPENDED)
        _wait_stopped(cluster, user, report)
        yield held
    finally:
        set_runtime(cluster, user, held.replicas, held.state)


def _wait_stopped(cluster: Cluster, user: UserPlan, report: Report) -> None:
    deadline = time.monotonic() + GONE_SECONDS
    while running := [pod for pod in user_pods(cluster, user) if not judged.ended(pod)]:
        if time.monotonic() > deadline:
            name = running[0]["metadata"]["name"]
            raise ClusterError(
                f"user {user.id}: pod {name} is still there after {GONE_SECONDS:g} s: nothing was"
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
    hold = Work(verb="hold", variables={"FLEET_HOLD": str(int(WORK_SECONDS))})
    with pod_of(cluster, user, hold) as name:
        wait_running(cluster, user, name, report)
        report("archive", 0, 1, [user.id])
        done = cluster.exec(
            user.namespace, name, CONTAINER, EXPORT_COMMAND, timeout=WORK_SECONDS, sink=sink
        )
    unread = [line for line in done.err.splitlines() if not _COUNTING.match(line)]
    for line in unread[-_WARNINGS:]:
        tell(one_line(line, 200))
    if done.code not in (0, 1):
        why = one_line(done.err, 200) or f"exit code {done.code}"
        raise ClusterError(f"user {user.id}: export: {why}")
    return done.code == 0
