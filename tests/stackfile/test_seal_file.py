"""`fleet secret`: seals a value into a stack file and keeps every other line."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from fleet.errors import InputError
from fleet.stackfile.seal_file import seal_into
from fleet.stackfile.unsealing import unseal
from tests.support.fakes.project import PASSPHRASE, StackFolder, new_project

KEY = "made-up-model-key-of-nobody"
FILE = """\
# A comment that stays.
config:
  # So does this one.
  opencode-fleet:cluster: {kind: existing, context: opencode-fleet-local}   # and this
  opencode-fleet:image: {mode: local, reference: "a:1"}
  opencode-fleet:door: {reference: "d:1"}
  opencode-fleet:access: {domain: fleet.localhost, tls: none}

  opencode-fleet:users:
    - {id: alice}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StackFolder:
    # A million rounds are half a second, and not what is tested here.
    monkeypatch.setattr("fleet.stackfile.sealed._ROUNDS", 10)
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", PASSPHRASE)
    found = new_project(tmp_path, monkeypatch)
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", PASSPHRASE)
    found.file.write_text(FILE)
    return found


def seal(project: StackFolder, value: str = KEY, key: str = "modelApiKey") -> None:
    done = project.fleet("secret", key, "-s", "t", given=value)
    assert (done.code, done.err) == (0, "")
    assert value.strip() not in done.out


def test_a_sealed_value_is_read_back_and_stands_nowhere_in_clear(project: StackFolder) -> None:
    seal(project)
    assert project.secrets() == {"modelApiKey": KEY}
    assert KEY not in project.file.read_text()


