"""The base of every stack-file model, and the error of a broken rule.

Owns: frozen pydantic base class, camelCase keys. Leaves out: the rules themselves (`scalars`,
`config`, `rules`) and reading files (`stack_file`). Short because every room that has models needs
it, and some need nothing else of `values`.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticCustomError

RULE = "fleet_rule"


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


def broken(rule: str, change: str) -> PydanticCustomError:
    """Return the error a validator raises when `rule` is broken and `change` would mend it."""
    # Through the context, so that braces in a user's value are never read as a template.
    return PydanticCustomError(RULE, "{rule}: {change}", {"rule": rule, "change": change})
