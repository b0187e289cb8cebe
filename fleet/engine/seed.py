"""The seed of an environment's passwords: found in the stack file, or remembered, or made.

A seed that was made here is also kept in the user's data folder, beside the passphrase: another
clone of the project on this machine finds it. Leaves out: what is derived from it (`passwords`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from fleet.engine.settings import write_private
from fleet.plan.passwords import identity_of, new_seed


class Origin(Enum):
    """Where a seed comes from."""

    STACK_FILE = "the stack file"
    REMEMBERED = "this machine's memory"
    MADE = "made now"


@dataclass(frozen=True, kw_only=True, slots=True)
class Seed:
    """The seed that an environment uses."""

    text: str = field(repr=False)
    origin: Origin

    @property
    def identity(self) -> str:
        """What tells the environment from others of its name."""
        return identity_of(self.text)


def choose_seed(
    environment: str, written: str | None, data: Path, identities: Iterable[str]
) -> Seed:
    """Return the seed of an environment; a new one where there is none anywhere.

    `written` is the stack file's. `identities` are what the cluster says: a remembered seed of
    another identity does not count.
    """
    if written is not None:
        return Seed(text=written, origin=Origin.STACK_FILE)
    wanted = set(identities)
    remembered = remembered_seed(environment, data)
    if remembered is not None and wanted <= {identity_of(remembered)}:
        return Seed(text=remembered, origin=Origin.REMEMBERED)
    return Seed(text=new_seed(), origin=Origin.MADE)


def remembered_seed(environment: str, data: Path) -> str | None:
    """Return the seed of an environment that this machine remembers."""
    try:
        return _file(environment, data).read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None


def remember_seed(environment: str, data: Path, seed: str) -> None:
    """Keep a seed where only this user can read it."""
    write_private(_file(environment, data), seed + "\n")


def _file(environment: str, data: Path) -> Path:
    return data / "seeds" / environment
