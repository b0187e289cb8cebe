"""The cluster's long-running processes: started detached, recorded, ended only when surely ours.

A record holds the process id with its start time and the boot it belongs to, so that a number the
kernel gave to somebody else since is never signalled.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tools.cluster.commands import environment
from tools.cluster.errors import ClusterError

_PROC = Path("/proc")
# Fields of /proc/PID/stat after the ")" that ends the program's name (see proc_pid_stat(5)).
_STATE, _PARENT, _THREADS, _START = 0, 1, 17, 19


@dataclass(frozen=True, slots=True)
class Identity:
    """One process for ever: numbers are reused, this triple is not."""

    pid: int
    start: int
    boot: str


@dataclass(frozen=True, slots=True)
class Record:
    """A component's process, and the fingerprint of what it was started with."""

    identity: Identity
    fingerprint: str


def boot_id() -> str:
    """The kernel's name of this boot."""
    return (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _stat(pid: int) -> list[str] | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()
    # A first thread that ended before the others looks like a zombie while they hold the sockets.
    gone = fields[_STATE] in {"Z", "X"} and int(fields[_THREADS]) <= 1
    return None if gone else fields


def identify(pid: int) -> Identity | None:
    """The identity of a running process; None when there is none (a zombie is none)."""
    fields = _stat(pid)
    return None if fields is None else Identity(pid, int(fields[_START]), boot_id())


def alive(identity: Identity) -> bool:
    """Whether exactly this process still runs."""
    return identify(identity.pid) == identity


def started_at(identity: Identity) -> float:
    """When the process started, in seconds since the epoch, to about a second."""
    uptime = float((_PROC / "uptime").read_text(encoding="ascii").split()[0])
    return time.time() - uptime + identity.start / os.sysconf("SC_CLK_TCK")


def children(parents: Iterable[int]) -> list[Identity]:
    """Every running direct child of these processes."""
    wanted = {str(pid) for pid in parents}
    children: list[Identity] = []
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))) is not None:
            known = identify(int(entry.name)) if fields[_PARENT] in wanted else None
            if known is not None:
                children.append(known)
    return children


def command_lines() -> Iterator[tuple[int, list[str]]]:
    """Every process with the words it was started with; one that ends meanwhile is left out."""
    for entry in _PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        yield int(entry.name), words


def with_argument(program: str, argument: str) -> list[Identity]:
    """Every process of that program name that was given exactly this argument."""
    hits = (
        identify(pid)
        for pid, words in command_lines()
        if Path(words[0]).name == program and argument in words[1:]
    )
    return [process for process in hits if process is not None]


def end(targets: Sequence[Identity], *, grace: float) -> None:
    """Ask these processes to end, wait up to `grace` seconds for all, then kill the rest."""
    for signal_number, wait in ((signal.SIGTERM, grace), (signal.SIGKILL, 5.0)):
        left = [target for target in targets if alive(target)]
        for target in left:
            try:
                os.kill(target.pid, signal_number)
            except ProcessLookupError:
                continue
        deadline = time.monotonic() + wait
        while any(alive(target) for target in left) and time.monotonic() < deadline:
            time.sleep(0.05)


def start(argv: Sequence[str | Path], log: Path, env: dict[str, str] | None = None) -> Identity:
    """Start `argv` in a session of its own with its output in `log`; the one before is kept.

    Raises ClusterError when the program is missing or ends at once.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists():
        log.replace(log.with_suffix(".log.previous"))
    words = [str(word) for word in argv]
    with log.open("wb") as output:
        try:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                cwd="/",
                env={**environment(proxies=False), **(env or {})},
            )
        except FileNotFoundError as error:
            message = f"{Path(words[0]).name}: {words[0]} is missing"
            raise ClusterError(message) from error
    identity = identify(process.pid)
    # It outlives this program by design: nobody is to wait for it, nor be warned about it.
    process.returncode = 0
    if identity is None:
        message = f"{Path(words[0]).name}: ended at once: {last_lines(log, 3)}"
        raise ClusterError(message)
    return identity


def last_lines(log: Path, count: int) -> str:
    """The last `count` lines of a log, as one text; says so when there are none."""
    if not log.is_file():
        return "(no log)"
    lines = log.read_bytes()[-65536:].decode(errors="replace").strip().splitlines()
    return "\n".join(lines[-count:]) or "(empty log)"


class Records:
    """The record files of all components, one JSON file each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _path(self, component: str) -> Path:
        return self._folder / f"{component}.json"

    def names(self) -> list[str]:
        """The components that have a record, running or not."""
        return sorted(path.stem for path in self._folder.glob("*.json"))

    def read(self, component: str) -> Record | None:
        """The component's record while its process runs; None when it does not, or never did."""
        try:
            data = json.loads(self._path(component).read_text(encoding="utf-8"))
            record = Record(Identity(**data["identity"]), str(data["fingerprint"]))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        return record if alive(record.identity) else None

    def write(self, component: str, record: Record) -> None:
        """Note a component's process; the file is whole or not there."""
        self._folder.mkdir(parents=True, exist_ok=True)
        part = self._path(component).with_suffix(".part")
        part.write_text(json.dumps(asdict(record)), encoding="utf-8")
        part.replace(self._path(component))

    def forget(self, component: str) -> None:
        """Drop a component's record."""
        self._path(component).unlink(missing_ok=True)
