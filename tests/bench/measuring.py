"""Running a program, how long it took, how much memory it and its children had; the table."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

FLEET = str(Path(sys.executable).with_name("fleet"))
_SECONDS_A_LOOK = 0.1


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of a program."""

    seconds: float
    megabytes: float
    """Largest sum of what it and all programs it started had in memory, shared pages shared out."""
    out: str
    cpu: float = 0.0
    """Seconds of processor time of all of them, which a busy machine changes less."""


@dataclass(frozen=True)
class Figures:
    """What was measured, to be printed beside its bound."""

    rows: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])

    def note(self, figure: str, bound: str, measured: str) -> None:
        """Add a row."""
        self.rows.append((figure, bound, measured))

    def lines(self) -> list[str]:
        """Return the table."""
        rows = [("figure", "bound", "measured"), *self.rows]
        widths = [max(len(row[place]) for row in rows) for place in range(3)]
        return [
            "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]


def measure(
    command: Sequence[str | Path],
    cwd: Path,
    environ: Mapping[str, str] | None = None,
    *,
    may_fail: bool = False,
    looking: bool = False,
) -> Run:
    """Run a program to its end; one that may not fail fails the benchmark with what it said.

    With `looking` its memory is looked at while it runs, which takes a little of its time.
    """
    out, err = cwd / ".bench-out", cwd / ".bench-err"
    # As on a user's machine, where modules are compiled once.
    hidden = "PYTHONDONTWRITEBYTECODE"
    given = {key: value for key, value in (environ or os.environ).items() if key != hidden}
    with out.open("wb") as output, err.open("wb") as errors:
        begun = time.monotonic()
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=cwd,
            env=given,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
        )
        watch = _Memory(process.pid)
        if looking:
            watch.start()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - begun
    watch.ended.set()
    if looking:
        watch.join()
    process.returncode = os.waitstatus_to_exitcode(status)
    said = err.read_text()[-2000:]
    assert process.returncode == 0 or may_fail, f"{command[0]} {command[1]}: {said}"
    cpu = usage.ru_utime + usage.ru_stime
    return Run(seconds=seconds, megabytes=watch.megabytes, out=out.read_text(), cpu=cpu)


def median(runs: Sequence[Run]) -> str:
    """Return the median time of some runs, the fastest and slowest, processor time and memory."""
    times = sorted(run.seconds for run in runs)
    cpu = statistics.median(run.cpu for run in runs)
    memory = max(run.megabytes for run in runs)
    used = f", CPU {cpu:.2f} s" if cpu else ""
    held = f", {memory:.0f} MB" if memory else ""
    return f"{statistics.median(times):.2f} s ({times[0]:.2f} to {times[-1]:.2f}){used}{held}"


class _Memory(threading.Thread):
    """Watches what a process and all its descendants have in memory."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.megabytes = 0.0
        self.ended = threading.Event()
        self._pid = pid

    def run(self) -> None:
        """Look until the process has ended."""
        while not self.ended.wait(_SECONDS_A_LOOK):
            self.megabytes = max(self.megabytes, sum(map(_shared_out, _family(self._pid))))


def _family(pid: int) -> Iterator[int]:
    """Yield a process and its descendants."""
    yield pid
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in _text(file).split():
            yield from _family(int(child))


def _shared_out(pid: int) -> float:
    """Return a process's memory in megabytes, shared pages by the number of their users."""
    lines = _text(Path(f"/proc/{pid}/smaps_rollup")).splitlines()
    found = (line.split()[1] for line in lines if line.startswith("Pss:"))
    return int(next(found, "0")) * 1024 / 1e6


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:  # it has ended meanwhile
        return ""
