"""The base of every stack-file model, and how a broken rule is worded.

Owns: frozen pydantic base class, camelCase keys, the four-part problem line. Leaves out: the rules
themselves (`scalars`, `config`, `rules`) and reading files (`stack_file`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticCustomError

from fleet.secrecy import HIDDEN, looks_secret

RULE = "fleet_rule"
_SHOWN = 80
# Python refuses to write integers of more than 4,300 digits; nobody reads one of 40.
_LARGEST = 10**40


def camel(name: str) -> str:
    """Return a field's key in the file; pydantic's own generator would make k3S of k3s."""
    first, *rest = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


class Model(BaseModel):
    """A part of a stack file: frozen, camelCase in YAML, unknown keys refused."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        use_attribute_docstrings=True,
    )


@dataclass(frozen=True, order=True)
class Problem:
    """One broken rule of a stack file."""

    key: str
    value: str
    rule: str
    change: str

    def __post_init__(self) -> None:
        # Here, so that no rule can forget it.
        object.__setattr__(self, "value", shown(self.value))

    def __str__(self) -> str:
        return f"{self.key}: {self.value}: {self.rule}: {self.change}"


def broken(rule: str, change: str) -> PydanticCustomError:
    """Return the error a validator raises when `rule` is broken and `change` would mend it."""
    # Through the context, so that braces in a user's value are never read as a template.
    return PydanticCustomError(RULE, "{rule}: {change}", {"rule": rule, "change": change})


def shown(value: object) -> str:
    """Return `value` as a problem line shows it: one line, at most 80 characters, no credential.

    Of a mapping or a list only the kind is told: it can be of any depth and hold anything.
    """
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int) and abs(value) >= _LARGEST:
        return "a very large number"
    text = str(value)
    if looks_secret(text):
        return HIDDEN
    text = text if text.isprintable() else text.encode("unicode_escape").decode()
    text = text if text and text == text.strip() else f'"{text}"'
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
