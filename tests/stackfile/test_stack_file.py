"""Reading a stack file: the shipped ones are valid, keys of other projects are left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.errors import InputError
from fleet.stackfile.project_file import mapping
from fleet.stackfile.reading import STRUCTURED_KEYS, load
from tests.support.stacks import (
    FULL,
    SECRETS,
    SMALL,
    environment_of,
    lines_of_file,
    shipped,
    text_of,
    without,
)

PROJECT = Path(__file__).parents[2]


@pytest.mark.parametrize("path", shipped(PROJECT), ids=lambda path: path.name)
def test_a_shipped_file_is_valid(path: Path) -> None:
    name = path.name.removeprefix("Pulumi.").removesuffix(".yaml")
    environment = load(name, PROJECT)
    assert environment.name == name
    assert [user.id for user in environment.config.users] == ["alice", "bob"]
    assert set(environment.scenes) == {"coding", "research"}


def test_a_file_is_read_with_all_it_refers_to(folder: Path) -> None:
    text = text_of({**without(FULL, "backup"), "users": list[str]()})
    (folder / "Pulumi.test.yaml").write_text(text, encoding="utf-8")
    environment = load("test", folder)
    assert environment.folder == folder
    assert list(environment.scenes) == ["coding"]
    assert ("AGENTS.md", "Work.\n") in environment.scenes["coding"].files


def test_keys_of_other_projects_are_left_alone(folder: Path) -> None:
    text = text_of(SMALL) + "  aws:region: eu\n  other:users: 5\n  pulumi:tags: {a: b}\n"
    assert lines_of_file(text, folder) == []


def test_values_of_the_engine_are_read_like_a_file(shared_folder: Path) -> None:
    environment = environment_of(FULL, shared_folder, SECRETS)
    assert environment.secret_keys == SECRETS
    assert environment.config.users[0].id == "alice"


def test_an_error_holds_its_problems_and_prints_them(shared_folder: Path) -> None:
    with pytest.raises(InputError) as caught:
        environment_of({"users": 5}, shared_folder)
    lines = [str(problem) for problem in caught.value.problems]
    assert len(lines) == 3
    assert str(caught.value) == "\n".join(lines)
    assert caught.value.__suppress_context__


def test_structured_keys_are_those_of_the_models() -> None:
    assert set(FULL) == set(STRUCTURED_KEYS)


def test_what_is_no_mapping_is_an_empty_one() -> None:
    assert mapping({1: 2}) == {"1": 2}
    assert mapping([1]) == mapping(None) == mapping("a") == {}
