"""The Pulumi program's way into the core: configuration as the engine gives it.

The engine hands over every key as text, structured ones as JSON, secrets in clear beside the list
of their names, and fills optional keys of Pulumi.yaml in as empty. Leaves out: the rules.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from fleet.errors import InputError
from fleet.names import PROJECT
from fleet.stackfile.config import StackConfig
from fleet.stackfile.image import Image, ImageMode, Reference
from fleet.stackfile.problems import from_pydantic
from fleet.stackfile.reading import STRUCTURED_KEYS, Environment, misplaced, parse_values
from fleet.values.secrecy import names_secret

_OPTIONAL = frozenset(
    item.alias or name for name, item in StackConfig.model_fields.items() if not item.is_required()
)


def engine_input(
    name: str, folder: Path, config: Mapping[str, str], secret_keys: Collection[str]
) -> tuple[Environment, frozenset[str]]:
    """Return the environment and the names of its secrets; raise InputError with every problem.

    `config` and `secret_keys` have full keys (`opencode-fleet:users`); other projects' are left.
    """
    prefix = f"{PROJECT}:"
    own = {key.removeprefix(prefix): text for key, text in config.items() if key.startswith(prefix)}
    secrets = {key.removeprefix(prefix) for key in secret_keys if key.startswith(prefix)}
    problems = [misplaced(key) for key in _misplaced_keys(own, secrets)]
    hidden = secrets | {problem.key for problem in problems}
    values = {key: _value(key, text) for key, text in own.items() if key not in hidden}
    values = {key: item for key, item in values.items() if item or key not in _OPTIONAL}
    try:
        environment = parse_values(name, folder, values, frozenset(secrets - set(STRUCTURED_KEYS)))
    except InputError as error:
        told = {problem.key for problem in problems}
        more = [problem for problem in error.problems if problem.key not in told]
        raise InputError([*problems, *more]) from None
    if problems:
        raise InputError(problems)
    return environment, frozenset(secrets)


def with_image(image: Image, reference: str | None) -> Image:
    """Return the image settings with an image that the cluster holds already, where one is named.

    Raises InputError when `reference` (the variable FLEET_IMAGE) is none.
    """
    if not reference:
        return image
    try:
        checked = TypeAdapter(Reference).validate_python(reference)
    except ValidationError as error:
        raise InputError(from_pydantic(error, "FLEET_IMAGE")) from None
    return image.model_copy(update={"mode": ImageMode.LOCAL, "reference": checked})


def _value(key: str, text: str) -> object:
    if key not in STRUCTURED_KEYS:
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _misplaced_keys(own: Mapping[str, str], secrets: Collection[str]) -> list[str]:
    clear = [
        key
        for key in own
        if key not in STRUCTURED_KEYS and key not in secrets and names_secret(key)
    ]
    return sorted([*clear, *(key for key in secrets if key in STRUCTURED_KEYS)])
