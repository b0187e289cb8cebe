"""Pydantic's errors as problem lines: key, value, rule, what to change.

Keys are those of the file; what pydantic adds of its own (union tags, `[key]`) is left out, and so
is a value that may be a credential.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, cast

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from fleet.errors import HIDDEN, Problem, shown
from fleet.stackfile.config import StackConfig
from fleet.values.model import RULE
from fleet.values.secrecy import names_secret

_Words = Callable[[Mapping[str, Any]], tuple[str, str]]

_MAPPING = ("a mapping is expected", "write key: value lines below it")
_LIST = ("a list is expected", "write it as [a, b] or as lines with -")
_WHOLE = ("a whole number is expected", "write digits without quotes")
_BOOL = ("true or false is expected", "write true or false")

_FORMER_MODEL = (
    "a key of release 0.1.0: providers and models have taken its place",
    "write providers: {openai: {kind: openai-compatible, baseUrl: …, apiKey: modelApiKey, "
    "models: {NAME: {}}}} and models: {default: openai/NAME}",
)
# Below these stand names of secrets, or what is easily a secret itself.
_SECRETS = {"apiKeys", "env", "headers", "options", "secretEnv", "hosts"}
# Below it, `gpu` is near to `cpu` and `storage` to `state`.
_NEAR = 0.75
_SHORT = 3

_WORDS: dict[str, _Words] = {
    RULE: lambda context: (context["rule"], context["change"]),
    "missing": lambda _: ("this key is required", "add it"),
    "string_type": lambda _: ("a text is expected", "put it in quotes"),
    "string_unicode": lambda _: ("a text of valid characters is expected", "write it anew"),
    "int_type": lambda _: _WHOLE,
    "int_parsing": lambda _: _WHOLE,
    "int_parsing_size": lambda _: _WHOLE,
    "int_from_float": lambda _: ("a whole number is expected", "remove the fraction"),
    "bool_type": lambda _: _BOOL,
    "bool_parsing": lambda _: _BOOL,
    "float_type": lambda _: ("a number is expected", "write digits without quotes"),
    "float_parsing": lambda _: ("a number is expected", "write digits without quotes"),
    "finite_number": lambda _: ("a finite number is expected", "write digits"),
    "dict_type": lambda _: _MAPPING,
    "model_type": lambda _: _MAPPING,
    "model_attributes_type": lambda _: _MAPPING,
    "tuple_type": lambda _: _LIST,
    "list_type": lambda _: _LIST,
    # What YAML has and JSON has not: a date.
    "invalid-json-value": lambda _: (
        "a text, a number, true, false, a list or a mapping is expected",
        "put it in quotes",
    ),
    "enum": lambda context: (f"it is one of {context['expected']}", "use one of these"),
    "literal_error": lambda context: (f"it is one of {context['expected']}", "use one of these"),
    "union_tag_invalid": lambda context: (
        f"it is one of {context['expected_tags']}",
        "use one of these",
    ),
    "union_tag_not_found": lambda _: ("this key is required", "add it, e.g. kind: existing"),
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
    "greater_than": lambda context: (f"it is more than {context['gt']}", "raise it"),
    "greater_than_equal": lambda context: (f"it is at least {context['ge']}", "raise it"),
    "less_than": lambda context: (f"it is less than {context['lt']}", "lower it"),
    "less_than_equal": lambda context: (f"it is at most {context['le']}", "lower it"),
    "too_short": lambda context: (f"it has at least {context['min_length']} items", "add more"),
    "too_long": lambda context: (f"it has at most {context['max_length']} items", "remove some"),
}


def from_pydantic(error: ValidationError, root: str = "") -> list[Problem]:
    """Return a problem line for each of pydantic's errors, in the file's order."""
    return [_problem(item, root) for item in error.errors(include_url=False)]


def _problem(item: ErrorDetails, root: str) -> Problem:
    kind, given = item["type"], item["input"]
    context = item.get("ctx", {})
    key = key_text(item) or root
    if kind.startswith("union_tag") and not _is_mapping(given):
        # A number that knows how it was written has attributes, where pydantic looks for the tag.
        kind = "model_type"
    if kind == "extra_forbidden":
        if item["loc"] == ("model",):
            return Problem(key, "a mapping", *_FORMER_MODEL)
        # What an unknown key holds is unknown too: it may be a credential.
        value = "a text" if isinstance(given, str) else shown(given)
        return Problem(key, value, "unknown key", _nearest(item["loc"]))
    if kind == "missing":
        value = "missing"
    elif kind.startswith("union_tag"):
        tag = str(context["discriminator"]).strip("'")
        key = f"{key}.{tag}" if key else tag
        value = shown(given[tag]) if tag in given else "missing"
    elif isinstance(given, str) and (names_secret(key) or _below_secrets(item)):
        value = HIDDEN
    else:
        value = shown(given)
    words = _WORDS.get(kind)
    rule, change = words(context) if words else (item["msg"], "mend the value")
    if kind == "string_type" and (given is None or isinstance(given, Mapping | list)):
        change = "write one text"
    return Problem(key, value, rule, change)


def _below_secrets(item: ErrorDetails) -> bool:
    return item["loc"][-1:] != ("[key]",) and not _SECRETS.isdisjoint(file_keys(item))


def _is_mapping(value: object) -> bool:
    return isinstance(value, Mapping)


def key_text(item: ErrorDetails) -> str:
    """Return where in the file an error stands, such as `users[0].id`."""
    text = ""
    for part in file_keys(item):
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = shown(part) if part else '""'
            text += f".{name}" if text else name
    return text


def file_keys(item: ErrorDetails) -> list[int | str]:
    """Return the keys of the file along an error's location, without pydantic's own additions."""
    location = item["loc"]
    if location and location[-1] == "[key]" and item["type"] != "extra_forbidden":
        location = location[:-1]
    keys: list[int | str] = []
    place: Any = _schema()
    for part in location:
        # Where `kind` chooses the model, pydantic adds its value to the location, which is no key.
        if "discriminator" not in place:
            keys.append(part)
        place = _step(place, part)
    return keys


def _nearest(location: tuple[int | str, ...]) -> str:
    """Return advice for an unknown key, from the keys its place does have."""
    place: Any = _schema()
    for part in location[:-1]:
        place = _step(place, part)
    known = sorted(place.get("properties", {}))
    close = difflib.get_close_matches(str(location[-1])[:80], known, n=1, cutoff=_NEAR)
    word = str(location[-1]).lower()
    close = close or [name for name in known if len(word) > _SHORT and word in name.lower()]
    if close:
        return f"did you mean {close[0]}?"
    return f"remove it; known here: {', '.join(known)}" if known else "remove it"


@cache
def _schema() -> dict[str, Any]:
    return StackConfig.model_json_schema()


def _step(place: Any, part: int | str) -> Any:
    """Return the schema one step below `place`, with references followed; `{}` where none is."""
    if "discriminator" in place:
        below = {"$ref": place["discriminator"]["mapping"].get(part, "")}
    elif isinstance(part, int):
        below = place.get("items")
    else:
        entries = [*place.get("patternProperties", {}).values(), place.get("additionalProperties")]
        below = place.get("properties", {}).get(part) or entries[0]
    below = cast("dict[str, Any]", below) if isinstance(below, dict) else {}
    choices = [choice for choice in below.get("anyOf", []) if choice.get("type") != "null"]
    below = choices[0] if choices else below
    while "$ref" in below:
        below = _schema()["$defs"].get(str(below["$ref"]).removeprefix("#/$defs/"), {})
    return below
