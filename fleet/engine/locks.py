"""One run at a time on a stack: who holds its lock, and whether the holder is certainly dead.

The locks of a state that is kept in files are read directly. Of any other kind only the engine
knows: its own refusal is told in our words.
"""

from __future__ import annotations

import getpass
import json
import os
import re
import signal
import socket
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from fleet.engine.processes import Process, end_session, find_process, started_by
from fleet.errors import EngineError, shown
from fleet.names import PROJECT

# How exactly both the start of a process and the time in a lock are known.
_TOLERANCE = 3.0
# An engine whose `fleet` was killed writes its state and ends; one that hangs never does.
_PATIENCE = 30.0
_KILLED = 5.0
_TOLD = re.compile(r"created by (?P<who>\S+) \(pid (?P<pid>\d+)\) at (?P<since>\S+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Lock:
    """A lock on a stack, as the engine wrote it."""

    path: Path
    pid: int
    user: str
    host: str
    since: datetime

    def refusal(self, environment: str) -> EngineError:
        """Return what to tell whoever comes second."""
        since = self.since.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        return _refusal(environment, f"{self.user}@{self.host} (process {self.pid})", since)


def _refusal(environment: str, who: str, since: str) -> EngineError:
    return EngineError(
        f"environment {environment}: another run is under way: {shown(who)} since {since}:"
        " one at a time, so that neither undoes the other: wait until it ends and run this again"
    )


def told_refusal(environment: str, text: str) -> EngineError:
    """Return the refusal for what the engine printed about a lock."""
    match = _TOLD.search(text)
    if match is None:
        return _refusal(environment, "somebody", "a moment ago")
    who = f"{match['who']} (process {match['pid']})"
    return _refusal(environment, who, shown(match["since"]))


def find_locks(state: Path, stack: str) -> list[Lock]:
    """Return the locks on a stack of a state that is kept in files."""
    folder = state / ".pulumi" / "locks" / "organization" / PROJECT / stack
    locks = (_read(path) for path in sorted(folder.glob("*.json")))
    return [lock for lock in locks if lock is not None]


def _read(path: Path) -> Lock | None:
    """Return a lock; None for one that went away, or whose writing was cut off."""
    try:
        content = cast("dict[str, Any]", json.loads(path.read_text(encoding="utf-8")))
        return Lock(
            path=path,
            pid=int(content["pid"]),
            user=str(content["username"]),
            host=str(content["hostname"]),
            since=_moment(str(content["timestamp"])),
        )
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        modified = path.stat().st_mtime
        return Lock(
            path=path, pid=0, user="?", host=socket.gethostname(), since=_from_epoch(modified)
        )


def _moment(text: str) -> datetime:
    # Go writes nanoseconds, which Python 3.11 does not read.
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))


def _from_epoch(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds).astimezone()


def is_dead(lock: Lock, host: str, find: Callable[[int], Process | None]) -> bool:
    """Return whether the process that took a lock is certainly gone."""
    if lock.host != host:
        return False
    process = find(lock.pid) if lock.pid else None
    return process is None or process.started > lock.since.timestamp() + _TOLERANCE


def clear_dead_locks(environment: str, state: Path) -> list[Lock]:
    """Remove the locks of dead runs and return them; raise EngineError when a live one holds.

    An engine whose `fleet` is dead is given time to write its state.
    """
    host = socket.gethostname()
    cleared: list[Lock] = []
    for lock in find_locks(state, environment):
        if not is_dead(lock, host, find_process):
            if lock.host != host or not _abandoned(lock.pid):
                raise lock.refusal(environment)
            _await_end(lock)
        # Its own file only: somebody may have taken another lock meanwhile.
        lock.path.unlink(missing_ok=True)
        lock.path.with_name(f"{lock.path.name}.attrs").unlink(missing_ok=True)
        end_session(lock.pid)
        cleared.append(lock)
    return cleared


@contextmanager
def held(environment: str, state: Path | None) -> Generator[None]:
    """Hold an environment of several stacks from a run's beginning to its end.

    Between two of its stacks no lock of the engine's is held. Raises EngineError when a live run
    holds it. Of states that are not kept in files each stack has the engine's lock only.
    """
    if state is None:
        yield
        return
    path = state / ".pulumi" / "locks" / PROJECT / f"{environment}.json"
    _take(path, environment)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _take(path: Path, environment: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    now = datetime.now().astimezone().isoformat()
    who = {"username": getpass.getuser(), "hostname": socket.gethostname()}
    draft.write_text(json.dumps({"pid": os.getpid(), "timestamp": now, **who}), encoding="utf-8")
    try:
        while True:
            with suppress(FileExistsError):
                path.hardlink_to(draft)  # whole, or not at all
                return
            lock = _read(path)
            if lock is not None and not is_dead(lock, socket.gethostname(), find_process):
                raise lock.refusal(environment)
            path.unlink(missing_ok=True)
    finally:
        draft.unlink()


def _abandoned(pid: int) -> bool:
    """Return whether the `fleet` that started an engine is gone."""
    owner, engine = started_by(pid), find_process(pid)
    if owner is None or engine is None:
        return False
    fleet = find_process(owner)
    return fleet is None or fleet.started > engine.started + _TOLERANCE


def _await_end(lock: Lock) -> None:
    """Wait for an engine to end; one that hangs is ended."""
    for patience, number in ((_PATIENCE, signal.SIGKILL), (_KILLED, None)):
        deadline = time.monotonic() + patience
        while find_process(lock.pid) is not None and time.monotonic() < deadline:
            time.sleep(0.1)
        if number is not None and find_process(lock.pid) is not None:
            with suppress(ProcessLookupError):
                os.kill(lock.pid, number)
