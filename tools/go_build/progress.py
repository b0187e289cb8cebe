"""How far a build is and how long it will still take, from the packages that Go names as it goes.

A package counts by the size of its source, which follows its compile time well enough (correlation
0.8 over 1,500 packages): were all alike, the longest ones would look like a standstill.
"""

import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

# What a package costs however small it is, in bytes of source.
PACKAGE = 20_000
# Linking one program, which Go does not announce.
LINK = 2_000_000
# Bytes of source a core of the machine of docs/local-cluster.md compiles in a second.
SPEED = 450_000
# Until this share is done the machine's own speed is not known well, and SPEED counts as well.
_TRUSTED = 0.15
_LOG_EVERY = 60.0
_LIVE_EVERY = 0.5


@dataclass(slots=True)
class Progress:
    """What is done of `weights` (package to bytes), with `cores` packages compiled at a time."""

    weights: Mapping[str, int]
    programs: int
    cores: int
    _running: deque[int] = field(default_factory=deque[int])
    _done: int = 0

    @property
    def total(self) -> int:
        """Everything there is to do, in bytes."""
        return sum(self.weights.values()) + LINK * self.programs

    def begin(self, package: str) -> None:
        """Note that Go begins a package, so one that it began before has ended."""
        if (weight := self.weights.get(package)) is None:
            return
        self._running.append(weight)
        if len(self._running) > self.cores:
            self._done += self._running.popleft()

    @property
    def share(self) -> float:
        """From 0 to 1; never 1, as the end is not known from here."""
        return min(self._done / self.total, 0.99)

    def seconds_left(self, elapsed: float) -> float:
        """From SPEED at first, from what was seen on this machine later."""
        left = 1 - self.share
        known = left * self.total / (SPEED * self.cores)
        if self.share == 0:
            return known
        trust = min(self.share / _TRUSTED, 1)
        return trust * elapsed * left / self.share + (1 - trust) * known


def words(seconds: float) -> str:
    """A duration as people say it, rounded up: nobody minds that it took less."""
    minutes = int(seconds // 60) + 1
    if seconds < 60:  # noqa: PLR2004 - a minute
        return "less than a minute"
    return f"about {minutes} minutes"


@dataclass(slots=True)
class Display:
    """Shows a Progress: one line that changes on a terminal, a line a minute in a log."""

    title: str
    progress: Progress
    tell: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    live: bool = field(default_factory=sys.stderr.isatty)
    _begun: float = 0.0
    _shown: float = 0.0

    def start(self) -> None:
        """Say what begins and how long it may take."""
        self._begun = self._shown = self.clock()
        cores = self.progress.cores
        expected = words(self.progress.seconds_left(0))
        self.tell(
            f"compiling {self.title} from Go modules (once; {expected} on {cores} idle cores)"
        )

    def update(self) -> None:
        """Show where things are, unless that was done just now."""
        now = self.clock()
        if now - self._shown < (_LIVE_EVERY if self.live else _LOG_EVERY):
            return
        self._shown = now
        left = words(self.progress.seconds_left(now - self._begun))
        line = f"{self.title}: {self.progress.share:.0%} compiled, {left} left"
        if self.live:
            self._write(f"\r\033[K{line}")
        else:
            self.tell(line)

    def end(self) -> None:
        """Leave the terminal's line empty for what comes next."""
        if self.live:
            self._write("\r\033[K")

    def _write(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()
