"""One Lease a user: last use, written seldom and seen everywhere; sessions that are over."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta

from door.control.ledger import MOST_ENDED, Ledger
from door.control.live import stamp
from door.control.metrics import Metrics
from tests.support.fakes.clock import Clock
from tests.support.fakes.live_api import LiveApi, live_api
from tests.support.fakes.live_pool import DOOR
from tests.support.fakes.waited import run, until


@asynccontextmanager
async def ledger(api: LiveApi, clock: Clock) -> AsyncGenerator[Ledger]:
    """A ledger that writes by itself."""
    found = Ledger(api.api(), DOOR, "test", clock, Metrics())
    task = asyncio.create_task(found.run())
    await asyncio.sleep(0)
    try:
        yield found
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def renewed(api: LiveApi, slug: str) -> str | None:
    """What a user's Lease says of last use."""
    lease = api.objects.get(("leases", DOOR, f"oc-{slug}"))
    return lease["spec"]["renewTime"] if lease else None


def notes(api: LiveApi, slug: str) -> dict[str, str]:
    """The annotations of a user's Lease."""
    return api.get("leases", DOOR, f"oc-{slug}")["metadata"]["annotations"]


def test_the_first_use_after_a_silence_is_written_at_once() -> None:
    async def main() -> None:
        clock = Clock()
        async with live_api() as api, ledger(api, clock) as found:
            found.touch("alice")
            await until("written", lambda: renewed(api, "alice") == stamp(clock.now))
            lease = api.get("leases", DOOR, "oc-alice")
            assert lease["metadata"]["labels"]["opencode-fleet/user"] == "alice"
            clock.on(minutes=5)
            found.touch("alice")
            await until("written again", lambda: renewed(api, "alice") == stamp(clock.now))

    run(main())


def test_use_within_a_minute_is_written_once_and_the_rest_at_the_end() -> None:
    async def main() -> None:
        clock = Clock()
        async with live_api() as api:
            async with ledger(api, clock) as found:
                found.touch("alice")
                await until("written", lambda: renewed(api, "alice"))
                first = stamp(clock.now)
                for _ in range(50):
                    clock.on(seconds=1)
                    found.touch("alice")
                    await found.flush()
                assert renewed(api, "alice") == first
                # One try to change what is not there, one to make it.
                assert len(api.requests("PATCH")) == len(api.requests("POST")) == 1
                assert found.last_used("alice") == clock.now
            # Nothing is lost when the process ends.
            assert renewed(api, "alice") == stamp(clock.now)

    run(main())


def test_use_is_written_a_minute_later_without_another_touch() -> None:
    async def main() -> None:
        clock = Clock()
        async with live_api() as api, ledger(api, clock) as found:
            found.touch("alice")
            await until("written", lambda: renewed(api, "alice"))
            last = clock.on(seconds=30)
            found.touch("alice")
            clock.on(seconds=40)
            await found.flush()
            assert renewed(api, "alice") == stamp(last)

    run(main())


def test_what_another_replica_wrote_later_is_not_set_back() -> None:
    async def main() -> None:
        clock = Clock()
        async with live_api() as api, ledger(api, clock) as found:
            later = clock.now + timedelta(minutes=3)
            found.changed(
                DOOR, {"metadata": {"name": "oc-alice"}, "spec": {"renewTime": stamp(later)}}
            )
            found.touch("alice")
            await found.flush()
            assert not api.requests("PATCH")
            assert found.last_used("alice") == later

    run(main())


def test_what_cannot_be_written_is_written_later() -> None:
    async def main() -> None:
        clock = Clock()
        async with live_api() as api, ledger(api, clock) as found:
            api.refuse["PATCH", "leases"] = 500
            found.touch("alice")
            await found.end_session("alice", "s1", clock.now + timedelta(days=1))
            assert found.session_ended("alice", "s1")
            assert renewed(api, "alice") is None
            api.refuse.clear()
            clock.on(minutes=2)
            await found.flush()
            assert renewed(api, "alice") is not None
            assert len(notes(api, "alice")) == 1

    run(main())


def test_a_lease_that_somebody_deleted_is_written_again() -> None:
    async def main() -> None:
        clock = Clock()
        async with live_api() as api, ledger(api, clock) as found:
            found.touch("alice")
            await found.end_session("alice", "s1", clock.now + timedelta(days=1))
            lease = api.get("leases", DOOR, "oc-alice")
            found.changed(DOOR, lease)
            api.remove("leases", DOOR, "oc-alice")
            found.removed(DOOR, lease)
            await until("it is back", lambda: renewed(api, "alice") == stamp(clock.now))
            assert len(notes(api, "alice")) == 1
            assert found.session_ended("alice", "s1")

    run(main())


def test_ended_sessions_are_dropped_when_they_would_have_run_out() -> None:
    async def main() -> None:
        clock = Clock()
        async with live_api() as api, ledger(api, clock) as found:
            await found.end_session("alice", "old", clock.now + timedelta(minutes=1))
            clock.on(minutes=2)
            await found.end_session("alice", "new", clock.now + timedelta(hours=1))
            # The clock of another replica may be behind: not yet.
            assert len(notes(api, "alice")) == 2
            clock.on(minutes=10)
            await found.end_session("alice", "newer", clock.now + timedelta(hours=1))
            assert len(notes(api, "alice")) == 2

    run(main())


def test_ended_sessions_are_bounded_and_the_longest_stay() -> None:
    async def main() -> None:
        clock = Clock()
        async with live_api() as api, ledger(api, clock) as found:
            many = {
                f"ended.opencode-fleet/{number:032x}": stamp(clock.now + timedelta(hours=number))
                for number in range(1, MOST_ENDED + 1)
            }
            lease = {
                "metadata": {"name": "oc-alice", "namespace": DOOR, "annotations": many},
                "spec": {},
            }
            found.changed(DOOR, api.put("leases", lease))
            await found.end_session("alice", "one more", clock.now + timedelta(days=7))
            assert len(notes(api, "alice")) == MOST_ENDED
            assert f"ended.opencode-fleet/{1:032x}" not in notes(api, "alice")
            assert found.session_ended("alice", "one more")

    run(main())


def test_leases_of_others_are_nobodys() -> None:
    async def main() -> None:
        clock = Clock()
        async with live_api() as api, ledger(api, clock) as found:
            lease = {"metadata": {"name": "door"}, "spec": {"renewTime": stamp(clock.now)}}
            found.replaced(DOOR, [lease])
            assert found.last_used("door") is None

    run(main())
