"""Which recorded inputs the installed SDK does not know, or no longer wants.

A constructor's own arguments are checked by Python; nested dicts are not, and a key the SDK does
not know is sent on and dropped by the provider. The names and types come from the SDK's own
argument classes. Leaves out: Kubernetes objects, which have a schema check of their own.
"""

from __future__ import annotations

import importlib
import json
import typing
import warnings
from collections.abc import Mapping
from typing import Any, cast

from pulumi import _types as sdk_types  # pyright: ignore[reportPrivateUsage]

from tests.support.recorded import Recorded

CHECKED_PACKAGES = frozenset({"alicloud", "command", "tls"})
_types = cast("Any", sdk_types)


def unknown_to_sdk(resource: Recorded) -> list[str]:
    """Return one line for each unknown or deprecated input of `resource`."""
    if not resource.custom or resource.package not in CHECKED_PACKAGES:
        return []
    lines = _lines(_arguments_class(resource), resource.inputs, "")
    return [f"{resource.typ} {resource.name}: {line}" for line in lines]


def _arguments_class(resource: Recorded) -> Any:
    if resource.is_provider:
        module, name = "", "Provider"
    else:
        _, module, name = resource.typ.split(":")
        module = module.split("/")[0]
    path = f"pulumi_{resource.package}" + ("" if module in ("", "index") else f".{module}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return getattr(importlib.import_module(path), f"{name}Args")


def _lines(arguments: Any, inputs: Mapping[str, Any], path: str) -> list[str]:
    to_python = {v: k for k, v in _types.input_type_py_to_pulumi_names(arguments).items()}
    found = [f"{path}{key}: unknown to the SDK" for key in inputs if key not in to_python]
    known = {key: value for key, value in inputs.items() if key in to_python}
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        blank = arguments.__new__(arguments)
        for key, value in known.items():
            setattr(blank, to_python[key], value)
            getattr(blank, to_python[key])
    found += [f"{path}: {warning.message}" for warning in seen]
    for key, value in known.items():
        kind = _types.input_type_types(arguments).get(to_python[key])
        found += _nested(kind, value, f"{path}{key}.")
    return found


def _nested(kind: Any, value: Any, path: str) -> list[str]:
    if isinstance(value, list):
        items = cast("list[Any]", value)
        return [line for n, item in enumerate(items) for line in _nested(kind, item, f"{path}{n}.")]
    inner = _input_type(kind)
    # A provider's nested settings travel as JSON.
    if inner is not None and isinstance(value, str) and value.startswith(("{", "[")):
        return _nested(kind, json.loads(value), path)
    if inner is None or not isinstance(value, dict):
        return []
    return _lines(inner, cast("dict[str, Any]", value), path)


def _input_type(kind: Any) -> Any:
    """Find the argument class inside Input, Optional and Sequence."""
    if _types.is_input_type(kind) if isinstance(kind, type) else False:
        return kind
    inside = (_input_type(part) for part in typing.get_args(kind))
    return next((part for part in inside if part is not None), None)
