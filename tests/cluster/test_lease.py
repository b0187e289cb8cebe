"""One apply at a time: the lease is taken, kept, given back, and never taken from a live run."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fleet.cluster.lease import SECONDS, held, identity
from fleet.errors import ClusterError
from tests.support.fakes.project import Project, new_project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return new_project(tmp_path, monkeypatch)


def lease(age: float, holder: str = "carol@desk process 7") -> dict[str, Any]:
    renewed = datetime.now(UTC) - timedelta(seconds=age)
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "opencode-fleet-t", "namespace": "default", "resourceVersion": "7"},
        "spec": {
            "holderIdentity": holder,
            "leaseDurationSeconds": SECONDS,
            "renewTime": renewed.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        },
    }


def test_it_is_there_while_held_and_gone_afterwards(project: Project) -> None:
    with held(project.kubectl, "t", "me"):
        (found,) = project.objects("Lease")
        assert found["spec"]["holderIdentity"] == "me"
        assert found["spec"]["leaseDurationSeconds"] == SECONDS
    assert project.objects("Lease") == []


def test_it_is_given_back_when_the_run_fails(project: Project) -> None:
    with pytest.raises(ZeroDivisionError), held(project.kubectl, "t", "me"):
        raise ZeroDivisionError
    assert project.objects("Lease") == []


def test_another_run_is_named_and_left_alone(project: Project) -> None:
    project.put(lease(5))
    done = project.fleet("apply", "-s", "t")
    assert done.code == 1
    assert "another apply is running (carol@desk process 7)" in done.err
    assert project.objects("Lease")[0]["spec"]["holderIdentity"] == "carol@desk process 7"
    assert project.calls("apply") == project.calls("delete") == []


def test_an_expired_one_is_taken_over(project: Project) -> None:
    project.put(lease(SECONDS + 1))
    with held(project.kubectl, "t", "me"):
        assert project.objects("Lease")[0]["spec"]["holderIdentity"] == "me"


def test_of_two_who_find_it_expired_one_gets_it(project: Project) -> None:
    project.put(lease(SECONDS + 1))
    project.faults({"when": ["call", "replace"], "err": "Error from server (Conflict): modified\n"})
    with pytest.raises(ClusterError, match="Conflict"), held(project.kubectl, "t", "me"):
        pytest.fail("held after all")


def test_one_that_comes_and_goes_is_told_after_some_attempts(project: Project) -> None:
    """Its holder ends between our attempt to make it and our look at it, every time."""
    err = 'Error from server (AlreadyExists): leases "opencode-fleet-t" already exists\n'
    project.faults({"when": ["call", "create"], "err": err})
    with pytest.raises(ClusterError, match="run this again"), held(project.kubectl, "t", "me"):
        pytest.fail("held after all")
    assert len(project.calls("create")) > 1


def test_one_that_an_outside_tool_let_go_is_taken(project: Project) -> None:
    free = lease(0)
    del free["spec"]["renewTime"]
    project.put(free)
    with held(project.kubectl, "t", "me"):
        assert project.objects("Lease")[0]["spec"]["holderIdentity"] == "me"


def test_a_refused_lease_is_told(project: Project) -> None:
    err = 'Error from server (Forbidden): leases.coordination.k8s.io is forbidden: User "u"\n'
    project.faults({"when": ["call", "create"], "err": err})
    with pytest.raises(ClusterError, match="forbidden"), held(project.kubectl, "t", "me"):
        pytest.fail("held after all")


def test_it_is_renewed_while_held(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleet.cluster.lease._RENEW_EVERY", 0.05)
    with held(project.kubectl, "t", "me"):
        deadline = time.monotonic() + 10
        while not project.calls("patch") and time.monotonic() < deadline:
            time.sleep(0.05)
    assert project.objects("Lease") == []
    patch = json.loads(project.calls("patch")[0]["argv"][-1])
    assert datetime.fromisoformat(patch["spec"]["renewTime"]) <= datetime.now(UTC)


def test_a_run_that_lost_it_neither_renews_nor_deletes_the_next_ones(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleet.cluster.lease._RENEW_EVERY", 0.05)
    with held(project.kubectl, "t", "me"):
        other = lease(0, holder="next")
        other["metadata"]["resourceVersion"] = "900"
        project.put(other)
        time.sleep(0.2)
    assert [item["spec"]["holderIdentity"] for item in project.objects("Lease")] == ["next"]


def test_environments_do_not_wait_for_each_other(project: Project) -> None:
    with held(project.kubectl, "t", "me"), held(project.kubectl, "u", "me"):
        assert len(project.objects("Lease")) == 2


def test_a_run_that_died_on_this_machine_blocks_nobody(project: Project) -> None:
    gone = subprocess.Popen(["/bin/true"])
    gone.wait()
    holder = f"carol@{socket.gethostname()} process {gone.pid}"
    project.put(lease(1, holder))
    with held(project.kubectl, "t", "me"):
        (found,) = project.objects("Lease")
        assert found["spec"]["holderIdentity"] == "me"


def test_a_run_that_lives_on_this_machine_is_waited_for(project: Project) -> None:
    project.put(lease(1, identity()))
    with (
        pytest.raises(ClusterError, match="another apply is running"),
        held(project.kubectl, "t", "me"),
    ):
        pass
