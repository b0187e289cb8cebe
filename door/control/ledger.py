"""When who was here last, and which sign-ins are over: one Lease a user, seen by every replica.

Last use is written at most once a minute a user and replica, at once after a longer silence: the
replica that puts runtimes to sleep must not miss somebody who has just come back. Of a session that
was ended the Lease holds a hash and until when it matters. What cannot be written now is written
later; this process knows it already. Leaves out: what follows from it (`idling`, sign-in).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from door.control import names
from door.control.kube import NOT_FOUND, Api, Kind, RefusedError
from door.control.live import Live, moment, part, stamp, text
from door.control.metrics import Metrics

LEASES = "oc-"
"""How the name of a user's Lease begins."""
EVERY = timedelta(minutes=1)
"""Last use of a user is written at most so often."""
MOST_ENDED = 1_000
"""Ended sessions of a user; an object's annotations hold 256 KiB."""
_ENDED = f"ended.{names.PREFIX}/"
# Clocks of replicas differ: what has just run out is kept a little longer.
_MARGIN = timedelta(minutes=5)
_AT_ONCE = 4
_RETRY = 5.0
# Within the time that a pod gets to end.
_LAST_FLUSH = 8.0
_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class _Entry:
    """One user, as the Lease has it and as this process knows it."""

    slug: str
    written: datetime | None = None
    """Last use by the Lease."""
    used: datetime | None = None
    """Last use seen by this process."""
    tried: datetime | None = None
    """When this process wrote last use last."""
    ended: dict[str, datetime] = field(default_factory=dict[str, datetime])
    unsent: dict[str, datetime] = field(default_factory=dict[str, datetime])

    @property
    def last(self) -> datetime | None:
        """When the user was here last."""
        return max(filter(None, (self.written, self.used)), default=None)


