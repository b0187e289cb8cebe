"""Edits of the roster change what they are to change in the text, and not one byte beside it."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from functools import partial

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fleet.errors import InputError
from fleet.stackfile.roster_edit import (
    PURGE,
    USERS,
    Edit,
    Value,
    add_purge,
    add_user,
    remove_user,
    set_field,
)

LINES = """# yaml-language-server: $schema=x
config:
  opencode-fleet:image: {mode: daemon}   # spaces   stay
  opencode-fleet:users:
    # the team
    - {id: alice, displayName: Alice, scenes: [coding, research]}
    - {id: bob, scenes: [coding], profile: standard}  # since May
encryptionsalt: v1:x
"""
BLOCKS = """config:
  opencode-fleet:users:   # all
    # first
    - id: alice
      displayName: 艾丽斯 # her name
      scenes:
        - coding
        - research

    # second
    - id: bob
      scenes: [coding]  # one
  # end
  opencode-fleet:purge:
    - dave
"""
FLOW = """config:
  opencode-fleet:users: [{id: alice}, {id: bob, scenes: [coding]}]
  opencode-fleet:purge: [dave]"""
FORMS = {"lines": LINES, "blocks": BLOCKS, "flow": FLOW}


def difference(before: str, after: str) -> list[str]:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    return [line for line in lines if line[:3] not in ("---", "+++", "@@ ")]


@pytest.mark.parametrize(
    ("text", "edit", "lines"),
    [
        (
            LINES,
            partial(add_user, fields={"id": "carol", "displayName": "Ça: rol", "scenes": ["a"]}),
            ['+    - {id: carol, displayName: "Ça: rol", scenes: [a]}'],
        ),
        (
            LINES,
            partial(set_field, user_id="bob", key="state", value="suspended"),
            [
                "-    - {id: bob, scenes: [coding], profile: standard}  # since May",
                "+    - {id: bob, scenes: [coding], profile: standard, state: suspended}"
                "  # since May",
            ],
        ),
        (
            LINES,
            partial(set_field, user_id="alice", key="displayName", value=None),
            [
                "-    - {id: alice, displayName: Alice, scenes: [coding, research]}",
                "+    - {id: alice, scenes: [coding, research]}",
            ],
        ),
        (
            LINES,
            partial(remove_user, user_id="alice"),
            ["-    - {id: alice, displayName: Alice, scenes: [coding, research]}"],
        ),
        (LINES, partial(add_purge, user_id="dave"), ["+  opencode-fleet:purge: [dave]"]),
        (BLOCKS, partial(add_user, fields={"id": "carol"}), ["+    - {id: carol}"]),
        (
            BLOCKS,
            partial(set_field, user_id="alice", key="passwordVersion", value=2),
            ["+      passwordVersion: 2"],
        ),
        (
            BLOCKS,
            partial(set_field, user_id="alice", key="displayName", value="on"),
            ["-      displayName: 艾丽斯 # her name", '+      displayName: "on" # her name'],
        ),
        (
            BLOCKS,
            partial(remove_user, user_id="bob"),
            ["-    - id: bob", "-      scenes: [coding]  # one"],
        ),
        (BLOCKS, partial(add_purge, user_id="bob"), ["+    - bob"]),
        (
            FLOW,
            partial(remove_user, user_id="alice"),
            [
                "-  opencode-fleet:users: [{id: alice}, {id: bob, scenes: [coding]}]",
                "+  opencode-fleet:users: [{id: bob, scenes: [coding]}]",
            ],
        ),
        (
            FLOW,
            partial(add_purge, user_id="x"),
            ["-  opencode-fleet:purge: [dave]", "+  opencode-fleet:purge: [dave, x]"],
        ),
    ],
)
def test_only_the_lines_of_the_edit_change(text: str, edit: Edit, lines: list[str]) -> None:
    assert difference(text, edit(text)) == lines


@pytest.mark.parametrize("form", FORMS)
def test_everybody_can_go_and_somebody_can_come(form: str) -> None:
    empty = remove_user(remove_user(FORMS[form], "alice"), "bob")
    config = yaml.safe_load(empty)["config"]
    assert config[USERS] == []
    again = yaml.safe_load(add_user(empty, {"id": "carol"}))["config"]
    assert again[USERS] == [{"id": "carol"}]


FIELDS = st.sampled_from(["displayName", "login", "scenes", "admin", "passwordVersion"])
TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=20)
VALUES = st.one_of(TEXTS, st.integers(1, 999), st.booleans(), st.lists(TEXTS, max_size=3))


@given(st.sampled_from(sorted(FORMS)), st.sampled_from(["alice", "bob"]), FIELDS, VALUES)
def test_whatever_is_written_is_read_back(form: str, user: str, key: str, value: Value) -> None:
    before = yaml.safe_load(FORMS[form])
    after = yaml.safe_load(set_field(FORMS[form], user, key, value))
    for person in before["config"][USERS]:
        if person["id"] == user:
            person[key] = value
    assert after == before


@pytest.mark.parametrize(
    ("text", "edit", "rule"),
    [
        (LINES, partial(remove_user, user_id="zoe"), "no user of this id"),
        (LINES.replace("users:", "users: &x"), partial(add_purge, user_id="b"), None),
        ("config: {}\n", partial(remove_user, user_id="a"), "is no list"),
        ("[]\n", partial(remove_user, user_id="a"), "the file is not a mapping"),
        ("a: 1\n", partial(remove_user, user_id="a"), "has no `config:`"),
        (BLOCKS, partial(set_field, user_id="alice", key="id", value=None), "begins the user's"),
    ],
)
def test_what_cannot_be_edited_safely_is_refused(
    text: str, edit: Callable[[str], str], rule: str | None
) -> None:
    if rule is None:
        # An anchor that nothing refers to does no harm.
        assert yaml.safe_load(edit(text))["config"][PURGE] == ["b"]
        return
    with pytest.raises(InputError, match=rule):
        edit(text)
