"""Which pod counts and what it is said to do."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.cluster import pods
from fleet.cluster.pods import Doing

READY: dict[str, Any] = {
    "phase": "Running",
    "conditions": [{"type": "Ready", "status": "True"}],
}
EVICTED: dict[str, Any] = {
    "phase": "Failed",
    "reason": "Evicted",
    "message": "The node was low on resource: memory.",
}


def pod(name: str, made: int, status: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    created = {"creationTimestamp": f"2026-01-01T00:00:{made:02}Z"}
    return {"metadata": {"name": name, **created, **metadata}, "status": status}


def init(**status: Any) -> dict[str, Any]:
    return {"phase": "Pending", "initContainerStatuses": [{"name": "lay-skeleton", **status}]}


def main(**status: Any) -> dict[str, Any]:
    return {"phase": "Running", "containerStatuses": [{"name": "opencode", **status}]}


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
@pytest.mark.parametrize("made", [(1, 2), (2, 1)])
def test_the_pod_that_runs_counts_and_not_the_evicted_one_beside_it(
    names: tuple[str, str], made: tuple[int, int]
) -> None:
    live, gone = pod(names[0], made[0], READY), pod(names[1], made[1], EVICTED)
    for order in ([live, gone], [gone, live]):
        assert pods.choose(order) is live
        assert pods.left_over(order) == "1 evicted pod left"


def test_several_ended_pods_are_counted_with_their_words() -> None:
    failed = pod("c", 3, {"phase": "Failed"})
    listed = [pod("a", 1, READY), pod("b", 2, EVICTED), failed]
    assert pods.left_over(listed) == "2 evicted and failed pods left"
    assert pods.left_over(listed[:1]) == ""


def test_a_new_pod_counts_and_not_the_old_one_that_stops() -> None:
    old = pod("a", 1, READY, deletionTimestamp="2026-01-01T00:00:05Z")
    new = pod("b", 2, {"phase": "Pending"})
    assert pods.choose([new, old]) is new
    assert pods.doing(old).phase == "Terminating"
    assert not pods.ready(old)


def test_where_only_ended_pods_are_the_newest_counts() -> None:
    new = pod("a", 2, EVICTED)
    assert pods.choose([pod("b", 1, EVICTED), new]) is new
    note = "The node was low on resource: memory."
    assert pods.doing(new) == Doing(phase="Evicted", note=note)
    assert pods.choose([]) is None


@pytest.mark.parametrize(
    "status",
    [
        init(restartCount=2, state={"terminated": {"exitCode": 1, "reason": "Error"}}),
        init(
            restartCount=2,
            state={"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
            lastState={"terminated": {"exitCode": 1, "reason": "Error"}},
        ),
    ],
)
def test_an_init_container_that_fails_is_told_as_that(status: dict[str, Any]) -> None:
    state = {"waiting": {"reason": "PodInitializing"}}
    waiting = {"name": "opencode", "restartCount": 0, "state": state}
    found = pod("a", 1, {**status, "containerStatuses": [waiting]})
    note = "init container lay-skeleton ended with exit code 1"
    expected = Doing(phase="Init:Error", note=note, container="lay-skeleton", ended=True)
    assert pods.doing(found) == expected
    assert pods.restarts(found) == 2


@pytest.mark.parametrize(
    ("status", "doing"),
    [
        (READY, Doing(phase="Ready")),
        ({"phase": "Pending"}, Doing(phase="Pending")),
        ({}, Doing(phase="Unknown")),
        (
            {
                "phase": "Pending",
                "conditions": [
                    {
                        "type": "PodScheduled",
                        "status": "False",
                        "reason": "Unschedulable",
                        "message": "0/1 nodes are available: 1 Insufficient cpu.",
                    }
                ],
            },
            Doing(
                phase="Unschedulable",
                note="no node takes the pod: 0/1 nodes are available: 1 Insufficient cpu.",
            ),
        ),
        (
            init(
                image="a:1",
                state={"waiting": {"reason": "ImagePullBackOff", "message": "no\nsuch \x1b[31m"}},
            ),
            Doing(
                phase="ImagePullBackOff",
                note="image a:1 cannot be used: no such",
                container="lay-skeleton",
            ),
        ),
        (init(state={"running": {}}), Doing(phase="Pending")),
        (
            init(state={"terminated": {"exitCode": 0, "reason": "Completed"}}),
            Doing(phase="Pending"),
        ),
        (main(state={"waiting": {"reason": "ContainerCreating"}}), Doing(phase="Starting")),
        (main(state={"running": {}}, started=False), Doing(phase="Starting")),
        (main(state={"running": {}}, started=True), Doing(phase="NotReady")),
        (
            main(
                state={"waiting": {"reason": "CrashLoopBackOff"}},
                lastState={"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
            ),
            Doing(
                phase="CrashLoopBackOff",
                note="container opencode was killed: it needs more memory than its limit"
                " (OOMKilled, exit code 137)",
                container="opencode",
                ended=True,
            ),
        ),
        (
            main(state={"terminated": {"exitCode": 2, "reason": "Error", "message": "bad\nfile"}}),
            Doing(
                phase="Error",
                note="container opencode ended with exit code 2: file",
                container="opencode",
                ended=True,
            ),
        ),
        (
            {
                **READY,
                **main(
                    state={"running": {}},
                    lastState={"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
                ),
            },
            Doing(
                phase="Ready",
                note="started again: the container before was killed: it needs more memory than"
                " its limit (OOMKilled, exit code 137)",
            ),
        ),
    ],
)
def test_what_a_pod_does_is_a_word_and_a_reason(status: dict[str, Any], doing: Doing) -> None:
    assert pods.doing(pod("a", 1, status)) == doing


def test_restarts_of_all_containers_count() -> None:
    status = {
        "initContainerStatuses": [{"restartCount": 1}],
        "containerStatuses": [{"restartCount": 2}, {"restartCount": 3}],
    }
    assert pods.restarts(pod("a", 1, status)) == 6


def test_reasons_are_bounded() -> None:
    status = main(state={"waiting": {"reason": "x" * 500, "message": "y" * 5000}})
    found = pods.doing(pod("a", 1, status))
    assert len(found.phase) <= 40
    assert len(found.note) <= 200
