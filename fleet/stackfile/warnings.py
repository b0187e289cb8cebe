"""What a stack file may say, and would still surprise: told, and no reason to stop.

Leaves out: what is wrong (`rules`). Short because nothing else is of this kind.
"""

from __future__ import annotations

import re

from fleet.stackfile.reading import Environment
from fleet.values.secrecy import secret_reference

_NAMED = 5
_VARIABLE = re.compile(r"\{env:([A-Za-z_][A-Za-z0-9_]*)\}")


def warnings_of(environment: Environment) -> list[str]:
    """Return a line for each thing that an operator should know before an update."""
    return [*_keys(environment), *_variables(environment)]


def _keys(environment: Environment) -> list[str]:
    lines: list[str] = []
    for name, provider in environment.config.providers.items():
        key = provider.api_key
        if key is not None and key not in environment.secret_keys:
            told = secret_reference(key)
            lines.append(
                f"providers.{name}.apiKey: {told}: not sealed yet, so chats will not answer:"
                f" fleet secret {told} -s {environment.name}"
            )
    if not environment.config.providers:
        lines.append("providers: none: workspaces start, and no chat will answer: add one")
    return lines


def _variables(environment: Environment) -> list[str]:
    """Return the variables that scenes use and somebody who has them does not get."""
    config = environment.config
    lines: list[str] = []
    for scene, files in environment.scenes.items():
        used = {name for _, text in files.files for name in _VARIABLE.findall(text)}
        for name in sorted(used):
            without = [
                user.id
                for user in config.users
                if scene in user.scenes
                and not any(
                    name in given
                    for place in (config, config.profile(user.profile), user)
                    if place is not None
                    for given in (place.env, place.secret_env)
                )
            ]
            if without:
                who = ", ".join(without[:_NAMED]) + (" and others" if without[_NAMED:] else "")
                change = f"add {name} under env or secretEnv"
                lines.append(f"scenes.{scene}: {{env:{name}}}: empty for {who}: {change}")
    return lines
