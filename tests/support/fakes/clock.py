"""A clock that a test sets. Short because every test of times needs it and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass
class Clock:
    """The time, as `clock()`; it stands still until a test moves it."""

    now: datetime = datetime(2026, 11, 26, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Return the time."""
        return self.now

    def steady(self) -> float:
        """Return seconds, as a steady clock does."""
        return self.now.timestamp()

    def on(self, **more: float) -> datetime:
        """Let time pass, as `timedelta` takes it; return the new time."""
        self.now += timedelta(**more)
        return self.now
