"""Waiting for runtimes: when it ends, whom it blames, and what it tells meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from fleet.cluster.client import Cluster
from fleet.cluster.report import Failure, failure_lines
from fleet.cluster.waiting import Clock, Deletes, retry_stuck, wait_ready
from fleet.errors import ClusterError
from fleet.plan.environment import UserPlan, make_plan
from tests.support.pods import FakeCluster, Recorded, Told, recorded_for
from tests.support.stacks import SMALL, environment_of


@pytest.fixture
def plan_users(tmp_path: Path) -> Callable[..., list[UserPlan]]:
    def users(*ids: str) -> list[UserPlan]:
        values = {**SMALL, "users": [{"id": user} for user in ids]}
        return list(make_plan(environment_of(values, tmp_path, frozenset())).users)

    return users


Users = Callable[..., list[UserPlan]]


class Waited:
    """One wait and its outcome."""

    def __init__(self, users: list[UserPlan], timeout: float = 300, **given: str) -> None:
        self.users = users
        self.timeout = timeout
        self.told = Told()
        self.cluster = FakeCluster(
            {user.id: recorded_for(given.get(user.id, "ready"), user.id) for user in users}
        )
        self.failures: list[Failure] = []

    def become(self, user: str, case: str) -> None:
        self.cluster.users[user] = recorded_for(case, user)

    def run(self) -> Waited:
        clock = Clock(self.cluster.now, self.cluster.sleep)
        self.failures = wait_ready(self.cluster, self.users, self.timeout, self.told, clock)
        return self

    @property
    def lines(self) -> list[str]:
        return [str(item) for item in self.failures]

    def asked(self, kind: str) -> list[str]:
        return [line for line in self.cluster.asked if line.startswith(kind)]


def test_the_client_is_what_is_asked() -> None:
    """Never run: pyright checks that the client has what waiting needs."""

    def check(cluster: Cluster) -> Deletes:
        return cluster

    assert callable(check)


def test_ready_runtimes_end_the_wait_after_one_question(plan_users: Users) -> None:
    waited = Waited(plan_users("alice", "bob")).run()
    assert waited.failures == []
    assert waited.cluster.time == 0
    assert waited.cluster.asked == [
        "deployments opencode-fleet/environment=test,opencode-fleet/user in (alice,bob)"
    ]
    assert waited.told.states[-1] == ("ready", 2, 2, ())


def test_nobody_to_wait_for_asks_nothing(plan_users: Users) -> None:
    waited = Waited(plan_users()).run()
    assert waited.failures == []
    assert waited.cluster.asked == []


def test_who_is_to_have_no_pod_is_ready(plan_users: Users) -> None:
    waited = Waited(plan_users("bob"), bob="crash")
    waited.cluster.users["bob"].deployment["spec"]["replicas"] = 0
    assert waited.run().failures == []


def test_a_deployment_that_nobody_has_looked_at_yet_is_not_ready(plan_users: Users) -> None:
    waited = Waited(plan_users("bob"), timeout=0)
    waited.cluster.users["bob"].deployment["metadata"]["generation"] += 1
    (line,) = waited.run().lines
    assert line.startswith("user bob: wait until ready: not ready in time")


def test_an_old_pod_beside_the_new_one_is_not_ready(plan_users: Users) -> None:
    waited = Waited(plan_users("bob"), timeout=0)
    waited.cluster.users["bob"].deployment["status"]["replicas"] = 2
    assert len(waited.run().failures) == 1


def test_a_runtime_that_becomes_ready_ends_the_wait(plan_users: Users) -> None:
    waited = Waited(plan_users("bob"), bob="silent")
    waited.cluster.at[7.0] = lambda: waited.become("bob", "ready")
    assert waited.run().failures == []
    assert waited.cluster.time == 7


@pytest.mark.parametrize(
    ("case", "said", "within"),
    [
        ("never", "image team/absent:t1 cannot be used: Container image", 20),
        ("name", "image Not//Valid cannot be used", 20),
        ("pull", "image registry.invalid/team/runtime:t1 cannot be used: failed to do request", 45),
        ("no-secret", 'secret "oc-no-secret" not found', 35),
        ("no-scene", 'configmap "scene-coding-0123456789" not found', 45),
        ("class", "its claim of class fst is not bound: storageclass", 35),
        ("no-class", "its claim of no class is not bound: no persistent volumes", 35),
        ("quota", "quota pool is used up", 65),
        ("strict", "the cluster refuses its pod: violates PodSecurity", 35),
        ("command", "container opencode cannot start: exec:", 45),
    ],
)
def test_what_waiting_does_not_mend_ends_it_for_that_user_after_a_grace(
    plan_users: Users, case: str, said: str, within: float
) -> None:
    waited = Waited(plan_users("bob"), bob=case).run()
    (line,) = waited.lines
    assert line.startswith(f"user bob: wait until ready: {said}")
    assert 10 < waited.cluster.time <= within


@pytest.mark.parametrize("case", ["cpu", "selector", "silent", "node", "volume", "ending"])
def test_what_may_mend_itself_is_waited_for_to_the_end(plan_users: Users, case: str) -> None:
    waited = Waited(plan_users("bob"), bob=case).run()
    assert waited.cluster.time == 300
    (line,) = waited.lines
    assert line.startswith("user bob: wait until ready: not ready in time: ")


def test_who_is_waited_for_is_told_at_every_poll(plan_users: Users) -> None:
    waited = Waited(plan_users("alice", "bob", "carol"), timeout=2, bob="cpu", carol="silent")
    assert waited.run().told.states[0] == ("ready", 1, 3, ("waiting for bob", "carol"))


def test_the_schedulers_reason_is_told_while_waiting(plan_users: Users) -> None:
    waited = Waited(plan_users("alice", "bob"), bob="cpu").run()
    assert waited.told.lines == [
        "bob: no node takes the pod: 0/1 nodes are available: 1 Insufficient cpu."
    ]
    at_once = Waited(plan_users("bob"), timeout=5, bob="cpu").run()
    assert len(at_once.told.lines) == 1


def test_what_shows_for_a_moment_is_not_told(plan_users: Users) -> None:
    waited = Waited(plan_users("bob"), bob="class")
    waited.cluster.at[1.0] = lambda: waited.become("bob", "ready")
    assert waited.run().told.lines == []


def test_a_start_is_told_only_when_it_takes_long(plan_users: Users) -> None:
    quick = Waited(plan_users("bob"), timeout=30, bob="silent").run()
    assert quick.told.lines == []
    slow = Waited(plan_users("bob"), timeout=90, bob="silent").run()
    assert slow.told.lines == [
        "bob: runs, does not answer: Startup probe failed: connection refused"
    ]


def test_another_reason_is_told_too_and_the_same_one_once(plan_users: Users) -> None:
    waited = Waited(plan_users("bob"), timeout=60, bob="cpu")
    waited.cluster.at[10.0] = lambda: waited.become("bob", "node")
    waited.cluster.at[20.0] = lambda: waited.become("bob", "cpu")
    assert [line.partition(": ")[2][:12] for line in waited.run().told.lines] == [
        "no node take",
        "node gone-no",
    ]


def crashing(waited: Waited, *, times: Iterable[float]) -> None:
    """Let bob's container end again at each of these moments."""

    def again() -> None:
        waited.cluster.users["bob"].pod["status"]["containerStatuses"][0]["restartCount"] += 1

    for moment in times:
        waited.cluster.at[moment] = again


