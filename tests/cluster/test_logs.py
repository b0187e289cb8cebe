"""`fleet logs`: of every container that has some, as text and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.fakes.api_server import Log
from tests.support.fakes.served import UP, Served

DIED = {"terminated": {"exitCode": 1}}


def status(init: dict[str, Any] | None = None, **main: Any) -> dict[str, Any]:
    laid = init or {"state": {"terminated": {"exitCode": 0}}}
    return {
        "phase": "Running",
        "initContainerStatuses": [{"name": "lay-skeleton", **laid}],
        "containerStatuses": [{"name": "opencode", **main}],
    }


@pytest.fixture(autouse=True)
def printed(fleet: Served) -> None:
    fleet.api.logs |= {
        ("oc-alice-1", "lay-skeleton"): Log(text=b"laid\n"),
        ("oc-alice-1", "opencode"): Log(text=b"one\ntwo\n", previous=b"dying\n"),
    }


def logs(fleet: Served, *options: str) -> tuple[int, list[str], str]:
    done = fleet.fleet("logs", "alice", "-s", "t", *options)
    return done.code, done.out.splitlines(), done.err


def test_all_containers_print_in_their_order(fleet: Served) -> None:
    fleet.deploy("alice", pod=status(state={"running": {}}))
    assert logs(fleet) == (0, ["[lay-skeleton] laid", "[opencode] one", "[opencode] two"], "")
    assert logs(fleet, "--tail", "1")[1] == ["[lay-skeleton] laid", "[opencode] two"]
    assert logs(fleet, "--tail", "-1")[1][-2:] == ["[opencode] one", "[opencode] two"]


def test_escape_sequences_of_a_pod_never_reach_the_terminal(fleet: Served) -> None:
    said = b"\x1b[31mred\x1b[0m\n\x1b]0;owned\x07\x1b[2J\n\x9b31m\xc2\x9b2J\rover\n"
    fleet.api.logs[("oc-alice-1", "opencode")] = Log(text=said)
    fleet.deploy("alice", pod=status(state={"running": {}}))
    code, lines, _ = logs(fleet)
    assert code == 0
    assert lines[1:3] == ["[opencode] red", "[opencode] \\x1b]0;owned\\x07\\x1b[2J"]
    assert all(line.isprintable() for line in lines)


def test_the_log_before_is_of_every_container_that_has_one(fleet: Served) -> None:
    fleet.deploy("alice", pod=status(state={"running": {}}, lastState=DIED))
    assert logs(fleet, "--previous") == (0, ["[opencode] dying"], "")
    fleet.api.logs[("oc-alice-1", "lay-skeleton")] = Log(text=b"", previous=b"full\n")
    both = status({"state": {"running": {}}, "lastState": DIED}, state={}, lastState=DIED)
    fleet.deploy("alice", pod=both)
    assert logs(fleet, "--previous")[1] == ["[lay-skeleton] full", "[opencode] dying"]


def test_the_log_before_of_a_runtime_that_never_died_is_told_to_be_none(fleet: Served) -> None:
    fleet.deploy("alice", pod=status(state={"running": {}}))
    code, lines, err = logs(fleet, "--previous")
    assert (code, lines) == (1, [])
    assert err == "user alice: logs: no container was started again: no --previous\n"


def test_a_container_that_has_not_started_is_left_out(fleet: Served) -> None:
    waiting = status({"state": {"running": {}}}, state={"waiting": {"reason": "PodInitializing"}})
    fleet.deploy("alice", pod=waiting)
    assert logs(fleet) == (0, ["[lay-skeleton] laid"], "")


def test_a_runtime_where_nothing_has_started_says_what_it_does(fleet: Served) -> None:
    image = {"state": {"waiting": {"reason": "ImagePullBackOff"}}}
    fleet.deploy("alice", pod=status(image, state={"waiting": {"reason": "PodInitializing"}}))
    code, lines, err = logs(fleet)
    assert (code, lines) == (1, [])
    assert err == "user alice: logs: nothing has started yet (ImagePullBackOff)\n"
    fleet.api.remove("pods", "oc-alice-1")
    assert logs(fleet)[2] == "user alice: logs: no pod: see fleet status\n"


def test_the_log_is_of_the_live_pod_and_not_of_the_evicted_one(fleet: Served) -> None:
    fleet.deploy("alice", pod=status(state={"running": {}}))
    gone = {**status(state=DIED), "phase": "Failed", "reason": "Evicted"}
    fleet.api.put(fleet.pod("alice", gone, name="zzz"))
    assert logs(fleet)[1][-1] == "[opencode] two"


def test_following_goes_on_until_the_container_ends(fleet: Served) -> None:
    fleet.api.logs[("oc-alice-1", "opencode")] = Log(text=b"one\n", more=(b"two\n", b"three\n"))
    fleet.deploy("alice", pod={**UP, **status(state={"running": {}})})
    lines = logs(fleet, "--follow", "--tail", "1")[1]
    assert lines == ["[lay-skeleton] laid", "[opencode] one", "[opencode] two", "[opencode] three"]


def test_following_waits_for_a_container_that_has_not_started(
    fleet: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    del fleet.api.logs[("oc-alice-1", "opencode")]
    waiting = status({"state": {"running": {}}}, state={"waiting": {"reason": "PodInitializing"}})
    fleet.deploy("alice", pod=waiting)
    naps: list[float] = []

    def started(seconds: float) -> None:
        naps.append(seconds)
        fleet.api.logs[("oc-alice-1", "opencode")] = Log(text=b"up\n")

    monkeypatch.setattr("fleet.cluster.logs.time.sleep", started)
    assert logs(fleet, "--follow")[1] == ["[lay-skeleton] laid", "[opencode] up"]
    assert naps


def test_following_a_pod_that_goes_before_it_starts_ends_with_an_error(
    fleet: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    del fleet.api.logs[("oc-alice-1", "opencode")]
    fleet.deploy("alice", pod=status(state={"waiting": {"reason": "PodInitializing"}}))

    def gone(_: float) -> None:
        fleet.api.remove("pods", "oc-alice-1")

    monkeypatch.setattr("fleet.cluster.logs.time.sleep", gone)
    code, _, err = logs(fleet, "--follow")
    assert (code, err) == (1, "user alice: logs: the pod is gone\n")


def test_a_connection_that_is_cut_is_told_after_what_came(fleet: Served) -> None:
    fleet.api.logs[("oc-alice-1", "opencode")] = Log(text=b"one\n", cut=True)
    fleet.deploy("alice", pod=status(state={"running": {}}))
    code, lines, err = logs(fleet, "--follow")
    assert (code, lines[-1]) == (1, "[opencode] one")
    assert "does not answer" in err
