"""Broken stack files generated from the models, with the line that each must give.

Every key gets each wrong kind of value and values out of its range, every mapping an unknown key,
and every needed key goes missing. The models say which keys there are; what must be answered stands
here, apart from the code.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Le, MaxLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from fleet.errors import HIDDEN
from fleet.stackfile.config import ExistingCluster, StackConfig
from fleet.values.secrecy import names_secret
from tests.support.stacks import FULL, Values, keys_of, with_value, without

WRONG: dict[str, object] = {
    "text": "certainly not, 1!",
    "number": 7.5,
    "truth": True,
    "null": None,
    "list": [1],
    "mapping": {"a": 1},
}
SHOWN = {
    "text": "certainly not, 1!",
    "number": "7.5",
    "truth": "true",
    "null": "null",
    "list": "a list",
    "mapping": "a mapping",
}
# Of lists that the full file has nowhere, one sound item.
SAMPLES = {"days": "mon", "peers": "10.0.0.0/24", "scopes": "openid"}
# Below these a text is not repeated: a secret is easily written there.
GUARDED = {"apiKeys", "env", "headers", "hosts", "options", "secretEnv"}
QUANTITIES = {"cpu", "memory", "storage", "ephemeralStorage", "request", "limit", "size"}


@dataclass(frozen=True)
class Key:
    """A key of a stack file: its path in the full valid file, and what the models say of it."""

    path: str
    kind: str
    optional: bool
    required: bool
    info: FieldInfo


@dataclass(frozen=True)
class Case:
    """A broken full file and the line it must give; `line` may be the start of one."""

    name: str
    values: Values
    line: str


def bare(annotation: Any) -> tuple[Any, bool]:
    """Return an annotation without `Annotated` and `| None`, and whether it had the latter."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, types.UnionType):
        choices = [item for item in get_args(annotation) if item is not type(None)]
        if len(choices) == 1:
            return bare(choices[0])[0], True
        return (ExistingCluster if ExistingCluster in choices else str), False
    return annotation, False


def kind_of(annotation: Any) -> str:
    """Return which rule a wrong value of this annotation breaks."""
    origin = get_origin(annotation)
    if origin is tuple:
        return "list"
    if origin is dict:
        return "mapping"
    if origin is Literal or (isinstance(annotation, type) and issubclass(annotation, StrEnum)):
        return "choice"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "mapping"
    return {str: "text", int: "number", bool: "truth"}[annotation]


def keys(model: type[BaseModel], path: str) -> Iterator[Key]:
    """Return every key below a model, along the full valid file."""
    for name, info in model.model_fields.items():
        place = f"{path}.{info.alias or name}".lstrip(".")
        annotation, optional = bare(info.annotation)
        yield Key(place, kind_of(annotation), optional, info.is_required(), info)
        item, _ = (
            bare(get_args(annotation)[0 if get_origin(annotation) is tuple else -1])
            if (get_origin(annotation) in (tuple, dict))
            else (annotation, False)
        )
        if isinstance(item, type) and issubclass(item, BaseModel):
            if get_origin(annotation) is tuple:
                place = f"{place}[0]"
            elif get_origin(annotation) is dict:
                place = f"{place}.{next(iter(value_at(place)))}"
            yield from keys(item, place)


def value_at(path: str) -> Any:
    """Return a value of the full valid file, or an empty mapping where it has none."""
    place: Any = FULL
    for part in keys_of(path):
        try:
            place = place[part]
        except KeyError:
            return {}
    return place


KEYS = [key for key in keys(StackConfig, "") if key.path != "cluster.kind"]
RULES = {
    "text": ("a text is expected", "put it in quotes"),
    "number": ("a whole number is expected", "write digits without quotes"),
    "truth": ("true or false is expected", "write true or false"),
    "mapping": ("a mapping is expected", "write key: value lines below it"),
    "list": ("a list is expected", "write it as [a, b] or as lines with -"),
    "choice": ("it is one of ", ""),
}


def is_guarded(key: Key) -> bool:
    """Return whether a text in a key's place may be a secret."""
    return not GUARDED.isdisjoint(keys_of(key.path))


def wrong_kinds(key: Key) -> Iterator[Case]:
    """Return a case for each kind of value that a key does not take."""
    for kind, value in WRONG.items():
        quantity = key.path.rsplit(".", 1)[-1] in QUANTITIES and kind == "number"
        if kind == key.kind != "number" or quantity or (kind == "null" and key.optional):
            continue
        rule, change = RULES[key.kind]
        if key.kind == "text" and kind in ("null", "list", "mapping"):
            change = "write one text"
        values = with_value(FULL, key.path, value)
        shown = HIDDEN if kind == "text" and is_guarded(key) else SHOWN[kind]
        line = f"{key.path}: {shown}: {rule}" + (f": {change}" if change else "")
        yield Case(f"{key.path} as {kind}", values, line)


def out_of_range(key: Key) -> Iterator[Case]:
    """Return a case for each bound of a key."""
    for bound in key.info.metadata:
        if isinstance(bound, Ge) and isinstance(bound.ge, int):
            value, rule = bound.ge - 1, f"it is at least {bound.ge}: raise it"
        elif isinstance(bound, Le) and isinstance(bound.le, int):
            value, rule = bound.le + 1, f"it is at most {bound.le}: lower it"
        elif isinstance(bound, MaxLen) and key.kind == "list":
            one = value_at(f"{key.path}[0]") or SAMPLES.get(key.path.rpartition(".")[2], "x")
            value = [one] * (bound.max_length + 1)
            rule = f"it has at most {bound.max_length} items: remove some"
        elif isinstance(bound, MaxLen) and key.kind == "text":
            value = "x" * (bound.max_length + 1)
            rule = f"it has at most {bound.max_length} characters: shorten it"
        else:
            continue
        shown = value if isinstance(value, int) else "a list" if isinstance(value, list) else "x"
        if (names_secret(key.path) or is_guarded(key)) and isinstance(value, str):
            shown = HIDDEN
        line = f"{key.path}: {shown}" + (f": {rule}" if shown not in ("x", HIDDEN) else "")
        yield Case(
            f"{key.path} past {type(bound).__name__}", with_value(FULL, key.path, value), line
        )


def unknown_and_missing() -> Iterator[Case]:
    """Return a case with an unknown key in each mapping of the models, and without each needed."""
    owners = {key.path.rpartition(".")[0] for key in KEYS}
    for owner in sorted(owners):
        path = f"{owner}.zzz".lstrip(".")
        if isinstance(value_at(owner) if owner else FULL, dict):
            values = with_value(FULL, path, "x")
            yield Case(f"unknown {path}", values, f"{path}: a text: unknown key: remove it")
    for key in KEYS:
        if key.required and value_at(key.path.rpartition(".")[0]):
            line = f"{key.path}: missing: this key is required: add it"
            yield Case(f"without {key.path}", without(FULL, key.path), line)


CASES = [
    *(case for key in KEYS for case in wrong_kinds(key)),
    *(case for key in KEYS for case in out_of_range(key)),
    *unknown_and_missing(),
]
