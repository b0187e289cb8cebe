"""Commands on people's data: backup, backups, restore, export, kept.

Only what may be typed and what is printed; `cluster.backups` does it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any, BinaryIO
from zoneinfo import ZoneInfo

import typer

from fleet.cli.options import Context, Json, Stack, User
from fleet.cli.progress import reporting
from fleet.cli.shell import (
    FAILED,
    cluster_of,
    hung_up,
    interactive,
    read_environment,
    reported,
    say,
    say_json,
    say_table,
    warn,
)
from fleet.cluster import backups as done_by
from fleet.cluster.backup_pods import Work, work
from fleet.cluster.backups import Snapshot
from fleet.cluster.client import Cluster, Live
from fleet.cluster.report import Report
from fleet.cluster.runtimes import find_user
from fleet.cluster.untrusted import one_line
from fleet.errors import ClusterError, InputError, Problem
from fleet.plan.environment import Plan, UserPlan, make_plan
from fleet.stackfile.reading import Environment

_ID = re.compile(r"[0-9a-f]{6,64}")
_CLAIM = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_KEPT = re.compile(r"kept-[0-9]{8}T[0-9]{6}Z")
_PATH_MAX = 1000
At = Annotated[
    str, typer.Option("--at", help="Which backup: its id, a time (the last one before it), latest.")
]
Users = Annotated[list[str] | None, typer.Argument(metavar="[USER]...", help="Users' ids.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the `fleet` application."""
    app.command("backup")(backup)
    app.command("backups")(backups)
    app.command("restore")(restore)
    app.command("kept")(kept)
    app.command("export")(export)


def _opened(stack: str, context: str | None) -> tuple[Environment, Plan, Cluster]:
    environment = read_environment(stack)
    return environment, make_plan(environment), cluster_of(environment, context)


def _members(plan: Plan, ids: list[str] | None) -> list[UserPlan]:
    """Return the named users, or all; raise InputError where one is unknown or has no backups."""
    users = [find_user(plan, user_id) for user_id in dict.fromkeys(ids or ())] or list(plan.users)
    for user in users:
        done_by.pool_of(plan, user)
    return users


def backup(
    users: Users = None, stack: Stack = "dev", context: Context = None, as_json: Json = False
) -> None:
    """Back users up now, all of them by default; runtimes go on meanwhile."""
    with reported():
        plan = make_plan(read_environment(stack))
        members = _members(plan, users)
        _, _, cluster = _opened(stack, context)
        parallel = max((pool.backup.parallel for pool in plan.pools if pool.backup), default=1)
        with reporting() as report, ThreadPoolExecutor(parallel) as pool:
            step = partial(_one, cluster, report)
            outcomes = list(pool.map(step, members))
        rows = [{"user": user.id, **done} for user, done in zip(members, outcomes, strict=True)]
        if as_json:
            say_json({"users": rows})
        else:
            say_table(_HEAD, [_line(row) for row in rows])
        if not all(row["ok"] for row in rows):
            raise SystemExit(FAILED)


_HEAD = ("USER", "BACKUP", "FILES", "SIZE", "ADDED", "SECONDS", "NOTE")


def _one(cluster: Cluster, report: Report, user: UserPlan) -> Live:
    return done_by.back_up(cluster, user, report)


def _line(row: Live) -> tuple[str, ...]:
    note = "; ".join(done_by.warnings_of(row))
    if not row["ok"]:
        return row["user"], "failed", "", "", "", "", one_line(str(row.get("error", "")), 300)
    return (
        row["user"],
        one_line(str(row.get("snapshot", "")), 12),
        str(row.get("files", "")),
        _size(row.get("bytes")),
        _size(row.get("added")),
        str(row.get("seconds", "")),
        note,
    )


def _size(value: Any) -> str:
    if not isinstance(value, int):
        return ""
    return f"{value / 2**30:.1f}Gi" if value >= 2**30 else f"{value / 2**20:.1f}Mi"


