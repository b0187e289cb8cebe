"""Who is put to sleep, and who is woken for working hours.

A runtime sleeps when nobody has used it for as long as its `suspend-after` says and it is not at
work. Within working hours it is left awake; after them it sleeps when it was not used for
`AFTER_HOURS`. Waking ahead is tried in the minutes around the start only, once: whoever puts a
runtime to sleep in the middle of the day meant it. One replica does this at a time (`leading`).
Before a pod is taken away the user's Lease is read again, and again afterwards: whoever came
through another replica in that moment gets the pod back. Leaves out: what is use (`use`), what is
work (`busy`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from door.control.cluster import ClusterWorld
from door.control.hours import stretch_at
from door.control.kube import RefusedError
from door.control.phases import Judged
from door.control.world import NotWakingError, Phase, Runtime, Wanted

EVERY = 20.0
"""Seconds between two looks at everybody."""
AFTER_HOURS = timedelta(hours=1)
LATE = timedelta(minutes=5)
"""Waking for working hours is made up for until so long after their start."""
ASK_AGAIN = timedelta(minutes=2)
"""A runtime that was at work is asked again after so long."""
_AT_ONCE = 8
_LOG = logging.getLogger(__name__)


class Step(StrEnum):
    """What is to be done with a runtime."""

    WAKE = "hours"
    SLEEP_UNUSED = "unused"
    SLEEP_AFTER_HOURS = "after-hours"


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """One step, and since when it has been due."""

    step: Step
    since: datetime


class Asks(Protocol):
    """Who knows whether a runtime is at work."""

    async def why_busy(self, runtime: Runtime) -> str | None:
        """Return why a runtime must not be stopped, None when it may."""
        ...


class Leads(Protocol):
    """Who knows whether this replica is the one."""

    @property
    def leads(self) -> bool:
        """Whether this replica is the one, for certain."""
        ...


def step_for(runtime: Runtime, judged: Judged, now: datetime) -> Plan | None:
    """Decide what is due for a runtime, work in it not counted; pure."""
    if runtime.wanted is not Wanted.ACTIVE:
        return None
    stretch = stretch_at(runtime.hours, now) if runtime.hours else None
    if runtime.replicas == 0:
        if stretch is not None and now < stretch.start + LATE:
            return Plan(step=Step.WAKE, since=stretch.wake)
        return None
    if stretch is not None or judged.since is None:
        return None
    unused = _limit(runtime)
    if unused is None:
        return None
    step, limit = unused
    last = max(filter(None, (runtime.last_used, judged.since)))
    return Plan(step=step, since=last + limit) if now - last >= limit else None


def _limit(runtime: Runtime) -> tuple[Step, timedelta] | None:
    """Return after how long without use a runtime sleeps outside of working hours."""
    if runtime.hours is not None:
        longest = runtime.suspend_after or AFTER_HOURS
        return Step.SLEEP_AFTER_HOURS, min(longest, AFTER_HOURS)
    if runtime.suspend_after is not None:
        return Step.SLEEP_UNUSED, runtime.suspend_after
    return None


class Idler:
    """Looks at everybody now and then, where this replica is the one."""

    def __init__(self, world: ClusterWorld, asks: Asks, leading: Leads) -> None:
        self._world = world
        self._asks = asks
        self._leading = leading
        self._clock: Callable[[], datetime] = world.clock
        self._later: dict[str, datetime] = {}
        """Runtimes that were at work: when to ask them again."""
        self._woken: dict[str, datetime] = {}
        """Runtimes woken for working hours: for which, by when they were due."""

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(EVERY)
            await self.look()

    async def look(self) -> None:
        """Look at everybody once."""
        if not self._leading.leads or self._world.stale:
            # What is known may be old: nobody is put to sleep by it.
            return
        now = self._clock()
        for memory in (self._later, self._woken):
            for user_id in [key for key, at in memory.items() if now - at > timedelta(days=1)]:
                del memory[user_id]
        limit = asyncio.Semaphore(_AT_ONCE)

        async def act(runtime: Runtime, plan: Plan) -> None:
            async with limit:
                try:
                    await self._act(runtime, plan)
                except (NotWakingError, RefusedError) as error:
                    self._world.metrics.failures.labels("idle").inc()
                    _LOG.warning("%s: %s: %s", runtime.slug, plan.step, error)

        due = ((runtime, self._due(runtime, now)) for runtime in self._world.people())
        await asyncio.gather(*(act(runtime, plan) for runtime, plan in due if plan is not None))

    def _due(self, runtime: Runtime, now: datetime) -> Plan | None:
        judged = self._world.judged(runtime.id)
        plan = step_for(runtime, judged, now) if judged is not None else None
        if plan is None:
            return None
        if plan.step is Step.WAKE:
            return None if self._woken.get(runtime.id) == plan.since else plan
        return None if now < self._later.get(runtime.id, now) else plan

    async def _act(self, runtime: Runtime, plan: Plan) -> None:
        if not self._leading.leads:
            return
        if plan.step is Step.WAKE:
            await self._world.wake(runtime.id, plan.step)
            self._woken[runtime.id] = plan.since
            return
        why = await self._why_not(runtime)
        if why is not None:
            self._world.metrics.kept_awake.labels(why).inc()
            self._later[runtime.id] = self._clock() + ASK_AGAIN
            return
        await self._sleep(runtime, plan)

    async def _why_not(self, runtime: Runtime) -> str | None:
        """Return why an unused runtime stays awake; what never ran has no work to lose."""
        judged = self._world.judged(runtime.id)
        if judged is not None and not judged.runs and runtime.phase is not Phase.READY:
            return None
        return await self._asks.why_busy(runtime)

    async def _sleep(self, runtime: Runtime, plan: Plan) -> None:
        """Put a runtime to sleep, unless somebody has come meanwhile."""
        before = await self._world.ledger.fresh(runtime.slug)
        judged, again = self._world.judged(runtime.id), self._world.by_id(runtime.id)
        if judged is None or again is None or not self._leading.leads:
            return
        still = step_for(again, judged, self._clock())
        if still is None or still.step is Step.WAKE:
            return
        await self._world.sleep(runtime.id, plan.step)
        if await self._world.ledger.fresh(runtime.slug) != before:
            await self._world.wake(runtime.id, "came-back")
