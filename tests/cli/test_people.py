"""`fleet user …` edits the roster in the stack file, whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.fakes.project import StackFolder, new_project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StackFolder:
    return new_project(tmp_path, monkeypatch)


def roster(project: StackFolder) -> dict[str, Any]:
    return {user.id: user for user in project.environment().config.users}


def test_a_user_is_added_suspended_resumed_rotated_and_removed(project: StackFolder) -> None:
    assert project.fleet("user", "add", "zoe", "--name", "Zoe: Z", "-s", "t").code == 0
    assert roster(project)["zoe"].display_name == "Zoe: Z"
    assert project.fleet("user", "suspend", "zoe", "-s", "t").code == 0
    assert roster(project)["zoe"].state == "suspended"
    assert project.fleet("user", "resume", "zoe", "-s", "t").code == 0
    assert roster(project)["zoe"].state == "active"
    done = project.fleet("user", "rotate", "zoe", "-s", "t")
    assert (done.code, roster(project)["zoe"].password_version) == (0, 2)
    done = project.fleet("user", "remove", "zoe", "--purge", "-s", "t")
    assert done.out == (
        "zoe: removed from the stack file; `fleet up` asks, and deletes the data for good\n"
    )
    assert "zoe" not in roster(project)
    assert project.environment().config.purge == ("zoe",)


def test_a_change_that_makes_the_file_invalid_is_not_written(project: StackFolder) -> None:
    before = project.file.read_bytes()
    done = project.fleet("user", "add", "zoe", "--scene", "no-such", "-s", "t")
    assert done.code == 2
    assert "no-such" in done.err
    assert project.file.read_bytes() == before
    assert project.fleet("user", "add", "Not OK!", "-s", "t").code == 2
    assert project.fleet("user", "suspend", "nobody", "-s", "t").err == (
        "USER: nobody: no user of this id in the stack file: see fleet status, or the file\n"
    )
    assert project.file.read_bytes() == before


def test_the_roster_is_listed_without_a_cluster(project: StackFolder) -> None:
    told = project.fleet("user", "list", "--json", "-s", "t").json["users"]
    assert [user["id"] for user in told] == list(roster(project))
    assert "alice" in project.fleet("user", "list", "-s", "t").out


class TestImport:
    def table(self, project: StackFolder, text: str) -> str:
        file = project.folder / "people.csv"
        file.write_text(text, encoding="utf-8")
        return str(file)

    def test_who_is_new_is_added_and_the_others_stay(self, project: StackFolder) -> None:
        text = '\ufeffid,displayName,login\nalice,Other,a@x\nzoe,"Zoe, Z",z@x\nyan,燕,\n'
        done = project.fleet("user", "import", self.table(project, text), "-s", "t")
        assert done.out == "2 users added, 1 were there; fleet up -s t to deploy\n"
        people = roster(project)
        assert (people["zoe"].display_name, people["yan"].display_name) == ("Zoe, Z", "燕")
        assert people["alice"].display_name != "Other"
        assert (people["zoe"].login, people["yan"].login) == ("z@x", None)

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("name\nzoe\n", "FILE: people.csv: its first line names columns"),
            ("id\nzoe,too,many\n", "people.csv line 2: "),
            ("id,profile\nzoe\n", "people.csv line 2: "),
            ("id,displayName\n,Nobody\n", "people.csv line 2: "),
            ("id\nzoe\nNot OK!\n", "users["),
        ],
    )
    def test_a_table_that_is_wrong_changes_nothing(
        self, project: StackFolder, text: str, line: str
    ) -> None:
        before = project.file.read_bytes()
        done = project.fleet("user", "import", self.table(project, text), "-s", "t")
        assert done.code == 2
        assert done.err.startswith(line)
        assert project.file.read_bytes() == before
