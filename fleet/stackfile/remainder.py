"""What of a broken stack file can still be checked: its sound parts.

Rules that span keys need a whole configuration. Broken parts are replaced by harmless ones, so that
the problems of the rest are told in the same run. Leaves out: the rules themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

from pydantic import ValidationError

from fleet.errors import Problem
from fleet.stackfile.config import StackConfig
from fleet.stackfile.problems import file_keys

_WHOLE: dict[str, object] = {
    "cluster": {"kind": "existing", "context": "unknown"},
    "access": {"domain": "localhost", "tls": "none"},
    "storage": {"shared": {}},
    "users": [],
}
_ENTRIES = ("users", "purge", "scenes", "profiles", "pools")
_SECRETS = frozenset({"backup", "providers", "users", "profiles", "secretEnv", "git"})
_MODELS = frozenset({"providers", "models"})
_SUMS = ("users", "profiles", "storage")


@dataclass(frozen=True, kw_only=True, slots=True)
class Remainder:
    """A configuration of a file's sound parts."""

    config: StackConfig
    broken: frozenset[tuple[int | str, ...]]
    """Keys of the parts that were replaced: a section, or an entry of one."""

    def sound(self, problems: Iterable[Problem]) -> list[Problem]:
        """Return those of the remainder's problems that the whole file has too."""
        return [problem for problem in problems if self._holds(problem)]

    def _holds(self, problem: Problem) -> bool:
        sections = {str(part[0]) for part in self.broken}
        if any(f"{problem.key}.".startswith(_starts(part)) for part in self.broken):
            return False
        if problem.value == "[secret]":
            return not sections & _SECRETS
        if problem.key.startswith(("models", "providers")) or ".models." in problem.key:
            return not sections & _MODELS
        if problem.key.startswith("pools."):
            return not sections & set(_SUMS)
        if problem.key.startswith("cluster."):
            return "access" not in sections
        return not (problem.rule.startswith("no such ") and f"{problem.rule[8:]}s" in sections)


def remainder(values: Mapping[str, object], error: ValidationError) -> Remainder | None:
    """Return what is left of `values` without the parts that `error` names, if it is enough."""
    left: dict[str, object] = dict(values)
    broken = {_part(file_keys(item)) for item in error.errors(include_url=False)}
    for part in sorted(broken, key=len):
        _replace(left, part)
    try:
        config = StackConfig.model_validate(left, by_alias=True, by_name=False)
    except ValidationError:
        return None
    return Remainder(config=config, broken=frozenset(broken))


def _part(keys: list[int | str]) -> tuple[int | str, ...]:
    """Return the entry or section an error falls into."""
    section = str(keys[0]) if keys else ""
    entry = section in _ENTRIES and len(keys) > 1
    return (section, keys[1]) if entry else (section,)


def _replace(values: dict[str, object], part: tuple[int | str, ...]) -> None:
    section = str(part[0])
    if len(part) == 1:
        values.pop(section, None)
        if section in _WHOLE:
            values[section] = _WHOLE[section]
        return
    held, key = values.get(section), part[1]
    if isinstance(held, list) and isinstance(key, int):
        items = cast("list[object]", held)
        name = f"unknown-{section}-{key}"
        entry = {"id": name} if section == "users" else name
        values[section] = [*items[:key], entry, *items[key + 1 :]]
    elif isinstance(held, Mapping):
        entries = cast("Mapping[str, object]", held)
        values[section] = {name: item for name, item in entries.items() if name != key}


def _starts(part: tuple[int | str, ...]) -> tuple[str, ...]:
    """Return how the keys of a part's problems start."""
    if len(part) == 1:
        return f"{part[0]}.", f"{part[0]}["
    return (f"{part[0]}[{part[1]}]." if isinstance(part[1], int) else f"{part[0]}.{part[1]}.",)
