"""Keeping what the cluster's API shows of one kind in one namespace, by list and watch.

An API server that goes away leaves what was known last: it goes on serving. What comes back is
listed anew, and a watch that hears nothing for long is too, since a connection may die without a
word. Owns: when to list again, how long to wait in between, how stale the answer is. Leaves out:
what is done with the objects (the receiver).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol

from door.control.kube import GONE, Api, Kind, RefusedError
from door.control.live import Live

QUIET = 120.0
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 15.0
_LOG = logging.getLogger(__name__)


class Receiver(Protocol):
    """Who is told what there is."""

    def replaced(self, namespace: str, items: Sequence[Live]) -> None:
        """Take all objects of a namespace; those not named are gone."""
        ...

    def changed(self, namespace: str, item: Live) -> None:
        """Take one object as it is now."""
        ...

    def removed(self, namespace: str, item: Live) -> None:
        """Forget one object."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Watched:
    """Which objects."""

    kind: Kind
    namespace: str
    labels: Live | None = None
    quiet: float = QUIET
    """Seconds without an event after which everything is listed again."""

    @property
    def name(self) -> str:
        """What is watched, for logs."""
        return f"{self.kind.name.lower()}s in {self.namespace}"


class Watch:
    """The watch of some objects."""

    def __init__(self, api: Api, watched: Watched, receiver: Receiver) -> None:
        self._api = api
        self._watched = watched
        self._receiver = receiver
        self._poked = asyncio.Event()
        self._lost: float | None = time.monotonic()
        self._failures = 0
        self.known = asyncio.Event()
        """Set once everything was listed."""

    @property
    def stale(self) -> float:
        """Seconds since the API was last heard; 0 while it is."""
        return 0.0 if self._lost is None else time.monotonic() - self._lost

    def poke(self) -> None:
        """List again now, and try again now where the API was away."""
        self._poked.set()

    @property
    def _asked(self) -> tuple[Kind, str, Live | None]:
        return self._watched.kind, self._watched.namespace, self._watched.labels

    async def run(self) -> None:
        """Keep the receiver told, until cancelled."""
        while True:
            try:
                self._poked.clear()
                items, version = await self._api.list(*self._asked)
                self._receiver.replaced(self._watched.namespace, items)
                self._heard()
                self.known.set()
                await self._follow(version)
                self._failures = 0
            except RefusedError as refused:
                await self._after(refused)

    async def _follow(self, version: str) -> None:
        """Pass on events until nothing was heard for long, or somebody asks for a list."""
        events = self._api.watch(*self._asked, version)
        poked = asyncio.ensure_future(self._poked.wait())
        try:
            while not poked.done():
                event = asyncio.ensure_future(_next(events))
                try:
                    await asyncio.wait(
                        {event, poked},
                        timeout=self._watched.quiet,
                        return_when=asyncio.FIRST_COMPLETED,
                    )
                finally:
                    if not event.done():
                        event.cancel()
                        with contextlib.suppress(asyncio.CancelledError, RefusedError):
                            await event
                found = None if event.cancelled() else event.result()
                if found is None:
                    return
                self._take(*found)
        finally:
            poked.cancel()
            await events.aclose()

    def _take(self, what: str, item: Live) -> None:
        self._failures = 0
        self._heard()
        if what == "DELETED":
            self._receiver.removed(self._watched.namespace, item)
        elif what in {"ADDED", "MODIFIED"}:
            self._receiver.changed(self._watched.namespace, item)

    def _heard(self) -> None:
        if self._lost is not None and self.known.is_set():
            _LOG.info("watch of %s is back after %.0f s", self._watched.name, self.stale)
        self._lost = None

    async def _after(self, refused: RefusedError) -> None:
        if refused.code == GONE and not self._failures:
            # The version is too old to go on from: nothing is wrong, and a list gives a new one.
            self._failures = 1
            return
        if self._lost is None:
            self._lost = time.monotonic()
            _LOG.warning("watch of %s is lost: %s", self._watched.name, refused)
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(self._failures, 10))
        self._failures += 1
        # Spread, so that two replicas with many watches do not come back as one crowd.
        pause *= random.uniform(0.5, 1.0)  # noqa: S311 - no secret
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._poked.wait()


async def _next(events: AsyncGenerator[tuple[str, Live]]) -> tuple[str, Live] | None:
    """Return the next event; None where the stream ends in peace."""
    return await anext(events, None)
