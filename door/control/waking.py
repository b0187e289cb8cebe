"""Scaling one runtime: 1 to wake it, 0 to put it to sleep, and never two pods of one user.

Every change names the version of the Deployment it was decided on, so that of two replicas that
decide at once the second looks again. A pod that still ends is waited for before the next is asked
for: both would write one database. Leaves out: who is to be woken or put to sleep (`idling`,
sign-in), what the cluster shows (`cluster`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from door.control import names
from door.control.kube import CONFLICT, NOT_FOUND, Api, Kind, RefusedError, version_of
from door.control.live import Live
from door.control.metrics import Metrics
from door.control.phases import PodFacts, pod_facts
from door.control.roster import Person, person_of
from door.control.world import NotWakingError, Wanted

_TRIES = 5
_PAUSE = 0.5
END_SECONDS = 120.0
"""A pod gets 30 seconds to end; a node that is away ends none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A runtime's Deployment."""

    namespace: str
    name: str
    slug: str


class Scaler:
    """Scales Deployments. Methods raise NotWakingError with one line for people."""

    def __init__(self, api: Api, metrics: Metrics) -> None:
        self._api = api
        self._metrics = metrics

    async def wake(self, target: Target, ends: float = END_SECONDS) -> bool:
        """Ask for a pod when the former has ended; return whether there was none asked for."""
        try:
            if await self._settled(target):
                return False
            await self._until_gone(target, lambda _: True, ends)
            return await self._scale(target, 1)
        except RefusedError as refused:
            raise self._told("wake", refused) from refused

    async def sleep(self, target: Target) -> bool:
        """Take the pod away; return whether there was one asked for."""
        try:
            return await self._scale(target, 0)
        except RefusedError as refused:
            raise self._told("sleep", refused) from refused

    async def restart(self, target: Target, ends: float = END_SECONDS) -> None:
        """Take the pod away and ask for another when it has ended."""
        try:
            self._checked(await self._get(target))
            former = {pod.name for pod in await self._pods(target)}
            await self._scale(target, 0)
            await self._until_gone(target, lambda pod: pod.name in former, ends)
            await self._scale(target, 1)
        except RefusedError as refused:
            raise self._told("restart", refused) from refused

    async def _settled(self, target: Target) -> bool:
        """Return whether a pod is asked for already."""
        return self._checked(await self._get(target)).replicas == 1

    async def _scale(self, target: Target, replicas: int) -> bool:
        """Set the replicas; return whether they were others."""
        for _ in range(_TRIES):
            live = await self._get(target)
            person = person_of(live)
            if replicas:
                person = self._checked(live)
            if person is None or person.replicas == replicas:
                return False
            try:
                await self._api.scale(target.namespace, target.name, replicas, version_of(live))
            except RefusedError as refused:
                if refused.code != CONFLICT:
                    raise
                await asyncio.sleep(_PAUSE / 10)
            else:
                return True
        raise RefusedError(CONFLICT, "somebody else changes it at the same time, again and again")

    async def _get(self, target: Target) -> Live:
        return await self._api.get(Kind.DEPLOYMENT, target.namespace, target.name)

    def _checked(self, live: Live) -> Person:
        """Return whose Deployment it is, where the door may wake it."""
        person = person_of(live)
        if person is None:
            raise NotWakingError("its Deployment is no runtime's")
        if person.wanted is Wanted.SUSPENDED:
            raise NotWakingError("it is suspended by the administrators")
        if person.held:
            raise NotWakingError(person.problems[0])
        return person

    async def _pods(self, target: Target) -> list[PodFacts]:
        """Return the pods of a user that run or still end, asked now: a watch is a little late."""
        items, _ = await self._api.list(Kind.POD, target.namespace, {names.LABEL_USER: target.slug})
        facts = (pod_facts(item) for item in items)
        return [pod for pod in facts if pod and pod.owner == target.name and not pod.over]

    async def _until_gone(
        self, target: Target, which: Callable[[PodFacts], bool], seconds: float
    ) -> None:
        """Wait for the end of pods."""
        end = asyncio.get_running_loop().time() + seconds
        while any(which(pod) for pod in await self._pods(target)):
            if asyncio.get_running_loop().time() > end:
                raise NotWakingError("its former pod does not end; its node may be away")
            await asyncio.sleep(_PAUSE)

    def _told(self, what: str, refused: RefusedError) -> NotWakingError:
        self._metrics.failures.labels(what).inc()
        if refused.code == NOT_FOUND:
            return NotWakingError("its Deployment is not there")
        if refused.code:
            return NotWakingError(f"the cluster refuses: {refused}")
        return NotWakingError(str(refused))
