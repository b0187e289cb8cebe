"""What a run of the engine changes, told of people: who restarts and why, what stays, what goes.

Only what the engine says it does or did. Owns: from steps to users, pools and the environment, in
lines and for scripts. Leaves out: events (`events`) and the reasons of a restart (`restarts`). Long
because what happens to a user is one decision over all their objects.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from fleet.cluster.report import named
from fleet.engine.events import Inputs, Step, owner_of, part, place_of
from fleet.engine.restarts import Topics, changed_topics, reason, topics_of
from fleet.engine.shared_changes import (
    GONE,
    MADE,
    REPLACED,
    door_lines,
    environment_line,
    pool_lines,
    verb,
)
from fleet.errors import shown
from fleet.names import (
    ADMIN,
    DISPLAY_NAME,
    HOURS,
    LOGIN,
    PASSWORD_VERSION,
    SCENES,
    STATE,
    SUSPEND_AFTER,
)

# A person reads so many names; the rest is a number, and `--json` has them all.
_NAMED = 12
_LISTED = 40
_NOTHING = frozenset({"same", "read", "refresh", "read-discard", "discard"})
_STACK = "pulumi:pulumi:Stack"
_CLAIM = "PersistentVolumeClaim"
_RETAINED_WORDS = {_CLAIM: "claim", "Namespace": "namespace", "PersistentVolume": "volume"}
_ROUTES = frozenset({"Ingress", "HTTPRoute"})
_DELETED = " deleted by hand"
_EDITED = " edited by hand"
# Told by itself; and what Secrets of release 0.1.0 carry, whose pods restart for the password.
_ANNOTATIONS_TOLD = frozenset({DISPLAY_NAME, STATE, PASSWORD_VERSION})
_OF_THE_DOOR = frozenset({LOGIN, ADMIN, SCENES, SUSPEND_AFTER, HOURS})
_SIZE = "storage "


class Action(StrEnum):
    """What happens to a user, the gravest first."""

    PURGE = "purge"
    REMOVE = "remove"
    CREATE = "create"
    MOVE = "move"
    SUSPEND = "suspend"
    RESUME = "resume"
    RESTART = "restart"
    RESIZE = "resize"
    UPDATE = "update"


_DONE = {
    Action.PURGE: "purged",
    Action.REMOVE: "removed",
    Action.CREATE: "created",
    Action.MOVE: "moved",
    Action.SUSPEND: "suspended",
    Action.RESUME: "resumed",
    Action.RESTART: "restarted",
    Action.RESIZE: "resized",
    Action.UPDATE: "updated",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class UserChange:
    """What happens to one user."""

    user: str
    pool: str
    action: Action
    reasons: tuple[str, ...] = ()
    """Why."""
    also: tuple[str, ...] = ()
    """What else changes for them, without a restart of its own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PoolChange:
    """What happens to what a pool's users share."""

    pool: str
    changes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """Everything a run changes."""

    users: tuple[UserChange, ...] = ()
    pools: tuple[PoolChange, ...] = ()
    environment: tuple[str, ...] = ()
    """What belongs to no pool: the image, a cloud, the connection to the cluster."""
    retained: tuple[str, ...] = ()
    """What stays in the cluster although it leaves the environment."""

    @property
    def anything(self) -> bool:
        """Whether there is a change at all."""
        return bool(self.users or self.pools or self.environment or self.retained)

    def as_json(self) -> dict[str, Any]:
        """Return the changes for `--json`."""
        return {"anything": self.anything, **asdict(self)}

    def lines(self, *, done: bool = False) -> list[str]:
        """Return the changes for a person; with `done`, as what has happened."""
        told = [*self._user_lines(done=done), *self._shared_lines()]
        return told or ["nothing changed" if done else "nothing to do"]

    def _user_lines(self, *, done: bool) -> Iterator[str]:
        alike: dict[tuple[Action, tuple[str, ...], tuple[str, ...]], list[str]] = {}
        for item in self.users:
            alike.setdefault((item.action, item.reasons, item.also), []).append(item.user)
        for (action, reasons, also), users in list(alike.items())[:_LISTED]:
            word = _DONE[action] if done else str(action)
            why = f": {', '.join((*reasons, *also))}" if reasons or also else ""
            yield f"{word:<9} {named(users, _NAMED)}{why}"
        left = sum(len(users) for users in list(alike.values())[_LISTED:])
        if left:
            yield f"… and {left} users more"

    def _shared_lines(self) -> Iterator[str]:
        for pool in self.pools:
            yield f"pool {pool.pool}: {', '.join(pool.changes)}"
        for line in self.environment[:_LISTED]:
            yield f"environment: {line}"
        for name in self.retained[:_LISTED]:
            yield f"retained  {name}"
        for items, word in ((self.environment, "changes"), (self.retained, "retained")):
            if len(items) > _LISTED:
                yield f"… and {len(items) - _LISTED} {word} more"


