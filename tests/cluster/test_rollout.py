"""Waiting for runtimes: when it ends, and what it says about one that does not get ready."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from fleet.cluster.rollout import shown_long, wait_ready
from tests.support.fakes.project import Project, new_project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return new_project(tmp_path, monkeypatch)


def pod(user: str, status: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    labels = {"opencode-fleet/environment": "t", "opencode-fleet/user": user}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"oc-{user}-1",
            "namespace": "opencode-t--default",
            "labels": labels,
            **metadata,
        },
        "status": status,
    }


def waiting(reason: str, message: str = "", restarts: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "name": "opencode",
        "restartCount": restarts,
        "state": {"waiting": {"reason": reason, "message": message}},
        **more,
    }


def stamp(age: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - age))


def unready(project: Project, user: str = "bob") -> None:
    deployment = project.object("Deployment", f"oc-{user}")
    deployment["status"]["readyReplicas"] = 0
    project.put(deployment)


def wait(project: Project, timeout: float = 30) -> list[str]:
    failures = wait_ready(project.kubectl, "t", project.plan().users, timeout, silent)
    return [str(item) for item in failures]


def ended(code: int, restarts: int) -> dict[str, Any]:
    """Return the status of a container as some kubelets leave it between two tries."""
    reason = "Error" if code else "Completed"
    state = {"terminated": {"reason": reason, "exitCode": code}}
    return {"name": "opencode", "restartCount": restarts, "state": state}


def silent(step: str, done: int, total: int, waiting: Sequence[str] = ()) -> None:
    """Report nothing."""
    del step, done, total, waiting


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleet.cluster.rollout.POLL_SECONDS", 0.01)


def test_ready_runtimes_end_the_wait(project: Project) -> None:
    project.apply()
    assert wait(project) == []


def test_a_suspended_user_is_ready_without_a_pod(project: Project) -> None:
    project.users("alice", {"id": "bob", "state": "suspended"})
    project.apply()
    assert wait(project) == []


def test_a_deployment_that_nobody_has_looked_at_yet_is_not_ready(project: Project) -> None:
    project.apply()
    deployment = project.object("Deployment", "oc-bob")
    deployment["metadata"]["generation"] = 2
    project.put(deployment)
    (line,) = wait(project, 0)
    assert line.startswith("user bob: wait until ready: not ready in time")


def test_an_old_pod_beside_the_new_one_is_not_ready(project: Project) -> None:
    project.apply()
    deployment = project.object("Deployment", "oc-bob")
    deployment["status"]["replicas"] = 2
    project.put(deployment)
    assert len(wait(project, 0)) == 1


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (
            {"containerStatuses": [waiting("ErrImageNeverPull", "image is not present")]},
            "ErrImageNeverPull: image is not present",
        ),
        (
            {
                "startTime": stamp(60),
                "containerStatuses": [waiting("ErrImagePull", "no\n such host")],
            },
            "ErrImagePull: no such host",
        ),
        (
            {
                "startTime": stamp(60),
                "initContainerStatuses": [waiting("ImagePullBackOff", "Back-off")],
            },
            "ImagePullBackOff: Back-off",
        ),
        (
            {
                "initContainerStatuses": [
                    waiting(
                        "CrashLoopBackOff",
                        restarts=3,
                        lastState={"terminated": {"reason": "OOMKilled", "exitCode": 137}},
                    )
                ]
            },
            "container opencode ends again and again (OOMKilled, exit code 137)",
        ),
        (
            {"initContainerStatuses": [ended(1, restarts=3)]},
            "container opencode ends again and again (Error, exit code 1): see `fleet logs`",
        ),
        (
            {"containerStatuses": [waiting("CreateContainerConfigError", "no secret")]},
            "CreateContainerConfigError: no secret",
        ),
    ],
)
def test_what_waiting_does_not_mend_ends_it_for_that_user_at_once(
    project: Project, status: dict[str, Any], said: str
) -> None:
    project.apply()
    unready(project)
    project.put(pod("bob", status))
    (line,) = wait(project)
    assert line.startswith(f"user bob: wait until ready: {said}")


@pytest.mark.parametrize(
    "status",
    [
        {"containerStatuses": [waiting("ErrImagePull", "no such host")]},
        {"containerStatuses": [waiting("CrashLoopBackOff", restarts=1)]},
        {"initContainerStatuses": [waiting("PodInitializing")]},
        {"initContainerStatuses": [ended(1, restarts=1)]},
        {"initContainerStatuses": [ended(0, restarts=3)]},
        {"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes: cpu"}]},
    ],
)
def test_what_may_mend_itself_is_waited_for(project: Project, status: dict[str, Any]) -> None:
    project.apply()
    unready(project)
    project.put(pod("bob", {"startTime": stamp(2), **status}))
    begun = time.monotonic()
    assert len(wait(project, 0.1)) == 1
    assert time.monotonic() - begun >= 0.1


def test_a_pod_no_node_takes_is_told_when_time_is_up(project: Project) -> None:
    project.apply()
    unready(project)
    condition = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes: too little cpu"}
    project.put(pod("bob", {"conditions": [condition]}))
    (line,) = wait(project, 0)
    assert line.endswith("no node takes the pod: 0/1 nodes: too little cpu")


def test_a_container_that_ended_is_told_when_time_is_up(project: Project) -> None:
    project.apply()
    unready(project)
    project.put(pod("bob", {"initContainerStatuses": [ended(1, restarts=0)]}))
    (line,) = wait(project, 0)
    assert line.endswith("container opencode ended (Error, exit code 1): see `fleet logs`")


def test_a_pod_that_ends_is_not_the_cause(project: Project) -> None:
    project.apply()
    unready(project)
    status = {"containerStatuses": [waiting("ErrImageNeverPull", "image is not present")]}
    project.put(pod("bob", status, deletionTimestamp=stamp(0)))
    (line,) = wait(project, 0)
    assert "ErrImageNeverPull" not in line.partition("not ready")[0]


def test_a_quota_that_is_used_up_is_told_at_once(project: Project) -> None:
    project.apply()
    deployment = project.object("Deployment", "oc-bob")
    message = 'pods "oc-bob-1" is forbidden: exceeded quota: pool'
    deployment["status"] = {
        "observedGeneration": deployment["metadata"]["generation"],
        "conditions": [{"type": "ReplicaFailure", "status": "True", "message": message}],
    }
    project.put(deployment)
    assert wait(project) == [f"user bob: wait until ready: {message}"]


def test_a_deployment_that_is_gone_is_told_at_once(project: Project) -> None:
    project.apply()
    deployment = project.object("Deployment", "oc-bob")
    deployment["metadata"]["labels"]["opencode-fleet/environment"] = "u"
    project.put(deployment)
    (line,) = wait(project)
    assert line.startswith("user bob: wait until ready: its Deployment is gone")


def test_one_users_failure_does_not_hide_the_others_success(project: Project) -> None:
    project.faults({"when": ["ready oc-bob"]})
    project.put(pod("bob", {"containerStatuses": [waiting("ErrImageNeverPull", "not present")]}))
    done = project.fleet("apply", "-s", "t")
    assert done.code == 1
    assert "user bob: wait until ready: ErrImageNeverPull: not present" in done.err
    assert "user alice" not in done.err
    assert "http://alice.fleet.localhost:7080" in done.out
    assert "http://bob.fleet.localhost:7080" not in done.out


def test_no_wait_does_not_look(project: Project) -> None:
    project.faults({"when": ["ready oc-bob"]})
    project.apply("--no-wait")
    assert not any("/pods?" in word for call in project.calls("get") for word in call["argv"])


def test_a_long_message_becomes_one_line() -> None:
    assert shown_long("a\n  b") == "a b"
    assert len(shown_long("x" * 1000)) == 301


def listings(project: Project) -> list[str]:
    words = [word for call in project.calls("get") for word in call["argv"]]
    return [unquote(word) for word in words if "/deployments?" in word]


def test_an_apply_that_changes_nothing_does_not_look_twice(project: Project) -> None:
    project.apply()
    project.forget_calls()
    project.apply()
    assert len(listings(project)) == 1


def test_only_who_changed_is_waited_for_and_asked_about(project: Project) -> None:
    project.apply()
    project.users("alice", "bob", "carol")
    project.forget_calls()
    project.apply()
    _, second = listings(project)
    assert second.endswith("opencode-fleet/user+in+(carol)")


def test_who_was_not_ready_before_is_waited_for_again(project: Project) -> None:
    project.faults({"when": ["ready oc-bob"]})
    project.apply("--no-wait")
    done = project.fleet("apply", "-s", "t", "--timeout", "1")
    assert done.code == 1
    assert "user bob: wait until ready: not ready in time" in done.err
    assert "alice" not in done.err


def test_many_users_are_asked_about_at_once(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleet.cluster.rollout._NAMED", 1)
    project.apply()
    assert listings(project)[-1].endswith("opencode-fleet/user")
