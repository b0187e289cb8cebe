"""`fleet status`: what the roster says beside what runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from fleet.cli.shell import say_table
from fleet.cluster.states import states
from fleet.cluster.untrusted import printable
from tests.support.fakes.api_server import Fault, Log
from tests.support.fakes.exec_channel import Ran, always
from tests.support.fakes.project import IMAGE
from tests.support.fakes.served import PLACE, UP, Served

STATS = "/api/v1/nodes/node/proxy/stats/summary"


def rows(fleet: Served, *, volumes: bool = False) -> dict[str, Any]:
    found = states(fleet.cluster, fleet.plan(), volumes=volumes)
    return {row.user: row.as_json() for row in found}


def broken(name: str = "opencode", restarts: int = 3) -> dict[str, Any]:
    died = {"terminated": {"exitCode": 1, "reason": "Error"}}
    waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
    status = {"name": name, "restartCount": restarts, "state": waiting, "lastState": died}
    kind = "containerStatuses" if name == "opencode" else "initContainerStatuses"
    return {"phase": "Pending", kind: [status]}


def test_users_who_are_not_deployed_are_absent(fleet: Served) -> None:
    assert {(row["state"], row["phase"]) for row in rows(fleet).values()} == {
        ("absent", "not deployed")
    }


def test_a_ready_user_has_everything_in_a_row(fleet: Served) -> None:
    fleet.deploy("alice")
    assert rows(fleet)["alice"] == {
        "user": "alice",
        "state": "active",
        "phase": "Ready",
        "restarts": 0,
        "image": IMAGE,
        "volume": "-/10Gi",
        "url": "http://alice.fleet.localhost:7080",
        "note": "",
        "last_used": "",
        "next_wake": "",
    }


def test_who_sleeps_was_there_last_when_the_lease_says_and_wakes_by_the_hours(
    fleet: Served,
) -> None:
    hours = {"zone": "Asia/Shanghai", "start": "08:00", "end": "19:00"}
    fleet.users({"id": "alice", "idle": {"hours": hours}})
    fleet.deploy("alice", replicas=0, pod=None)
    labels = {"opencode-fleet/environment": "t", "opencode-fleet/user": "alice"}
    fleet.api.put(
        {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": "oc-alice", "namespace": "opencode-t", "labels": labels},
            "spec": {"renewTime": "2026-11-20T10:00:00.000000Z"},
        }
    )
    row = rows(fleet)["alice"]
    assert row["phase"] == "asleep"
    assert row["last_used"] == "2026-11-20T10:00:00+00:00"
    # Ten minutes ahead of eight o'clock in Shanghai.
    assert row["next_wake"].endswith("T23:50:00+00:00")


def test_an_evicted_pod_beside_the_running_one_is_a_note_and_no_more(fleet: Served) -> None:
    fleet.deploy("alice")
    fleet.api.put(fleet.pod("alice", {"phase": "Failed", "reason": "Evicted"}, name="zzz"))
    row = rows(fleet)["alice"]
    assert (row["phase"], row["note"]) == ("Ready", "1 evicted pod left")


def test_a_failed_init_container_is_told_with_its_restarts_and_its_last_line(
    fleet: Served,
) -> None:
    fleet.deploy("alice", pod=broken("lay-skeleton"))
    fleet.api.logs[("oc-alice-1", "lay-skeleton")] = Log(text=b"first\nno space left \x1b[2J\n")
    row = rows(fleet)["alice"]
    assert (row["phase"], row["restarts"]) == ("Init:Error", 3)
    assert row["note"] == (
        "init container lay-skeleton ended with exit code 1; last line: no space left \\x1b[2J"
    )


def test_the_last_line_of_a_container_that_is_not_there_any_more_is_left_out(
    fleet: Served,
) -> None:
    fleet.deploy("alice", pod=broken())
    row = rows(fleet)["alice"]
    note = "container opencode ended with exit code 1"
    assert (row["phase"], row["note"]) == ("CrashLoopBackOff", note)


def test_a_pod_that_cannot_be_placed_has_the_schedulers_reason(fleet: Served) -> None:
    said = "0/1 nodes are available: 1 Insufficient memory."
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": said,
    }
    fleet.deploy("alice", pod={"phase": "Pending", "conditions": [condition]})
    row = rows(fleet)["alice"]
    assert (row["phase"], row["note"]) == ("Unschedulable", f"no node takes the pod: {said}")


def test_a_pod_that_may_not_be_made_has_the_reason_of_who_refused_it(fleet: Served) -> None:
    fleet.deploy("alice", pod=None)
    deployment = fleet.api.get("deployments", "oc-alice")
    deployment["status"] = {
        "conditions": [
            {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: pool"}
        ]
    }
    fleet.api.put(deployment)
    row = rows(fleet)["alice"]
    assert (row["phase"], row["note"]) == ("no pod", "exceeded quota: pool")


def test_what_the_roster_says_and_what_runs_are_both_told(fleet: Served) -> None:
    fleet.users("alice", {"id": "bob", "state": "suspended"}, {"id": "carol", "state": "suspended"})
    fleet.deploy("alice", "bob", replicas=0, pod=None)
    fleet.deploy("carol")
    found = rows(fleet)
    told = {user: (row["state"], row["phase"], row["note"]) for user, row in found.items()}
    assert told == {
        "alice": ("active", "asleep", ""),
        "bob": ("suspended", "-", ""),
        "carol": ("suspended", "Ready", "runs although suspended: run fleet up"),
    }


def test_a_former_user_is_listed_as_retained_with_the_claim(fleet: Served) -> None:
    fleet.users("alice")
    fleet.api.put(fleet.claim("bob"))
    found = rows(fleet)["bob"]
    assert (found["state"], found["phase"]) == ("retained", f"claim {PLACE}/oc-bob")
    assert found["volume"] == "-/10Gi"


def test_another_environment_is_not_looked_at(fleet: Served) -> None:
    claim = fleet.claim("carol")
    claim["metadata"]["labels"]["opencode-fleet/environment"] = "other"
    fleet.api.put(claim)
    assert sorted(rows(fleet)) == ["alice", "bob"]


class TestVolumes:
    @staticmethod
    def told(fleet: Served, used: Any, capacity: int = 10 * 2**30) -> None:
        volume = {
            "pvcRef": {"namespace": PLACE, "name": "oc-alice"},
            "usedBytes": used,
            "capacityBytes": capacity,
        }
        fleet.api.answers[STATS] = {"pods": [{"volume": [volume]}, {}]}

    @staticmethod
    def volume(fleet: Served) -> str:
        return rows(fleet, volumes=True)["alice"]["volume"]

    def test_use_comes_from_the_kubelet_where_the_volume_is_a_disk_of_its_own(
        self, fleet: Served
    ) -> None:
        fleet.deploy("alice")
        self.told(fleet, 3 * 2**29)
        assert self.volume(fleet) == "1.5Gi/10Gi"

    def test_the_figures_of_the_nodes_disk_are_not_the_claims(self, fleet: Served) -> None:
        fleet.deploy("alice")
        self.told(fleet, 29 * 2**30, capacity=50 * 2**30)
        fleet.api.exec = always(Ran(1))
        assert self.volume(fleet) == "-/10Gi"

    @pytest.mark.parametrize("source", ["hostPath", "local", "nfs"])
    def test_a_folder_of_something_larger_is_measured_in_the_pod(
        self, fleet: Served, source: str
    ) -> None:
        fleet.deploy("alice")
        fleet.api.put(fleet.claim("alice", volumeName="pv-alice"))
        spec: dict[str, Any] = {source: {}}
        named = {"kind": "PersistentVolume", "metadata": {"name": "pv-alice"}}
        fleet.api.put({"apiVersion": "v1", **named, "spec": spec})
        self.told(fleet, 9 * 2**30)
        fleet.api.exec = always(Ran(1, b"2048\t/app\n1024\t/data\n", b"du: cannot read\n"))
        assert self.volume(fleet) == "3.0Mi/10Gi"

    def test_the_command_in_the_pod_is_not_one_of_the_users(self, fleet: Served) -> None:
        fleet.deploy("alice")
        asked: list[tuple[str, Sequence[str]]] = []

        def run(pod: str, command: Sequence[str], stdin: bytes | None) -> Ran:
            assert stdin is None
            asked.append((pod, command))
            return Ran(1)

        fleet.api.exec = run
        rows(fleet, volumes=True)
        assert asked == [("oc-alice-1", ["/usr/bin/du", "-skx", "/app", "/data"])]

    @pytest.mark.parametrize(
        "said",
        [
            b"",
            b"lots\t/app\n",
            b"9" * 30 + b"\t/app\n",
            b"\xff\x00",
            b"12 /etc\n",
            b"\x1b[2J1\t/app\n",
        ],
    )
    def test_an_answer_that_is_no_figure_is_a_dash(self, fleet: Served, said: bytes) -> None:
        fleet.deploy("alice")
        fleet.api.exec = always(Ran(0, said))
        assert self.volume(fleet) == "-/10Gi"

    @pytest.mark.parametrize(
        "summary",
        [None, [], {"pods": None}, {"pods": [{"volume": [{"pvcRef": 1}]}]}, "text"],
    )
    def test_a_kubelet_that_answers_oddly_is_a_dash(self, fleet: Served, summary: Any) -> None:
        fleet.deploy("alice")
        fleet.api.answers[STATS] = summary
        fleet.api.exec = always(Ran(1))
        assert self.volume(fleet) == "-/10Gi"

    def test_a_figure_of_the_kubelet_that_is_none_is_a_dash(self, fleet: Served) -> None:
        fleet.deploy("alice")
        self.told(fleet, "much")
        fleet.api.exec = always(Ran(1))
        assert self.volume(fleet) == "-/10Gi"

    def test_who_may_not_ask_gets_a_dash_and_the_rest(self, fleet: Served) -> None:
        fleet.deploy("alice", "bob")
        for path in ("/nodes", "/persistentvolumes", "/exec"):
            fleet.api.faults.append(Fault(path=path, status=403, reason="Forbidden"))
        found = rows(fleet, volumes=True)
        assert {row["volume"] for row in found.values()} == {"-/10Gi"}
        assert {row["phase"] for row in found.values()} == {"Ready"}

    def test_a_pod_that_does_not_run_is_not_asked(self, fleet: Served) -> None:
        fleet.deploy("alice", pod={"phase": "Pending"})
        assert self.volume(fleet) == "-/10Gi"
        assert fleet.api.asked("GET", "/exec") == []


def test_status_is_one_table_or_one_json_document(fleet: Served) -> None:
    fleet.deploy("alice", "bob")
    done = fleet.fleet("status", "-s", "t", "--no-volumes")
    assert done.code == 0, done.err
    head, *lines = done.out.splitlines()
    assert head.split() == [
        "USER",
        "STATE",
        "PHASE",
        "USED",
        "RESTARTS",
        "VOLUME",
        "IMAGE",
        "URL",
        "NOTE",
    ]
    assert [line.split()[0] for line in lines] == ["alice", "bob"]
    users = fleet.fleet("status", "-s", "t", "--json").json["users"]
    assert [item["user"] for item in users] == ["alice", "bob"]


def test_for_a_person_the_table_fits_the_terminal_and_markup_is_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "40")
    say_table(("USER", "NOTE"), [("alice", "[red]not markup[/red] " + "x" * 60)])
    out = capsys.readouterr().out
    assert max(len(printable(line)) for line in out.splitlines()) <= 40
    assert "[red]not markup[/red]" in out


def test_what_a_pod_says_cannot_break_the_status_of_all(fleet: Served) -> None:
    fleet.deploy("alice", pod={**UP, "conditions": None, "containerStatuses": None})
    fleet.deploy("bob")
    done = fleet.fleet("status", "-s", "t", "--json")
    assert done.code == 0, done.err
    assert {item["user"]: item["phase"] for item in done.json["users"]} == {
        "alice": "Starting",
        "bob": "Ready",
    }
