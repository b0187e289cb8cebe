"""When a runtime is to be awake."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from door.control.hours import AHEAD, next_stretch, parse_hours, stretch_at
from door.control.world import Hours

BERLIN = ZoneInfo("Europe/Berlin")
WEEK = ["mon", "tue", "wed", "thu", "fri"]


def hours(**changed: Any) -> Hours:
    """Nine to six on working days in Berlin, or what is given."""
    given = {"zone": "Europe/Berlin", "days": WEEK, "start": "09:00", "end": "18:00"} | changed
    return parse_hours(json.dumps(given))


def berlin(text: str) -> datetime:
    """A time as clocks in Berlin show it."""
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN)


def test_working_hours_begin_ten_minutes_early_and_end_at_their_end() -> None:
    """Thursday; the end itself is outside."""
    assert stretch_at(hours(), berlin("2026-11-26T08:49:59")) is None
    assert stretch_at(hours(), berlin("2026-11-26T08:50")) is not None
    assert stretch_at(hours(), berlin("2026-11-26T17:59:59")) is not None
    assert stretch_at(hours(), berlin("2026-11-26T18:00")) is None


def test_the_next_wake_after_friday_is_on_monday() -> None:
    found = next_stretch(hours(), berlin("2026-11-27T12:00"))
    assert found is not None
    assert found.start == berlin("2026-11-30T09:00")
    assert found.wake == berlin("2026-11-30T08:50")


def test_the_same_time_in_another_zone_gives_the_same_answer() -> None:
    at = berlin("2026-11-26T08:55")
    assert stretch_at(hours(), at.astimezone(UTC)) == stretch_at(hours(), at)
    assert stretch_at(hours(), at.astimezone(ZoneInfo("Asia/Shanghai"))) == stretch_at(hours(), at)


def test_a_night_shift_belongs_to_the_day_it_starts_on() -> None:
    """Friday night is awake on Saturday morning; Saturday night is not."""
    night = hours(start="22:00", end="06:00")
    assert stretch_at(night, berlin("2026-11-28T05:59")) is not None
    assert stretch_at(night, berlin("2026-11-28T22:30")) is None
    assert stretch_at(night, berlin("2026-11-30T05:00")) is None


def test_hours_are_an_hour_shorter_on_the_night_the_clocks_go_forward() -> None:
    """29 March 2026: 02:00 becomes 03:00."""
    night = hours(days=["sat"], start="22:00", end="06:00")
    found = stretch_at(night, berlin("2026-03-29T01:00"))
    assert found is not None
    assert found.end - found.start == timedelta(hours=7)
    assert found.end == datetime(2026, 3, 29, 4, tzinfo=UTC)


def test_hours_are_an_hour_longer_on_the_night_the_clocks_go_back() -> None:
    """25 October 2026: 03:00 becomes 02:00."""
    night = hours(days=["sat"], start="22:00", end="06:00")
    found = stretch_at(night, berlin("2026-10-25T01:00"))
    assert found is not None
    assert found.end - found.start == timedelta(hours=9)


def test_a_start_that_the_change_of_clocks_skips_comes_an_hour_later() -> None:
    """There is no 02:30 on 29 March 2026."""
    found = stretch_at(hours(days=["sun"], start="02:30", end="05:00"), berlin("2026-03-29T04:00"))
    assert found is not None
    assert found.start == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


def test_hours_that_the_change_of_clocks_skips_entirely_are_none_that_day() -> None:
    """Both ends fall into the hour that is not there; the week after has them again."""
    short = hours(days=["sun"], start="02:59", end="03:10")
    found = next_stretch(short, berlin("2026-03-28T12:00"))
    assert found is not None
    assert found.start == berlin("2026-04-05T02:59")


def test_days_may_be_numbers() -> None:
    assert hours(days=[0, 6]).days == hours(days=["Mon", "SUN"]).days


def test_one_working_day_a_week_is_found_from_its_own_end() -> None:
    """The longest way to the next one."""
    found = next_stretch(hours(days=["thu"]), berlin("2026-11-26T08:50"))
    assert found is not None
    assert found.start == berlin("2026-12-03T09:00")
    assert found.wake == found.start - AHEAD


@pytest.mark.parametrize(
    "changed",
    [
        {"zone": "Mars/Olympus"},
        {"zone": "../../etc/passwd"},
        {"zone": "Europe"},
        {"zone": 1},
        {"days": []},
        {"days": "mon"},
        {"days": [7]},
        {"days": [True]},
        {"days": ["someday"]},
        {"start": "25:00"},
        {"start": 9},
        {"start": "18:00"},
        {"more": 1},
    ],
)
def test_unsound_hours_are_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        hours(**changed)


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "[" * 900, "{}" + " " * 1000])
def test_text_that_is_no_hours_at_all_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_hours(text)
