"""Who is put to sleep, and who is woken for working hours."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from door.control.cluster import ClusterWorld
from door.control.hours import parse_hours
from door.control.idling import Idler, Step, step_for
from door.control.ledger import EVERY
from door.control.live import stamp
from door.control.phases import Judged
from door.control.world import Phase, Runtime, Wanted
from tests.support.fakes.clock import Clock
from tests.support.fakes.live_api import LiveApi, live_api
from tests.support.fakes.live_pool import DOOR, Pool, live_settings
from tests.support.fakes.waited import run, until

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
"""A Thursday."""
HOURS = parse_hours(
    json.dumps({"zone": "UTC", "days": ["thu", "fri"], "start": "09:00", "end": "18:00"})
)
AWAKE = Runtime(
    id="alice",
    slug="alice",
    name="oc-alice",
    namespace="p",
    display_name="Alice",
    login="alice",
    admin=False,
    scenes=(),
    password_version=1,
    wanted=Wanted.ACTIVE,
    phase=Phase.READY,
    reason=None,
    address="10.0.0.1",
    replicas=1,
    suspend_after=timedelta(hours=2),
    hours=None,
    last_used=NOON,
    next_wake=None,
)
ASLEEP = replace(AWAKE, replicas=0, phase=Phase.ASLEEP, address=None)
OLD = Judged(phase=Phase.READY, since=NOON - timedelta(days=3), runs=True, gone=False)
GONE = Judged(phase=Phase.ASLEEP)


def at(text: str, day: int = 26) -> datetime:
    """A time of a day in November 2026; the 26th is a Thursday."""
    return datetime.fromisoformat(f"2026-11-{day:02}T{text}+00:00")


def step(runtime: Runtime, now: datetime, judged: Judged = OLD) -> Step | None:
    """What is due."""
    plan = step_for(runtime, judged, now)
    return plan.step if plan else None


def test_a_runtime_sleeps_once_it_was_unused_for_as_long_as_it_says() -> None:
    assert step(AWAKE, NOON + timedelta(hours=1, minutes=59)) is None
    assert step(AWAKE, NOON + timedelta(hours=2)) is Step.SLEEP_UNUSED


def test_a_runtime_that_does_not_say_so_never_sleeps() -> None:
    never = replace(AWAKE, suspend_after=None)
    assert step(never, NOON + timedelta(days=300)) is None


def test_a_runtime_nobody_ever_used_sleeps_by_the_age_of_its_pod() -> None:
    unused = replace(AWAKE, last_used=None)
    young = replace(OLD, since=NOON)
    assert step(unused, NOON + timedelta(hours=1), young) is None
    assert step(unused, NOON + timedelta(hours=2), young) is Step.SLEEP_UNUSED


def test_a_runtime_that_was_just_woken_is_not_put_to_sleep_again() -> None:
    woken = replace(OLD, since=NOON + timedelta(days=1))
    assert step(AWAKE, NOON + timedelta(days=1, minutes=5), woken) is None


def test_a_runtime_that_the_stack_file_suspends_is_left_alone() -> None:
    suspended = replace(AWAKE, wanted=Wanted.SUSPENDED)
    assert step(suspended, NOON + timedelta(days=9)) is None


def test_a_clock_of_another_replica_that_is_ahead_puts_nobody_to_sleep() -> None:
    ahead = replace(AWAKE, last_used=NOON + timedelta(minutes=2))
    assert step(ahead, NOON) is None


def test_within_working_hours_nobody_is_put_to_sleep() -> None:
    working = replace(AWAKE, hours=HOURS, last_used=at("08:00"), suspend_after=timedelta(hours=1))
    assert step(working, at("17:59")) is None


def test_after_working_hours_whoever_was_not_here_lately_sleeps() -> None:
    working = replace(AWAKE, hours=HOURS, suspend_after=None)
    left_early = replace(working, last_used=at("16:30"))
    assert step(left_early, at("18:00")) is Step.SLEEP_AFTER_HOURS
    stays_late = replace(working, last_used=at("17:50"))
    assert step(stays_late, at("18:30")) is None
    assert step(stays_late, at("18:50")) is Step.SLEEP_AFTER_HOURS


def test_a_sleeping_runtime_is_woken_ten_minutes_before_its_hours() -> None:
    sleeping = replace(ASLEEP, hours=HOURS)
    assert step(sleeping, at("08:49"), GONE) is None
    assert step(sleeping, at("08:50"), GONE) is Step.WAKE
    assert step(sleeping, at("09:04"), GONE) is Step.WAKE


def test_whoever_is_put_to_sleep_in_the_middle_of_the_day_stays_asleep() -> None:
    assert step(replace(ASLEEP, hours=HOURS), at("11:00"), GONE) is None


def test_on_a_day_without_hours_nobody_is_woken() -> None:
    assert step(replace(ASLEEP, hours=HOURS), at("08:55", day=28), GONE) is None


@dataclass
class Asks:
    """Says why runtimes are busy, as a test wants it."""

    why: str | None = None
    asked: list[str] = field(default_factory=list[str])

    async def why_busy(self, runtime: Runtime) -> str | None:
        """Answer."""
        self.asked.append(runtime.id)
        return self.why


@dataclass
class Leads:
    """Whether this replica leads, as a test wants it."""

    leads: bool = True


@dataclass
class Scene:
    """One replica's idler, and what it works on."""

    api: LiveApi
    pool: Pool
    world: ClusterWorld
    idler: Idler
    asks: Asks
    leads: Leads
    clock: Clock

    def metrics(self) -> str:
        """What Prometheus is told."""
        return self.world.metrics.render(self.world.people(), self.world.stale).decode()


