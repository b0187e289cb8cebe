"""What the door is to know of a user, as it stands on the user's own objects.

Owns: which of several keys decides when a runtime sleeps, what a scene is called on the front page.
Leaves out: how it is written there (`fleet.manifests.runtime`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from fleet.stackfile.config import Scene, StackConfig, User
from fleet.stackfile.door import NEVER, Hours, Idle, Weekday, seconds
from fleet.stackfile.scene_files import SceneFiles

_HEADING = re.compile(r" {0,3}#{1,6}[ \t]+(?P<text>.*?)(?:[ \t]+#+)?[ \t]*")
_MARKS = re.compile(r"(?P<mark>\*\*|__|\*|`)(?P<text>[^*`_]+)(?P=mark)")
_LINK = re.compile(r"\[(?P<text>[^\]]*)\]\([^)]*\)")
TITLE_MAX, DESCRIPTION_MAX = 80, 300
_AHEAD = timedelta(minutes=10)
_WEEK = 7


def sleeps(config: StackConfig, user: User) -> tuple[int | None, str | None]:
    """Return after how many seconds without use a runtime sleeps, and its working hours as JSON.

    The user's key comes before the profile's, and that before the environment's; `never` ends the
    search for both.
    """
    profile = config.profile(user.profile)
    levels: tuple[Idle, ...] = (user.idle, *((profile.idle,) if profile else ()), config.idle)
    after: str | None = None
    hours: Hours | None = None
    for level in levels:
        after = after or level.suspend_after
        hours = hours or level.hours
        if level.suspend_after == NEVER:
            break
    length = None if after is None or after == NEVER else seconds(after)
    return length, None if hours is None else _hours(hours)


def _hours(hours: Hours) -> str:
    value = {
        "zone": hours.zone,
        "days": [day.value for day in Weekday if day in hours.days],
        "start": hours.start,
        "end": hours.end,
    }
    return json.dumps(value)


def titled(scene_id: str, scene: Scene, files: SceneFiles | None) -> tuple[str, str]:
    """Return a scene's title and description, from AGENTS.md where the stack file gives none."""
    text = dict(files.files).get("AGENTS.md", "") if files is not None else ""
    heading, paragraph = _first(text.splitlines())
    title = scene.title or heading or scene_id
    return _cut(title, TITLE_MAX), _cut(scene.description or paragraph, DESCRIPTION_MAX)


def _first(lines: Sequence[str]) -> tuple[str, str]:
    """Return the first heading and the first paragraph of a Markdown text, as plain text."""
    heading, paragraph = "", list[str]()
    for line in lines:
        found = _HEADING.fullmatch(line)
        if found is not None and not paragraph:
            heading = heading or _plain(found["text"])
        elif found is not None or not line.strip():
            if paragraph:
                break
        else:
            paragraph.append(line.strip())
    return heading, _plain(" ".join(paragraph))


def _plain(text: str) -> str:
    """Return Markdown without links and emphasis, one line of printable characters."""
    text = _MARKS.sub(r"\g<text>", _LINK.sub(r"\g<text>", text))
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def as_json(scenes: Sequence[tuple[str, str, str]]) -> str:
    """Return scenes as an annotation holds them: id, title, description."""
    listed: list[dict[str, Any]] = [
        {"id": scene_id, "title": title, "description": description}
        for scene_id, title, description in scenes
    ]
    return json.dumps(listed, ensure_ascii=False)


def next_wake(hours: str, now: datetime) -> datetime | None:
    """Return when working hours wake a runtime next, in UTC; as `door.control.hours` has it."""
    value = json.loads(hours)
    zone, days = ZoneInfo(value["zone"]), list(Weekday)
    start = time.fromisoformat(value["start"])
    today = now.astimezone(zone).date()
    for ahead in range(_WEEK + 1):
        day = today + timedelta(days=ahead)
        moment = datetime.combine(day, start, zone).astimezone(UTC) - _AHEAD
        if days[day.weekday()].value in value["days"] and moment > now:
            return moment
    return None
