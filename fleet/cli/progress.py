"""Progress on standard error: a live line for a person, a few plain lines for a log."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager

from fleet.cli.shell import interactive, warn
from fleet.cluster.report import Report

_NAMED = 3


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