@asynccontextmanager
async def scene(notes: Mapping[str, str], *, replicas: int = 1) -> AsyncGenerator[Scene]:
    """Alice's runtime, made now, and an idler that looks when a test says so."""
    clock = Clock(datetime.now(UTC))
    async with live_api() as api:
        pool = Pool(api)
        pool.add("alice", dict(notes), replicas=replicas)
        world = ClusterWorld(api.api(), live_settings(), clock=clock)
        tasks = [asyncio.create_task(world.run()), asyncio.create_task(pool.by_itself())]
        asks, leads = Asks(), Leads()
        try:
            await asyncio.wait_for(world.known(), 10)
            idler = Idler(world, asks, leads)
            yield Scene(api, pool, world, idler, asks, leads, clock)
        finally:
            for task in tasks:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task


UNUSED = {"suspend-after": "3600"}


def phase_of(it: Scene) -> Phase:
    """What alice's runtime does."""
    found = it.world.by_id("alice")
    assert found is not None
    return found.phase


def test_an_unused_runtime_is_put_to_sleep() -> None:
    async def main() -> None:
        async with scene(UNUSED) as it:
            await it.idler.look()
            assert it.pool.replicas("alice") == 1
            assert not it.asks.asked
            it.clock.on(hours=1, minutes=1)
            await it.idler.look()
            assert it.pool.replicas("alice") == 0
            assert 'door_sleeps_total{why="unused"} 1.0' in it.metrics()

    run(main())


def test_use_keeps_a_runtime_awake() -> None:
    async def main() -> None:
        async with scene(UNUSED) as it:
            for _ in range(4):
                it.clock.on(minutes=59)
                it.world.touch("alice")
                await it.idler.look()
            assert it.pool.replicas("alice") == 1

    run(main())


def test_a_runtime_at_work_is_left_alone_and_asked_again_later() -> None:
    async def main() -> None:
        async with scene(UNUSED) as it:
            it.asks.why = "chat"
            it.clock.on(hours=2)
            await it.idler.look()
            await it.idler.look()
            assert it.pool.replicas("alice") == 1
            assert len(it.asks.asked) == 1
            assert 'door_kept_awake_total{why="chat"} 1.0' in it.metrics()
            it.asks.why = None
            it.clock.on(minutes=3)
            await it.idler.look()
            assert it.pool.replicas("alice") == 0

    run(main())


