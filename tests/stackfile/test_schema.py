"""The JSON Schema: current, complete, and of one mind with the models about the shipped files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from fleet.stackfile.schema import schema_text, stack_schema
from tests.support.stacks import FULL, SMALL, Values, corpus, shipped, text_of, with_value, without

PROJECT = Path(__file__).parents[2]
COMMITTED = PROJECT / "schema" / "stack.schema.json"


VALIDATOR = Draft202012Validator(stack_schema())


def messages(text: str) -> list[str]:
    """Return what an editor would say of a stack file."""
    content = json.loads(json.dumps(yaml.safe_load(text), default=str))
    return [error.message for error in VALIDATOR.iter_errors(content)]  # pyright: ignore[reportUnknownMemberType] - no stub


def test_the_committed_schema_is_current() -> None:
    assert COMMITTED.read_text(encoding="utf-8") == schema_text(), (
        "write it anew: uv run fleet schema > schema/stack.schema.json"
    )


def test_the_schema_is_a_schema_and_the_same_every_time() -> None:
    Draft202012Validator.check_schema(stack_schema())
    assert schema_text() == schema_text()


@pytest.mark.parametrize("path", shipped(PROJECT), ids=lambda path: path.name)
def test_a_shipped_file_names_the_schema_and_follows_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=schema/stack.schema.json\n")
    assert messages(text) == []


def properties(place: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Return every property of a schema with its place."""
    if isinstance(place, dict):
        for key, part in place.get("properties", {}).items():  # pyright: ignore[reportUnknownMemberType,reportUnknownVariableType] - JSON
            yield f"{name}.{key}", part
        for key, part in place.items():  # pyright: ignore[reportUnknownVariableType] - JSON
            yield from properties(part, f"{name}.{key}")


def test_every_property_has_a_description() -> None:
    found = list(properties(stack_schema(), "stack"))
    assert len(found) > 100
    assert [name for name, part in found if not part.get("description")] == []


@pytest.mark.parametrize("values", [SMALL, FULL], ids=["small", "full"])
def test_valid_files_follow_the_schema(values: Values) -> None:
    others = {"modelApiKey": {"secure": "v1:a:b"}}
    assert messages(text_of({**values, **others}, encryptionsalt="v1:a:v1:b:c")) == []


def test_keys_of_other_projects_are_theirs() -> None:
    config = {"pulumi:disable-default-providers": ["kubernetes"], "aws:region": "eu", "other:x": 1}
    own = {f"opencode-fleet:{key}": value for key, value in SMALL.items()}
    assert messages(yaml.safe_dump({"config": {**config, **own}})) == []


@pytest.mark.parametrize(
    "values",
    [
        {**SMALL, "modelApiKey": "in clear text"},
        {**SMALL, "user": []},
        with_value(SMALL, "users[0].id", "Alice!"),
        with_value(SMALL, "users[0].scenes", ["Coding"]),
        with_value(SMALL, "users[0].nick", "x"),
        with_value(SMALL, "profiles", {"Big One": {}}),
        with_value(SMALL, "profiles", {"big": {"cpu": {"request": "1"}}}),
        with_value(SMALL, "cluster.kind", "gke"),
        with_value(SMALL, "access.port", 70000),
        with_value(SMALL, "access.tls", "letsencrypt"),
        without(SMALL, "users"),
        without(SMALL, "cluster.context"),
    ],
)
def test_an_editor_sees_what_is_wrong_with_one_value(values: Values) -> None:
    assert messages(text_of(values))


def test_the_schema_refuses_nothing_that_the_models_accept() -> None:
    # Each of these files breaks a rule that spans keys and no other.
    spanning = ("the pool's", "is taken by", "no such", "still in the roster", "listed twice")
    for case in corpus("rules.yaml"):
        if all(any(word in line for word in spanning) for line in case["say"]):
            values: Values = SMALL
            for path, value in case["set"].items():
                values = with_value(values, path, value)
            assert messages(text_of(values)) == [], case["name"]
