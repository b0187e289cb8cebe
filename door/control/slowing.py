"""Slows those who guess passwords, and nobody else.

Owns: how many failures in a row cost how many seconds, per user, per address and per known browser;
what is logged of it. Passwords are random (190 bits), so this is against noise and load, and for
what people change the code to later. Kept in memory, bounded, each replica its own.

- A user from one address (or one known browser): five failures are free, then 1 s, doubling to
  60 s. Until it is over nothing is looked at.
- A user from all addresses: fifty failures are free, then the same. A browser that has signed the
  user in before is not held by it, so nobody can lock out a user with a thousand machines.
- An address: twenty failures are free, then every wrong answer takes a second. Right ones do not,
  as many people share an address.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from door.control.counters import FAILED_SIGN_INS

LONGEST_WAIT = 60.0
FREE, FREE_OF_ALL, FREE_OF_ADDRESS = 5, 50, 20
FORGOTTEN_AFTER = 3600.0
_KEPT = 10_000
_ANSWER_DELAY = 1.0
_DELAYED_AT_ONCE = 100
_SHOWN = 64

_log = logging.getLogger("door.sign-in")


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One try to show who somebody is."""

    user: str
    """As typed."""
    address: str
    way: str
    """`form`, `basic` or `bearer`."""
    browser: str | None = None
    """Id of a browser that has signed this user in before."""


@dataclass(slots=True)
class _Failures:
    count: int
    last: float
    until: float


class Slowing:
    """Counts failures."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """The clock tells seconds and only ever grows."""
        self._clock = clock
        self._failures: OrderedDict[tuple[str, ...], _Failures] = OrderedDict()
        self._delayed = 0

    def wait(self, attempt: Attempt) -> float:
        """Return the seconds until an attempt of this kind is looked at; 0 is now."""
        keys = [self._pair(attempt)]
        if attempt.browser is None:
            keys.append(("user", attempt.user))
        now = self._clock()
        wait = max(
            (self._failures[key].until - now for key in keys if key in self._failures), default=0
        )
        if wait > 0:
            FAILED_SIGN_INS.labels(attempt.way, "yes").inc()
        return max(0.0, wait)

    async def failed(self, attempt: Attempt) -> None:
        """Count a failure, tell it, and make its address wait where it has failed often."""
        FAILED_SIGN_INS.labels(attempt.way, "no").inc()
        count = self._count(self._pair(attempt), FREE)
        if attempt.browser is None:
            self._count(("user", attempt.user), FREE_OF_ALL)
        of_address = self._count(("address", attempt.address), None)
        _tell(attempt, count, of_address)
        if of_address > FREE_OF_ADDRESS and self._delayed < _DELAYED_AT_ONCE:
            self._delayed += 1
            try:
                await asyncio.sleep(_ANSWER_DELAY)
            finally:
                self._delayed -= 1

    @property
    def remembered(self) -> int:
        """How many users, addresses and browsers are remembered."""
        return len(self._failures)

    def succeeded(self, attempt: Attempt) -> None:
        """Forget the failures of a user from here."""
        self._failures.pop(self._pair(attempt), None)

    @staticmethod
    def _pair(attempt: Attempt) -> tuple[str, ...]:
        if attempt.browser is not None:
            return ("browser", attempt.browser, attempt.user)
        return ("pair", attempt.user, attempt.address)

    def _count(self, key: tuple[str, ...], free: int | None) -> int:
        """Return how often a key has failed in a row, this time included."""
        now = self._clock()
        old = self._failures.get(key)
        count = old.count + 1 if old is not None and now - old.last < FORGOTTEN_AFTER else 1
        wait = 0.0
        if free is not None and count > free:
            wait = min(LONGEST_WAIT, 2.0 ** min(count - free - 1, 10))
        self._failures[key] = _Failures(count, now, now + wait)
        self._failures.move_to_end(key)
        if len(self._failures) > _KEPT:
            self._failures.popitem(last=False)
        return count


def _tell(attempt: Attempt, count: int, of_address: int) -> None:
    """Log the first failures of a user from an address, then ever fewer of them."""
    if min(count, of_address) > FREE and of_address & (of_address - 1):
        return
    _log.warning(
        "sign-in failed (%s): user %s from %s: %d in a row, %d from this address",
        attempt.way,
        shown(attempt.user),
        attempt.address,
        count,
        of_address,
    )


def shown(text: str) -> str:
    """Return what somebody typed as one short line for a log."""
    return ascii(text[:_SHOWN]) + ("…" if len(text) > _SHOWN else "")
