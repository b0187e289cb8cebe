"""Every leaf of the stack file's models, by its path, and what the models say of it.

A mapping of one's own names is written `{}`, a list `[]`, a kind of cluster behind its key:
`cluster(vm).instance.type`, `users[].id`, `profiles{}.cpu.limit`. Leaves out: what a leaf does
(`pairs`).
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from fleet.stackfile.config import StackConfig


def leaves(model: type[BaseModel] = StackConfig, path: str = "") -> Iterator[str]:
    """Yield the path of every key that holds a value and no keys of ours."""
    for name, field in model.model_fields.items():
        yield from _of(field.annotation, f"{path}.{field.alias or name}".lstrip("."))


def _of(annotation: Any, path: str) -> Iterator[str]:
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from _of(inside[0], path)
    elif origin in (Union, types.UnionType):
        yield from _of_union([item for item in inside if item is not type(None)], path)
    elif origin is tuple and _models(inside[0]):
        yield from _of(inside[0], f"{path}[]")
    elif origin is dict and _models(inside[1]):
        yield from _of(inside[1], f"{path}{{}}")
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield from leaves(annotation, path)
    else:
        yield path


def _of_union(choices: list[Any], path: str) -> Iterator[str]:
    kinds = [item for item in choices if isinstance(item, type) and "kind" in _fields(item)]
    if len(choices) > 1 and len(kinds) == len(choices):
        for item in kinds:
            (kind,) = get_args(_fields(item)["kind"].annotation)
            yield from leaves(item, f"{path}({kind})")
    elif any(_models(item) for item in choices):
        for item in choices:
            yield from _of(item, path) if _models(item) else iter([path])
    else:
        yield path


def _fields(item: type) -> dict[str, Any]:
    return item.model_fields if issubclass(item, BaseModel) else {}


def _models(annotation: Any) -> bool:
    """Tell whether a model is somewhere in an annotation."""
    if isinstance(annotation, type):
        return issubclass(annotation, BaseModel)
    return any(_models(item) for item in get_args(annotation))
