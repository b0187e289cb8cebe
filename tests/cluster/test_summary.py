"""Plans and outcomes as a person reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fleet.cluster.apply import Failure, Outcome
from fleet.cluster.changes import Changes
from fleet.cluster.compare import changes_against_file
from fleet.cluster.summary import outcome_lines, plan_lines
from tests.support.fakes.project import IMAGE, Project, new_project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return new_project(tmp_path, monkeypatch)


def change(project: Project, *users: str | dict[str, Any]) -> Changes:
    before = project.environment()
    project.users(*users)
    return changes_against_file({}, project.plan(), IMAGE, before, {})


def test_a_plan_has_a_line_a_user_and_counts_the_untouched(project: Project) -> None:
    changes = change(project, "alice", {"id": "bob", "passwordVersion": 2}, "carol")
    assert list(plan_lines(changes)) == [
        "restart   bob (password)",
        "create    carol",
        "unchanged 1 users",
    ]


def test_a_plan_names_what_is_deleted_and_what_stays(project: Project) -> None:
    lines = list(plan_lines(change(project, "alice")))
    assert lines[0] == "remove    bob (claim oc-bob and its data stay)"
    assert "delete    Deployment opencode-t--default/oc-bob" in lines
    assert not any("delete    PersistentVolumeClaim" in line for line in lines)


def test_a_plan_without_changes_says_so(project: Project) -> None:
    assert list(plan_lines(change(project, "alice", "bob"))) == [
        "unchanged 2 users",
        "nothing to do",
    ]


def test_an_outcome_ends_with_everybodys_url_and_no_password(project: Project) -> None:
    changes = change(project, "alice", "bob", {"id": "carol", "state": "suspended"})
    outcome = Outcome(applied=["x"] * 5)
    lines = list(outcome_lines(project.plan(), changes, outcome))
    assert lines[0] == "t: 5 objects applied, 0 deleted"
    assert lines[1:] == [
        f"http://{user}.fleet.localhost:7080  user {user}, password: fleet password {user} -s t"
        for user in ("alice", "bob")
    ]


def test_an_outcome_leaves_out_the_url_of_who_failed(project: Project) -> None:
    failure = Failure(user="bob", step="wait until ready", cause="no")
    outcome = Outcome(applied=["x"], failures=[failure])
    lines = list(outcome_lines(project.plan(), change(project, "alice", "bob"), outcome))
    assert not any("bob" in line for line in lines)
    assert str(failure) == "user bob: wait until ready: no"
    assert str(Failure(user=None, step="apply", cause="no")) == "environment: apply: no"


def test_an_outcome_names_who_was_restarted_and_what_is_retained(project: Project) -> None:
    changes = change(project, {"id": "alice", "passwordVersion": 2})
    lines = list(outcome_lines(project.plan(), changes, Outcome(applied=["x"])))
    assert "restarted: alice" in lines
    assert "retained: claim opencode-t--default/oc-bob" in lines


def test_a_long_roster_is_counted_after_a_page(project: Project) -> None:
    changes = change(project, *[f"user-{number}" for number in range(60)])
    lines = list(outcome_lines(project.plan(), changes, Outcome()))
    assert lines[0] == "t: nothing to do, 60 users as they should be"
    assert len(lines) < 90
    assert lines[-1] == "… and 20 more: fleet status -s t"
