"""Which processes of this machine live, and what a run of the engine left behind.

The engine starts its providers; killed, it leaves them. Each of its runs has a session of its own,
by which they are known afterwards. Elsewhere than on Linux nothing is known of other processes,
and nothing is ended.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_SESSION, _START = 3, 19  # fields of /proc/PID/stat after the name: 6 and 22 of proc(5)
_PATIENCE = 5.0
# The system's own processes are in session 0 or 1.
_FIRST = 1
OWNER = "FLEET_ENGINE_OWNER"
"""Environment variable of an engine and its providers: the `fleet` process that started them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Process:
    """A process that lives."""

    pid: int
    session: int
    started: float
    """Seconds since the epoch, give or take one."""


def find_process(pid: int) -> Process | None:
    """Return a process of this machine; None when there is none, or it only awaits its burial."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name stands in brackets and may hold anything.
    fields = text.rpartition(")")[2].split()
    if fields[0] in ("Z", "X"):
        return None
    started = int(fields[_START]) / os.sysconf("SC_CLK_TCK") + _boot_time()
    return Process(pid=pid, session=int(fields[_SESSION]), started=started)


def lives(pid: int) -> bool:
    """Return whether a process of that number lives, or nobody can tell."""
    if _PROC.joinpath("self", "stat").exists():
        return find_process(pid) is not None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _boot_time() -> float:
    for line in (_PROC / "stat").read_text(encoding="utf-8").splitlines():
        if line.startswith("btime "):
            return float(line.split()[1])
    return 0.0


def started_by(pid: int) -> int | None:
    """Return the process of the `fleet` that started an engine or, through it, a provider."""
    try:
        environment = (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return None
    for item in environment:
        name, _, value = item.partition(b"=")
        if name == OWNER.encode() and value.isdigit():
            return int(value)
    return None


def end_session(session: int) -> list[int]:
    """End what an engine that is gone has left running; return which processes.

    Only what carries our mark: the number of a session may be somebody else's by now.
    """
    if session <= _FIRST or lives(session):
        return []
    pids = [pid for pid in _pids() if _is_in(pid, session) and started_by(pid) is not None]
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        deadline = time.monotonic() + _PATIENCE
        while any(lives(pid) for pid in pids) and time.monotonic() < deadline:
            time.sleep(0.05)
    return pids


def _pids() -> list[int]:
    return [int(entry.name) for entry in _PROC.glob("[0-9]*")]


def _is_in(pid: int, session: int) -> bool:
    process = find_process(pid)
    return process is not None and process.session == session
