"""Edits of the roster in a stack file's text, every other byte untouched.

The YAML parser says where things stand, and only there the text is changed; then the result is
parsed and compared with what the edit was to make of the file. Whatever does not come out so is
refused, for the person to write. A file that would be invalid is not written. Leaves out: the rules
themselves (`reading`).
"""

from __future__ import annotations

import copy
import json
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import yaml

from fleet.errors import InputError, Problem
from fleet.names import PROJECT
from fleet.stackfile.project_file import locate
from fleet.stackfile.reading import Environment, load
from fleet.stackfile.seal_file import replace_file
from fleet.stackfile.yaml_text import YamlError, parse_yaml

USERS, PURGE = f"{PROJECT}:users", f"{PROJECT}:purge"
# Of these, plain words are the same text to every YAML parser.
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_.@/-]*")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})

Value = str | int | bool | Sequence[str]
Edit = Callable[[str], str]
"""From the text of a stack file to the changed one."""


def edit_file(stack: str, folder: Path, edit: Edit) -> Environment:
    """Change a stack file, when it is valid afterwards; return what it says then.

    Raises InputError with every problem of the changed file, which is not written then.
    """
    path, _ = locate(stack, folder)
    changed = edit(path.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory(prefix="opencode-fleet-") as name:
        draft = Path(name) / path.name
        draft.write_text(changed, encoding="utf-8")
        environment = load(stack, folder, draft)
    replace_file(path, changed)
    return environment


def add_user(text: str, fields: Mapping[str, Value]) -> str:
    """Return the stack file with one more user, the last of the roster."""
    line = f"{{{', '.join(f'{key}: {_flow(value)}' for key, value in fields.items())}}}"
    wanted = _parsed(text)
    _list_of(wanted, USERS).append(dict(fields))
    return _checked(_appended(text, USERS, line), wanted)


def set_field(text: str, user_id: str, key: str, value: Value | None) -> str:
    """Return the stack file with one field of a user changed, or taken away where it is None."""
    wanted = _parsed(text)
    users = _list_of(wanted, USERS)
    index = _index(users, user_id)
    user = users[index]
    if value is None:
        user.pop(key, None)
    else:
        user[key] = value
    node = cast("yaml.MappingNode", _items(text, USERS)[index])
    return _checked(_with_field(text, node, key, value), wanted)


def remove_user(text: str, user_id: str) -> str:
    """Return the stack file without a user; comments beside other users stay."""
    wanted = _parsed(text)
    users = _list_of(wanted, USERS)
    index = _index(users, user_id)
    del users[index]
    return _checked(_without_item(text, _node(text, USERS), index), wanted)


def add_purge(text: str, user_id: str) -> str:
    """Return the stack file with one more id under `purge:`."""
    wanted = _parsed(text)
    if PURGE in _config(wanted):
        _list_of(wanted, PURGE).append(user_id)
        return _checked(_appended(text, PURGE, _flow(user_id)), wanted)
    _config(wanted)[PURGE] = [user_id]
    users = _node(text, USERS)
    end = _line_end(text, _end(users))
    indent = " " * _column(text, _key_node(text, USERS).start_mark.index)
    line = f"\n{indent}{PURGE}: [{_flow(user_id)}]"
    return _checked(text[:end] + line + text[end:], wanted)


def _parsed(text: str) -> dict[str, Any]:
    try:
        content = parse_yaml(text)
    except YamlError as error:
        raise InputError([Problem("stack file", "", error.rule, error.change)]) from None
    if not isinstance(content, dict):
        raise _by_hand("the file is not a mapping")
    return copy.deepcopy(cast("dict[str, Any]", content))


def _checked(changed: str, wanted: Mapping[str, Any]) -> str:
    """Return the text if it says what it is to say."""
    if _parsed(changed) != wanted:
        raise _by_hand("the roster is written in a way that cannot be edited safely")
    return changed


def _by_hand(rule: str) -> InputError:
    return InputError([Problem("users", "", rule, "edit the stack file by hand")])


def _config(content: Mapping[str, Any]) -> dict[str, Any]:
    config = content.get("config")
    if not isinstance(config, dict):
        raise _by_hand("the file has no `config:`")
    return cast("dict[str, Any]", config)


def _list_of(content: Mapping[str, Any], key: str) -> list[Any]:
    items = _config(content).get(key)
    if not isinstance(items, list):
        raise _by_hand(f"{key} is no list")
    return cast("list[Any]", items)


def _index(users: Sequence[Any], user_id: str) -> int:
    for index, user in enumerate(users):
        if isinstance(user, Mapping) and cast("Mapping[str, Any]", user).get("id") == user_id:
            return index
    rule = "no user of this id in the stack file"
    raise InputError([Problem("USER", user_id, rule, "see fleet status, or the file")])


# -- where things stand in the text


def _compose(text: str) -> yaml.MappingNode:
    return cast("yaml.MappingNode", yaml.compose(text, Loader=yaml.SafeLoader))  # pyright: ignore[reportUnknownMemberType] - no stub


def _pairs(node: yaml.Node) -> list[tuple[yaml.Node, yaml.Node]]:
    return cast("list[tuple[yaml.Node, yaml.Node]]", node.value)


def _entry(text: str, key: str) -> tuple[yaml.Node, yaml.Node]:
    for name, config in _pairs(_compose(text)):
        if name.value == "config":
            for found in _pairs(config):
                if found[0].value == key:
                    return found
    raise _by_hand(f"{key} is not there")


def _key_node(text: str, key: str) -> yaml.Node:
    return _entry(text, key)[0]


def _node(text: str, key: str) -> yaml.SequenceNode:
    return cast("yaml.SequenceNode", _entry(text, key)[1])


def _items(text: str, key: str) -> list[yaml.Node]:
    return cast("list[yaml.Node]", _node(text, key).value)


def _end(node: yaml.Node) -> int:
    """Return where a node really ends: of a block, the parser's mark stands after what follows."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(node, yaml.MappingNode) else last)
    return node.end_mark.index


def _line_start(text: str, place: int) -> int:
    return text.rfind("\n", 0, place) + 1


def _line_end(text: str, place: int) -> int:
    end = text.find("\n", place)
    return len(text) if end < 0 else end


def _column(text: str, place: int) -> int:
    return place - _line_start(text, place)


# -- changes of the text


def _flow(value: Value) -> str:
    """Return a value as it stands in a flow mapping, read alike by every parser."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS
        return value if plain else json.dumps(value, ensure_ascii=False)
    return f"[{', '.join(_flow(item) for item in value)}]"


def _appended(text: str, key: str, item: str) -> str:
    node = _node(text, key)
    items = cast("list[yaml.Node]", node.value)
    if node.flow_style:
        place = _end(items[-1]) if items else node.start_mark.index + 1
        return f"{text[:place]}{', ' if items else ''}{item}{text[place:]}"
    last = items[-1]
    place = _line_end(text, _end(last))
    dash = text.rfind("-", 0, last.start_mark.index)
    return f"{text[:place]}\n{' ' * _column(text, dash)}- {item}{text[place:]}"


def _with_field(text: str, node: yaml.MappingNode, key: str, value: Value | None) -> str:
    pairs = _pairs(node)
    found = [index for index, (name, _) in enumerate(pairs) if name.value == key]
    if found and value is not None:
        old = pairs[found[0]][1]
        return text[: old.start_mark.index] + _flow(value) + text[_end(old) :]
    if found:
        return _without_pair(text, node, found[0])
    if value is None:
        return text
    end = _end(pairs[-1][1])
    if node.flow_style:
        return f"{text[:end]}, {key}: {_flow(value)}{text[end:]}"
    place = _line_end(text, end)
    indent = " " * _column(text, pairs[0][0].start_mark.index)
    return f"{text[:place]}\n{indent}{key}: {_flow(value)}{text[place:]}"


def _without_pair(text: str, node: yaml.MappingNode, index: int) -> str:
    spans = [(name.start_mark.index, _end(value)) for name, value in _pairs(node)]
    if node.flow_style:
        return _without_span(text, spans, index)
    start, end = _line_start(text, spans[index][0]), _line_end(text, spans[index][1]) + 1
    if text[start : spans[index][0]].strip():
        # The first of an item stands behind its dash, and is the id.
        raise _by_hand("this field begins the user's lines")
    return text[:start] + text[end:]


def _without_span(text: str, spans: Sequence[tuple[int, int]], index: int) -> str:
    """Return the text without one part of a flow list, and without one comma beside it."""
    if index > 0:
        return text[: spans[index - 1][1]] + text[spans[index][1] :]
    end = spans[1][0] if len(spans) > 1 else spans[0][1]
    return text[: spans[0][0]] + text[end:]


def _without_item(text: str, node: yaml.SequenceNode, index: int) -> str:
    items = cast("list[yaml.Node]", node.value)
    spans = [(item.start_mark.index, _end(item)) for item in items]
    if node.flow_style:
        return _without_span(text, spans, index)
    if len(items) == 1:
        # A block list cannot be empty: what is left of it would be null.
        start = text.rfind("-", 0, spans[0][0])
        return text[:start] + "[]" + text[spans[0][1] :]
    start = _line_start(text, spans[index][0])
    return text[:start] + text[_line_end(text, spans[index][1]) + 1 :]