def test_a_replica_that_does_not_lead_touches_nobody() -> None:
    async def main() -> None:
        async with scene(UNUSED) as it:
            it.leads.leads = False
            it.clock.on(hours=2)
            await it.idler.look()
            assert it.pool.replicas("alice") == 1

    run(main())


def test_nobody_is_put_to_sleep_by_what_may_be_old() -> None:
    async def main() -> None:
        async with scene(UNUSED) as it:
            it.clock.on(hours=2)
            await it.api.stop()
            await until("it is noticed", lambda: it.world.stale > 0)
            await it.idler.look()
            assert not it.asks.asked
            await it.api.start()

    run(main())


def test_whoever_comes_through_another_replica_meanwhile_is_not_put_to_sleep() -> None:
    """Its Lease says so; this replica's watch has not told yet."""

    async def main() -> None:
        async with scene(UNUSED) as it:
            it.clock.on(hours=2)
            name = "oc-alice"
            lease = {
                "metadata": {"name": name, "namespace": DOOR, "resourceVersion": "77"},
                "spec": {"renewTime": stamp(it.clock.now)},
            }
            it.api.objects["leases", DOOR, name] = lease
            await it.idler.look()
            assert it.asks.asked == ["alice"]
            assert it.pool.replicas("alice") == 1

    run(main())


def test_whoever_comes_in_the_very_moment_gets_the_pod_back() -> None:
    async def main() -> None:
        async with scene(UNUSED) as it:
            it.clock.on(hours=2)

            def comes(method: str, kind: str, name: str) -> None:
                if (method, kind) == ("PATCH", "deployments"):
                    it.api.before_write = None
                    spec = {"renewTime": stamp(it.clock.now)}
                    metadata = {"name": name, "namespace": DOOR}
                    it.api.put("leases", {"metadata": metadata, "spec": spec})

            it.api.before_write = comes
            await it.idler.look()
            await until("it is back", lambda: it.pool.replicas("alice") == 1)
            found = await it.world.wait_ready("alice", 10)
            assert found.phase is Phase.READY
            assert it.pool.most == 1

    run(main())


def test_a_pod_in_which_nothing_ever_ran_is_taken_away_unasked() -> None:
    async def main() -> None:
        async with scene(UNUSED) as it:
            it.pool.end("alice")
            full = {"type": "PodScheduled", "status": "False", "message": "Insufficient memory"}
            it.pool.make_pod("alice", ready=False, conditions=[full], containerStatuses=[])
            await until("it fails", lambda: phase_of(it) is Phase.FAILING)
            it.asks.why = "silent"
            it.clock.on(hours=2)
            await it.idler.look()
            assert it.pool.replicas("alice") == 0
            assert not it.asks.asked

    run(main())


def test_working_hours_wake_once_and_tell_when_they_wake_next() -> None:
    async def main() -> None:
        soon = datetime.now(UTC) + timedelta(hours=1)
        soon = soon.replace(second=0, microsecond=0)
        hours = {
            "zone": "UTC",
            "days": list(range(7)),
            "start": f"{soon:%H:%M}",
            "end": f"{soon + timedelta(hours=2):%H:%M}",
        }
        async with scene({"hours": json.dumps(hours)}, replicas=0) as it:
            found = it.world.by_id("alice")
            assert found is not None
            assert found.next_wake == soon - timedelta(minutes=10)
            it.clock.now = soon - timedelta(minutes=9)
            await it.idler.look()
            await it.world.wait_ready("alice", 10)
            found = it.world.by_id("alice")
            assert found is not None
            assert found.next_wake == soon + timedelta(days=1, minutes=-10)
            # Put to sleep by hand right after: it is meant.
            await it.world.sleep("alice")
            await until("asleep", lambda: not it.pool.pods("alice"))
            await until("seen", lambda: phase_of(it) is Phase.ASLEEP)
            await it.idler.look()
            assert it.pool.replicas("alice") == 0
            assert 'door_wakes_total{why="hours"} 1.0' in it.metrics()

    run(main())


def test_last_use_is_written_more_often_than_the_shortest_idle_time() -> None:
    """Or somebody at work would look unused to another replica."""
    assert timedelta(minutes=10) > 2 * EVERY
