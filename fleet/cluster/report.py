"""How long work tells how far it is and what failed; the shell decides how that looks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from fleet.errors import shown

# A person reads so many; `fleet status` has everybody.
NAMED = 8
LISTED = 12


class Report(Protocol):
    """Takes a step's name, what is done, what there is in all, and who is waited for."""

    def __call__(self, step: str, done: int, total: int, waiting: Sequence[str] = ()) -> None: ...


class Progress(Protocol):
    """Where long work tells how far it is."""

    def at(self, step: str, done: int, total: int, now: Sequence[str] = ()) -> None:
        """Take what is done of all there is (0: not known), and what happens now."""
        ...

    def say(self, line: str) -> None:
        """Take a line that a person should read once."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """A step that did not work, for a user or (None) for what users share."""

    user: str | None
    step: str
    cause: str
    pool: str | None = None
    """The pool whose stack it is of, where pools have stacks of their own."""

    def __str__(self) -> str:
        shared = f"pool {shown(self.pool)}" if self.pool else "environment"
        who = f"user {shown(self.user)}" if self.user else shared
        return f"{who}: {self.step}: {self.cause}"


def named(users: Sequence[str], most: int = NAMED) -> str:
    """Return users as part of a line: some by name, the rest as a number."""
    more = len(users) - most
    listed = ", ".join(shown(user) for user in users[:most])
    return f"{listed} and {more} more" if more > 0 else listed


def failure_lines(failures: Iterable[Failure], most: int = LISTED) -> list[str]:
    """Return failures for a person: users with the same cause share a line, the lines are few."""
    alike: dict[tuple[str, str], list[Failure]] = {}
    for item in failures:
        alike.setdefault((item.step, item.cause), []).append(item)
    lines: list[str] = []
    for (step, cause), items in list(alike.items())[:most]:
        users = [item.user for item in items if item.user]
        if len(users) < 2:  # noqa: PLR2004 - one of them has no plural
            lines.append(str(items[0]))
        else:
            lines.append(f"users {named(users)}: {step}: {cause}")
    left = sum(len(items) for items in list(alike.values())[most:])
    return [*lines, f"… and {left} failures more"] if left else lines
