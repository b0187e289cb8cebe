"""Day-to-day work on runtimes: state, link, password, logs, restart."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from fleet.cluster.runtimes import find_user, states
from fleet.errors import InputError
from tests.support.fakes.project import IMAGE, Project, new_project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return new_project(tmp_path, monkeypatch)


PLACE = "opencode-t--default"


def pod(user: str, **status: Any) -> dict[str, Any]:
    labels = {"opencode-fleet/environment": "t", "opencode-fleet/user": user}
    claim = {"name": "user", "persistentVolumeClaim": {"claimName": f"oc-{user}"}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"oc-{user}-1", "namespace": PLACE, "labels": labels},
        "spec": {"nodeName": "node", "volumes": [claim]},
        "status": status,
    }


def running(restarts: int = 0) -> dict[str, Any]:
    return {
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [
            {"name": "opencode", "restartCount": restarts, "state": {"running": {}}}
        ],
    }


def rows(project: Project, *, volumes: bool = False) -> dict[str, Any]:
    found = states(project.kubectl, project.plan(), volumes=volumes)
    return {row.user: row.as_json() for row in found}


def test_users_who_are_not_deployed_are_absent(project: Project) -> None:
    assert {(row["state"], row["phase"]) for row in rows(project).values()} == {
        ("absent", "not deployed")
    }


def test_a_ready_user_has_everything_in_a_row(project: Project) -> None:
    project.apply()
    project.put(pod("alice", **running(restarts=2)))
    assert rows(project)["alice"] == {
        "user": "alice",
        "state": "active",
        "phase": "Ready",
        "restarts": 2,
        "image": IMAGE,
        "volume": "-/10Gi",
        "url": "http://alice.fleet.localhost:7080",
    }


@pytest.mark.parametrize(
    ("status", "phase"),
    [
        ({"phase": "Pending"}, "Pending"),
        (
            {
                "initContainerStatuses": [
                    {"restartCount": 0, "state": {"waiting": {"reason": "ImagePullBackOff"}}}
                ]
            },
            "ImagePullBackOff",
        ),
        ({}, "Unknown"),
    ],
)
def test_what_a_pod_waits_for_is_its_phase(
    project: Project, status: dict[str, Any], phase: str
) -> None:
    project.apply()
    project.put(pod("alice", **status))
    assert rows(project)["alice"]["phase"] == phase


def test_suspended_and_podless_users_are_told_apart(project: Project) -> None:
    project.users("alice", {"id": "bob", "state": "suspended"})
    project.apply()
    found = rows(project)
    assert (found["alice"]["state"], found["alice"]["phase"]) == ("active", "no pod")
    assert (found["bob"]["state"], found["bob"]["phase"]) == ("suspended", "-")


def test_a_former_user_is_listed_as_retained_with_the_claim(project: Project) -> None:
    project.apply()
    project.users("alice")
    project.apply()
    found = rows(project)["bob"]
    assert (found["state"], found["phase"]) == ("retained", f"claim {PLACE}/oc-bob")
    assert found["volume"] == "-/10Gi"


def test_volume_use_comes_from_the_kubelet(project: Project) -> None:
    project.apply()
    project.put(pod("alice", **running()))
    volume = {"pvcRef": {"namespace": PLACE, "name": "oc-alice"}, "usedBytes": 3 * 2**29}
    summary = json.dumps({"pods": [{"volume": [volume]}, {}]})
    project.faults({"when": ["call", "stats/summary"], "code": 0, "out": summary})
    assert rows(project, volumes=True)["alice"]["volume"] == "1.5Gi/10Gi"


def test_volume_use_is_measured_in_the_pod_where_the_kubelet_has_no_figure(
    project: Project,
) -> None:
    project.apply()
    project.put(pod("alice", **running()))
    project.faults(
        {"when": ["call", "stats/summary"], "err": "Error from server (Forbidden)"},
        {"when": ["call", "exec", "du"], "code": 1, "out": "2048\t/app\n1024\t/data\n"},
    )
    assert rows(project, volumes=True)["alice"]["volume"] == "3.0Mi/10Gi"


def test_volume_use_that_nobody_knows_is_a_dash(project: Project) -> None:
    project.apply()
    project.put(pod("alice", **running()))
    project.faults(
        {"when": ["call", "stats/summary"], "err": "no"}, {"when": ["call", "exec"], "err": "no"}
    )
    assert rows(project, volumes=True)["alice"]["volume"] == "-/10Gi"


def test_status_is_one_table_or_one_json_document(project: Project) -> None:
    project.apply()
    done = project.fleet("status", "-s", "t", "--no-volumes")
    head, *lines = done.out.splitlines()
    assert head.split() == ["USER", "STATE", "PHASE", "RESTARTS", "VOLUME", "IMAGE", "URL"]
    assert [line.split()[0] for line in lines] == ["alice", "bob"]
    users = project.fleet("status", "-s", "t", "--json").json["users"]
    assert [item["user"] for item in users] == ["alice", "bob"]


def test_an_unknown_user_is_wrong_input_that_names_the_known(project: Project) -> None:
    with pytest.raises(InputError, match=r"USER: dave: no such user in the roster: .*alice, bob"):
        find_user(project.plan(), "dave")
    assert project.fleet("password", "dave", "-s", "t").code == 2


def test_a_password_is_printed_and_nothing_else(project: Project) -> None:
    project.apply()
    secret = project.object("Secret", "oc-alice")["data"]["password"]
    done = project.fleet("password", "alice", "-s", "t")
    assert (done.out, done.err) == (base64.b64decode(secret).decode() + "\n", "")


def test_a_password_that_is_not_there_is_told(project: Project) -> None:
    done = project.fleet("password", "alice", "-s", "t")
    assert (done.code, done.out) == (1, "")
    assert done.err == "user alice: password: not in the cluster: run fleet apply first\n"


def test_open_prints_the_link_of_a_chat_in_the_scene(project: Project, tmp_path: Path) -> None:
    (tmp_path / "scenes/one/.opencode").mkdir(parents=True)
    (tmp_path / "scenes/one/AGENTS.md").write_text("One\n")
    (tmp_path / "scenes/one/.opencode/opencode.json").write_text("{}")
    project.write(scenes={"one": {"path": "scenes/one"}})
    project.users({"id": "alice", "scenes": ["one"]})
    project.apply()
    done = project.fleet("open", "alice", "--scene", "one", "-s", "t")
    folder = base64.urlsafe_b64encode(b"/app/one").decode().rstrip("=")
    assert done.out == f"http://alice.fleet.localhost:7080/{folder}/session/ses_1\n"
    (call,) = project.calls("exec")
    assert "directory=/app/one" in call["argv"][-1]


def test_open_refuses_a_scene_the_user_does_not_have(project: Project) -> None:
    done = project.fleet("open", "alice", "--scene", "two", "-s", "t")
    assert done.code == 2
    assert "--scene: two: user alice has no such scene: use one of: none" in done.err


def test_the_password_is_in_no_call_of_open(project: Project) -> None:
    project.apply()
    secret = project.object("Secret", "oc-alice")["data"]["password"]
    project.forget_calls()
    project.fleet("open", "alice", "-s", "t")
    said = json.dumps(project.calls())
    assert secret not in said
    assert base64.b64decode(secret).decode() not in said


@pytest.mark.parametrize("answer", ["", "<html>", "{}", "[]"])
def test_a_runtime_that_answers_oddly_is_an_error_of_that_user(
    project: Project, answer: str
) -> None:
    project.apply()
    project.faults({"when": ["call", "exec"], "code": 0, "out": answer})
    done = project.fleet("open", "alice", "-s", "t")
    assert done.code == 1
    assert done.err.startswith("user alice: open a session in /app: ")


def test_a_runtime_that_does_not_run_is_an_error_of_that_user(project: Project) -> None:
    project.apply()
    project.faults({"when": ["call", "exec"], "err": "error: no pods found\n"})
    done = project.fleet("open", "alice", "-s", "t")
    assert done.code == 1
    assert done.err.startswith("user alice: open a session in /app: error: no pods found")


def test_restart_waits_until_ready(project: Project) -> None:
    project.apply()
    project.forget_calls()
    done = project.fleet("restart", "alice", "-s", "t")
    assert done.out == "alice: restarted, ready\n"
    (call,) = project.calls("rollout")
    assert call["argv"][2:] == ["restart", "deployment/oc-alice", f"--namespace={PLACE}"]


def test_restarting_a_suspended_user_is_wrong_input(project: Project) -> None:
    project.users({"id": "alice", "state": "suspended"})
    done = project.fleet("restart", "alice", "-s", "t")
    assert done.code == 2
    assert "a suspended user has no pod to restart" in done.err
    assert project.calls() == []


def test_a_restart_that_does_not_get_ready_fails(project: Project) -> None:
    project.faults({"when": ["ready oc-alice"]})
    project.apply("--no-wait")
    done = project.fleet("restart", "alice", "-s", "t", "--timeout", "1")
    assert done.code == 1
    assert done.err.splitlines()[-1].startswith("user alice: wait until ready: not ready in time")


def test_logs_are_those_of_all_containers_of_the_user(project: Project) -> None:
    project.apply()
    assert project.fleet("logs", "alice", "-s", "t", "--tail", "5").code == 0
    (call,) = project.calls("logs")
    assert call["argv"][2:] == [
        f"--namespace={PLACE}",
        "deployment/oc-alice",
        "--prefix",
        "--all-containers",
        "--tail=5",
    ]


def test_logs_that_cannot_be_had_fail(project: Project) -> None:
    project.faults({"when": ["call", "logs"], "err": "error: timed out\n"})
    done = project.fleet("logs", "alice", "-s", "t")
    assert done.code == 1
    assert "user alice: logs: see the line above" in done.err
