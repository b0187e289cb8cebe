"""A way into a workspace that does not start: never a second writer, and everything put back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from fleet.cluster.rescue import rescue_manifest
from fleet.names import STATE
from tests.support.fakes.exec_channel import Ran
from tests.support.fakes.project import IMAGE
from tests.support.fakes.served import PLACE, Served

Live = dict[str, Any]


@pytest.fixture
def stuck(fleet: Served, monkeypatch: pytest.MonkeyPatch) -> Served:
    """Alice's runtime, in a cluster that does what controllers do while somebody waits."""
    fleet.deploy("alice")

    def controllers(_: float) -> None:
        (runtime,) = (item for item in fleet.api.of("deployments"))
        if not runtime["spec"]["replicas"]:
            fleet.api.remove("pods", "oc-alice-1")
        for pod in fleet.api.of("pods"):
            if pod["metadata"]["name"] == "rescue-oc-alice":
                assert not runtime["spec"]["replicas"]
                fleet.api.put({**pod, "status": {"phase": "Running"}})

    monkeypatch.setattr("fleet.cluster.rescue.time.sleep", controllers)
    return fleet


def run(fleet: Served, *command: str) -> Any:
    return fleet.fleet("rescue", "alice", "-s", "t", "--image", IMAGE, "--", *command)


def replicas(fleet: Served) -> int:
    (runtime,) = fleet.api.of("deployments")
    return runtime["spec"]["replicas"]


def state(fleet: Served) -> str:
    """Return what the door is told of the runtime."""
    (runtime,) = fleet.api.of("deployments")
    return runtime["metadata"]["annotations"].get(STATE, "")


def test_a_command_runs_on_the_volume_while_the_runtime_is_stopped(stuck: Served) -> None:
    ran: list[tuple[str, Sequence[str], int]] = []
    doors_word: list[str] = []

    def answer(pod: str, command: Sequence[str], stdin: bytes | None, /) -> Ran:
        del stdin
        ran.append((pod, command, replicas(stuck)))
        doors_word.append(state(stuck))
        return Ran(3, b"work.bin\n\x1b[2J", b"no\n")

    stuck.api.exec = answer
    done = run(stuck, "rm", "/app/work.bin")
    assert ran[-1] == ("rescue-oc-alice", ["rm", "/app/work.bin"], 0)
    # So that an open tab does not start a second writer.
    assert (doors_word[-1], state(stuck)) == ("suspended", "active")
    assert (done.code, done.out) == (3, "work.bin\n\\x1b[2J\n")
    assert done.err.splitlines()[-2:] == ["no", "alice: the runtime is started again"]
    assert replicas(stuck) == 1
    assert "rescue-oc-alice" not in {item["metadata"]["name"] for item in stuck.api.of("pods")}


def never_stops(_: float) -> None:
    """Wait, while nothing happens."""


def test_a_runtime_that_does_not_stop_gets_no_second_pod(
    stuck: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleet.cluster.rescue.time.sleep", never_stops)
    done = stuck.fleet("rescue", "alice", "-s", "t", "--image", IMAGE, "--timeout", "1", "--", "ls")
    assert (done.code, done.err.splitlines()[-1]) == (
        1,
        "user alice: the runtime still runs after 1 s",
    )
    assert replicas(stuck) == 1
    assert [item["metadata"]["name"] for item in stuck.api.of("pods")] == ["oc-alice-1"]


def test_a_pod_that_does_not_start_tells_why_and_the_runtime_is_put_back(
    stuck: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(_: float) -> None:
        stuck.api.remove("pods", "oc-alice-1")

    monkeypatch.setattr("fleet.cluster.rescue.time.sleep", stopped)
    done = stuck.fleet("rescue", "alice", "-s", "t", "--image", IMAGE, "--timeout", "1", "--", "ls")
    assert done.code == 1
    assert "user alice: rescue: the pod did not start: " in done.err
    assert replicas(stuck) == 1
    assert stuck.api.of("pods") == []


def test_a_suspended_user_stays_suspended(fleet: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.users({"id": "alice", "state": "suspended"})
    fleet.deploy("alice", replicas=0, pod=None)

    def runs(_: float) -> None:
        for pod in fleet.api.of("pods"):
            fleet.api.put({**pod, "status": {"phase": "Running"}})

    monkeypatch.setattr("fleet.cluster.rescue.time.sleep", runs)
    fleet.api.exec = lambda pod, command, stdin, /: Ran(0, b"ok\n")  # noqa: ARG005
    done = run(fleet, "ls")
    assert (done.code, done.out) == (0, "ok\n")
    assert replicas(fleet) == 0
    assert fleet.api.asked("PATCH") == []


def test_a_shell_needs_a_terminal(stuck: Served) -> None:
    done = stuck.fleet("rescue", "alice", "-s", "t", "--image", IMAGE)
    assert done.code == 1
    assert "a shell needs a terminal: give a command" in done.err
    assert replicas(stuck) == 1


def test_the_pod_has_the_volume_no_secret_and_passes_restricted(fleet: Served) -> None:
    user = fleet.plan().users[0]
    pod = rescue_manifest(user, IMAGE, "login")
    spec = pod["spec"]
    (container,) = spec["containers"]
    assert {item["mountPath"] for item in container["volumeMounts"]} == {
        "/app",
        "/data",
        "/home/opencode",
        "/tmp",  # noqa: S108 - the pod's own
    }
    assert "env" not in container
    assert spec["automountServiceAccountToken"] is False
    assert spec["activeDeadlineSeconds"] == 4 * 3600
    assert spec["imagePullSecrets"] == [{"name": "login"}]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    # No policy lets it out, and no Service leads to it.
    assert pod["metadata"]["labels"].get("app.kubernetes.io/name") is None
    assert pod["metadata"]["namespace"] == PLACE
