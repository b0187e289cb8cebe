"""What a rule looks at: one declared resource, whoever declared it.

Short because rules, the pack and the check share it and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


class Declared(Protocol):
    """A resource as it was declared."""

    @property
    def typ(self) -> str:
        """Pulumi's type token, such as `kubernetes:apps/v1:Deployment`."""
        ...

    @property
    def name(self) -> str:
        """What to call it in a message."""
        ...

    @property
    def inputs(self) -> Mapping[str, Any]:
        """Its properties, in camelCase."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """A declared resource as plain values."""

    typ: str
    name: str
    inputs: Mapping[str, Any]


Rule = Callable[[Sequence[Declared]], Iterator[str]]
"""Yields a line for each offence among the resources; its docstring says what must hold."""


def of_kind(resources: Sequence[Declared], package: str, kind: str) -> Iterator[Declared]:
    """Yield the resources of a kind, such as `kubernetes` and `Deployment`."""
    return (
        item
        for item in resources
        if item.typ.startswith(f"{package}:") and item.typ.rpartition(":")[2] == kind
    )
