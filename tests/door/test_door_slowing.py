"""Who is slowed for guessing, for how long, and who is not."""

from __future__ import annotations

import asyncio

from door.control.slowing import (
    FREE,
    FREE_OF_ADDRESS,
    FREE_OF_ALL,
    LONGEST_WAIT,
    Attempt,
    Slowing,
    shown,
)


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def attempt(user: str = "alice", address: str = "1.1.1.1", browser: str | None = None) -> Attempt:
    return Attempt(user=user, address=address, way="form", browser=browser)


def failures(slowing: Slowing, *attempts: Attempt) -> None:
    """Count failures without the delay of their answers."""

    async def count() -> None:
        # More than these at once are not delayed.
        tasks = [asyncio.create_task(slowing.failed(one)) for one in attempts]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(count())


def test_the_wait_doubles_after_the_free_failures_up_to_a_minute() -> None:
    clock = Clock()
    slowing = Slowing(clock)
    failures(slowing, *[attempt()] * FREE)
    assert slowing.wait(attempt()) == 0
    waits: list[float] = []
    for _ in range(9):
        failures(slowing, attempt())
        waits.append(slowing.wait(attempt()))
        clock.now += waits[-1]
        assert slowing.wait(attempt()) == 0
    assert waits == [1, 2, 4, 8, 16, 32, LONGEST_WAIT, LONGEST_WAIT, LONGEST_WAIT]
    clock.now += 3601
    failures(slowing, attempt())
    assert slowing.wait(attempt()) == 0


def test_others_are_not_slowed_and_a_right_password_forgets() -> None:
    slowing = Slowing(Clock())
    failures(slowing, *[attempt()] * (FREE + 3))
    assert slowing.wait(attempt()) > 0
    assert slowing.wait(attempt("bob")) == 0
    assert slowing.wait(attempt(address="2.2.2.2")) == 0
    assert slowing.wait(attempt(browser="known")) == 0
    slowing.succeeded(attempt())
    assert slowing.wait(attempt()) == 0


def test_a_thousand_machines_slow_a_user_but_not_in_a_known_browser() -> None:
    slowing = Slowing(Clock())
    failures(slowing, *[attempt(address=f"1.1.{n}.1") for n in range(FREE_OF_ALL + 1)])
    assert slowing.wait(attempt(address="9.9.9.9")) > 0
    assert slowing.wait(attempt(address="9.9.9.9", browser="known")) == 0
    failures(slowing, *[attempt(browser="known")] * (FREE + 1))
    assert slowing.wait(attempt(browser="known")) > 0


def test_an_address_that_fails_often_waits_for_its_answers() -> None:
    slowing = Slowing(Clock())

    async def waits() -> bool:
        task = asyncio.create_task(slowing.failed(attempt("somebody new")))
        await asyncio.sleep(0)
        waiting = not task.done()
        task.cancel()
        return waiting

    failures(slowing, *[attempt(f"user {n}") for n in range(FREE_OF_ADDRESS - 1)])
    assert not asyncio.run(waits())
    assert asyncio.run(waits())


def test_what_is_remembered_of_failures_is_bounded() -> None:
    slowing = Slowing(Clock())
    for start in range(0, 12_000, 500):
        failures(slowing, *[attempt(f"user {n}") for n in range(start, start + 500)])
    assert slowing.remembered <= 10_000


def test_what_somebody_typed_is_one_short_line_in_a_log() -> None:
    assert shown("alice") == "'alice'"
    assert "\n" not in shown("a\nb\x1b[31m")
    assert "\x1b" not in shown("a\nb\x1b[31m")
    assert len(shown("é" * 5000)) < 600
