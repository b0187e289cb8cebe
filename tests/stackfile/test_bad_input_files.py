"""Files that cannot be read, and secrets that cannot be opened: one clear line, never a trace."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fleet.errors import InputError
from fleet.stackfile.project_file import MAX_BYTES, locate
from fleet.stackfile.reading import load
from fleet.stackfile.sealed import Seal
from fleet.stackfile.unsealing import unseal
from tests.support.stacks import SMALL, lines_of_file, text_of, unclear, unsealed_lines

WORD = "a passphrase of the test"


@pytest.fixture(scope="module")
def seal() -> Seal:
    """One seal for the module: each takes a third of a second to make."""
    return Seal.create(WORD)


def lines_of_stack(stack: str, folder: Path) -> list[str]:
    """Return the problem lines of naming a stack."""
    try:
        load(stack, folder)
    except InputError as error:
        return [str(problem) for problem in error.problems]
    return []


@pytest.mark.parametrize(
    ("stack", "line"),
    [
        ("gone", "gone: there is no Pulumi.gone.yaml here: use one of dev, prod"),
        ("", '"": there is no Pulumi..yaml here: use one of dev, prod'),
        ("a\nb", "a\\nb: there is no Pulumi.a\\nb.yaml here: use one of dev, prod"),
        ("a\0b", "a\\x00b: there is no Pulumi.a\\x00b.yaml here: use one of dev, prod"),
        ("fold", "fold: this is a folder: give an environment's name, e.g. dev"),
        ("pipe", "Pulumi.pipe.yaml: this is no plain file: give a stack file"),
        ("dangling", "dangling: there is no Pulumi.dangling.yaml here: use one of dev, prod"),
        ("loop", "loop: there is no Pulumi.loop.yaml here: use one of dev, prod"),
    ],
)
def test_what_is_no_stack_file_is_told(stack: str, line: str, tmp_path: Path) -> None:
    for name in ("dev", "prod"):
        (tmp_path / f"Pulumi.{name}.yaml").write_text(text_of(SMALL), encoding="utf-8")
    (tmp_path / "Pulumi.fold.yaml").mkdir()
    os.mkfifo(tmp_path / "Pulumi.pipe.yaml")
    (tmp_path / "Pulumi.dangling.yaml").symlink_to("nowhere")
    (tmp_path / "Pulumi.loop.yaml").symlink_to("Pulumi.loop.yaml")
    (found,) = lines_of_stack(stack, tmp_path)
    # The other names of the folder are listed too; which ones is not this test's concern.
    assert (
        found.partition(": use one of ")[0] == f"stack file: {line}".partition(": use one of ")[0]
    )
    assert unclear(found) == []


def test_paths_are_taken_as_paths(tmp_path: Path) -> None:
    given = {
        f"{tmp_path}/": "this is a folder: give an environment's name, e.g. dev",
        f"{tmp_path}/Pulumi.dev.yaml": "there is no Pulumi.dev.yaml here: cd to the project",
        f"{tmp_path}/values.yaml": "a stack file is named Pulumi.<environment>.yaml: "
        "rename it, or give the right file",
    }
    (tmp_path / "values.yaml").write_text("a: 1\n", encoding="utf-8")
    for stack, rest in given.items():
        (line,) = lines_of_stack(stack, Path("/nowhere"))
        assert line.startswith("stack file: ")
        assert line.endswith(rest)


def test_a_path_finds_the_file_wherever_the_command_runs(folder: Path) -> None:
    (folder / "Pulumi.dev.yaml").write_text(text_of(SMALL), encoding="utf-8")
    path, name = locate(f"{folder}/Pulumi.dev.yaml", Path("/nowhere"))
    assert (path, name) == (folder / "Pulumi.dev.yaml", "dev")


def test_an_environment_needs_a_name_that_objects_can_carry(folder: Path) -> None:
    (folder / "Pulumi.My_Env.yaml").write_text(text_of(SMALL), encoding="utf-8")
    assert lines_of_stack("My_Env", folder) == [
        "stack: My_Env: an environment name has 1 to 20 of a-z 0-9 and single hyphens inside: "
        "rename it, e.g. environment-1",
    ]


def test_a_name_too_long_for_the_file_system_is_told(tmp_path: Path) -> None:
    (line,) = lines_of_stack("x" * 300, tmp_path)
    assert line.endswith("…: cannot be read (File name too long): mend its name or rights")


@pytest.mark.parametrize(
    ("content", "rest"),
    [
        (b"#" * (10 * 2**20), "a stack file has at most 4 MiB: check that it is the right file"),
        (b"\x7fELF\x02\x01\x01\x00" + bytes(range(256)), "not UTF-8 text: save it as UTF-8"),
        ("config: {}\n".encode("utf-16"), "not UTF-8 text: save it as UTF-8"),
        ("# für\n".encode("latin-1"), "not UTF-8 text: save it as UTF-8"),
        (b"\xed\xa0\x80", "not UTF-8 text: save it as UTF-8"),
        (b"\0" * 100, "not valid YAML (line 1: control characters are not allowed): remove them"),
    ],
    ids=["10 MB", "a program", "UTF-16", "Latin-1", "half a surrogate", "zeros"],
)
def test_a_file_that_is_no_text_is_told(content: bytes, rest: str, tmp_path: Path) -> None:
    assert lines_of_file(content, tmp_path) == [f"stack file: Pulumi.test.yaml: {rest}"]


def test_a_file_at_the_size_limit_is_read(tmp_path: Path) -> None:
    text = text_of(SMALL)
    padding = b"#" * (MAX_BYTES - len(text))
    assert lines_of_file(text.encode() + padding, tmp_path) == []


def test_a_file_that_may_not_be_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Root may read everything, so the refusal is the file system's in name only.
    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refuse)
    assert lines_of_file(text_of(SMALL), tmp_path) == [
        "stack file: Pulumi.test.yaml: cannot be read (Permission denied): mend its name or rights",
    ]


def sealed_text(seal: Seal, value: str, salt: str | None = None) -> str:
    """Return a small file with one sealed secret."""
    values = {**SMALL, "modelApiKey": {"secure": value}}
    return text_of(values, encryptionsalt=seal.salt_line if salt is None else salt)


def test_a_secret_without_the_passphrase_is_told(seal: Seal, folder: Path) -> None:
    assert unsealed_lines(sealed_text(seal, seal.close("k")), folder) == [
        "modelApiKey: [secret]: it cannot be read without the stack's passphrase: "
        "set PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE",
    ]


def test_the_passphrase_is_asked_for_only_when_there_is_a_secret(folder: Path) -> None:
    (folder / "Pulumi.test.yaml").write_text(text_of(SMALL), encoding="utf-8")

    def ask() -> str:
        raise AssertionError("asked")

    assert unseal("test", folder, ask) == {}


@pytest.mark.parametrize("word", ["", "\udcff\udcfe"])
def test_another_passphrase_is_told(word: str, seal: Seal, folder: Path) -> None:
    rule = "the passphrase is not this stack's, or the value is damaged"
    assert unsealed_lines(sealed_text(seal, seal.close("k")), folder, word) == [
        f"modelApiKey: [secret]: {rule}: check PULUMI_CONFIG_PASSPHRASE, or set the secret anew",
    ]


@pytest.mark.parametrize(
    ("salt", "rule"),
    [
        ("v2:a:b", "encryptionsalt is not of Pulumi's passphrase provider"),
        ("v1", "encryptionsalt is not of Pulumi's passphrase provider"),
        ("v1:é:v1:a:b", "encryptionsalt is damaged"),
        ("v1:*:v1:a:b", "encryptionsalt is damaged"),
    ],
)
def test_a_damaged_salt_is_told(salt: str, rule: str, seal: Seal, folder: Path) -> None:
    assert unsealed_lines(sealed_text(seal, seal.close("k"), salt), folder, WORD) == [
        f"modelApiKey: [secret]: {rule}: check PULUMI_CONFIG_PASSPHRASE, or set the secret anew",
    ]


def test_every_damaged_secret_is_told_by_its_own_name(seal: Seal, folder: Path) -> None:
    good = seal.close("k")
    damaged = {
        "aKey": f"{good[:-6]}AAAA==",
        "bKey": "v1:AAAA",
        "cKey": "plain",
        "dKey": "v1:é:é",
        "eKey": seal.close(" "),
        "fKey": seal.close("a\0b"),
    }
    users = [{"id": f"u-{key.lower()}", "apiKey": key} for key in damaged]
    values = {**SMALL, "users": users, "modelApiKey": {"secure": good}}
    values |= {key: {"secure": text} for key, text in damaged.items()}
    lines = unsealed_lines(text_of(values, encryptionsalt=seal.salt_line), folder, WORD)
    assert [line.partition(":")[0] for line in lines] == list(damaged)
    assert [unclear(line) for line in lines] == [[] for _ in damaged]


def test_secrets_stay_out_of_messages_and_of_the_printed_environment(
    seal: Seal, folder: Path
) -> None:
    secret = "hunter2-hunter2"  # noqa: S105 - made up
    text = sealed_text(seal, seal.close(secret))
    (folder / "Pulumi.test.yaml").write_text(text, encoding="utf-8")
    assert unseal("test", folder, lambda: WORD) == {"modelApiKey": secret}
    environment = load("test", folder)
    assert environment.secret_keys == {"modelApiKey"}
    assert secret not in repr(environment)
    assert secret not in str(environment)
    broken = text.replace("id: alice", "id: Alice!")
    lines = lines_of_file(broken, folder)
    assert lines
    assert not any(secret in line or WORD in line for line in lines)