def test_what_uses_no_secret_asks_for_no_passphrase(
    project: StackFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    seal(project)
    seal(project, 32 * "s", "passwordSeed")
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE")
    for command in (["validate"], ["image", "ref"]):
        done = project.fleet(*command, "-s", "t")
        assert done.code == 0, command
        assert "passphrase" not in done.err
    # There is no cluster here, and that is all it lacks.
    assert project.fleet("status", "-s", "t").err.startswith("cluster.context: ")
    refused = project.fleet("render", "-s", "t", "-o", "out")
    assert refused.code == 2
    assert "cannot be read without the stack's passphrase" in refused.err


def test_a_seed_that_is_too_short_is_not_sealed(project: StackFolder) -> None:
    before = project.file.read_text()
    done = project.fleet("secret", "passwordSeed", "-s", "t", given="hunter2-hunter2")
    assert done.code == 2
    assert done.err.startswith("passwordSeed: [hidden]: a seed has at least 32 random characters")
    assert project.file.read_text() == before


def test_every_other_line_stays(project: StackFolder) -> None:
    seal(project)
    lines = project.file.read_text().splitlines()
    kept = [line for line in lines if "secure:" not in line and "encryptionsalt" not in line]
    assert kept == FILE.splitlines()
    assert len(lines) == len(kept) + 2


def test_sealing_again_replaces_the_value_in_its_line(project: StackFolder) -> None:
    seal(project)
    before = project.file.read_text().splitlines()
    seal(project, "another-made-up-key")
    after = project.file.read_text().splitlines()
    assert [one == other for one, other in zip(before, after, strict=True)].count(False) == 1
    assert project.secrets() == {"modelApiKey": "another-made-up-key"}


def test_a_value_sealed_over_several_lines_is_replaced_whole(project: StackFolder) -> None:
    seal(project)
    text = project.file.read_text()
    start = text.index("  opencode-fleet:modelApiKey: {secure: ")
    end = text.index("\n", start)
    sealed = text[start:end].rpartition(" ")[2].rstrip("}")
    block = f"  opencode-fleet:modelApiKey:\n    secure: {sealed}"
    project.file.write_text(text[:start] + block + text[end:])
    assert project.secrets() == {"modelApiKey": KEY}
    seal(project, "another-made-up-key")
    assert project.secrets() == {"modelApiKey": "another-made-up-key"}
    assert sealed not in project.file.read_text()


def test_two_secrets_share_one_salt(project: StackFolder) -> None:
    project.file.write_text(FILE.replace("{id: alice}", "{id: alice, apiKey: aliceKey}"))
    seal(project)
    seal(project, "second-key-of-nobody", key="aliceKey")
    assert project.file.read_text().count("encryptionsalt") == 1
    assert project.secrets() == {
        "modelApiKey": KEY,
        "aliceKey": "second-key-of-nobody",
    }


def test_the_same_value_is_never_sealed_the_same(project: StackFolder) -> None:
    seal(project)
    first = project.file.read_text()
    seal(project)
    assert project.file.read_text() != first


def test_a_line_end_on_standard_input_is_no_part_of_the_value(project: StackFolder) -> None:
    seal(project, KEY + "\n")
    assert project.secrets()["modelApiKey"] == KEY


def refused(project: StackFolder, key: str = "modelApiKey", value: str = KEY) -> str:
    before = project.file.read_text()
    done = project.fleet("secret", key, "-s", "t", given=value)
    assert done.code == 2
    assert project.file.read_text() == before
    assert KEY not in done.err + done.out
    assert len(done.err.splitlines()) == 1
    return done.err


def test_another_passphrase_is_refused(
    project: StackFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    seal(project)
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "another")
    assert "the passphrase is not this stack's" in refused(project)


def test_without_a_passphrase_one_is_made_and_found_again(
    project: StackFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE")
    seal(project)
    file = project.folder / "home/.local/share/opencode-fleet/passphrase"
    assert file.stat().st_mode & 0o777 == 0o600
    word = file.read_text()
    seal(project, "another", "userKey")
    assert file.read_text() == word
    assert unseal("t", project.folder, word.strip) == {"modelApiKey": KEY, "userKey": "another"}


def test_an_empty_value_is_refused(project: StackFolder) -> None:
    assert "a secret is not empty" in refused(project, value="\n")


@pytest.mark.parametrize("key", ["users", "providers", "access"])
def test_a_key_that_is_no_secret_is_refused(project: StackFolder, key: str) -> None:
    assert f"KEY: {key}: this key is no secret" in refused(project, key)


@pytest.mark.parametrize("key", ["model-api-key", "", "a b", "k:\n  evil", "x" * 200])
def test_a_key_that_is_no_name_is_refused(project: StackFolder, key: str) -> None:
    assert refused(project, key).startswith("KEY: ")


def test_a_file_whose_config_is_no_block_is_refused(project: StackFolder) -> None:
    project.file.write_text("config: {'opencode-fleet:users': []}\n")
    assert "not written as block lines" in refused(project)


def test_a_damaged_salt_is_refused(project: StackFolder) -> None:
    project.file.write_text(FILE + "encryptionsalt: v1:%%%:v1:a:b\n")
    assert "encryptionsalt" in refused(project)


def test_a_missing_file_is_refused(project: StackFolder) -> None:
    with pytest.raises(InputError, match=r"there is no Pulumi\.u\.yaml here"):
        seal_into("u", project.folder, "modelApiKey", KEY, PASSPHRASE)


def test_a_full_disk_leaves_the_old_file(
    project: StackFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, *_: object, **__: object) -> int:
        self.touch()
        raise OSError(errno.ENOSPC, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_text", full)
    done = project.fleet("secret", "modelApiKey", "-s", "t", given=KEY)
    assert done.code == 1
    assert "No space left on device" in done.err
    assert project.file.read_text() == FILE
    assert {path.name for path in project.folder.iterdir()} <= {
        "Pulumi.t.yaml",
        ".Pulumi.t.yaml.new",
        "kubectl",
        "cluster",
    }


def test_the_files_rights_stay(project: StackFolder) -> None:
    project.file.chmod(0o640)
    seal(project)
    assert project.file.stat().st_mode & 0o777 == 0o640


def test_the_draft_is_gone(project: StackFolder) -> None:
    seal(project)
    assert not list(project.folder.glob(".*"))


def test_every_other_byte_stays_however_it_is_spaced(project: StackFolder) -> None:
    odd = FILE.replace("{id: alice}", "{ id:   alice ,displayName: 'A' }   # who").replace(
        "  opencode-fleet:image: ", "  opencode-fleet:image:   "
    )
    project.file.write_text(odd)
    seal(project)
    lines = project.file.read_text().splitlines(keepends=True)
    assert "".join(line for line in lines if "secure:" not in line)[: len(odd)] == odd
