"""Moving a user to another pool in the text of a stack file; comments and everything else stay.

Leaves out: what a move means for the user's work (`cli.backup`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import yaml

from fleet.errors import InputError, Problem
from fleet.names import PROJECT
from fleet.stackfile.project_file import locate


def with_pool(text: str, user_id: str, pool: str) -> str:
    """Return the text of a stack file with another `pool:` of one user; raise InputError."""
    entry = _entry(cast("Any", yaml.compose(text, Loader=yaml.SafeLoader)), user_id)
    if entry is None:
        rule = "the stack file has no such user in its own `users:`"
        raise InputError([Problem("USER", user_id, rule, "write the pool by hand, run fleet up")])
    keys = {key.value: (key, value) for key, value in entry.value}
    if "pool" in keys:
        _, value = keys["pool"]
        return text[: value.start_mark.index] + pool + text[value.end_mark.index :]
    key, value = keys["id"]
    end = value.end_mark.index
    if entry.flow_style:
        return f"{text[:end]}, pool: {pool}{text[end:]}"
    line = text.find("\n", end)
    line = len(text) if line < 0 else line
    return f"{text[:line]}\n{' ' * key.start_mark.column}pool: {pool}{text[line:]}"


def move_in_file(stack: str, folder: Path, user_id: str, pool: str) -> Path:
    """Write another `pool:` of one user into a stack file; return the file."""
    path, _ = locate(stack, folder)
    text = with_pool(path.read_text(encoding="utf-8"), user_id, pool)
    draft = path.with_name(f".{path.name}.draft")
    draft.touch(path.stat().st_mode & 0o777)
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
    return path


def _entry(node: Any, user_id: str) -> Any:
    """Return the mapping of a user; nodes of the YAML package have no types."""
    config = _value(node, "config")
    users = _value(config, f"{PROJECT}:users") or _value(config, "users")
    for item in users.value if isinstance(users, yaml.SequenceNode) else ():
        found = _value(item, "id")
        if isinstance(found, yaml.ScalarNode) and found.value == user_id:
            return item
    return None


def _value(node: Any, key: str) -> Any:
    if not isinstance(node, yaml.MappingNode):
        return None
    pairs = cast("list[tuple[Any, Any]]", node.value)
    return next((value for name, value in pairs if name.value == key), None)
