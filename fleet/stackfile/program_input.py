"""The Pulumi program's door to the reader: configuration as the engine gives it.

The engine hands over every key as text, structured ones as JSON, secrets in clear beside the list
of their names. Leaves out: the rules, and the secrets' values.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from fleet.errors import InputError
from fleet.stackfile.image import Image, ImageMode, Reference
from fleet.stackfile.problems import from_pydantic
from fleet.stackfile.reading import STRUCTURED_KEYS, Environment, Written, load, own_keys, read


def read_engine(
    name: str, folder: Path, config: Mapping[str, str], secret_keys: Collection[str]
) -> Environment:
    """Return the environment of a program's configuration; raise InputError with every problem.

    `config` and `secret_keys` have full keys (`opencode-fleet:users`); other projects' are left.
    """
    sealed = frozenset(own_keys(dict.fromkeys(secret_keys)))
    values = {
        key: _value(key, str(text)) for key, text in own_keys(config).items() if key not in sealed
    }
    try:
        return read(Written(name=name, folder=folder, values=values, sealed=sealed))
    except InputError as error:
        raise _as_typed(error, name, folder) from None


def _as_typed(error: InputError, name: str, folder: Path) -> InputError:
    """Return the same problems as the stack file itself has them, which quote what was typed.

    The engine rewrites numbers: of `id: 0123` it hands over 83.
    """
    try:
        load(name, folder)
    except InputError as typed:
        if [problem.key for problem in typed.problems] == [item.key for item in error.problems]:
            return typed
    return error


def with_image(image: Image, variable: str, variables: Mapping[str, str]) -> Image:
    """Return the image settings with an image that the cluster holds already, where one is named.

    `variable` names it. Raises InputError when its value is no image reference.
    """
    reference = variables.get(variable)
    if not reference:
        return image
    try:
        checked = TypeAdapter(Reference).validate_python(reference)
    except ValidationError as error:
        raise InputError(from_pydantic(error, variable)) from None
    return image.model_copy(update={"mode": ImageMode.LOCAL, "reference": checked})


def _value(key: str, text: str) -> object:
    if key not in STRUCTURED_KEYS:
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
