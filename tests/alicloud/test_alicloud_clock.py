"""Times of a schedule: what is accepted everywhere alike, what is refused, and what is meant."""

from __future__ import annotations

import re
import zoneinfo

import pytest
from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from fleet.alicloud.clock import cron, time_zone
from tests.support.clusters import vm

WORDS = "the IANA list has no time zone of this name: "
EXAMPLE = ": write it like 0 8 * * MON-FRI"


@pytest.mark.parametrize(
    "name", ["Asia/Singapore", "America/Argentina/Buenos_Aires", "UTC", "Etc/GMT-8"]
)
def test_a_zone_of_the_iana_list_is_accepted(name: str) -> None:
    assert time_zone(name) == name
    assert zoneinfo.ZoneInfo(name).key == name


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("Asia/Beijing", "did you mean Asia/Shanghai?"),
        ("Shenzhen", "did you mean Asia/Shanghai?"),
        ("Europe/Frankfurt", "did you mean Europe/Berlin?"),
        ("asia/singapore", "did you mean Asia/Singapore?"),
        ("New York", "did you mean America/New_York?"),
        ("Asia/Singapur", "did you mean Asia/Singapore?"),
        # Eight hours beside what UTC would be.
        ("UTC+8", "name a place, like Asia/Singapore"),
        ("../etc/passwd", "name a place, like Asia/Singapore"),
        ("", "name a place, like Asia/Singapore"),
    ],
)
def test_a_name_that_is_none_is_refused_with_what_was_meant(name: str, change: str) -> None:
    with pytest.raises(PydanticCustomError) as caught:
        time_zone(name)
    assert str(caught.value) == WORDS + change


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("0 8 * * MON-FRI", "0 8 * * MON-FRI"),
        ("0 8 * * mon-fri", "0 8 * * MON-FRI"),
        ("*/15 8-20/2 1,15 Jan-Mar *", "*/15 8-20/2 1,15 JAN-MAR *"),
        ("0 8 ? * 1-5", "0 8 ? * 1-5"),
        ("59 23 29 2 *", "59 23 29 2 *"),
    ],
)
def test_a_time_is_accepted_with_names_in_any_case(typed: str, told: str) -> None:
    assert cron(typed) == told


@pytest.mark.parametrize(
    ("typed", "rule"),
    [
        ("61 25 * * *", "61 is no minute (0-59), 25 is no hour (0-23)"),
        ("0 8 0 13 *", "0 is no day of the month (1-31), 13 is no month (1-12 or JAN-DEC)"),
        ("0 8 * * 8", "8 is no weekday (0-7 or SUN-SAT)"),
        ("0 8 * * FRI-MON", "FRI-MON is no weekday (0-7 or SUN-SAT)"),
        ("0 8 * * MONTUE", "MONTUE is no weekday (0-7 or SUN-SAT)"),
        ("0 8 L * MON#2", "L is no day of the month (1-31), MON#2 is no weekday (0-7 or SUN-SAT)"),
        ("? 8 * * *", "? is no minute (0-59)"),
        ("*/0 8 * * *", "*/0 is no minute (0-59)"),
        ("0 8 31 2 *", "this day never comes"),
        ("mon-fri", "a time is five cron fields: minute, hour, day, month, weekday"),
        ("0 0 8 * * *", "a time is five cron fields: minute, hour, day, month, weekday"),
        ("@daily", "a time is five cron fields: minute, hour, day, month, weekday"),
    ],
)
def test_a_time_that_never_comes_is_refused_field_by_field(typed: str, rule: str) -> None:
    with pytest.raises(PydanticCustomError) as caught:
        cron(typed)
    assert str(caught.value) == rule + EXAMPLE


def test_a_schedule_is_held_to_both() -> None:
    right = {"start": "0 8 * * mon-fri", "stop": "0 20 * * mon-fri", "hoursPerWeek": 60}
    schedule = vm(schedule=right).schedule
    assert schedule is not None
    assert schedule.start == "0 8 * * MON-FRI"
    for key, value, told in (
        ("start", "61 25 * * *", "61 is no minute"),
        ("timeZone", "Asia/Beijing", "did you mean Asia/Shanghai?"),
    ):
        with pytest.raises(ValidationError, match=re.escape(told)):
            vm(schedule=right | {key: value})
