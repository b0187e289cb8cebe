"""Plain data as YAML in block style.

Owns: which texts stand bare, quoted or as a literal block. A text stands bare only where YAML 1.1
and 1.2 readers agree that it is one. Leaves out: reading (`yaml_text`), comments, anchors.

Written here because no library does it in the second that a thousand users may take (9 MB; tried
on two cores): PyYAML's C writer alone needs 1.5 to 2.1 s and this 0.2 s, ruamel.yaml is slower
still, and ryaml, which is fast enough, leaves `yes` and `on` bare: YAML 1.1 reads truth values.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import cast

import yaml

_BARE = re.compile(r"[A-Za-z/][A-Za-z0-9_./:@+-]*( [A-Za-z0-9_./(][A-Za-z0-9_./()+-]*)*")
_QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?([KMGT]i|m)")
# Bare, YAML 1.1 reads these as truth values and nothing.
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null"})


def documents(items: Iterable[object]) -> str:
    """Return objects as one YAML stream, keys in the order they have."""
    lines: list[str] = []
    for item in items:
        lines.append("---")
        _write(item, "", lines)
    return "\n".join(lines) + "\n"


def _write(value: object, pad: str, lines: list[str]) -> None:
    if isinstance(value, dict) and value:
        _write_mapping(cast("Mapping[str, object]", value), pad, lines)
    elif isinstance(value, (list, tuple)) and value:
        _write_list(cast("Sequence[object]", value), pad, lines)
    else:
        lines.append(pad + _scalar(cast("object", value), pad))


def _write_mapping(value: Mapping[str, object], pad: str, lines: list[str]) -> None:
    for key, held in value.items():
        start = f"{pad}{_text(key)}:"
        if isinstance(held, str):
            text = _text_value(held, pad) if "\n" in held else _text(held)
            lines.append(f"{start} {text}")
        elif isinstance(held, dict) and held:
            lines.append(start)
            _write_mapping(cast("Mapping[str, object]", held), pad + "  ", lines)
        elif isinstance(held, (list, tuple)) and held:
            lines.append(start)
            _write_list(cast("Sequence[object]", held), pad, lines)
        else:
            lines.append(f"{start} {_scalar(cast('object', held), pad)}")


def _write_list(value: Sequence[object], pad: str, lines: list[str]) -> None:
    inner = pad + "  "
    for item in value:
        first = len(lines)
        _write(item, inner, lines)
        lines[first] = f"{pad}- {lines[first][len(inner) :]}"


def _scalar(value: object, pad: str) -> str:
    if isinstance(value, str):
        return _text_value(value, pad)
    if isinstance(value, dict):
        return "{}"
    if isinstance(value, (list, tuple)):
        return "[]"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    raise TypeError(f"no plain data: {type(value).__name__}")


def _text_value(text: str, pad: str) -> str:
    """Return a text as a value: of several lines, as a literal block two deeper than its key."""
    if "\n" not in text or not _is_literal(text):
        return _text(text)
    body = text.removesuffix("\n")
    lines = [f"{pad}  {line}" if line else "" for line in body.split("\n")]
    return "\n".join(["|" if text.endswith("\n") else "|-", *lines])


def _is_literal(text: str) -> bool:
    """Return whether a literal block gives a text back unchanged, whoever reads it."""
    lines = text.removesuffix("\n").split("\n")
    whole = bool(lines[0]) and bool(lines[-1]) and not lines[0].startswith(" ")
    return whole and all(line.isprintable() for line in lines)


@lru_cache(maxsize=4096)
def _text(text: str) -> str:
    if _BARE.fullmatch(text) and ": " not in f"{text} " and text.lower() not in _WORDS:
        return text
    if _QUANTITY.fullmatch(text):
        return text
    if text.isprintable():
        return json.dumps(text, ensure_ascii=False)
    quoted = yaml.safe_dump(text, default_style='"', width=2**31, allow_unicode=False)
    return quoted.rstrip("\n")
