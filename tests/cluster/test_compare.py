"""Two stack files compared without a cluster."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.fakes.project import Project, new_project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return new_project(tmp_path, monkeypatch)


def test_it_needs_no_cluster(project: Project) -> None:
    (project.folder / "old").mkdir()
    shutil.copy(project.file, project.folder / "old")
    project.users("alice")
    done = project.fleet("plan", "-s", "t", "--against", "old/Pulumi.t.yaml", "--json")
    assert {item["user"]: item["action"] for item in done.json["users"]} == {
        "alice": "unchanged",
        "bob": "remove",
    }
    assert project.calls() == []


def test_a_file_compared_with_itself_changes_nothing(project: Project) -> None:
    done = project.fleet("plan", "-s", "t", "--against", "t")
    assert done.out == "unchanged 2 users\nnothing to do\n"


def test_another_files_problems_are_told_as_wrong_input(project: Project) -> None:
    (project.folder / "Pulumi.u.yaml").write_text("config: {}\n")
    done = project.fleet("plan", "-s", "t", "--against", "u")
    assert done.code == 2
