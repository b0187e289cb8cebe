"""Which replica puts runtimes to sleep: the holder of the Lease `door`.

No replica's clock is compared with another's. Whoever does not hold the Lease watches it stand
still for its whole length by a clock of its own before taking it, and every change names the
version it was decided on, so that of two who take it one is refused. The holder stops to count as
one well before others may take over, without asking anybody. Leaves out: what the leader does.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from door.control.kube import CONFLICT, NOT_FOUND, Api, Kind, RefusedError, version_of
from door.control.live import Live, number, part, stamp, text
from door.control.metrics import Metrics

LEASE = "door"
LENGTH = 30
"""Seconds without a renewal after which another replica may take the Lease."""
EVERY = 8.0
"""Seconds between renewals."""
_LED = 20.0
_LOG = logging.getLogger(__name__)


@dataclass(kw_only=True, slots=True)
class Leading:
    """One replica's view of the Lease."""

    api: Api
    namespace: str
    name: str
    """The replica's own, such as its pod's."""
    metrics: Metrics
    clock: Callable[[], datetime]
    steady: Callable[[], float] = time.monotonic
    _until: float = field(default=-1.0, init=False)
    _standing: tuple[str, float] | None = field(default=None, init=False)
    """The Lease's version as last seen, and since when by the steady clock."""

    @property
    def leads(self) -> bool:
        """Whether this replica is the one, for certain."""
        return self.steady() < self._until

    async def run(self) -> None:
        """Take the Lease and renew it, until cancelled; then give it back."""
        try:
            while True:
                await self.turn()
                await asyncio.sleep(EVERY)
        finally:
            await self.give_back()

    async def turn(self) -> None:
        """Look at the Lease once: renew it, take it, or leave it."""
        before, led = self.steady(), self.leads
        try:
            if await self._held():
                # From before the request: it may have taken long.
                self._until = before + _LED
        except RefusedError as refused:
            if refused.code == CONFLICT:
                self._until = -1.0
            else:
                self.metrics.failures.labels("lead").inc()
        if self.leads != led:
            _LOG.info("%s %s", self.name, "leads" if self.leads else "does not lead any more")
        self.metrics.leads.set(self.leads)

    async def give_back(self) -> None:
        """Let another replica take the Lease at once."""
        if not self.leads:
            return
        self._until = -1.0
        self.metrics.leads.set(0)
        try:
            lease = await self.api.get(Kind.LEASE, self.namespace, LEASE)
            if text(part(lease, "spec"), "holderIdentity") == self.name:
                await self._write(lease, {"holderIdentity": ""})
        except RefusedError:
            # It runs out by itself.
            return

    async def _held(self) -> bool:
        """Return whether the Lease is this replica's now; raises RefusedError."""
        now = stamp(self.clock())
        try:
            lease = await self.api.get(Kind.LEASE, self.namespace, LEASE)
        except RefusedError as refused:
            if refused.code != NOT_FOUND:
                raise
            spec = self._ours(now) | {"leaseTransitions": 0}
            await self.api.create_lease(self.namespace, {"metadata": {"name": LEASE}, "spec": spec})
            return True
        spec = part(lease, "spec")
        holder = text(spec, "holderIdentity")
        if holder == self.name:
            await self._write(lease, {"renewTime": now})
            return True
        if holder and not self._stands_still(version_of(lease)):
            return False
        taken = self._ours(now) | {"leaseTransitions": number(spec, "leaseTransitions") + 1}
        await self._write(lease, taken)
        return True

    def _ours(self, now: str) -> dict[str, Any]:
        return {
            "holderIdentity": self.name,
            "leaseDurationSeconds": LENGTH,
            "acquireTime": now,
            "renewTime": now,
        }

    def _stands_still(self, version: str) -> bool:
        if self._standing is None or self._standing[0] != version:
            self._standing = (version, self.steady())
        return self.steady() - self._standing[1] > LENGTH

    async def _write(self, lease: Live, spec: dict[str, Any]) -> None:
        asked = {"metadata": {"resourceVersion": version_of(lease)}, "spec": spec}
        await self.api.patch_lease(self.namespace, LEASE, asked)
