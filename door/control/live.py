"""Objects as the cluster's API returns them: plain JSON, looked into without trust.

The shapes are the API's, and an absent, null or strange part is an empty one: one odd object must
not keep the door from reading all the others. Owns: looking into them, and making foreign text
fit to show. Short because everything that reads objects needs it and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias, cast

Live: TypeAlias = Mapping[str, Any]

LONGEST = 300


def part(item: Live, *keys: str) -> Live:
    """Return a mapping inside an object; an absent or null one is empty."""
    for key in keys:
        value = item.get(key)
        item = cast("Live", value) if isinstance(value, dict) else {}
    return item


def parts(item: Live, key: str) -> list[Live]:
    """Return a list of mappings inside an object; an absent or null one is empty."""
    value = item.get(key)
    found = cast("list[Any]", value) if isinstance(value, list) else []
    return [cast("Live", one) for one in found if isinstance(one, dict)]


def text(item: Live, key: str) -> str:
    """Return a text inside an object, empty where there is none."""
    value = item.get(key)
    return value if isinstance(value, str) else ""


def number(item: Live, key: str, fallback: int = 0) -> int:
    """Return a whole number inside an object."""
    value = item.get(key)
    return value if isinstance(value, int) else fallback


def moment(item: Live, key: str) -> datetime | None:
    """Return a time inside an object, in UTC; None where there is none."""
    try:
        found = datetime.fromisoformat(text(item, key))
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)


def stamp(at: datetime) -> str:
    """Return a time as the API writes those of Leases."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def line(words: str, most: int = LONGEST) -> str:
    """Return foreign text as one line of plain characters, at most `most` of them."""
    # The cut comes first too: a pod may say megabytes.
    joined = " ".join(words[: 8 * most].split())
    plain = "".join(char for char in joined if char.isprintable())
    return plain if len(plain) <= most else plain[: most - 1] + "…"
