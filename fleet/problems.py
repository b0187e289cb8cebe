"""Pydantic's errors as problem lines: key, value, rule, what to change."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any, cast

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from fleet.config import StackConfig
from fleet.model import RULE, Problem, shown

_Words = Callable[[Mapping[str, Any]], tuple[str, str]]

_WORDS: dict[str, _Words] = {
    RULE: lambda context: (context["rule"], context["change"]),
    "missing": lambda _: ("this key is required", "add it"),
    "string_type": lambda _: ("a text is expected", "put it in quotes"),
    "int_type": lambda _: ("a whole number is expected", "write digits without quotes"),
    "int_parsing": lambda _: ("a whole number is expected", "write digits without quotes"),
    "int_from_float": lambda _: ("a whole number is expected", "remove the fraction"),
    "bool_type": lambda _: ("true or false is expected", "write true or false"),
    "bool_parsing": lambda _: ("true or false is expected", "write true or false"),
    "dict_type": lambda _: ("a mapping is expected", "write key: value lines below it"),
    "model_type": lambda _: ("a mapping is expected", "write key: value lines below it"),
    "model_attributes_type": lambda _: (
        "a mapping is expected",
        "write key: value lines below it",
    ),
    "tuple_type": lambda _: ("a list is expected", "write it as [a, b] or as lines with -"),
    "list_type": lambda _: ("a list is expected", "write it as [a, b] or as lines with -"),
    "enum": lambda context: (f"it is one of {context['expected']}", "use one of these"),
    "literal_error": lambda context: (f"it is one of {context['expected']}", "use one of these"),
    "union_tag_invalid": lambda context: (
        f"kind is one of {context['expected_tags']}",
        "use one of these",
    ),
    "union_tag_not_found": lambda _: ("the key kind is required here", "add kind: existing"),
    "string_pattern_mismatch": lambda context: (
        f"it must match {context['pattern']}",
        "remove other characters",
    ),
    "string_too_long": lambda context: (
        f"it has at most {context['max_length']} characters",
        "shorten it",
    ),
    "string_too_short": lambda context: (
        f"it has at least {context['min_length']} characters",
        "write more",
    ),
    "greater_than_equal": lambda context: (f"it is at least {context['ge']}", "raise it"),
    "less_than_equal": lambda context: (f"it is at most {context['le']}", "lower it"),
    "too_short": lambda context: (f"it has at least {context['min_length']} items", "add more"),
    "too_long": lambda context: (f"it has at most {context['max_length']} items", "remove some"),
}


def from_pydantic(error: ValidationError, root: str = "") -> list[Problem]:
    """Return a problem line for each of pydantic's errors, in the file's order."""
    return [_problem(item, root) for item in error.errors(include_url=False)]


def _problem(item: ErrorDetails, root: str) -> Problem:
    key = _key(item["loc"]) or root
    context = item.get("ctx", {})
    if item["type"] == "missing":
        value = "missing"
    elif item["type"] == "extra_forbidden":
        return Problem(key, shown(item["input"]), "unknown key", _nearest(item["loc"]))
    else:
        value = shown(item["input"])
    words = _WORDS.get(item["type"])
    rule, change = words(context) if words else (item["msg"], "mend the value")
    return Problem(key, value, rule, change)


def _key(location: tuple[int | str, ...]) -> str:
    text = ""
    # A discriminated union puts its tag into the location; it is no key of the file.
    parts = [
        part for place, part in enumerate(location) if not (place == 1 and location[0] == "cluster")
    ]
    if len(location) > 1 and location[0] == "cluster" and location[1] == "kind":
        parts.append("kind")
    for part in parts:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part != "[key]":
            text += f".{shown(part)}" if text else shown(part)
    return text


def _nearest(location: tuple[int | str, ...]) -> str:
    """Return advice for an unknown key, from the keys its place does have."""
    known = _keys_at(location)
    close = difflib.get_close_matches(str(location[-1]), known, n=1)
    if close:
        return f"did you mean {close[0]}?"
    return f"remove it; known here: {', '.join(known)}" if known else "remove it"


def _keys_at(location: tuple[int | str, ...]) -> list[str]:
    schema: Any = StackConfig.model_json_schema()
    definitions = schema["$defs"]
    place: Any = schema
    for part in location[:-1]:
        place = _step(place, part, definitions)
    return sorted(place.get("properties", {}))


def _step(place: Any, part: int | str, definitions: Any) -> Any:
    """Return the schema one step below `place`, with references followed; `{}` where none is."""
    if isinstance(part, int):
        found = place.get("items")
    elif "discriminator" in place:
        found = {"$ref": place["discriminator"]["mapping"].get(part, "")}
    else:
        found = place.get("properties", {}).get(part) or place.get("additionalProperties")
    found = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    for choice in found.get("anyOf", []):
        found = choice if "$ref" in choice else found
    while "$ref" in found:
        found = definitions.get(str(found["$ref"]).removeprefix("#/$defs/"), {})
    return found
