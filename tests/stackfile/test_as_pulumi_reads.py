"""What Pulumi makes of a project and its stack files is what is read here."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import cast

import pytest

from fleet.errors import InputError
from fleet.stackfile.program_input import read_engine
from fleet.stackfile.project_file import locate
from fleet.stackfile.reading import load
from fleet.stackfile.yaml_text import parse_yaml
from tests.support.stacks import SMALL, Values, lines_of_file, text_of, with_value, without

PROJECT = "name: opencode-fleet\nruntime: python\n"

# Plain words of YAML as `pulumi config --json` (CLI 3.215) gave them.
WORDS = {
    "0123": 83,
    "no": "no",
    "yes": "yes",
    "off": "off",
    "ON": "ON",
    "12:30": "12:30",
    "0o17": 15,
    "1_000": 1000,
    "1e3": 1000,
    "0x1f": 31,
    "~": None,
    "NULL": None,
    "True": True,
    "tRue": "tRue",
    ".5": 0.5,
    "0.10": 0.1,
    "089": 89,
    "0b11": 3,
    "+5": 5,
    "-.5e3": -500,
    "1.": 1,
    "-0x1f": -31,
    "-017": -15,
    "1e": "1e",
    "0o8": "0o8",
    "0_7": 7,
    "1__0": 10,
    ".": ".",
    "0b2": "0b2",
    "00": 0,
    "1.5.2": "1.5.2",
    "0b": "0b",
    "_1": "_1",
    "1_": 1,
    "0x": "0x",
    "2001-1-1x": "2001-1-1x",
}


@pytest.mark.parametrize(("word", "value"), WORDS.items())
def test_a_plain_word_is_what_it_is_to_pulumi(word: str, value: object) -> None:
    found = cast("list[object]", parse_yaml(f"[{word}]"))[0]
    assert found == value
    assert isinstance(found, str | bool) == isinstance(value, str | bool)


def test_infinity_is_a_number_though_none_that_is_accepted() -> None:
    assert parse_yaml("[.inf, -.Inf]") == [math.inf, -math.inf]


@pytest.mark.parametrize("word", ["0123", "1e3", "0x1f", "1_000", "1.50"])
def test_what_was_typed_is_quoted_alike_by_both_readers(word: str, folder: Path) -> None:
    text = text_of(with_value(SMALL, "users[0].id", "WORD")).replace("WORD", word)
    by_file = lines_of_file(text, folder)
    assert by_file == [f"users[0].id: {word}: a text is expected: put it in quotes"]
    values = cast("dict[str, Values]", parse_yaml(text))["config"]
    engine = {key: json.dumps(value) for key, value in values.items()}
    with pytest.raises(InputError) as refused:
        read_engine("test", folder, engine, ())
    assert str(refused.value).splitlines() == by_file


def test_without_the_file_the_program_quotes_what_the_engine_gave(folder: Path) -> None:
    values = with_value(SMALL, "users[0].id", 83)
    engine = {f"opencode-fleet:{key}": json.dumps(value) for key, value in values.items()}
    with pytest.raises(InputError, match=r"users\[0\]\.id: 83: a text is expected"):
        read_engine("gone", folder, engine, ())


def lay(folder: Path, project: str, values: Values, inside: str = ".") -> Path:
    """Lay a project with the stack file `dev`."""
    (folder / "Pulumi.yaml").write_text(PROJECT + project, encoding="utf-8")
    (folder / inside).mkdir(exist_ok=True)
    (folder / inside / "Pulumi.dev.yaml").write_text(text_of(values), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    "declared",
    [
        "{type: array, default: [{id: carol}]}",
        "{value: [{id: carol}]}",
        "[{id: carol}]",
    ],
)
@pytest.mark.parametrize("key", ["opencode-fleet:users", "users"])
def test_a_key_that_the_stack_file_lacks_comes_from_the_project(
    key: str, declared: str, folder: Path
) -> None:
    lay(folder, f"config:\n  {key}: {declared}\n", without(SMALL, "users"))
    assert [user.id for user in load("dev", folder).config.users] == ["carol"]


def test_the_stack_file_goes_before_the_project(folder: Path) -> None:
    lay(folder, "config:\n  users: {default: [{id: carol}]}\n", SMALL)
    assert [user.id for user in load("dev", folder).config.users] == ["alice", "bob"]


def test_a_short_key_is_of_the_project_that_declares_it(folder: Path) -> None:
    lay(folder, "config:\n  users: {value: [{id: carol}]}\n", without(SMALL, "users"))
    text = (folder / "Pulumi.yaml").read_text(encoding="utf-8")
    (folder / "Pulumi.yaml").write_text(text.replace("opencode-fleet", "website"), "utf-8")
    with pytest.raises(InputError, match="users: missing"):
        load("dev", folder)


def test_a_key_of_another_project_is_no_default_of_ours(folder: Path) -> None:
    lay(folder, "config:\n  aws:users: {value: [{id: carol}]}\n", without(SMALL, "users"))
    with pytest.raises(InputError, match="users: missing"):
        load("dev", folder)


@pytest.mark.parametrize("setting", ["stackConfigDir: stacks\n", "config: stacks\n"])
def test_stack_files_may_have_a_folder_of_their_own(setting: str, folder: Path) -> None:
    values = {**SMALL, "scenes": {"coding": {"path": "scenes/coding"}}}
    lay(folder, setting, values, "stacks")
    environment = load("dev", folder)
    assert environment.folder == folder
    assert set(environment.scenes) == {"coding"}
    assert load(str(folder / "stacks/Pulumi.dev.yaml"), Path("/")) == environment


def test_a_project_is_found_from_any_folder_below_it(folder: Path) -> None:
    lay(folder, "", SMALL)
    assert load("dev", folder / "scenes/coding").folder == folder


@pytest.mark.parametrize("stack", ["acme/dev", "organization/opencode-fleet/dev"])
def test_a_stack_may_be_named_in_full(stack: str, folder: Path) -> None:
    lay(folder, "", SMALL)
    assert locate(stack, folder) == (folder / "Pulumi.dev.yaml", "dev")


def test_a_path_that_looks_like_a_full_name_is_a_path(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(folder, "stackConfigDir: stacks\n", SMALL, "stacks")
    monkeypatch.chdir(folder)
    assert locate("stacks/Pulumi.dev.yaml", folder)[1] == "dev"


def test_a_stack_file_that_pulumi_would_not_find_is_told(folder: Path) -> None:
    lay(folder, "", SMALL)
    (folder / "Pulumi.dev.yaml").rename(folder / "Pulumi.dev.yml")
    with pytest.raises(InputError, match=r"a stack file is named Pulumi\.<environment>\.yaml"):
        load(str(folder / "Pulumi.dev.yml"), Path("/"))


def test_the_program_reads_scenes_from_the_folder_it_is_given(folder: Path) -> None:
    values = {**SMALL, "scenes": {"coding": {"path": "scenes/coding"}}}
    engine = {f"opencode-fleet:{key}": json.dumps(value) for key, value in values.items()}
    environment = read_engine("dev", folder, engine, ())
    assert environment.folder == folder
    assert set(environment.scenes) == {"coding"}


def test_a_stack_of_another_project_is_told(folder: Path) -> None:
    lay(folder, "", SMALL)
    with pytest.raises(InputError) as refused:
        load("acme/website/dev", folder)
    assert str(refused.value) == (
        "stack file: acme/website/dev: this stack is of the project website, "
        "and here is opencode-fleet: cd to that project"
    )


def test_an_esc_environment_is_told(folder: Path) -> None:
    text = "environment: [team]\n" + text_of(SMALL)
    assert lines_of_file(text, folder) == [
        "environment: a list: values of a Pulumi ESC environment are known to `pulumi` alone: "
        "write them into this file, or deploy with `pulumi up`"
    ]


def test_a_broken_project_file_is_told(folder: Path) -> None:
    lay(folder, "", SMALL)
    (folder / "Pulumi.yaml").write_text("name: [", encoding="utf-8")
    with pytest.raises(InputError, match=r"stack file: Pulumi\.yaml: not valid YAML"):
        load("dev", folder)


@pytest.mark.parametrize("key", ["image", "providers", "profiles", "network"])
def test_an_optional_key_that_is_empty_counts_as_absent(key: str, folder: Path) -> None:
    assert lines_of_file(text_of({**SMALL, key: {}}), folder) == []
