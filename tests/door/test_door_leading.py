"""Of two replicas one leads, and they never compare clocks."""

from __future__ import annotations

from datetime import timedelta

from door.control.leading import EVERY, LENGTH, Leading
from door.control.metrics import Metrics
from tests.support.fakes.clock import Clock
from tests.support.fakes.live_api import LiveApi, live_api
from tests.support.fakes.live_pool import DOOR
from tests.support.fakes.waited import run


def replica(api: LiveApi, name: str, steady: Clock, wall: Clock | None = None) -> Leading:
    """A replica with a clock of its own; `steady` is the time that passes."""
    return Leading(
        api=api.api(),
        namespace=DOOR,
        name=name,
        metrics=Metrics(),
        clock=wall or steady,
        steady=steady.steady,
    )


def test_one_of_two_leads_and_the_other_waits() -> None:
    async def main() -> None:
        time = Clock()
        async with live_api() as api:
            one, two = replica(api, "one", time), replica(api, "two", time)
            for _ in range(20):
                await one.turn()
                await two.turn()
                assert (one.leads, two.leads) == (True, False)
                time.on(seconds=EVERY)

    run(main())


def test_of_two_who_take_it_at_once_one_leads() -> None:
    """The second writes between the first one's look and its change."""

    async def main() -> None:
        time = Clock()
        async with live_api() as api:
            one, two = replica(api, "one", time), replica(api, "two", time)
            gone = {"metadata": {"name": "door", "namespace": DOOR}, "spec": {"holderIdentity": ""}}
            api.put("leases", gone)

            def other_first(method: str, kind: str, name: str) -> None:
                del method, kind, name
                api.before_write = None
                api.change("leases", DOOR, "door", spec={"holderIdentity": "two"})

            api.before_write = other_first
            await one.turn()
            await two.turn()
            assert (one.leads, two.leads) == (False, True)

    run(main())


def test_another_leads_when_the_leader_is_gone_but_never_both() -> None:
    async def main() -> None:
        time = Clock()
        async with live_api() as api:
            one, two = replica(api, "one", time), replica(api, "two", time)
            await one.turn()
            waited = 0.0
            while not two.leads:
                await two.turn()
                assert not (one.leads and two.leads)
                time.on(seconds=1)
                waited += 1
            assert LENGTH < waited <= LENGTH + 3
            assert not one.leads
            # Back again it does not take what it lost.
            await one.turn()
            assert (one.leads, two.leads) == (False, True)

    run(main())


def test_a_wall_clock_that_is_minutes_off_changes_nothing() -> None:
    async def main() -> None:
        time = Clock()
        early = Clock(time.now - timedelta(minutes=2))
        late = Clock(time.now + timedelta(minutes=2))
        async with live_api() as api:
            one, two = replica(api, "one", time, early), replica(api, "two", time, late)
            for _ in range(10):
                await one.turn()
                await two.turn()
                assert (one.leads, two.leads) == (True, False)
                for clock in (time, early, late):
                    clock.on(seconds=EVERY)

    run(main())


def test_a_leader_that_cannot_renew_stops_before_another_may_begin() -> None:
    async def main() -> None:
        time = Clock()
        async with live_api() as api:
            one = replica(api, "one", time)
            await one.turn()
            api.refuse["PATCH", "leases"] = 500
            time.on(seconds=EVERY)
            await one.turn()
            assert one.leads
            time.on(seconds=LENGTH - EVERY - 1)
            await one.turn()
            assert not one.leads

    run(main())


def test_a_leader_that_ends_lets_the_other_begin_at_once() -> None:
    async def main() -> None:
        time = Clock()
        async with live_api() as api:
            one, two = replica(api, "one", time), replica(api, "two", time)
            await one.turn()
            await two.turn()
            await one.give_back()
            await two.turn()
            assert (one.leads, two.leads) == (False, True)

    run(main())
