"""Who there is: a runtime's Deployment, read into a person and what was decided for them.

Pure. Whatever somebody may have typed is bounded here. What cannot be read of one user never
touches another's: the user is there, with the reason; where the door must not guess (who it is,
which password, whether suspended) the runtime counts as failing and is left as it is. Leaves out:
what the pods do (`phases`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeVar, cast

from door.control import names
from door.control.hours import parse_hours
from door.control.live import Live, line, number, part, parts, text
from door.control.world import Hours, Scene, Wanted

LONGEST_NAME = 200
LONGEST_LIST = 200_000
MOST_SCENES = 200
SHORTEST_IDLE = timedelta(minutes=10)
"""Somebody who reads sends nothing: nobody is put to sleep sooner, whatever an annotation says."""
LONGEST_IDLE = timedelta(days=366)
_SCENE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """A user, and the runtime as its Deployment describes it."""

    id: str
    slug: str
    name: str
    """Name of the Deployment, of the user's Lease too."""
    namespace: str
    display_name: str
    login: str
    admin: bool
    scenes: tuple[Scene, ...]
    password_version: int
    wanted: Wanted
    suspend_after: timedelta | None
    hours: Hours | None
    replicas: int
    seen: bool
    """Whether the Deployment's controller has seen what is asked for now."""
    updated: int
    """Pods of the template that is asked for now."""
    refusal: str | None
    """Why the cluster makes no pod of it, in its own words."""
    problems: tuple[str, ...] = ()
    """Annotations that cannot be read, each with the rule."""
    held: bool = False
    """Whether one of them is such that the door must not touch the runtime."""


def person_of(deployment: Live) -> Person | None:
    """Read a Deployment; None for one that is no runtime."""
    metadata, status = part(deployment, "metadata"), part(deployment, "status")
    slug = text(part(metadata, "labels"), names.LABEL_USER)
    if not slug:
        return None
    notes = _Notes(part(metadata, "annotations"))
    user_id = notes.read(names.USER_ID, _id, slug, required=True, holds=True)
    return Person(
        id=user_id,
        slug=slug,
        name=text(metadata, "name"),
        namespace=text(metadata, "namespace"),
        display_name=notes.read(names.DISPLAY_NAME, _name, "") or line(user_id, LONGEST_NAME),
        login=notes.read(names.LOGIN, _id, "") or user_id,
        admin=notes.read(names.ADMIN, _flag, fallback=False),
        scenes=notes.read(names.SCENES, _scenes, ()),
        password_version=notes.read(names.PASSWORD_VERSION, _number, 1, holds=True),
        wanted=notes.read(names.STATE, Wanted, Wanted.ACTIVE, holds=True),
        suspend_after=notes.read(names.SUSPEND_AFTER, _idle, None),
        hours=notes.read(names.HOURS, parse_hours, None),
        replicas=number(part(deployment, "spec"), "replicas", 1),
        seen=number(status, "observedGeneration") >= number(metadata, "generation"),
        updated=number(status, "updatedReplicas"),
        refusal=_refusal(status),
        problems=tuple(notes.problems),
        held=notes.held,
    )


def told_apart(people: Sequence[Person]) -> dict[str, Person]:
    """Return people by id. Of two Deployments with one id the first counts, and says so."""
    found: dict[str, Person] = {}
    for person in sorted(people, key=lambda one: (one.id, one.namespace, one.name)):
        first = found.get(person.id)
        if first is None:
            found[person.id] = person
            continue
        where = f"{person.namespace}/{person.name}"
        problem = line(f"a second Deployment carries the same id: {where}")
        found[person.id] = replace(first, problems=(*first.problems, problem))
    return found


class _Notes:
    """The annotations of one Deployment, and what was wrong with them."""

    def __init__(self, values: Live) -> None:
        self._values = values
        self.problems: list[str] = []
        self.held = False

    def read(
        self,
        key: str,
        parse: Callable[[str], _T],
        fallback: _T,
        *,
        required: bool = False,
        holds: bool = False,
    ) -> _T:
        """Return an annotation's value; the fallback where there is none or an unsound one."""
        if key not in self._values and not required:
            return fallback
        try:
            if key not in self._values:
                raise ValueError("is missing")
            return parse(text(self._values, key))
        # Of an enumeration the message names the value only; RecursionError is deep JSON.
        except (ValueError, RecursionError) as error:
            self.problems.append(line(f"annotation {key}: {error}"))
            self.held = self.held or holds
            return fallback


def _id(typed: str) -> str:
    if not typed or len(typed) > LONGEST_NAME:
        raise ValueError(f"needs 1 to {LONGEST_NAME} characters")
    return typed


def _name(typed: str) -> str:
    return line(typed, LONGEST_NAME)


def _flag(typed: str) -> bool:
    if typed not in {"true", "false"}:
        raise ValueError("is true or false")
    return typed == "true"


def _number(typed: str) -> int:
    # int() takes spaces, underscores and other scripts' digits too.
    if not re.fullmatch(r"[0-9]{1,9}", typed):
        raise ValueError("is a whole number")
    return int(typed)


def _idle(typed: str) -> timedelta:
    return min(max(timedelta(seconds=_number(typed)), SHORTEST_IDLE), LONGEST_IDLE)


def _scenes(typed: str) -> tuple[Scene, ...]:
    if len(typed) > LONGEST_LIST:
        raise ValueError(f"more than {LONGEST_LIST} characters")
    try:
        value = json.loads(typed)
    except ValueError:
        raise ValueError("not JSON") from None
    if not isinstance(value, list):
        raise ValueError("is a list of scenes")
    items = cast("list[object]", value)
    if len(items) > MOST_SCENES:
        raise ValueError(f"more than {MOST_SCENES} scenes")
    return tuple(_scene(item) for item in items)


def _scene(item: object) -> Scene:
    if not isinstance(item, dict):
        raise ValueError("a scene has id, title and description")
    found = cast("dict[str, Any]", item)
    scene_id = found.get("id")
    if not isinstance(scene_id, str) or not _SCENE_ID.fullmatch(scene_id):
        raise ValueError("a scene's id is a plain folder name")
    title, description = found.get("title") or scene_id, found.get("description") or ""
    if not isinstance(title, str) or not isinstance(description, str):
        raise ValueError("a scene's title and description are text")
    return Scene(
        id=scene_id,
        title=line(title, LONGEST_NAME),
        description=line(description, 4 * LONGEST_NAME),
    )


def _refusal(status: Live) -> str | None:
    for condition in parts(status, "conditions"):
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            return line(text(condition, "message") or "the cluster refuses its pod")
    return None
