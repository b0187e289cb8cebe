"""The World as a cluster shows it: people, their runtimes, and what is asked of both.

Everything is answered from memory, which the watches keep; what they knew last goes on serving
while the API server is away. Holds no state that is not in the cluster but what it is about to
write. Leaves out: what the objects mean (`roster`, `phases`), scaling (`waking`), Leases
(`ledger`), who sleeps when (`idling`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from door.control import names
from door.control.hours import next_stretch
from door.control.kube import Api, Kind
from door.control.ledger import Ledger
from door.control.metrics import Metrics
from door.control.phases import Judged, judge
from door.control.roster import Person, told_apart
from door.control.settings import Settings
from door.control.stores import Deployments, Place, Pods
from door.control.waking import Scaler, Target
from door.control.watching import QUIET, Watch, Watched
from door.control.world import NotWakingError, Phase, Runtime, Wanted

# Seconds without news after which somebody who waits has everything listed again.
_IMPATIENT = 5.0
_LOG = logging.getLogger(__name__)


def utc_now() -> datetime:
    """Return the time, with its zone."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was read of one user."""

    person: Person
    judged: Judged
    runtime: Runtime


class ClusterWorld:
    """The World protocol (`door.control.world`) on a cluster's API; `run` keeps it up to date."""

    def __init__(
        self,
        api: Api,
        settings: Settings,
        metrics: Metrics | None = None,
        clock: Callable[[], datetime] = utc_now,
        quiet: float = QUIET,
    ) -> None:
        self.metrics = metrics or Metrics()
        self.clock = clock
        self.ledger = Ledger(api, settings.namespace, settings.environment, clock, self.metrics)
        self.ledger.on_change = self._used
        self.scaler = Scaler(api, self.metrics)
        self._people = Deployments(self._person_changed)
        self._pods = Pods(self._pod_changed)
        self._watches = self._watched(api, settings, quiet)
        self._seen: dict[str, _Seen] = {}
        self._roster: dict[str, Person] = {}
        self._by_login: dict[str, str] = {}
        self._by_slug: dict[str, str] = {}
        self._by_place: dict[Place, str] = {}
        self._stale_roster = True
        self._changed = asyncio.Event()
        self._version = 0
        self.task: asyncio.Task[None] | None = None
        """What runs everything, once it does (`opening`)."""
        self._waking: dict[str, asyncio.Task[None]] = {}
        self._asked: dict[str, float] = {}
        """When a pod was asked for that is not ready yet (monotonic), by user."""

    async def run(self) -> None:
        """Keep watching and writing, until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                for watch in self._watches:
                    group.create_task(watch.run())
                group.create_task(self.ledger.run())
        finally:
            for task in list(self._waking.values()):
                task.cancel()

    async def known(self) -> None:
        """Wait until everything was read once; before, nobody must be told who there is."""
        for watch in self._watches:
            await watch.known.wait()

    @property
    def ready(self) -> bool:
        """Whether everything was read once; an API server that goes away changes nothing."""
        return all(watch.known.is_set() for watch in self._watches)

    @property
    def alive(self) -> bool:
        """Whether the loops run; a process in which they do not is to be restarted."""
        return self.task is None or not self.task.done()

    @property
    def stale(self) -> float:
        """Seconds since the API was last heard, of the watch that waits longest."""
        return max((watch.stale for watch in self._watches), default=0.0)

    def people(self) -> Sequence[Runtime]:
        """Return everybody, ordered by id."""
        return [self._look(person).runtime for person in self._all().values()]

    def by_id(self, user_id: str) -> Runtime | None:
        """Return a user by the exact id."""
        person = self._all().get(user_id)
        return self._look(person).runtime if person else None

    def by_login(self, login: str) -> Runtime | None:
        """Return a user by login; nobody where two have the same."""
        self._all()
        return self.by_id(self._by_login[login]) if login in self._by_login else None

    def by_slug(self, slug: str) -> Runtime | None:
        """Return a user by the first label of a host name."""
        self._all()
        return self.by_id(self._by_slug[slug]) if slug in self._by_slug else None

    def judged(self, user_id: str) -> Judged | None:
        """Return what a user's pods do, with what the World does not tell."""
        person = self._all().get(user_id)
        return self._look(person).judged if person else None

    def touch(self, user_id: str) -> None:
        """Note that the user has just used the runtime."""
        person = self._all().get(user_id)
        if person is not None:
            self._forget(user_id)
            self.ledger.touch(person.slug)

    async def wake(self, user_id: str, why: str = "asked") -> None:
        """Ask for a pod and return at once; raises NotWakingError.

        Where the former pod still ends the next is asked for when it has.
        """
        runtime = self._needed(user_id)
        if runtime.wanted is Wanted.SUSPENDED:
            raise NotWakingError("it is suspended by the administrators")
        if user_id in self._waking or runtime.replicas == 1:
            return
        task = asyncio.create_task(self._wake(user_id, why))
        self._waking[user_id] = task
        task.add_done_callback(lambda done: self._woken(user_id, done))
        self._changes(user_id)
        judged = self.judged(user_id)
        if judged is None or judged.gone:
            await asyncio.shield(task)

    async def wait_ready(self, user_id: str, timeout: float) -> Runtime:
        """Wait up to `timeout` seconds for a ready runtime; raises NotWakingError."""
        end = time.monotonic() + timeout
        while True:
            runtime = self._needed(user_id)
            if runtime.phase is Phase.READY:
                return runtime
            left = end - time.monotonic()
            if runtime.phase is Phase.SUSPENDED or left <= 0:
                why = "it is suspended" if runtime.phase is Phase.SUSPENDED else "it is not ready"
                raise NotWakingError(runtime.reason or why)
            if not await self._news(min(left, _IMPATIENT)):
                for watch in self._watches:
                    watch.poke()

    async def sleep(self, user_id: str, why: str = "asked") -> None:
        """Take the pod away; all else stays. Raises NotWakingError where the cluster refuses."""
        person = self._person(user_id)
        if await self.scaler.sleep(_target(person)):
            self._asked.pop(user_id, None)
            self.metrics.sleeps.labels(why).inc()
            _LOG.info("%s sleeps (%s)", person.slug, why)

    async def restart(self, user_id: str) -> None:
        """Take the pod away, wait for its end, ask for a new one; raises NotWakingError."""
        person = self._person(user_id)
        await self.scaler.restart(_target(person))
        self._asked[user_id] = time.monotonic()
        self.metrics.restarts.inc()

    def session_ended(self, user_id: str, session_id: str) -> bool:
        """Return whether a session was signed out, on any replica."""
        person = self._all().get(user_id)
        return person is not None and self.ledger.session_ended(person.slug, session_id)

    async def end_session(self, user_id: str, session_id: str, until: datetime) -> None:
        """Remember for all replicas that a session is over, until it would have expired anyway."""
        person = self._all().get(user_id)
        if person is not None:
            await self.ledger.end_session(person.slug, session_id, until)

    async def changes(self) -> AsyncIterator[None]:
        """Yield whenever anything may have changed; what happens meanwhile is told as one."""
        told = self._version
        while True:
            while told == self._version:
                await self._changed.wait()
            told = self._version
            yield None

    def _watched(self, api: Api, settings: Settings, quiet: float) -> list[Watch]:
        labels = {names.LABEL_ENVIRONMENT: settings.environment}
        found = [
            Watch(api, Watched(kind=kind, namespace=pool, labels=labels, quiet=quiet), receiver)
            for pool in settings.pools
            for kind, receiver in ((Kind.DEPLOYMENT, self._people), (Kind.POD, self._pods))
        ]
        leases = Watched(kind=Kind.LEASE, namespace=settings.namespace, quiet=quiet)
        return [*found, Watch(api, leases, self.ledger)]

    def _all(self) -> Mapping[str, Person]:
        if self._stale_roster:
            people = list(self._people.found.values())
            self._roster = told_apart(people)
            logins = Counter(person.login for person in self._roster.values())
            self._by_login = {
                person.login: person.id
                for person in self._roster.values()
                if logins[person.login] == 1
            }
            self._by_slug = {person.slug: person.id for person in reversed(self._roster.values())}
            self._by_place = {
                (person.namespace, person.name): person.id for person in self._roster.values()
            }
            self._stale_roster = False
        return self._roster

    def _look(self, person: Person) -> _Seen:
        """Return what is known of a person, read anew where anything changed."""
        seen = self._seen.get(person.id)
        if seen is not None and seen.person is person and not self._overdue(seen.runtime):
            return seen
        judged = judge(person, self._pods.of(person.namespace, person.name))
        if person.id in self._waking and judged.phase is Phase.ASLEEP:
            reason = "a pod is being asked for" if judged.gone else "its former pod is still ending"
            judged = replace(judged, phase=Phase.STARTING, reason=reason)
        seen = _Seen(person, judged, self._runtime(person, judged))
        self._seen[person.id] = seen
        if judged.phase is Phase.READY and person.id in self._asked:
            self.metrics.wake_seconds.observe(time.monotonic() - self._asked.pop(person.id))
        return seen

    def _overdue(self, runtime: Runtime) -> bool:
        return runtime.next_wake is not None and runtime.next_wake <= self.clock()

    def _runtime(self, person: Person, judged: Judged) -> Runtime:
        awake = person.hours if person.wanted is Wanted.ACTIVE else None
        ahead = next_stretch(awake, self.clock()) if awake else None
        return Runtime(
            id=person.id,
            slug=person.slug,
            name=person.name,
            namespace=person.namespace,
            display_name=person.display_name,
            login=person.login,
            admin=person.admin,
            scenes=person.scenes,
            password_version=person.password_version,
            wanted=person.wanted,
            phase=judged.phase,
            reason=judged.reason,
            address=judged.address,
            replicas=person.replicas,
            suspend_after=person.suspend_after,
            hours=person.hours,
            last_used=self.ledger.last_used(person.slug),
            next_wake=ahead.wake if ahead else None,
        )

    async def _wake(self, user_id: str, why: str) -> None:
        person = self._person(user_id)
        if await self.scaler.wake(_target(person)):
            self.metrics.wakes.labels(why).inc()
            self._asked[user_id] = time.monotonic()
            _LOG.info("%s is woken (%s)", person.slug, why)

    def _woken(self, user_id: str, task: asyncio.Task[None]) -> None:
        self._waking.pop(user_id, None)
        # The caller of `wake` has the error where it waited; else the log has it.
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOG.warning("%s is not woken: %s", user_id, error)
        self._changes(user_id)

    def _person(self, user_id: str) -> Person:
        person = self._all().get(user_id)
        if person is None:
            raise NotWakingError("there is no such user")
        return person

    def _needed(self, user_id: str) -> Runtime:
        return self._look(self._person(user_id)).runtime

    async def _news(self, seconds: float) -> bool:
        """Wait for a change; return whether one came."""
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True

    def _person_changed(self) -> None:
        self._stale_roster = True
        self._tell()

    def _pod_changed(self, namespace: str, name: str) -> None:
        self._all()
        user_id = self._by_place.get((namespace, name))
        if user_id is not None:
            self._forget(user_id)
            if user_id in self._asked:
                self.by_id(user_id)
        self._tell()

    def _used(self, slug: str) -> None:
        self._all()
        if slug in self._by_slug:
            self._changes(self._by_slug[slug])

    def _changes(self, user_id: str) -> None:
        self._forget(user_id)
        self._tell()

    def _forget(self, user_id: str) -> None:
        self._seen.pop(user_id, None)

    def _tell(self) -> None:
        self._version += 1
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


def _target(person: Person) -> Target:
    return Target(namespace=person.namespace, name=person.name, slug=person.slug)