def test_a_container_that_ends_again_and_again_ends_the_wait(plan_users: Users) -> None:
    waited = Waited(plan_users("bob"), bob="crash")
    crashing(waited, times=[5, 15, 35])
    (line,) = waited.run().lines
    assert line.endswith("wait until ready: container opencode ended with exit code 7")
    assert waited.cluster.time == 35


def test_what_an_earlier_run_counted_does_not_end_the_wait(plan_users: Users) -> None:
    waited = Waited(plan_users("bob"), timeout=120, bob="crash")
    assert waited.cluster.users["bob"].pod["status"]["containerStatuses"][0]["restartCount"] > 3
    crashing(waited, times=[60])
    assert waited.run().cluster.time == 120


def test_a_cause_that_is_mended_outside_is_waited_for(plan_users: Users) -> None:
    waited = Waited(plan_users("bob"), bob="no-secret")
    waited.cluster.at[20.0] = lambda: waited.become("bob", "ready")
    assert waited.run().failures == []


def test_a_reason_that_goes_and_comes_has_its_patience_anew(plan_users: Users) -> None:
    waited = Waited(plan_users("bob"), timeout=60, bob="no-secret")
    waited.cluster.at[25.0] = lambda: waited.become("bob", "silent")
    waited.cluster.at[27.0] = lambda: waited.become("bob", "no-secret")
    waited.run()
    assert waited.cluster.time > 50


def test_the_next_pod_has_its_patience_anew(plan_users: Users) -> None:
    waited = Waited(plan_users("bob"), timeout=60, bob="never")

    def corrected() -> None:
        waited.cluster.users["bob"].pod["metadata"]["uid"] = "another"

    waited.cluster.at[14.0] = corrected
    waited.run()
    assert 28 <= waited.cluster.time <= 30


def test_a_deployment_that_is_gone_is_told_and_not_waited_for_long(plan_users: Users) -> None:
    waited = Waited(plan_users("alice", "bob"))
    del waited.cluster.users["bob"]
    (line,) = waited.run().lines
    assert line.startswith("user bob: wait until ready: its Deployment is not there")
    assert waited.cluster.time < 10


def test_one_users_failure_does_not_hold_up_the_others(plan_users: Users) -> None:
    waited = Waited(plan_users("alice", "bob"), alice="silent", bob="never")
    waited.cluster.at[100.0] = lambda: waited.become("alice", "ready")
    (line,) = waited.run().lines
    assert line.startswith("user bob: ")
    assert waited.cluster.time == 100


