"""YAML as this project reads it: plain data, every value written out where it stands.

Owns: what is refused (aliases, merge keys, tags, keys written twice, deep nesting, odd numbers),
and the one line that says where. A plain word is what it is to Pulumi's parser (Go's yaml.v3), not
to PyYAML: `no` and `12:30` are texts, 0123 is 83. Leaves out: what the data means.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import yaml

# The deepest place of a stack file has 7 levels; beyond some thousands the C parser's own recursion
# ends the process.
MAX_DEPTH = 40
_LONGEST_NUMBER = 30
# Whole numbers beyond it are not exact as floating-point numbers.
_EXACT = 2**53
_OPENS = (yaml.MappingStartEvent, yaml.SequenceStartEvent)
_CLOSES = (yaml.MappingEndEvent, yaml.SequenceEndEvent)


class YamlError(Exception):
    """A text is not the YAML that is read here; it holds a rule and what to change."""

    def __init__(self, rule: str, change: str) -> None:
        super().__init__(f"{rule}: {change}")
        self.rule = rule
        self.change = change


def parse_yaml(text: str) -> object:
    """Return the data of one YAML document, keys as text; raise YamlError when it is refused."""
    try:
        _check_events(text)
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader's subclass
    except yaml.reader.ReaderError as error:
        line = text.encode()[: error.position].count(b"\n") + 1
        raise YamlError(
            f"not valid YAML (line {line}: control characters are not allowed)", "remove them"
        ) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problem = error.problem or "broken"
        # "but found …" is the second half of a sentence; the first half stands in `context`.
        detail = f"{error.context}, {problem}" if problem.startswith("but ") else problem
        raise YamlError(f"not valid YAML ({place}{detail})", "mend that line") from None


def _resolvers() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    """Return which plain words are no texts, by their first character: `resolve.go` of yaml.v3."""
    kinds: tuple[tuple[str, str, str], ...] = (
        ("null", "~nN", r"~|null|Null|NULL"),
        ("bool", "tTfF", r"true|True|TRUE|false|False|FALSE"),
        ("timestamp", "0123456789", r"\d{4}-\d\d?-\d\d?([Tt ].*)?"),
        (
            "int",
            "-+0123456789",
            r"[-+]?(0[bB][01_]+|0[oO]?[0-7_]+|0[xX][0-9a-fA-F_]+|[1-9][0-9_]*|0)",
        ),
        (
            "float",
            "-+.0123456789",
            r"[-+]?(\.[0-9_]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?"
            r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        ),
    )
    resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {
        "": [("tag:yaml.org,2002:null", re.compile(""))]
    }
    for kind, starts, pattern in kinds:
        for start in starts:
            resolver = (f"tag:yaml.org,2002:{kind}", re.compile(f"(?:{pattern})\\Z"))
            resolvers.setdefault(start, []).append(resolver)
    return resolvers


class WrittenInt(int):
    """A whole number that knows how it was written."""

    written: str


class WrittenFloat(float):
    """A number that knows how it was written."""

    written: str


class _Loader(yaml.CSafeLoader):
    """Safe loader whose mappings have text keys, each once: of two values one would be lost."""

    yaml_implicit_resolvers = _resolvers()

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        values: dict[Any, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _refused("a key is one text", key.start_mark)
            if key.value in values:
                raise _refused(f"the key {_short(key.value)} is written twice", key.start_mark)
            values[key.value] = self.construct_object(value, deep=deep)  # pyright: ignore[reportUnknownMemberType] - no stub
        return values


def _refused(rule: str, mark: yaml.Mark | None) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=rule, problem_mark=mark)


def _short(text: str) -> str:
    text = text if text.isprintable() else text.encode("unicode_escape").decode()
    return text if len(text) <= 40 else text[:39] + "…"  # noqa: PLR2004 - of a line's 80


def _check_events(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise _at(event, "YAML aliases (*name) are not read", "write the value out")
        if isinstance(event, yaml.ScalarEvent):
            if event.tag is not None:
                raise _at(event, "YAML tags (!name) are not read", "remove the tag")
            if event.value in ("<<", "=") and event.implicit[0]:
                rule = f"YAML's {event.value} is not read"
                raise _at(event, rule, "write the values out, or put it in quotes")
        elif isinstance(event, _OPENS):
            depth += 1
            if event.tag is not None:
                raise _at(event, "YAML tags (!name) are not read", "remove the tag")
            if depth > MAX_DEPTH:
                raise _at(event, f"nested deeper than {MAX_DEPTH} levels", "write it flatter")
        elif isinstance(event, _CLOSES):
            depth -= 1


def _at(event: yaml.Event, rule: str, change: str) -> YamlError:
    place = f" (line {event.start_mark.line + 1})" if event.start_mark else ""
    return YamlError(rule + place, change)


def _guarded(kind: str, construct: Callable[[Any, Any], object]) -> Callable[[Any, Any], object]:
    """Return `construct` with its own failures told as a line of the file, without the value."""

    def checked(loader: Any, node: yaml.ScalarNode) -> object:
        if len(node.value) > _LONGEST_NUMBER:
            rule = f"a {kind} has at most {_LONGEST_NUMBER} characters"
            raise _refused(rule, node.start_mark)
        try:
            return construct(loader, node)
        except (ArithmeticError, ValueError):
            raise _refused(f"there is no such {kind}", node.start_mark) from None

    return checked


def _int(loader: Any, node: yaml.ScalarNode) -> WrittenInt:
    del loader
    text = node.value.replace("_", "").lower()
    octal = re.fullmatch(r"([-+]?)0([0-7]+)", text)
    number = WrittenInt(f"{octal[1]}0o{octal[2]}" if octal else text, 0)
    number.written = node.value
    return number


def _float(loader: Any, node: yaml.ScalarNode) -> WrittenFloat | WrittenInt:
    del loader
    value = float(re.sub(r"\.(inf|nan)", r"\1", node.value.replace("_", "").lower()))
    # Pulumi reads 1e3 as 1000 too.
    whole = value.is_integer() and abs(value) < _EXACT
    number = WrittenInt(value) if whole else WrittenFloat(value)
    number.written = node.value
    return number


_date: Any = yaml.SafeLoader.construct_yaml_timestamp
for _kind, _tag, _construct in (
    ("number", "int", _int),
    ("number", "float", _float),
    ("date", "timestamp", _date),
):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _guarded(_kind, _construct))
