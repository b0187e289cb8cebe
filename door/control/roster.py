"""Who there is: a runtime's Deployment, read into a person and what was decided for them.

Pure. Whatever somebody may have typed is bounded here. What cannot be read of one user never
touches another's: the user is there, with the reason; where the door must not guess (who it is,
which password, whether suspended) the runtime counts as failing and is left as it is. Leaves out:
what the pods do (`phases`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeVar, cast

from lightkube.resources.apps_v1 import Deployment

from door.control import names
from door.control.hours import parse_hours
from door.control.world import Hours, Scene, Wanted

LONGEST_NAME = 200
LONGEST_TEXT = 300
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


def line(text: str, most: int = LONGEST_TEXT) -> str:
    """Return foreign text as one line of plain characters, at most `most` of them."""
    words = " ".join(text[: 8 * most].split())
    plain = "".join(char for char in words if char.isprintable())
    return plain if len(plain) <= most else plain[: most - 1] + "…"


def person_of(deployment: Deployment) -> Person | None:
    """Read a Deployment; None for one that is no runtime."""
    metadata = deployment.metadata
    if metadata is None or not metadata.name or not metadata.namespace:
        return None
    slug = (metadata.labels or {}).get(names.LABEL_USER)
    if not slug:
        return None
    notes = _Notes(metadata.annotations or {})
    user_id = notes.read(names.USER_ID, _id, slug, required=True, holds=True)
    spec, status = deployment.spec, deployment.status
    asked = 1 if spec is None or spec.replicas is None else spec.replicas
    generation = metadata.generation or 0
    observed = (status.observedGeneration if status else None) or 0
    return Person(
        id=user_id,
        slug=slug,
        name=metadata.name,
        namespace=metadata.namespace,
        display_name=notes.read(names.DISPLAY_NAME, _name, "") or line(user_id, LONGEST_NAME),
        login=notes.read(names.LOGIN, _id, "") or user_id,
        admin=notes.read(names.ADMIN, _flag, fallback=False),
        scenes=notes.read(names.SCENES, _scenes, ()),
        password_version=notes.read(names.PASSWORD_VERSION, _number, 1, holds=True),
        wanted=notes.read(names.STATE, Wanted, Wanted.ACTIVE, holds=True),
        suspend_after=notes.read(names.SUSPEND_AFTER, _idle, None),
        hours=notes.read(names.HOURS, parse_hours, None),
        replicas=asked,
        seen=observed >= generation,
        updated=(status.updatedReplicas if status else None) or 0,
        refusal=_refusal(deployment),
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

    def __init__(self, values: Mapping[str, str]) -> None:
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
        text = self._values.get(key)
        if text is None and not required:
            return fallback
        try:
            if text is None:
                raise ValueError("is missing")
            return parse(text)
        # Of an enumeration the message names the value only; RecursionError is deep JSON.
        except (ValueError, RecursionError) as error:
            self.problems.append(line(f"annotation {key}: {error}"))
            self.held = self.held or holds
            return fallback


def _id(text: str) -> str:
    if not text or len(text) > LONGEST_NAME:
        raise ValueError(f"needs 1 to {LONGEST_NAME} characters")
    return text


def _name(text: str) -> str:
    return line(text, LONGEST_NAME)


def _flag(text: str) -> bool:
    if text not in {"true", "false"}:
        raise ValueError("is true or false")
    return text == "true"


def _number(text: str) -> int:
    # int() takes spaces, underscores and other scripts' digits too.
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise ValueError("is a whole number")
    return int(text)


def _idle(text: str) -> timedelta:
    return min(max(timedelta(seconds=_number(text)), SHORTEST_IDLE), LONGEST_IDLE)


def _scenes(text: str) -> tuple[Scene, ...]:
    if len(text) > LONGEST_LIST:
        raise ValueError(f"more than {LONGEST_LIST} characters")
    try:
        value = json.loads(text)
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


def _refusal(deployment: Deployment) -> str | None:
    conditions = (deployment.status.conditions if deployment.status else None) or []
    for condition in conditions:
        if condition.type == "ReplicaFailure" and condition.status == "True":
            return line(condition.message or "the cluster refuses its pod")
    return None