def test_who_is_ready_or_failed_is_not_asked_about_again(plan_users: Users) -> None:
    waited = Waited(plan_users("alice", "bob"), timeout=5, bob="cpu").run()
    first, *later = waited.asked("deployments")
    assert first.endswith("in (alice,bob)")
    assert {line.rpartition(" in ")[2] for line in later} == {"(bob)"}


def test_a_poll_asks_once_a_kind_for_all(plan_users: Users) -> None:
    names = [f"u{number}" for number in range(20)]
    waited = Waited(plan_users(*names), timeout=0, **dict.fromkeys(names, "cpu")).run()
    assert len(waited.cluster.asked) == 3
    assert len(waited.failures) == 20


def test_many_users_are_asked_about_by_the_label_alone(plan_users: Users) -> None:
    names = [f"u{number}" for number in range(60)]
    waited = Waited(plan_users(*names)).run()
    assert waited.asked("deployments") == [
        "deployments opencode-fleet/environment=test,opencode-fleet/user"
    ]


def test_events_are_asked_for_only_where_they_help_and_not_at_every_poll(
    plan_users: Users,
) -> None:
    clear = Waited(plan_users("bob"), timeout=20, bob="cpu").run()
    assert clear.asked("events") == []
    unclear = Waited(plan_users("bob"), timeout=20, bob="silent").run()
    assert 2 <= len(unclear.asked("events")) <= 12
    assert all("opencode-test--default" in line for line in unclear.asked("events"))


def test_fifty_users_alike_are_one_line(plan_users: Users) -> None:
    names = [f"u{number:02}" for number in range(50)]
    waited = Waited(plan_users(*names), timeout=5, **dict.fromkeys(names, "cpu")).run()
    (told,) = waited.told.lines
    assert told.startswith("u00, u01, u02, u03, u04, u05, u06, u07 and 42 more: no node takes")
    (line,) = failure_lines(waited.failures)
    assert line.startswith("users u00, ")
    assert " and 42 more: wait until ready: not ready in time: no node takes" in line


def test_fifty_different_reasons_are_a_dozen_lines(plan_users: Users) -> None:
    names = [f"u{number:02}" for number in range(50)]
    waited = Waited(plan_users(*names), timeout=5, **dict.fromkeys(names, "no-secret"))
    for user, mine in waited.cluster.users.items():
        state = mine.pod["status"]["containerStatuses"][0]["state"]
        state["waiting"]["message"] = f'secret "oc-{user}" not found'
    waited.run()
    assert len(waited.told.lines) == 13
    assert waited.told.lines[-1] == "more reasons: fleet status -s test"
    lines = failure_lines(waited.failures)
    assert len(lines) == 13
    assert lines[-1] == "… and 38 failures more"


class Away(FakeCluster):
    """A cluster that does not answer for a while."""

    away = (2.0, 30.0)

    def list(self, kind: str, **given: Any) -> Any:
        if self.away[0] <= self.time < self.away[1]:
            raise ClusterError("connection refused")
        return super().list(kind, **given)


def away(users: list[UserPlan], until: float) -> list[Failure]:
    cluster = Away({"bob": recorded_for("silent", "bob")})
    cluster.away = (2.0, until)

    def ready() -> None:
        cluster.users["bob"] = recorded_for("ready", "bob")

    cluster.at[10.0] = ready
    return wait_ready(cluster, users, 300, Told(), Clock(cluster.now, cluster.sleep))


def test_a_cluster_that_is_away_for_a_moment_is_waited_for(plan_users: Users) -> None:
    assert away(plan_users("bob"), 30.0) == []


def test_a_cluster_that_stays_away_is_told(plan_users: Users) -> None:
    with pytest.raises(ClusterError, match="connection refused"):
        away(plan_users("bob"), 1000.0)


@pytest.mark.parametrize("case", ["crash", "pull", "init", "init-between-tries", "memory"])
def test_a_pod_that_waits_for_its_next_try_gets_it_now(plan_users: Users, case: str) -> None:
    users = plan_users("alice", "bob")
    cluster = FakeCluster(
        {"alice": recorded_for("ready", "alice"), "bob": recorded_for(case, "bob")}
    )
    assert retry_stuck(cluster, users) == ["bob"]
    name = cluster.users["bob"].pod["metadata"]["name"]
    assert cluster.deleted == [f"pods opencode-test--default/{name}"]


@pytest.mark.parametrize("case", ["ready", "cpu", "no-secret", "silent", "ending", "quota"])
def test_a_pod_that_does_not_back_off_is_left_alone(plan_users: Users, case: str) -> None:
    cluster = FakeCluster({"bob": recorded_for(case, "bob")})
    assert retry_stuck(cluster, plan_users("bob")) == []
    assert cluster.deleted == []


def test_a_pod_of_a_former_template_is_left_to_its_deployment(plan_users: Users) -> None:
    found: Recorded = recorded_for("pull", "bob")
    found.deployment["spec"]["template"]["spec"]["containers"][0]["image"] = "team/good:1"
    cluster = FakeCluster({"bob": found})
    assert retry_stuck(cluster, plan_users("bob")) == []
    assert cluster.deleted == []