def find_changes(
    steps: Iterable[Step],
    *,
    purge: Mapping[str, Sequence[str]] | None = None,
    claims: Collection[str] = (),
) -> Changes:
    """Return what the given steps of a run change; take those of one phase only.

    `purge` holds the users whose data is to be deleted for good, each with the claims of theirs
    that are still there. `claims` names those that are in the cluster (`namespace/name`), so that
    a user who comes back is told to find the old data.
    """
    known = _merged(step for step in steps if step.custom and step.type != _STACK)
    before = {step.urn: step.old or {} for step in known if step.op == "refresh"}
    users: dict[str, list[Step]] = {}
    pools: dict[str, list[Step]] = {}
    rest: list[Step] = []
    door: list[Step] = []
    for step in known:
        owner = owner_of(step)
        if step.op in _NOTHING:
            continue
        if owner.user is not None:
            users.setdefault(owner.user, []).append(step)
        elif owner.pool is not None:
            pools.setdefault(owner.pool, []).append(step)
        elif owner.door:
            door.append(step)
        else:
            rest.append(step)
    purged = purge or {}
    changes = [_UserSteps(user, mine, before, claims).change() for user, mine in users.items()]
    told = [_with_purge(item, purged) for item in changes if item is not None]
    told += [_purged(user, purged[user]) for user in purged if user not in users]
    return Changes(
        users=tuple(sorted(told, key=lambda item: (list(Action).index(item.action), item.user))),
        pools=tuple(
            PoolChange(pool=pool, changes=lines)
            for pool, mine in sorted(pools.items())
            if (lines := tuple(pool_lines(mine)))
        ),
        environment=(
            *dict.fromkeys(line for step in rest if (line := environment_line(step))),
            *door_lines(door),
        ),
        retained=tuple(sorted(name for step in known if (name := _retained(step, purged)))),
    )


def _merged(steps: Iterable[Step]) -> list[Step]:
    """Return the steps with several changes of one object as one, from the first to the last.

    An object that is put back and changed by the file in one run has two.
    """
    merged: list[Step] = []
    places: dict[str, int] = {}
    for step in steps:
        before = places.get(step.urn)
        if before is not None and step.op == "update":
            first = merged[before]
            paths = (*first.paths, *step.paths)
            merged[before] = replace(first, new=step.new, paths=paths)
        elif before is None or step.op not in _NOTHING:
            if step.op in {"create", "update"}:
                places[step.urn] = len(merged)
            merged.append(step)
    return merged


class _UserSteps:
    """The steps of one user's objects, and what they come to."""

    def __init__(
        self,
        user: str,
        steps: Sequence[Step],
        before: Mapping[str, Inputs],
        claims: Collection[str],
    ) -> None:
        self._user = user
        self._steps = steps
        self._before = before
        self._claims = claims
        self._deployments = [step for step in steps if step.kind == "Deployment"]

    def change(self) -> UserChange | None:
        """Return what happens to the user; None where it is nothing a person would notice."""
        action, reasons = self._what()
        also = () if action in {Action.CREATE, Action.REMOVE} else tuple(self._also(reasons))
        if action is Action.UPDATE and not reasons:
            if not also:
                return None
            if all(word.startswith(_SIZE) for word in also):
                action = Action.RESIZE
        return UserChange(
            user=self._user,
            pool=self._pool(),
            action=action,
            reasons=reasons,
            also=also,
        )

    def _pool(self) -> str:
        made = [step for step in self._steps if step.op not in GONE]
        return owner_of((made or list(self._steps))[0]).pool or ""

    def _what(self) -> tuple[Action, tuple[str, ...]]:
        if moved := self._moved():
            return Action.MOVE, moved
        made = [step for step in self._steps if step.op in MADE]
        gone = [step for step in self._steps if step.op in GONE]
        if gone and len(gone) == len(self._steps):
            return Action.REMOVE, tuple(dict.fromkeys(_fate(step) for step in gone if _fate(step)))
        replaced = [step for step in self._deployments if step.op in REPLACED]
        if replaced:
            keys = dict.fromkeys(key for step in replaced for key in step.keys)
            return Action.RESTART, (f"its Deployment is replaced ({', '.join(keys)})",)
        for step in self._deployments:
            if step in made:
                return self._created(step)
            return self._updated(step)
        return Action.UPDATE, ()

    def _moved(self) -> tuple[str, ...]:
        """Return where the user moves, when the claim is another one afterwards."""
        for step in self._steps:
            old, new = _namespace(step.old), _namespace(step.new)
            if step.kind == _CLAIM and step.op in REPLACED and old and new and old != new:
                return (f"{old} → {new}", "an empty claim there, the old one is retained")
        return ()

    def _created(self, step: Step) -> tuple[Action, tuple[str, ...]]:
        if step.urn in self._before:
            action = Action.RESTART if _replicas(step.new) else Action.UPDATE
            return action, (f"Deployment{_DELETED}",)
        reasons = () if _replicas(step.new) else ("suspended",)
        if place_of(step.inputs) in self._claims:
            reasons = (*reasons, "finds the data of before again")
        return Action.CREATE, reasons

    def _updated(self, step: Step) -> tuple[Action, tuple[str, ...]]:
        old, new = step.old or {}, step.new or {}
        reasons = tuple(self._template_reasons(step))
        was, will = _replicas(old), _replicas(new)
        if bool(was) != bool(will):
            before = self._before.get(step.urn)
            by_hand = before is not None and _replicas(before) == will
            told = ("scaled by hand",) if by_hand else ()
            return (Action.RESUME if will else Action.SUSPEND), (*told, *reasons)
        if not reasons:
            return Action.UPDATE, ()
        return (Action.RESTART if will else Action.UPDATE), reasons

    def _template_reasons(self, step: Step) -> Iterator[str]:
        old, new = _template(step.old), _template(step.new)
        before = self._before.get(step.urn)
        known = None if before is None else _template(before)
        for topic in changed_topics(old, new):
            text = reason(topic, old, new)
            yield f"{topic}{_EDITED}" if _put_back(topic, known, new) else text

    def _also(self, reasons: Collection[str]) -> Iterator[str]:
        words: dict[str, None] = {}
        for step in self._steps:
            for word in self._beside(step, reasons):
                words[word] = None
        return iter(words)

    def _beside(self, step: Step, reasons: Collection[str]) -> Iterator[str]:
        """Yield what a step changes beside the pod."""
        if step.op != "update":
            if step.kind not in {"Deployment", _CLAIM} and step.op not in REPLACED:
                lost = step.op in MADE and step.urn in self._before
                yield f"{_word(step)}{_DELETED if lost else ' ' + verb({step.op})}"
            return
        old, new = step.old or {}, step.new or {}
        by_hand = _EDITED if self._before.get(step.urn) == new else ""
        metadata = list(_metadata_words(old, new))
        yield from (f"{word}{by_hand}" for word in metadata)
        yield from _size(old, new)
        if step.kind == "Secret" and _touches(step, "data"):
            if not {"password", "API key"} & set(reasons):
                yield f"Secret{_EDITED}"
        elif step.kind == "Deployment":
            if any(_differs(old, new, "spec", key) for key in ("strategy", "revisionHistoryLimit")):
                yield f"Deployment's settings{by_hand}"
        elif step.kind != _CLAIM and (_differs(old, new, "spec") or not metadata):
            yield f"{_word(step)}{by_hand}"


