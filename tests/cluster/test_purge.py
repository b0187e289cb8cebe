"""Deleting a former user's data: only of a former user, whole, and finished next time if not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fleet.cluster.connection import Connection
from fleet.cluster.purge import purge_user
from fleet.errors import ClusterError, RefusedError
from tests.support.fakes.api_server import Fault, Log
from tests.support.fakes.project import IMAGE
from tests.support.fakes.served import PLACE, Served


class Killed(BaseException):
    """The process is gone."""


Live = dict[str, Any]
CLAIM = f"claim {PLACE}/oc-bob"


@pytest.fixture
def former(fleet: Served) -> Served:
    """Bob is a former user with a bound claim; alice is there."""
    fleet.users("alice")
    fleet.deploy("alice")
    fleet.api.put(fleet.claim("bob", volumeName="pv-bob"), volume("pv-bob"))
    fleet.api.on_delete = controllers(fleet)
    return fleet


def volume(name: str) -> Live:
    spec = {"persistentVolumeReclaimPolicy": "Retain"}
    metadata = {"name": name}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": metadata, "spec": spec}


def controllers(fleet: Served) -> Callable[[Live], None]:
    """Return what a cluster does about a claim that goes: a volume goes if it may."""

    def deleted(item: Live) -> None:
        name = item.get("spec", {}).get("volumeName")
        for each in fleet.api.of("persistentvolumes"):
            policy = each["spec"]["persistentVolumeReclaimPolicy"]
            if each["metadata"]["name"] == name and policy == "Delete":
                fleet.api.remove("persistentvolumes", name)

    return deleted


def purge(fleet: Served, user: str = "bob") -> list[str]:
    return purge_user(fleet.cluster, "t", user, IMAGE)


def claims(fleet: Served) -> list[str]:
    return [item["metadata"]["name"] for item in fleet.api.of("persistentvolumeclaims")]


def test_the_claim_and_its_volume_go_and_nobody_elses(former: Served) -> None:
    former.api.put(volume("pv-alice"))
    assert purge(former) == [CLAIM]
    assert claims(former) == ["oc-alice"]
    assert [item["metadata"]["name"] for item in former.api.of("persistentvolumes")] == ["pv-alice"]


def test_the_volume_is_told_to_go_before_its_claim_does(former: Served) -> None:
    purge(former)
    changes = [item for item in former.api.requests if item.method in {"PATCH", "DELETE"}]
    assert [item.method for item in changes] == ["PATCH", "DELETE"]
    assert changes[0].body["spec"] == {"persistentVolumeReclaimPolicy": "Delete"}


def test_a_volume_that_cannot_be_changed_keeps_its_claim(former: Served) -> None:
    text = 'persistentvolumes "pv-bob" is forbidden'
    former.api.faults.append(
        Fault(method="PATCH", path="/pv-bob", status=403, reason="Forbidden", message=text)
    )
    with pytest.raises(RefusedError, match="forbidden"):
        purge(former)
    assert "oc-bob" in claims(former)


def test_a_claim_whose_volume_is_lost_goes_too(former: Served) -> None:
    former.api.remove("persistentvolumes", "pv-bob")
    assert purge(former) == [CLAIM]


def test_a_user_with_a_runtime_keeps_everything(former: Served) -> None:
    with pytest.raises(ClusterError, match="user alice: purge: the runtime still exists"):
        purge(former, "alice")
    assert former.api.asked("PATCH") == []
    assert former.api.asked("DELETE") == []


def test_a_pod_that_is_on_its_way_out_is_waited_for(
    former: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    former.api.put(former.pod("bob", {"phase": "Running"}))

    def gone(_: float) -> None:
        assert "oc-bob" in claims(former)
        former.api.remove("pods", "oc-bob-1")

    monkeypatch.setattr("fleet.cluster.purge.time.sleep", gone)
    assert purge(former) == [CLAIM]


def test_a_pod_that_stays_keeps_everything(former: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    former.api.put(former.pod("bob", {"phase": "Running"}))
    monkeypatch.setattr("fleet.cluster.purge._PATIENCE", 0)
    with pytest.raises(ClusterError, match="a pod of the runtime is still there"):
        purge(former)
    assert "oc-bob" in claims(former)


def test_purging_again_finds_nothing(former: Served) -> None:
    purge(former)
    assert purge(former) == []


def test_a_volume_that_stays_is_told_and_asked_for_again_by_the_next_run(
    former: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    former.api.on_delete = None
    monkeypatch.setattr("fleet.cluster.purge._PATIENCE", 0)
    stays = "volume pv-bob stays after 0 s: its claim is gone"
    with pytest.raises(ClusterError, match=stays):
        purge(former)
    assert "oc-bob" not in claims(former)
    with pytest.raises(ClusterError, match=stays):
        purge(former)
    former.api.remove("persistentvolumes", "pv-bob")
    assert purge(former) == []


class TestSharedClaim:
    @pytest.fixture(autouse=True)
    def shared(self, former: Served) -> None:
        claim = former.claim("alice")
        labels = {"opencode-fleet/environment": "t"}
        claim["metadata"] = {"name": "workspaces", "namespace": PLACE, "labels": labels}
        former.api.put(claim)

    @staticmethod
    def runs(fleet: Served, monkeypatch: pytest.MonkeyPatch, phase: str) -> list[Live]:
        """Have the pod end while it is waited for; return the pods as they were made."""
        made: list[Live] = []

        def sleep(_: float) -> None:
            for pod in fleet.api.of("pods"):
                if pod["metadata"]["name"].startswith("purge-"):
                    made.append(pod)
                    fleet.api.put({**pod, "status": {"phase": phase}})

        monkeypatch.setattr("fleet.cluster.purge.time.sleep", sleep)
        return made

    def test_its_folder_goes_first_by_a_pod_that_runs_once(
        self, former: Served, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = self.runs(former, monkeypatch, "Succeeded")
        assert purge(former) == [f"folder bob on {PLACE}/workspaces", CLAIM]
        (pod,) = made
        (container,) = pod["spec"]["containers"]
        assert container["command"] == ["/bin/rm", "-rf", "--", "/shared/bob"]
        assert container["image"] == IMAGE
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
        assert "imagePullSecrets" not in pod["spec"]
        assert [item["metadata"]["name"] for item in former.api.of("pods")] == ["oc-alice-1"]

    def test_the_pod_pulls_with_the_environments_secret(
        self, former: Served, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = self.runs(former, monkeypatch, "Succeeded")
        purge_user(former.cluster, "t", "bob", IMAGE, "login")
        assert made[0]["spec"]["imagePullSecrets"] == [{"name": "login"}]

    def test_a_folder_that_stays_keeps_the_claim_and_the_pod_is_gone(
        self, former: Served, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.runs(former, monkeypatch, "Failed")
        former.api.logs[("purge-oc-bob", "purge")] = Log(text=b"rm: stale handle\x1b[2J\n")
        failed = r"shared claim was not removed: rm: stale handle\\x1b\[2J: nothing else"
        with pytest.raises(ClusterError, match=failed):
            purge(former)
        assert "oc-bob" in claims(former)
        assert [item["metadata"]["name"] for item in former.api.of("pods")] == ["oc-alice-1"]

    def test_a_pod_that_does_not_end_keeps_the_claim_and_tells_its_reason(
        self, former: Served, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("fleet.cluster.purge._PATIENCE", 0)
        with pytest.raises(ClusterError, match="was not removed: Unknown: nothing else"):
            purge(former)
        assert "oc-bob" in claims(former)

    @pytest.mark.parametrize("step", range(5))
    def test_a_run_that_was_killed_at_any_step_is_finished_by_the_next(
        self, former: Served, monkeypatch: pytest.MonkeyPatch, step: int
    ) -> None:
        self.runs(former, monkeypatch, "Succeeded")
        send = Connection.send
        changes = 0

        def killed(self: Connection, method: str, path: str, **more: Any) -> Any:
            nonlocal changes
            # Once dead, nothing is cleaned up either.
            if changes > step:
                raise Killed
            changes += method != "GET"
            try:
                return send(self, method, path, **more)
            finally:
                if changes > step:
                    raise Killed

        monkeypatch.setattr(Connection, "send", killed)
        with pytest.raises(Killed):
            purge(former)
        monkeypatch.setattr(Connection, "send", send)
        purge(former)
        assert claims(former) == ["oc-alice", "workspaces"]
        assert former.api.of("persistentvolumes") == []
        assert [item["metadata"]["name"] for item in former.api.of("pods")] == ["oc-alice-1"]


@pytest.mark.parametrize(
    ("purge", "confirm"), [(None, "bob"), (["bob"], "bo"), (["bob"], "alice"), (["carl"], "bob")]
)
def test_the_id_stands_in_the_file_and_is_typed_twice(
    former: Served, purge: list[str] | None, confirm: str
) -> None:
    former.write(purge=purge)
    done = former.fleet("purge-data", "bob", "--confirm", confirm, "-s", "t")
    assert done.code == 2
    assert "purge: bob: the id must stand under `purge:` and be typed twice" in done.err
    assert former.api.requests == []


def test_purge_data_says_what_it_deleted(former: Served) -> None:
    former.write(purge=["bob"])
    done = former.fleet("purge-data", "bob", "--confirm", "bob", "-s", "t")
    assert done.out == f"bob: deleted {CLAIM}\n"
    done = former.fleet("purge-data", "bob", "--confirm", "bob", "-s", "t")
    assert done.out == "bob: nothing left to delete\n"


def test_ids_that_could_be_paths_never_reach_the_cluster(former: Served) -> None:
    former.write(purge=["../alice"])
    done = former.fleet("purge-data", "../alice", "--confirm", "../alice", "-s", "t")
    assert done.code == 2
    assert former.api.requests == []
