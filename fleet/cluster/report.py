"""How long work tells how far it is; the shell decides how that looks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Report(Protocol):
    """Takes a step's name, what is done, what there is in all, and who is waited for."""

    def __call__(self, step: str, done: int, total: int, waiting: Sequence[str] = ()) -> None: ...
