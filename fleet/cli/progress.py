"""Progress on standard error: a live line for a person, a few plain lines for a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fleet.cli.shell import interactive, warn
from fleet.cluster.report import Progress, Report

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

_NAMED = 3
_SECONDS_A_LINE = 5.0


@contextmanager
def reporting() -> Generator[Report]:
    """Yield a reporter that suits what standard error is."""
    if not interactive():
        yield _Lines()
    else:
        from rich.console import Console  # noqa: PLC0415

        # Half a second to import, and a log needs none of it.
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn  # noqa: PLC0415

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
            tasks: dict[str, TaskID] = {}

            def report(step: str, done: int, total: int, waiting: Sequence[str] = ()) -> None:
                task = tasks.get(step)
                if task is None:
                    task = tasks[step] = bars.add_task(step, total=total)
                text = f"{step} {_who(waiting)}".strip()
                bars.update(task, completed=done, total=total, description=text)

            yield report


class _Lines:
    """Prints a line whenever something changed."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, step: str, done: int, total: int, waiting: Sequence[str] = ()) -> None:
        if not total:
            return
        line = f"{step}: {done}/{total} {_who(waiting)}".rstrip()
        if line != self._last:
            self._last = line
            warn(line)


def _who(waiting: Sequence[str]) -> str:
    if not waiting:
        return ""
    more = f" and {len(waiting) - _NAMED} more" if len(waiting) > _NAMED else ""
    return f"(waiting for {', '.join(waiting[:_NAMED])}{more})"


@contextmanager
def watching() -> Generator[Progress]:
    """Yield where the engine and the wait tell how far they are."""
    if not interactive():
        yield PlainLines(warn)
    else:
        from rich.console import Console  # noqa: PLC0415
        from rich.live import Live  # noqa: PLC0415

        console = Console(stderr=True)
        with Live(console=console, transient=True, refresh_per_second=4) as live:
            yield LiveLine(console, live)


class PlainLines:
    """Prints a plain line every few seconds, for a log."""

    def __init__(
        self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._write = write
        self._clock = clock
        self._last = ""
        self._step = ""
        self._written: float | None = None

    def at(self, step: str, done: int, total: int, now: Sequence[str] = ()) -> None:
        """Print how far it is, unless a line of the same step came just before."""
        line = state_line(step, done, total, now)
        moment = self._clock()
        early = self._written is not None and moment - self._written < _SECONDS_A_LINE
        if line == self._last or (early and step == self._step and not _ends(done, total, now)):
            return
        self._last, self._step, self._written = line, step, moment
        self._write(line)

    def say(self, line: str) -> None:
        """Print a line at once."""
        self._write(line)


class LiveLine:
    """Keeps one line of a terminal up to date, and prints what is said above it."""

    def __init__(self, console: Console, live: Live) -> None:
        self._console = console
        self._live = live

    def at(self, step: str, done: int, total: int, now: Sequence[str] = ()) -> None:
        """Show how far it is."""
        from rich.text import Text  # noqa: PLC0415

        line = Text(state_line(step, done, total, now), overflow="ellipsis", no_wrap=True)
        self._live.update(line)

    def say(self, line: str) -> None:
        """Print a line above."""
        # What a cluster says may hold brackets, which rich would take for its markup.
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def state_line(step: str, done: int, total: int, now: Sequence[str]) -> str:
    """Return how far a step is, and some of what happens now."""
    figure = f"{done}/{total}" if total else str(done)
    more = f" and {len(now) - _NAMED} more" if len(now) > _NAMED else ""
    doing = f" ({', '.join(now[:_NAMED])}{more})" if now else ""
    return f"{step}: {figure}{doing}"


def _ends(done: int, total: int, now: Sequence[str]) -> bool:
    return bool(total) and done >= total and not now