def backups(
    user: User, stack: Stack = "dev", context: Context = None, as_json: Json = False
) -> None:
    """List a user's backups, the oldest first, as the store has them."""
    with reported():
        _, plan, cluster = _opened(stack, context)
        found = _members(plan, [user])[0]
        with reporting() as report:
            rows = done_by.snapshots(cluster, found, report)
        if as_json:
            listed = [{"id": row.id, "at": row.at, "tag": row.tag} for row in rows]
            say_json({"user": found.id, "backups": listed})
            return
        now = datetime.now(UTC)
        say_table(
            ("BACKUP", "AT", "AGE", "MADE"),
            [(row.id, row.at, done_by.age(row.at, now), row.tag) for row in rows],
        )


def restore(
    users: Annotated[list[str], typer.Argument(metavar="USER...", help="Users' ids.")],
    at: At,
    path: Annotated[
        list[str] | None, typer.Option("--path", help="Only this, such as /app/thesis.txt.")
    ] = None,
    into: Annotated[
        str | None, typer.Option(help="Another claim of the pool's namespace, made if need be.")
    ] = None,
    stack: Stack = "dev",
    context: Context = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Put a backup in the place of what is there, which is kept aside under a name that is told."""
    with reported():
        environment = read_environment(stack)
        plan = make_plan(environment)
        members = _members(plan, users)
        moment = _moment(at, environment)
        paths = [_inside(item) for item in path or ()]
        if into is not None and not _CLAIM.fullmatch(into):
            rule = "a claim's name has 1 to 63 of a-z 0-9 and hyphens"
            raise InputError([Problem("--into", into, rule, "write it like restored-alice")])
        if into is not None and len(members) > 1:
            rule = "a claim takes the work of one user"
            raise InputError([Problem("--into", into, rule, "name one USER")])
        cluster = cluster_of(environment, context)
        name = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        with reporting() as report:
            chosen = {
                user.id: done_by.choose(user.id, done_by.snapshots(cluster, user, report), moment)
                for user in members
            }
        _agreed(chosen, paths, into, name, confirmed=yes)
        rows: list[Live] = []
        with hung_up(), reporting() as report:
            for user in members:
                wanted = {"at": chosen[user.id].id, "paths": paths, "name": name}
                rows.append(_restored(cluster, user, wanted, into, report))
        if as_json:
            say_json({"users": rows})
        else:
            for row in rows:
                say(_told(row, into))
        if not all(row["ok"] for row in rows):
            raise SystemExit(FAILED)


def _restored(
    cluster: Cluster, user: UserPlan, wanted: Live, into: str | None, report: Report
) -> Live:
    try:
        done = done_by.restore(cluster, user, wanted, report, into=into)
    except ClusterError as error:
        return {"user": user.id, "ok": False, "error": str(error)}
    return {"user": user.id, **done}


def _told(row: Live, into: str | None) -> str:
    if not row["ok"]:
        return one_line(str(row["error"]), 400)
    told = f"{row['user']}: backup {one_line(str(row['snapshot']), 12)} of {row['at']} is back"
    if into is not None:
        return f"{told} in claim {into}"
    kept_as = one_line(str(row.get("kept", "")), 40)
    return f"{told}; what was there: fleet kept {row['user']} ({kept_as})" if kept_as else told


def _agreed(
    chosen: Mapping[str, Snapshot],
    paths: list[str],
    into: str | None,
    name: str,
    *,
    confirmed: bool,
) -> None:
    """Say what will be touched; ask, where somebody can answer."""
    what = ", ".join(f"/{item}" for item in paths) or "/app and /data"
    for user_id, item in chosen.items():
        if into is not None:
            warn(
                f"{user_id}: {what} of {item.at} is written into claim {into}; the runtime goes on"
            )
        else:
            warn(
                f"{user_id}: the runtime is stopped, {what} of {item.at} is put back; work since"
                f" then is kept aside as kept-{name}"
            )
    if into is not None:
        return
    if confirmed:
        return
    if not interactive() or not typer.confirm("Restore?", err=True):
        warn("restore: not confirmed: nothing was changed: give --yes")
        raise SystemExit(FAILED)


def _moment(text: str, environment: Environment) -> str:
    """Return an id or `latest` as it is, a time in UTC; raise InputError for anything else."""
    if text == "latest" or _ID.fullmatch(text):
        return text
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        rule = "a backup is named by its id, by a time, or as latest"
        change = "write it like 1f3a90cd, 2026-05-31T18:00 or latest: fleet backups lists them"
        raise InputError([Problem("--at", text, rule, change)]) from None
    backup_key = environment.config.backup
    zone = backup_key.time_zone if backup_key is not None else "Etc/UTC"
    if found.tzinfo is None:
        found = found.replace(tzinfo=ZoneInfo(zone))
    return found.astimezone(UTC).isoformat(timespec="seconds")


def _inside(text: str) -> str:
    """Return a path below /app or /data as the backup has it; raise InputError for another."""
    words = [word for word in text.split("/") if word not in ("", ".")]
    sound = text.startswith("/") and len(words) > 1 and words[0] in ("app", "data")
    if not sound or ".." in words or not text.isprintable() or len(text) > _PATH_MAX:
        rule = "a path names something below /app or /data"
        raise InputError([Problem("--path", text, rule, "write it like /app/thesis.txt")])
    if any(char in text for char in "*?[\\"):
        rule = "a path is one file or folder, no pattern"
        raise InputError([Problem("--path", text, rule, "name the folder it is in")])
    return "/".join(words)


def kept(
    user: User,
    drop: Annotated[str | None, typer.Option(help="Delete this one for good.")] = None,
    stack: Stack = "dev",
    context: Context = None,
    as_json: Json = False,
) -> None:
    """List what restores kept aside of a user's work, or delete one of them."""
    with reported():
        if drop is not None and not _KEPT.fullmatch(drop):
            rule = "no such name is ever given"
            raise InputError(
                [Problem("--drop", drop, rule, f"use one that fleet kept {user} lists")]
            )
        _, plan, cluster = _opened(stack, context)
        found = _members(plan, [user])[0]
        wanted = Work(verb="kept") if drop is None else _dropping(drop)
        with reporting() as report:
            done = done_by.worked(found, work(cluster, found, wanted, report))
        names = [one_line(str(item), 80) for item in done.get("kept", [])]
        if as_json:
            say_json({"user": found.id, "kept": names, "dropped": done.get("dropped")})
        elif drop is not None:
            say(f"{found.id}: {drop} deleted")
        else:
            say("\n".join(names) or f"{found.id}: nothing is kept aside")


def _dropping(name: str) -> Work:
    return Work(verb="drop", variables={"FLEET_DROP": name})


def export(
    user: User,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="File to write; USER.tar by default.")
    ] = None,
    stack: Stack = "dev",
    context: Context = None,
    as_json: Json = False,
) -> None:
    """Write a user's chats, as OpenCode exports them, and files into a tar archive."""
    with reported():
        environment, plan, cluster = _opened(stack, context)
        del environment
        found = _members(plan, [user])[0]
        target = out or Path(f"{found.name.removeprefix('oc-')}.tar")
        if target.exists():
            rule = "this file is there already"
            raise InputError([Problem("--out", str(target), rule, "give another name")])
        # Whole or not at all, and for its owner alone: it is somebody's work.
        draft = target.with_name(f"{target.name}.part")
        draft.touch(0o600)
        try:
            with draft.open("wb") as file, reporting() as report:
                whole = done_by.export(cluster, found, _sink(file), report, warn)
            draft.rename(target)
        finally:
            draft.unlink(missing_ok=True)
        size = target.stat().st_size
        if as_json:
            say_json({"user": found.id, "file": str(target), "bytes": size, "whole": whole})
        else:
            say(f"{target}: {_size(size)}, chats/ app/ data/")
        if not whole:
            warn("some of it could not be read: what is said above is missing from the archive")
            raise SystemExit(FAILED)


def _sink(file: BinaryIO) -> Any:
    def take(data: bytes) -> None:
        try:
            file.write(data)
        except OSError as error:
            raise ClusterError(
                f"{file.name}: {error.strerror}: make room, run this again"
            ) from None

    return take
