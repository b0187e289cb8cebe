"""OpenCode's configuration schema: our reading of it agrees with a validator that knows it all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from fleet.stackfile.opencode_schema import config_faults, config_schema

LEAF: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, False, 0, 1, 70000, 1.5, "", "allow", "#aabbcc", "local", "text", [], {}, ["a"]]
)
NAMES = [
    "agent",
    "command",
    "color",
    "enabled",
    "limit",
    "mcp",
    "model",
    "models",
    "nothing",
    "options",
    "permission",
    "plugin",
    "provider",
    "template",
    "type",
    "url",
]
VALUES: st.SearchStrategy[Any] = st.recursive(
    LEAF,
    lambda inner: st.one_of(
        st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
        st.lists(inner, max_size=3),
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=3))
def test_what_is_refused_is_what_the_whole_standard_refuses(config: dict[str, Any]) -> None:
    whole: Any = Draft202012Validator(config_schema())
    assert bool(config_faults(config)) == (not whole.is_valid(config))


@pytest.mark.parametrize(
    ("config", "faults"),
    [
        (
            {"smal_model": "a/b"},
            [("smal_model", "OpenCode knows no such key", "did you mean small_model?")],
        ),
        ({"share": "yes"}, [("share", "it is one of manual, auto, disabled", "use one of these")]),
        (
            {"mcp": {"a": {"type": "remote", "url": 5}}},
            [("mcp.a.url", "a text is expected", "write a text")],
        ),
        (
            {"mcp": {"a": {"type": "local", "command": "x"}}},
            [("mcp.a.command", "a list is expected", "write a list")],
        ),
        ({"snapshot": "no"}, [("snapshot", "true or false is expected", "write true or false")]),
        (
            {"plugin": [["a"]]},
            [("plugin[0]", "it has 2 to 2 items", "add or remove some")],
        ),
        ({"command": {"a": {}}}, [("command.a.template", "it is required here", "add it")]),
    ],
)
def test_a_fault_names_its_place_and_what_is_expected(
    config: dict[str, Any], faults: list[tuple[str, str, str]]
) -> None:
    assert config_faults(config) == faults


def test_it_is_the_schema_of_the_pinned_version() -> None:
    schema = config_schema()
    assert "OpenCode 1.18.33" in schema["$comment"]
    assert "enabled_providers" in schema["$defs"]["Config"]["properties"]
    assert json.dumps(schema).count("#/components/") == 0
