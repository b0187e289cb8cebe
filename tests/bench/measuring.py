"""Running a program, how long it took and how much memory it had; the table of figures."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

FLEET = str(Path(sys.executable).with_name("fleet"))


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of a program."""

    seconds: float
    megabytes: float
    """Largest resident size of the program itself."""
    out: str
    cpu: float = 0.0
    """Seconds of processor time, which a busy machine changes less."""


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
) -> Run:
    """Run a program to its end; one that may not fail fails the benchmark with what it said."""
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
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    said = err.read_text()[-2000:]
    assert process.returncode == 0 or may_fail, f"{command[0]} {command[1]}: {said}"
    cpu = usage.ru_utime + usage.ru_stime
    return Run(seconds=seconds, megabytes=usage.ru_maxrss / 1024, out=out.read_text(), cpu=cpu)


def median(runs: Sequence[Run]) -> str:
    """Return the median time of some runs, the fastest and slowest, and the processor time."""
    times = sorted(run.seconds for run in runs)
    cpu = statistics.median(run.cpu for run in runs)
    used = f", CPU {cpu:.2f} s" if cpu else ""
    return f"{statistics.median(times):.2f} s ({times[0]:.2f} to {times[-1]:.2f}){used}"
