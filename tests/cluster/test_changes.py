"""What an apply will do to each user, and why, before anything changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fleet.cluster.changes import Action, Changes, UserChange, find_changes, restart_reasons
from fleet.cluster.compare import changes_against_file
from fleet.cluster.desired import desired_objects
from fleet.cluster.live import Difference, Key
from tests.support.fakes.project import IMAGE, Project, new_project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return new_project(tmp_path, monkeypatch)


def change(project: Project, *users: str | dict[str, Any], image: str = IMAGE) -> Changes:
    """Return what changes from the written stack file to one with another roster."""
    before = project.environment()
    if users:
        project.users(*users)
    return changes_against_file({}, project.plan(), image, before, {})


def of(changes: Changes, user: str) -> UserChange:
    (found,) = [item for item in changes.users if item.user == user]
    return found


def test_the_same_file_changes_nobody(project: Project) -> None:
    changes = change(project)
    assert changes.apply == changes.delete == ()
    assert {item.action for item in changes.users} == {Action.NONE}


def test_a_new_user_is_created_and_the_others_are_not_touched(project: Project) -> None:
    changes = change(project, "alice", "bob", "carol")
    assert of(changes, "carol").action is Action.CREATE
    assert {item.user.id for item in changes.apply if item.user} == {"carol"}
    assert len(changes.apply) == 5


def test_a_runtime_whose_secret_is_gone_or_edited_restarts_and_nobody_else(
    project: Project,
) -> None:
    plan = project.plan()
    desired = desired_objects({}, plan, IMAGE, {})
    live = {item.key: item.manifest for item in desired}
    key = Key("Secret", "opencode-t--default", "oc-alice")
    edited = {**live[key], "data": {"password": "b3RoZXI="}}
    for there in ({**live, key: edited}, {k: v for k, v in live.items() if k != key}):
        changes = find_changes(plan, desired, there)
        assert [user.id for user in changes.stale] == ["alice"]
        assert of(changes, "alice").action is Action.RESTART
        assert of(changes, "bob").action is Action.NONE


def test_a_user_who_goes_is_removed_and_the_claim_retained(project: Project) -> None:
    changes = change(project, "alice")
    found = of(changes, "bob")
    assert found.action is Action.REMOVE
    assert found.reasons == ("claim oc-bob and its data stay",)
    assert changes.retained == ("opencode-t--default/oc-bob",)
    assert sorted(item["kind"] for item in changes.delete) == [
        "Deployment",
        "Ingress",
        "Secret",
        "Service",
    ]


def test_a_user_under_purge_is_told_so(project: Project) -> None:
    before = project.environment()
    project.users("alice")
    project.write(purge=["bob"])
    changes = changes_against_file({}, project.plan(), IMAGE, before, {})
    assert of(changes, "bob").action is Action.PURGE


def test_a_former_user_without_a_runtime_is_retained(project: Project) -> None:
    project.apply()
    project.users("alice")
    project.apply()
    done = project.fleet("plan", "-s", "t", "--json")
    (bob,) = [item for item in done.json["users"] if item["user"] == "bob"]
    assert bob["action"] == "retained"
    assert done.json["apply"] == done.json["delete"] == []


def test_a_user_who_returns_finds_the_data_again(project: Project) -> None:
    project.apply()
    project.users("alice")
    project.apply()
    project.users("alice", "bob")
    done = project.fleet("plan", "-s", "t", "--json")
    (bob,) = [item for item in done.json["users"] if item["user"] == "bob"]
    assert (bob["action"], bob["reasons"]) == ("create", ["finds the data of before again"])


def test_another_image_restarts_everybody(project: Project) -> None:
    changes = change(project, image="opencode-fleet/runtime:t2")
    for user in ("alice", "bob"):
        assert of(changes, user).action is Action.RESTART
        assert of(changes, user).reasons == ("image",)


@pytest.mark.parametrize(
    ("user", "reason"),
    [
        ({"id": "bob", "passwordVersion": 2}, "password"),
        ({"id": "bob", "profile": "big"}, "profile"),
    ],
)
def test_a_restart_names_its_reason_and_its_user_only(
    project: Project, user: dict[str, Any], reason: str
) -> None:
    project.write(profiles={"big": {"cpu": {"request": "1", "limit": "4"}}})
    changes = change(project, "alice", user)
    assert of(changes, "bob").action is Action.RESTART
    assert of(changes, "bob").reasons == (reason,)
    assert of(changes, "alice").action is Action.NONE


def test_a_display_name_restarts_nobody(project: Project) -> None:
    changes = change(project, "alice", {"id": "bob", "displayName": "Bob B."})
    assert of(changes, "bob").action is Action.UPDATE
    assert not any("template" in reason for reason in of(changes, "bob").reasons)


def test_suspending_and_resuming_are_told_as_such(project: Project) -> None:
    changes = change(project, "alice", {"id": "bob", "state": "suspended"})
    assert of(changes, "bob").action is Action.SUSPEND
    assert of(change(project, "alice", "bob"), "bob").action is Action.RESUME


def test_a_suspended_user_is_updated_not_restarted(project: Project) -> None:
    project.users({"id": "alice", "state": "suspended"})
    changes = change(project, image="opencode-fleet/runtime:t2")
    assert of(changes, "alice").action is Action.UPDATE


def test_a_grown_claim_is_an_update_that_restarts_nobody(project: Project) -> None:
    before = project.environment()
    project.write(profiles={"standard": {"storage": "20Gi"}})
    changes = changes_against_file({}, project.plan(), IMAGE, before, {})
    assert of(changes, "alice") == UserChange(
        user="alice",
        pool="default",
        action=Action.UPDATE,
        reasons=("PersistentVolumeClaim",),
    )


@pytest.mark.parametrize(
    ("path", "reasons"),
    [
        ("spec.replicas", ()),
        ("metadata.annotations.opencode-fleet/applied-hash", ()),
        ("spec.template.spec.containers[0].image", ("image",)),
        (
            "spec.template.metadata.annotations.opencode-fleet/api-key-fingerprint",
            ("model API key",),
        ),
        ("spec.template.spec.containers[0].resources.limits.cpu", ("profile",)),
        ("spec.template.spec.volumes[3].configMap.name", ("scenes or managed config",)),
        ("spec.template.spec.initContainers[0].env[0].value", ("scenes or managed config",)),
        ("spec.template.spec.hostNetwork", ("spec.template.spec.hostNetwork",)),
    ],
)
def test_reasons_are_in_the_stack_files_words(path: str, reasons: tuple[str, ...]) -> None:
    difference = Difference(path=path, wanted=1, found=2)
    assert restart_reasons([difference, difference]) == reasons
