"""Working hours: when a runtime is to be awake, and when it is woken next.

Pure: a time is given, never asked for, and carries its zone. A day's hours belong to the day they
start on, so that a night shift (22:00 to 06:00) is one stretch. Hours are what clocks on the wall
show: on a day when the clocks change they are an hour shorter or longer, and a start that the
change skips is that much later. Leaves out: acting on them (`idling`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

from door.control.world import Hours

AHEAD = timedelta(minutes=10)
"""How long before the start a runtime is woken."""
LONGEST = 1_000
"""More characters than any sound annotation has."""
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_KEYS = frozenset({"zone", "days", "start", "end"})
_WEEK = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Stretch:
    """One day's working hours, in UTC."""

    start: datetime
    end: datetime

    @property
    def wake(self) -> datetime:
        """When the runtime is woken for it."""
        return self.start - AHEAD


def parse_hours(text: str) -> Hours:
    """Read `{"zone": "Europe/Berlin", "days": ["mon"], "start": "09:00", "end": "18:00"}`.

    Days may be numbers too, Monday is 0. Raises ValueError with what is wrong.
    """
    if len(text) > LONGEST:
        raise ValueError(f"more than {LONGEST} characters")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("not JSON") from None
    found = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    if found.keys() != _KEYS:
        raise ValueError("needs zone, days, start and end")
    start, end = _clock(found["start"]), _clock(found["end"])
    if start == end:
        raise ValueError("start and end are the same")
    return Hours(zone=_zone(found["zone"]), days=_days(found["days"]), start=start, end=end)


def stretch_at(hours: Hours, now: datetime) -> Stretch | None:
    """Return the stretch that `now` is in, waking ahead counted; None outside of all."""
    return next((one for one in _near(hours, now) if one.wake <= now < one.end), None)


def next_stretch(hours: Hours, now: datetime) -> Stretch | None:
    """Return the next stretch that is woken for after `now`; None where no day has hours."""
    return next((one for one in _near(hours, now) if one.wake > now), None)


def _near(hours: Hours, now: datetime) -> Iterator[Stretch]:
    """Yield the stretches from yesterday to a week ahead, in order."""
    today = now.astimezone(hours.zone).date()
    for ahead in range(-1, _WEEK + 1):
        day = today + timedelta(days=ahead)
        if day.weekday() in hours.days:
            stretch = _stretch(hours, day)
            # A change of clocks may skip all of a short stretch.
            if stretch.start < stretch.end:
                yield stretch


def _stretch(hours: Hours, day: date) -> Stretch:
    last = day if hours.end > hours.start else day + timedelta(days=1)
    return Stretch(
        start=datetime.combine(day, hours.start, hours.zone).astimezone(UTC),
        end=datetime.combine(last, hours.end, hours.zone).astimezone(UTC),
    )


def _clock(value: object) -> time:
    try:
        if not isinstance(value, str):
            raise TypeError
        found = datetime.strptime(value, "%H:%M").time()
    except (TypeError, ValueError):
        raise ValueError("start and end are times of day such as 09:00") from None
    return found


def _zone(value: object) -> ZoneInfo:
    try:
        if not isinstance(value, str):
            raise TypeError
        return ZoneInfo(value)
    # A name that is a folder of the zone data is an OSError, an absolute path a ValueError.
    except (TypeError, ValueError, OSError, KeyError):
        raise ValueError("zone is no time zone such as Europe/Berlin") from None


def _days(value: object) -> frozenset[int]:
    if not isinstance(value, list) or not value:
        raise ValueError("days is a list such as [mon, tue]")
    return frozenset(_day(item) for item in cast("list[object]", value))


def _day(value: object) -> int:
    if isinstance(value, str) and value.lower() in DAYS:
        return DAYS.index(value.lower())
    if type(value) is int and 0 <= value < len(DAYS):
        return value
    raise ValueError("a day is mon to sun, or 0 (Monday) to 6")
