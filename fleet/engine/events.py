"""What one event of Pulumi's engine is about: which object, whose, and what is done to it.

Owns: the shape in which the rest of this room reads events. Leaves out: what an event means for
people (`changes`, `progress`). Names of resources are not read: labels say whose an object is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, cast

from fleet.manifests.user import USER_ID
from fleet.names import DOOR, LABEL_POOL, LABEL_USER

if TYPE_CHECKING:
    from pulumi.automation.events import EngineEvent, StepEventMetadata, StepEventStateMetadata

Inputs = Mapping[str, Any]
_NAME = "app.kubernetes.io/name"


class Phase(StrEnum):
    """How far a step is."""

    BEGUN = "begun"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One operation of the engine on one resource."""

    phase: Phase
    op: str
    """The engine's word: same, create, update, delete, replace, refresh and a few more."""
    urn: str
    type: str
    old: Inputs | None
    """What the state held: the inputs before this step."""
    new: Inputs | None
    retained: bool
    """Whether deleting leaves the object where it is."""
    keys: tuple[str, ...]
    """The fields that force a replacement."""
    paths: tuple[str, ...]
    """The fields that differ, as the provider writes them."""
    custom: bool
    """False for a component, which is nothing in a cluster."""

    @property
    def inputs(self) -> Inputs:
        """What the resource is after this step; what it was, where it goes."""
        return self.new if self.new is not None else self.old or {}

    @property
    def kind(self) -> str:
        """The last part of the type, such as `Deployment`."""
        return self.type.rpartition(":")[2]

    @property
    def resource(self) -> str:
        """The name that the program gave the resource."""
        return self.urn.rpartition("::")[2]


@dataclass(frozen=True, kw_only=True, slots=True)
class Owner:
    """Whose an object is; both are None for what is no object of a pool."""

    user: str | None
    pool: str | None
    door: bool = False
    """Whether it is one of the door's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Complaint:
    """An error that the engine printed."""

    urn: str
    text: str


def step_of(event: EngineEvent) -> Step | None:
    """Return the step that an event tells of; None when it tells of none."""
    if event.resource_pre_event is not None:
        return _step(Phase.BEGUN, event.resource_pre_event.metadata)
    if event.res_outputs_event is not None:
        return _step(Phase.DONE, event.res_outputs_event.metadata)
    if event.res_op_failed_event is not None:
        return _step(Phase.FAILED, event.res_op_failed_event.metadata)
    return None


def complaint_of(event: EngineEvent) -> Complaint | None:
    """Return the error that an event prints; None when it prints none."""
    told = event.diagnostic_event
    if told is None or told.severity != "error":
        return None
    return Complaint(urn=told.urn or "", text=told.message)


def steps_of_edit(urn: str, type_: str, wanted: Inputs, found: Inputs | None) -> list[Step]:
    """Return what the engine would have told of an object that is put back without it.

    `wanted` is what the state holds, `found` the object of the cluster; None for a deleted one.
    """
    shared: dict[str, Any] = {
        "phase": Phase.BEGUN,
        "urn": urn,
        "type": type_,
        "retained": False,
        "keys": (),
        "custom": True,
    }
    noticed = Step(op="refresh", old=wanted, new=None, paths=(), **shared)
    if found is None:
        return [noticed, Step(op="create", old=None, new=wanted, paths=(), **shared)]
    # The cluster fills in fields that nobody set; only ours can have been edited.
    live = cast("Inputs", _ours(wanted, found))
    paths = tuple(key for key in wanted if wanted[key] != live.get(key))
    return [noticed, Step(op="update", old=live, new=wanted, paths=paths, **shared)]


def _ours(wanted: object, found: object) -> object:
    """Return what was found of the fields that are wanted; list items are matched by their name."""
    match wanted, found:
        case dict(), dict():
            fields, there = cast("Inputs", wanted), cast("Inputs", found)
            return {key: _ours(value, there[key]) for key, value in fields.items() if key in there}
        case list(), list():
            ours, theirs = cast("list[object]", wanted), cast("list[object]", found)
            named = {_name(item): item for item in theirs}
            return [_ours(item, named[_name(item)]) for item in ours if _name(item) in named]
        case _:
            return found


def _name(item: object) -> object:
    """Return what Kubernetes merges list items by, as far as our objects have lists of mappings."""
    fields = _mapping(item)
    keys = (fields.get(key) for key in ("mountPath", "name", "key"))
    return next((key for key in keys if key is not None), json.dumps(item, sort_keys=True))


def owner_of(step: Step) -> Owner:
    """Return whose an object is, by its labels."""
    metadata = part(step.inputs, "metadata")
    labels, annotations = part(metadata, "labels"), part(metadata, "annotations")
    user = annotations.get(USER_ID, labels.get(LABEL_USER))
    if LABEL_USER not in labels:
        user = None
    door = LABEL_POOL not in labels and labels.get(_NAME) == DOOR
    return Owner(user=_text(user), pool=_text(labels.get(LABEL_POOL)), door=door)


def place_of(inputs: Inputs) -> str:
    """Return an object's namespace and name, or its name alone where it has no namespace."""
    metadata = part(inputs, "metadata")
    name = str(metadata.get("name", ""))
    return f"{metadata['namespace']}/{name}" if metadata.get("namespace") else name


def part(inputs: Inputs, *path: str) -> Inputs:
    """Return a mapping inside inputs; an absent, null, secret or unknown one is empty."""
    place: object = inputs
    for key in path:
        place = _mapping(place).get(key)
    return _mapping(place)


def _mapping(value: object) -> Inputs:
    return cast("Inputs", value) if isinstance(value, Mapping) else {}


def parts(inputs: Inputs, key: str) -> list[Inputs]:
    """Return the mappings of a list inside inputs; one that is no list is empty."""
    value = inputs.get(key)
    items = cast("list[object]", value) if isinstance(value, list) else []
    return [cast("Inputs", item) for item in items if isinstance(item, Mapping)]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _step(phase: Phase, metadata: StepEventMetadata) -> Step:
    old, new = metadata.old, metadata.new
    state = new or old
    return Step(
        phase=phase,
        op=metadata.op.value,
        urn=metadata.urn,
        type=metadata.type,
        old=_inputs(old),
        new=_inputs(new),
        retained=bool(old and old.retain_on_delete),
        keys=tuple(metadata.keys or ()),
        paths=tuple(metadata.detailed_diff or metadata.diffs or ()),
        custom=bool(state and state.custom),
    )


def _inputs(state: StepEventStateMetadata | None) -> Inputs | None:
    return None if state is None else state.inputs or {}
