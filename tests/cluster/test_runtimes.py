"""Day-to-day work on one runtime: link, password, restart."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from fleet.cluster.runtimes import find_user
from fleet.errors import InputError
from tests.support.fakes.api_server import Fault, Log
from tests.support.fakes.exec_channel import Ran, always
from tests.support.fakes.served import PLACE, UP, Served

SUSPENDED = "USER: alice: suspended: set `state: active` and run fleet up\n"


def test_an_unknown_user_is_wrong_input_that_names_the_known(fleet: Served) -> None:
    with pytest.raises(InputError, match=r"USER: dave: no such user in the roster: .*alice, bob"):
        find_user(fleet.plan(), "dave")
    assert fleet.fleet("password", "dave", "-s", "t").code == 2


@pytest.mark.parametrize("command", ["open", "logs", "restart"])
def test_a_suspended_user_is_told_at_once_and_nothing_is_asked(fleet: Served, command: str) -> None:
    fleet.users({"id": "alice", "state": "suspended"})
    done = fleet.fleet(command, "alice", "-s", "t")
    assert (done.code, done.out, done.err) == (2, "", SUSPENDED)
    assert fleet.api.requests == []


@pytest.mark.parametrize("command", ["status", "open", "logs", "restart"])
def test_a_cluster_that_is_away_is_one_line(fleet: Served, command: str) -> None:
    fleet.api.faults.append(Fault(path="/version"))
    user = () if command == "status" else ("alice",)
    done = fleet.fleet(command, *user, "-s", "t")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("cluster.context: opencode-fleet-local: does not answer (")
    assert len(done.err.splitlines()) == 1


def test_no_command_reads_a_password_from_the_cluster(fleet: Served) -> None:
    fleet.deploy("alice")
    fleet.api.exec = always(Ran(0, b'{"id": "ses_1"}'))
    fleet.api.logs[("oc-alice-1", "opencode")] = Log(text=b"up\n")
    TestRestart.next_pod(fleet, dict(UP))
    for command in ("status --json", "logs alice", "open alice", "restart alice"):
        done = fleet.fleet(*command.split(), "-s", "t")
        assert done.code == 0, done.err
    # Certificates are looked at, for when they run out; of Secrets, those alone.
    asked = fleet.api.asked("GET", "/secrets")
    assert {request.query.get("fieldSelector") for request in asked} <= {"type=kubernetes.io/tls"}


class TestOpen:
    @pytest.fixture(autouse=True)
    def answers(self, fleet: Served) -> None:
        fleet.deploy("alice")
        fleet.api.exec = always(Ran(0, json.dumps({"id": "ses_1"}).encode()))

    def test_prints_the_link_of_a_chat_in_the_scene(self, fleet: Served, tmp_path: Path) -> None:
        (tmp_path / "scenes/one/.opencode").mkdir(parents=True)
        (tmp_path / "scenes/one/AGENTS.md").write_text("One\n")
        (tmp_path / "scenes/one/.opencode/opencode.json").write_text("{}")
        fleet.write(scenes={"one": {"path": "scenes/one"}})
        fleet.users({"id": "alice", "scenes": ["one"]})
        asked: list[Sequence[str]] = []

        def run(pod: str, command: Sequence[str], stdin: bytes | None) -> Ran:
            assert (pod, stdin) == ("oc-alice-1", None)
            asked.append(command)
            return Ran(0, b'{"id": "ses_1"}')

        fleet.api.exec = run
        done = fleet.fleet("open", "alice", "--scene", "one", "-s", "t")
        folder = base64.urlsafe_b64encode(b"/app/one").decode().rstrip("=")
        assert done.out == f"http://alice.fleet.localhost:7080/{folder}/session/ses_1\n"
        ((shell, _, script),) = asked
        assert shell == "/bin/sh"
        assert "directory=/app/one" in script
        # The user decides what a bare `curl` is, and what a .curlrc says.
        assert "/usr/bin/curl -q " in script

    def test_refuses_a_scene_the_user_does_not_have(self, fleet: Served) -> None:
        done = fleet.fleet("open", "alice", "--scene", "two", "-s", "t")
        assert done.code == 2
        assert "--scene: two: user alice has no such scene: use one of: none" in done.err
        assert fleet.api.requests == []

    @pytest.mark.parametrize(
        "answer",
        [
            "",
            "<html>",
            "{}",
            "[]",
            '{"id": 1}',
            '{"id": "../x"}',
            '{"id": "\\u001b[2J"}',
            "\x1b[2J",
        ],
    )
    def test_an_answer_that_is_no_session_is_an_error_of_that_user(
        self, fleet: Served, answer: str
    ) -> None:
        fleet.api.exec = always(Ran(0, answer.encode()))
        done = fleet.fleet("open", "alice", "-s", "t")
        assert (done.code, done.out) == (1, "")
        assert done.err.startswith("user alice: open a session in /app: the runtime answered ")
        assert "\x1b" not in done.err

    def test_a_request_that_fails_is_told_with_its_reason(self, fleet: Served) -> None:
        fleet.api.exec = always(Ran(22, b"", b"curl: (22) error: 401\x1b[2J\n"))
        done = fleet.fleet("open", "alice", "-s", "t")
        assert done.code == 1
        assert "open a session in /app: curl: (22) error: 401\\x1b[2J: see fleet status" in done.err

    @pytest.mark.parametrize(
        ("status", "phase"), [({"phase": "Pending"}, "Pending"), (None, "no pod")]
    )
    def test_a_runtime_that_does_not_run_is_not_asked(
        self, fleet: Served, status: dict[str, Any] | None, phase: str
    ) -> None:
        fleet.api.remove("pods", "oc-alice-1")
        fleet.deploy("alice", pod=status)
        done = fleet.fleet("open", "alice", "-s", "t")
        assert done.code == 1
        assert f"the runtime is not ready ({phase}): see fleet status" in done.err
        assert fleet.api.asked("GET", "/exec") == []


class TestRestart:
    @staticmethod
    def next_pod(fleet: Served, status: dict[str, Any]) -> None:
        """Have a new pod come, as the Deployment sees to, when the ReplicaSet is gone."""

        def deleted(item: dict[str, Any]) -> None:
            assert item["kind"] == "ReplicaSet"
            fleet.api.remove("pods", "oc-alice-1")
            fleet.api.put(fleet.pod("alice", status, name="2"))

        fleet.api.on_delete = deleted

    def test_waits_until_the_new_pod_is_ready_and_leaves_the_deployment_as_it_is(
        self, fleet: Served
    ) -> None:
        fleet.deploy("alice")
        self.next_pod(fleet, dict(UP))
        before = fleet.api.get("deployments", "oc-alice")
        done = fleet.fleet("restart", "alice", "-s", "t")
        assert (done.code, done.out) == (0, "alice: restarted, ready\n"), done.err
        assert fleet.api.get("deployments", "oc-alice") == before
        assert fleet.api.asked("PATCH") == []

    def test_the_old_pod_is_gone_before_the_next_one_may_come(self, fleet: Served) -> None:
        fleet.deploy("alice")
        self.next_pod(fleet, dict(UP))
        uid = fleet.api.get("replicasets", "oc-alice-1")["metadata"]["uid"]
        fleet.fleet("restart", "alice", "-s", "t")
        (asked,) = fleet.api.asked("DELETE")
        assert asked.path == f"/apis/apps/v1/namespaces/{PLACE}/replicasets/oc-alice-1"
        assert asked.body == {"propagationPolicy": "Foreground", "preconditions": {"uid": uid}}

    def test_the_old_pod_being_ready_still_is_not_enough(self, fleet: Served) -> None:
        fleet.deploy("alice")
        done = fleet.fleet("restart", "alice", "-s", "t", "--timeout", "1")
        assert done.code == 1
        assert "user alice: restart: not ready in 1 s: Ready" in done.err

    def test_one_that_does_not_get_ready_fails_with_the_pods_reason(self, fleet: Served) -> None:
        fleet.deploy("alice")
        waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
        container = {"name": "opencode", "image": "a:1", "state": waiting}
        self.next_pod(fleet, {"phase": "Pending", "containerStatuses": [container]})
        done = fleet.fleet("restart", "alice", "-s", "t", "--timeout", "1")
        assert done.code == 1
        assert done.err.splitlines()[-1] == (
            "user alice: restart: not ready in 1 s: ImagePullBackOff: image a:1 cannot be used:"
            " no such image: see fleet logs"
        )

    def test_a_runtime_that_is_not_there_cannot_be_restarted(self, fleet: Served) -> None:
        done = fleet.fleet("restart", "alice", "-s", "t")
        assert (done.code, done.err) == (
            1,
            "user alice: restart: not deployed: run fleet up first\n",
        )
        fleet.deploy("alice", replicas=0, pod=None)
        done = fleet.fleet("restart", "alice", "-s", "t")
        assert done.code == 1
        assert "restart: asleep" in done.err
        assert fleet.api.asked("DELETE") == []

    def test_another_users_runtime_is_not_touched(self, fleet: Served) -> None:
        fleet.deploy("alice", "bob")
        self.next_pod(fleet, dict(UP))
        fleet.fleet("restart", "alice", "-s", "t")
        assert fleet.api.get("replicasets", "oc-bob-1")
        assert fleet.api.get("pods", "oc-bob-1")
