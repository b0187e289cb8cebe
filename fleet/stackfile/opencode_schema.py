"""OpenCode's own configuration schema, and what of a configuration breaks it.

`opencode_config.schema.json` is what the pinned version's server says of itself (`GET /doc`,
components.schemas.Config with all it refers to). Owns: the part of JSON Schema that it uses. Not a
library's job here: the one that is known needs a quarter of a second to load.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

from fleet.errors import shown

Fault = tuple[str, str, str]
"""Where, the rule, what to change."""

_FILE = Path(__file__).with_name("opencode_config.schema.json")
_MOST = 20
_NUMBER = (int, float)
_KINDS: dict[str, tuple[str, Any]] = {
    "string": ("a text", str),
    "boolean": ("true or false", bool),
    "integer": ("a whole number", int),
    "number": ("a number", _NUMBER),
    "object": ("an object", Mapping),
    "array": ("a list", (list, tuple)),
    "null": ("null", type(None)),
}


@cache
def config_schema() -> dict[str, Any]:
    """Return the JSON Schema of OpenCode's configuration."""
    return cast("dict[str, Any]", json.loads(_FILE.read_text(encoding="utf-8")))


def config_faults(config: Mapping[str, object]) -> list[Fault]:
    """Return where a configuration breaks OpenCode's schema, at most 20 places."""
    found: list[Fault] = []
    for fault in _faults(config, config_schema(), ""):
        found.append(fault)
        if len(found) == _MOST:
            break
    return found


def _faults(value: object, schema: Mapping[str, Any], place: str) -> Iterator[Fault]:
    while "$ref" in schema:
        schema = config_schema()["$defs"][schema["$ref"].removeprefix("#/$defs/")]
    if "anyOf" in schema:
        yield from _choice(value, schema["anyOf"], place)
        return
    kind = schema.get("type")
    if kind is not None and not _is(value, kind):
        yield place, f"{_KINDS[kind][0]} is expected", f"write {_KINDS[kind][0]}"
        return
    yield from _bounds(value, schema, place)
    if isinstance(value, Mapping):
        yield from _members(cast("Mapping[str, object]", value), schema, place)
    elif isinstance(value, list | tuple):
        yield from _items(cast("list[object]", value), schema, place)


def _items(value: list[object], schema: Mapping[str, Any], place: str) -> Iterator[Fault]:
    least, most = schema.get("minItems", 0), schema.get("maxItems", len(value))
    if not least <= len(value) <= most:
        yield place, f"it has {least} to {most} items", "add or remove some"
    first = cast("list[Mapping[str, Any]]", schema.get("prefixItems", []))
    for index, item in enumerate(value):
        rule = first[index] if index < len(first) else schema.get("items", {})
        yield from _faults(item, rule, f"{place}[{index}]")


def _is(value: object, kind: str) -> bool:
    if kind in ("integer", "number") and isinstance(value, bool):
        return False
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _KINDS[kind][1])


def _choice(value: object, choices: list[Mapping[str, Any]], place: str) -> Iterator[Fault]:
    """Yield the faults of the choice that a value comes nearest to; none when one of them fits."""
    tried = [list(_faults(value, choice, place)) for choice in choices]
    if not all(tried):
        return

    def distance(faults: list[Fault]) -> tuple[bool, bool, int]:
        other_kind = any(at == place and rule.endswith("is expected") for at, rule, _ in faults)
        return other_kind, any(at == f"{place}.type" for at, _, _ in faults), len(faults)

    yield from min(tried, key=distance)


def _bounds(value: object, schema: Mapping[str, Any], place: str) -> Iterator[Fault]:
    if "enum" in schema and value not in schema["enum"]:
        words = ", ".join(shown(item) for item in schema["enum"])
        yield place, f"it is one of {words}", "use one of these"
    if "pattern" in schema and isinstance(value, str) and not re.search(schema["pattern"], value):
        yield place, f"it must match {schema['pattern']}", "change it"
    if isinstance(value, _NUMBER):
        yield from _range(value, schema, place)


def _range(value: float, schema: Mapping[str, Any], place: str) -> Iterator[Fault]:
    least, more, most = (schema.get(word) for word in ("minimum", "exclusiveMinimum", "maximum"))
    if least is not None and value < least:
        yield place, f"it is at least {least}", "raise it"
    if more is not None and value <= more:
        yield place, f"it is more than {more}", "raise it"
    if most is not None and value > most:
        yield place, f"it is at most {most}", "lower it"


def _members(value: Mapping[str, object], schema: Mapping[str, Any], place: str) -> Iterator[Fault]:
    known = cast("Mapping[str, Any]", schema.get("properties", {}))
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{place}.{name}".strip("."), "it is required here", "add it"
    others = schema.get("additionalProperties")
    for name, item in value.items():
        inside = f"{place}.{shown(name)}".strip(".")
        if name in known:
            yield from _faults(item, known[name], inside)
        elif others is False:
            yield inside, "OpenCode knows no such key", _nearest(name, known)
        elif isinstance(others, Mapping):
            yield from _faults(item, cast("Mapping[str, Any]", others), inside)


def _nearest(name: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(str(name)[:80], list(known), n=1)
    return f"did you mean {close[0]}?" if close else "remove it"
