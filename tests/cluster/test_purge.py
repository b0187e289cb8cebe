"""Deleting a former user's data: only of a former user, whole, and told when it is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fleet.cluster.purge import purge_user
from fleet.errors import ClusterError
from tests.support.fakes.project import IMAGE, Project, new_project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return new_project(tmp_path, monkeypatch)


def former(project: Project) -> None:
    """Make bob a former user with a bound claim."""
    project.apply()
    claim = project.object("PersistentVolumeClaim", "oc-bob")
    claim["spec"]["volumeName"] = "pv-bob"
    volume: dict[str, Any] = {"kind": "PersistentVolume", "metadata": {"name": "pv-bob"}}
    project.put(claim, {"apiVersion": "v1", **volume})
    project.users("alice")
    project.apply()
    project.forget_calls()


def test_the_claim_and_its_volume_go(project: Project) -> None:
    former(project)
    done = purge_user(project.kubectl, "t", "bob", IMAGE)
    assert done == ["claim opencode-t--default/oc-bob"]
    assert [item["metadata"]["name"] for item in project.objects("PersistentVolumeClaim")] == [
        "oc-alice"
    ]
    assert project.objects("PersistentVolume") == []


def test_the_volume_is_told_to_go_before_its_claim_does(project: Project) -> None:
    former(project)
    purge_user(project.kubectl, "t", "bob", IMAGE)
    verbs = [call["argv"][1] for call in project.calls() if call["argv"][1] in {"patch", "delete"}]
    assert verbs == ["patch", "delete"]
    patch = json.loads(project.calls("patch")[0]["argv"][-1])
    assert patch == {"spec": {"persistentVolumeReclaimPolicy": "Delete"}}


def test_a_volume_that_cannot_be_changed_keeps_its_claim(project: Project) -> None:
    former(project)
    err = 'Error from server (Forbidden): persistentvolumes "pv-bob" is forbidden\n'
    project.faults({"when": ["call", "patch"], "err": err})
    with pytest.raises(ClusterError, match="forbidden"):
        purge_user(project.kubectl, "t", "bob", IMAGE)
    assert project.object("PersistentVolumeClaim", "oc-bob")


def test_a_user_with_a_runtime_keeps_everything(project: Project) -> None:
    project.apply()
    with pytest.raises(ClusterError, match="user alice: purge: the runtime still exists"):
        purge_user(project.kubectl, "t", "alice", IMAGE)
    assert project.calls("patch") == []
    assert len(project.objects("PersistentVolumeClaim")) == 2


def test_purging_again_finds_nothing(project: Project) -> None:
    former(project)
    purge_user(project.kubectl, "t", "bob", IMAGE)
    assert purge_user(project.kubectl, "t", "bob", IMAGE) == []


def test_a_volume_that_stays_is_told(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    former(project)
    monkeypatch.setattr("fleet.cluster.purge._PATIENCE", 0)
    held = json.dumps({"kind": "PersistentVolume", "metadata": {"name": "pv-bob"}})
    project.faults({"when": ["call", "get persistentvolumes"], "code": 0, "out": held})
    with pytest.raises(ClusterError, match="volume pv-bob stays after 0 s: its claim is gone"):
        purge_user(project.kubectl, "t", "bob", IMAGE)


def with_shared_claim(project: Project) -> None:
    former(project)
    claim = project.object("PersistentVolumeClaim", "oc-alice")
    claim["metadata"] |= {"name": "workspaces", "labels": {"opencode-fleet/environment": "t"}}
    project.put(claim)


def test_the_folder_on_the_shared_claim_goes_first_by_a_pod_that_runs_once(
    project: Project,
) -> None:
    with_shared_claim(project)
    done = purge_user(project.kubectl, "t", "bob", IMAGE)
    place = "opencode-t--default"
    assert done == [f"folder bob on {place}/workspaces", f"claim {place}/oc-bob"]
    (call,) = project.calls("apply")
    (pod,) = json.loads(call["stdin"])["items"]
    (container,) = pod["spec"]["containers"]
    assert container["command"] == ["rm", "-rf", "--", "/shared/bob"]
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    assert project.objects("Pod") == []


def test_a_folder_that_stays_keeps_the_claim_and_the_pod_is_gone(project: Project) -> None:
    with_shared_claim(project)
    project.faults({"when": ["call", "wait pod/"], "err": "error: timed out waiting\n"})
    with pytest.raises(ClusterError, match="the folder on the shared claim was not removed"):
        purge_user(project.kubectl, "t", "bob", IMAGE)
    assert project.object("PersistentVolumeClaim", "oc-bob")
    assert project.objects("Pod") == []


@pytest.mark.parametrize(
    ("purge", "confirm"), [(None, "bob"), (["bob"], "bo"), (["bob"], "alice"), (["carl"], "bob")]
)
def test_the_id_stands_in_the_file_and_is_typed_twice(
    project: Project, purge: list[str] | None, confirm: str
) -> None:
    former(project)
    project.write(purge=purge)
    done = project.fleet("purge-data", "bob", "--confirm", confirm, "-s", "t")
    assert done.code == 2
    assert "purge: bob: the id must stand under `purge:` and be typed twice" in done.err
    assert project.calls() == []


def test_purge_data_says_what_it_deleted(project: Project) -> None:
    former(project)
    project.write(purge=["bob"])
    done = project.fleet("purge-data", "bob", "--confirm", "bob", "-s", "t")
    assert done.out == "bob: deleted claim opencode-t--default/oc-bob\n"
    done = project.fleet("purge-data", "bob", "--confirm", "bob", "-s", "t")
    assert done.out == "bob: nothing left to delete\n"


def test_ids_that_could_be_paths_never_reach_the_pod(project: Project) -> None:
    with_shared_claim(project)
    project.write(purge=["../alice"])
    assert project.fleet("purge-data", "../alice", "--confirm", "../alice", "-s", "t").code == 2
    assert project.calls("apply") == []
