"""What is a sound time of a schedule: time zones and cron expressions.

Owns: the two checks and what they suggest. Leaves out: what happens then (`schedule_plan`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from cronsim import CronSim, CronSimError

from fleet.values.model import broken

# Cities that people type and that have no time zone of their own: each leads to the one it is in.
_CITIES = MappingProxyType(
    {
        "Asia/Shanghai": "beijing chengdu guangzhou hangzhou nanjing shenzhen wuhan zhangjiakou",
        "Asia/Kolkata": "bangalore bengaluru chennai delhi hyderabad mumbai new_delhi",
        "Asia/Ho_Chi_Minh": "hanoi",
        "Asia/Riyadh": "mecca jeddah",
        "Asia/Dubai": "abu_dhabi",
        "Asia/Tokyo": "kyoto osaka",
        "America/Los_Angeles": "san_francisco seattle silicon_valley",
        "America/New_York": "atlanta boston miami virginia washington",
        "America/Sao_Paulo": "brasilia rio_de_janeiro",
        "Europe/Berlin": "frankfurt hamburg munich",
        "Europe/London": "edinburgh manchester",
        "Europe/Rome": "milan",
        "Europe/Madrid": "barcelona",
    }
)
_NAMES = r"(?:JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC|SUN|MON|TUE|WED|THU|FRI|SAT)"
# What every cron reads. Further letters (L, W, #) mean different things to different ones.
_FIELD = re.compile(rf"(?:[0-9*,/-]|{_NAMES})+|\?")
_FIELDS = (
    ("minute", "0-59"),
    ("hour", "0-23"),
    ("day of the month", "1-31"),
    ("month", "1-12 or JAN-DEC"),
    ("weekday", "0-7 or SUN-SAT"),
)
_DAY_FIELDS = (2, 4)
_SOME_DAY = datetime(2026, 1, 1, tzinfo=UTC)
_EXAMPLE = "write it like 0 8 * * MON-FRI"


def time_zone(value: str) -> str:
    """Return `value` when it is a time zone of the IANA list."""
    if value not in _zones():
        raise broken("the IANA list has no time zone of this name", _suggestion(value))
    return value


def cron(value: str) -> str:
    """Return a cron expression of five fields in capitals, as the timer is told it."""
    fields = value.upper().split(" ")
    if len(fields) != len(_FIELDS):
        raise broken("a time is five cron fields: minute, hour, day, month, weekday", _EXAMPLE)
    if found := list(_bad_fields(fields)):
        raise broken(", ".join(found), _EXAMPLE)
    try:
        # A day that no month has.
        CronSim(_plain(fields), _SOME_DAY)
    except CronSimError:
        raise broken("this day never comes", _EXAMPLE) from None
    return " ".join(fields)


def _bad_fields(fields: list[str]) -> Iterator[str]:
    for n, (field, (name, values)) in enumerate(zip(fields, _FIELDS, strict=True)):
        alone = ["*"] * len(fields)
        alone[n] = field
        if not _FIELD.fullmatch(field) or (field == "?" and n not in _DAY_FIELDS):
            yield f"{field} is no {name} ({values})"
            continue
        try:
            CronSim(_plain(alone), _SOME_DAY)
        except CronSimError:
            yield f"{field} is no {name} ({values})"


def _plain(fields: list[str]) -> str:
    # Some crons write a day field that the other one decides as a question mark.
    return " ".join("*" if field == "?" else field for field in fields)


@cache
def _zones() -> frozenset[str]:
    # Of the pinned package, not of the machine: the same file is right or wrong everywhere.
    return frozenset((files("tzdata") / "zones").read_text(encoding="utf-8").split())


def _suggestion(value: str) -> str:
    typed = value.lower().replace(" ", "_")
    city = typed.rsplit("/", 1)[-1]
    by_city = {name: zone for zone, names in _CITIES.items() for name in names.split()}
    # UTC and EST are never suggested: who typed UTC+8 did not mean UTC.
    by_name = {zone.lower(): zone for zone in sorted(_zones()) if "/" in zone}
    by_city |= {name.rsplit("/", 1)[-1]: zone for name, zone in by_name.items()}
    near = get_close_matches(typed, by_name, n=1, cutoff=0.8)
    zone = by_city.get(city) or (by_name[near[0]] if near else None)
    return f"did you mean {zone}?" if zone else "name a place, like Asia/Singapore"