def _word(step: Step) -> str:
    return "route" if step.kind in _ROUTES else step.kind


def _put_back(topic: str, before: Topics | None, new: Topics) -> bool:
    """Return whether the stack file says what it said, so that somebody edited the object."""
    return before is not None and topic in before and before.get(topic) == new.get(topic)


def _fate(step: Step) -> str:
    """Return what becomes of a user's data as an object goes; empty for what holds none."""
    if step.kind != _CLAIM:
        return ""
    if step.retained:
        return "the claim and its data are retained"
    return f"claim {place_of(step.inputs)} AND ITS DATA are deleted"


def _template(inputs: Inputs | None) -> Topics:
    return topics_of(part(inputs or {}, "spec", "template"))


def _replicas(inputs: Inputs | None) -> object:
    return part(inputs or {}, "spec").get("replicas", 1)


def _namespace(inputs: Inputs | None) -> object:
    return part(inputs or {}, "metadata").get("namespace")


def _differs(old: Inputs, new: Inputs, *path: str) -> bool:
    *above, last = path
    return part(old, *above).get(last) != part(new, *above).get(last)


def _touches(step: Step, field_name: str) -> bool:
    return any(re.match(rf"{field_name}\b", path) for path in step.paths)


def _metadata_words(old: Inputs, new: Inputs) -> Iterator[str]:
    if _differs(old, new, "metadata", "labels"):
        yield "labels"
    was, will = part(old, "metadata", "annotations"), part(new, "metadata", "annotations")
    keys = {key for key in {*was, *will} if was.get(key) != will.get(key)}
    if DISPLAY_NAME in keys:
        yield "display name"
    # Notes to the provider say nothing about the user.
    if any(not key.startswith("pulumi.com/") for key in keys - _ANNOTATIONS_TOLD):
        yield "what the door knows" if keys & _OF_THE_DOOR else "annotations"


def _size(old: Inputs, new: Inputs) -> Iterator[str]:
    path = ("spec", "resources", "requests")
    was, will = part(old, *path).get("storage"), part(new, *path).get("storage")
    if was != will:
        yield f"{_SIZE}{shown(was)} → {shown(will)}"


def _with_purge(change: UserChange, purge: Mapping[str, Sequence[str]]) -> UserChange:
    if change.user not in purge or change.action is not Action.REMOVE:
        return change
    return _purged(change.user, purge[change.user], pool=change.pool)


def _purged(user: str, claims: Sequence[str], pool: str = "") -> UserChange:
    gone = f"{' and '.join(claims)} and all data deleted for good"
    return UserChange(user=user, pool=pool, action=Action.PURGE, reasons=(f"claim {gone}",))


def _retained(step: Step, purge: Mapping[str, Sequence[str]]) -> str:
    """Return what a step leaves in the cluster; empty when that is nothing."""
    if step.op not in GONE or not step.retained:
        return ""
    place = place_of(step.inputs)
    if any(place in claims for claims in purge.values()):
        return ""
    return f"{_RETAINED_WORDS.get(step.kind, step.kind)} {place}"