class Ledger:
    """The Leases of all users in the door's own namespace."""

    def __init__(
        self,
        api: Api,
        namespace: str,
        environment: str,
        clock: Callable[[], datetime],
        metrics: Metrics,
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._environment = environment
        self._clock = clock
        self._metrics = metrics
        self._entries: dict[str, _Entry] = {}
        self._due: set[str] = set()
        self._wanted = asyncio.Event()
        self.on_change: Callable[[str], None] = lambda _: None
        """Told the slug of a user whose entry changed."""

    def last_used(self, slug: str) -> datetime | None:
        """Return when a user was here last, as far as any replica has told."""
        entry = self._entries.get(slug)
        return entry.last if entry else None

    def touch(self, slug: str) -> None:
        """Note that a user is here."""
        entry, now = self._entry(slug), self._clock()
        entry.used = now
        self._due.add(slug)
        if entry.tried is None or now - entry.tried >= EVERY:
            self._wanted.set()

    def session_ended(self, slug: str, session: str) -> bool:
        """Return whether a session was ended."""
        entry = self._entries.get(slug)
        key = _key(session)
        return entry is not None and (key in entry.ended or key in entry.unsent)

    async def end_session(self, slug: str, session: str, until: datetime) -> None:
        """End a session for all replicas; where the API is away, for this one until it is back."""
        self._entry(slug).unsent[_key(session)] = until
        self._due.add(slug)
        self.on_change(slug)
        await self._write(slug)

    async def fresh(self, slug: str) -> datetime | None:
        """Return last use by the Lease as it is now and by this process; raises RefusedError."""
        try:
            lease = await self._api.get(Kind.LEASE, self._namespace, LEASES + slug)
        except RefusedError as refused:
            if refused.code != NOT_FOUND:
                raise
        else:
            self.changed(self._namespace, lease)
        return self.last_used(slug)

    def replaced(self, namespace: str, items: Sequence[Live]) -> None:
        """Take all Leases of the namespace."""
        for item in items:
            self.changed(namespace, item)

    def changed(self, namespace: str, item: Live) -> None:
        """Take one Lease."""
        del namespace
        name = text(part(item, "metadata"), "name")
        if not name.startswith(LEASES):
            return
        entry = self._entry(name.removeprefix(LEASES))
        entry.written = moment(part(item, "spec"), "renewTime") or entry.written
        notes = part(item, "metadata", "annotations")
        entry.ended = {
            key: until
            for key in notes
            if key.startswith(_ENDED) and (until := moment(notes, key)) is not None
        }
        for key in entry.ended:
            entry.unsent.pop(key, None)
        self.on_change(entry.slug)

    def removed(self, namespace: str, item: Live) -> None:
        """Write a Lease again that somebody deleted: what it said is still true."""
        del namespace
        name = text(part(item, "metadata"), "name")
        entry = self._entries.get(name.removeprefix(LEASES)) if name.startswith(LEASES) else None
        if entry is None:
            return
        entry.used, entry.written, entry.tried = entry.last, None, None
        entry.unsent.update(entry.ended)
        if entry.used or entry.unsent:
            self._due.add(entry.slug)
            self._wanted.set()

    async def run(self) -> None:
        """Write what is due, until cancelled; then write the rest once."""
        try:
            while True:
                # Once a minute for last uses that came within a minute of the one before.
                wait = _RETRY if self._due else EVERY.total_seconds()
                # Not `wait_for`: before Python 3.12 it may lose a cancellation.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._wanted.wait()
                self._wanted.clear()
                await self.flush()
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_FLUSH):
                    await self.flush(final=True)

    async def flush(self, *, final: bool = False) -> None:
        """Write what is due now; with `final`, also what could wait."""
        now = self._clock()
        due = [slug for slug in self._due if final or self._ripe(self._entries[slug], now)]
        limit = asyncio.Semaphore(_AT_ONCE)

        async def write(slug: str) -> None:
            async with limit:
                await self._write(slug)

        await asyncio.gather(*(write(slug) for slug in due))

    def _ripe(self, entry: _Entry, now: datetime) -> bool:
        return bool(entry.unsent) or entry.tried is None or now - entry.tried >= EVERY

    async def _write(self, slug: str) -> None:
        """Write one user's entry; a refusal leaves it due."""
        entry = self._entry(slug)
        used, notes = self._news(entry), self._notes(entry)
        if used is None and not notes:
            self._due.discard(slug)
            return
        sent = dict(entry.unsent)
        if used is not None:
            entry.tried = self._clock()
        try:
            await self._send(slug, used, notes)
        except RefusedError as refused:
            self._metrics.failures.labels("ledger").inc()
            _LOG.warning("the Lease of %s is not written: %s", slug, refused)
            return
        entry.ended.update(sent)
        for key in sent:
            entry.unsent.pop(key, None)
        if used is not None and (entry.written is None or used > entry.written):
            entry.written = used
        if not entry.unsent and entry.last == entry.written:
            self._due.discard(slug)

    def _news(self, entry: _Entry) -> datetime | None:
        """Return last use where the Lease has an older one."""
        if entry.used is None or (entry.written is not None and entry.used <= entry.written):
            return None
        return entry.used

    def _notes(self, entry: _Entry) -> dict[str, str | None]:
        """Return what changes of the ended sessions; None takes one away."""
        now = self._clock()
        keep = entry.ended | entry.unsent
        over = {key for key, until in keep.items() if until + _MARGIN < now}
        left = sorted(keep.keys() - over, key=lambda key: keep[key])
        # Beyond the bound those go that would run out first by themselves.
        over.update(left[: max(0, len(left) - MOST_ENDED)])
        for key in over & entry.unsent.keys():
            del entry.unsent[key]
        gone: dict[str, str | None] = dict.fromkeys(over & entry.ended.keys())
        return gone | {key: stamp(until) for key, until in entry.unsent.items()}

    async def _send(self, slug: str, used: datetime | None, notes: dict[str, str | None]) -> None:
        asked: dict[str, Any] = {"metadata": {"annotations": notes}}
        if used is not None:
            asked["spec"] = {"renewTime": stamp(used)}
        name = LEASES + slug
        try:
            await self._api.patch_lease(self._namespace, name, asked)
        except RefusedError as refused:
            if refused.code != NOT_FOUND:
                raise
            asked["metadata"] = {
                "name": name,
                "labels": {names.LABEL_ENVIRONMENT: self._environment, names.LABEL_USER: slug},
                "annotations": {key: value for key, value in notes.items() if value is not None},
            }
            await self._api.create_lease(self._namespace, asked)

    def _entry(self, slug: str) -> _Entry:
        return self._entries.setdefault(slug, _Entry(slug))


def _key(session: str) -> str:
    """Return the annotation of an ended session; a hash, since ids may hold anything."""
    return _ENDED + hashlib.sha256(session.encode()).hexdigest()[:32]
