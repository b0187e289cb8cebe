"""`fleet seed` and `fleet password`: one sealed seed, remembered, and what is derived from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.names import SEED_KEY
from fleet.plan.passwords import derive_password, identity_of
from tests.support.fakes.project import PASSPHRASE, StackFolder, new_project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StackFolder:
    # A million rounds are half a second, and not what is tested here.
    monkeypatch.setattr("fleet.stackfile.sealed._ROUNDS", 10)
    found = new_project(tmp_path, monkeypatch)
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", PASSPHRASE)
    return found


def seed(project: StackFolder, *arguments: str) -> str:
    done = project.fleet("seed", "-s", "t", *arguments)
    assert done.code == 0, done.err
    return project.secrets()[SEED_KEY]


def remembered(project: StackFolder) -> Path:
    return project.folder / "home/.local/share/opencode-fleet/seeds/t"


def test_a_seed_is_made_sealed_and_remembered_for_this_user_only(project: StackFolder) -> None:
    made = seed(project)
    assert made not in project.file.read_text()
    assert remembered(project).read_text() == f"{made}\n"
    assert remembered(project).stat().st_mode & 0o777 == 0o600


def test_a_seed_that_is_there_stays(project: StackFolder) -> None:
    made = seed(project)
    text = project.file.read_text()
    assert seed(project) == made
    assert project.file.read_text() == text


def test_another_clone_finds_the_remembered_seed(project: StackFolder) -> None:
    made = seed(project)
    project.write()  # the stack file of another clone, without the seed
    assert SEED_KEY not in project.file.read_text()
    assert seed(project) == made


def test_a_rotated_seed_keeps_the_identity_and_changes_the_rest(project: StackFolder) -> None:
    first = seed(project)
    second = seed(project, "--rotate", "--yes")
    assert second != first
    assert identity_of(second) == identity_of(first)
    assert remembered(project).read_text() == f"{second}\n"


def test_a_rotation_that_nobody_confirms_changes_nothing(project: StackFolder) -> None:
    first = seed(project)
    text = project.file.read_text()
    done = project.fleet("seed", "-s", "t", "--rotate")
    assert done.code == 1
    assert "not confirmed: nothing was changed: give --yes" in done.err
    assert (project.file.read_text(), project.secrets()[SEED_KEY]) == (text, first)


def test_a_password_is_derived_without_a_cluster_and_printed_alone(project: StackFolder) -> None:
    made = seed(project)
    done = project.fleet("password", "alice", "-s", "t")
    assert (done.code, done.err) == (0, "")
    assert done.out == derive_password(made, "t", "alice", 1) + "\n"


def test_a_password_without_a_seed_says_how_to_make_one(project: StackFolder) -> None:
    done = project.fleet("password", "alice", "-s", "t")
    assert (done.code, done.out) == (2, "")
    assert "make one: fleet seed -s ENV" in done.err


def test_a_password_with_another_passphrase_is_refused(
    project: StackFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed(project)
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "another")
    done = project.fleet("password", "alice", "-s", "t")
    assert (done.code, done.out) == (2, "")
    assert "the passphrase is not this stack's" in done.err


def test_a_stranger_has_no_password(project: StackFolder) -> None:
    seed(project)
    done = project.fleet("password", "dave", "-s", "t")
    assert (done.code, done.out) == (2, "")
    assert "no such user in the roster" in done.err
