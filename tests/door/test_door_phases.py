"""Who there is and what their runtimes do, read from objects as the cluster's API returns them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from door.control.phases import Judged, judge, pod_facts
from door.control.roster import Person, person_of, told_apart
from door.control.world import Phase, Wanted
from tests.support.fakes.live_api import Object
from tests.support.fakes.live_pool import deployment_of, pod_of


def person(deployment: Object) -> Person:
    """The person of a Deployment, who must be one."""
    found = person_of(deployment)
    assert found is not None
    return found


def judged(deployment: Object, *pods: Object) -> Judged:
    """What a runtime does."""
    return judge(person(deployment), [facts for pod in pods if (facts := pod_facts(pod))])


def waiting(reason: str, message: str = "", **status: Any) -> Object:
    """A pod whose container waits."""
    state = {"waiting": {"reason": reason, "message": message}}
    return pod_of(
        "alice",
        ready=False,
        containerStatuses=[
            {"name": "opencode", "image": "some/image:1", "state": state, "restartCount": 0}
            | status
        ],
    )


def test_a_person_is_what_the_annotations_say() -> None:
    found = person(
        deployment_of(
            "alice",
            {
                "display-name": "Alice A.",
                "login": "alice@example.org",
                "admin": "true",
                "password-version": "3",
                "suspend-after": "28800",
                "hours": '{"zone": "Asia/Shanghai", "days": [0], "start": "09:00", "end": "18:00"}',
            },
        )
    )
    assert (found.id, found.display_name, found.login) == ("alice", "Alice A.", "alice@example.org")
    assert (found.admin, found.password_version, found.wanted) == (True, 3, Wanted.ACTIVE)
    assert found.suspend_after == timedelta(hours=8)
    assert found.hours is not None
    assert [scene.directory for scene in found.scenes] == ["/app/coding"]
    assert not found.problems


def test_a_deployment_that_is_no_users_is_nobody() -> None:
    item = deployment_of("alice")
    item["metadata"]["labels"] = {}
    assert person_of(item) is None


def test_an_idle_time_under_ten_minutes_is_ten_minutes() -> None:
    assert person(deployment_of("alice", {"suspend-after": "1"})).suspend_after == timedelta(
        minutes=10
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("scenes", "["),
        ("scenes", '[{"id": "../etc"}]'),
        ("scenes", '[{"id": "x", "title": 1}]'),
        ("admin", "yes"),
        ("suspend-after", "8h"),
        ("suspend-after", "-5"),
        ("hours", "{}"),
        ("login", "x" * 300),
    ],
)
def test_an_annotation_that_cannot_be_read_is_told_and_the_rest_goes_on(
    key: str, value: str
) -> None:
    found = judged(deployment_of("alice", {key: value}), pod_of("alice"))
    assert found.phase is Phase.READY
    assert found.reason is not None
    assert f"annotation opencode-fleet/{key}" in found.reason


@pytest.mark.parametrize(
    ("key", "value"),
    [("user-id", None), ("user-id", ""), ("password-version", "x"), ("state", "asleep")],
)
def test_where_the_door_must_not_guess_the_runtime_is_left_alone(
    key: str, value: str | None
) -> None:
    item = deployment_of("alice", {key: value})
    assert person(item).held
    found = judged(item, pod_of("alice"))
    assert (found.phase, found.address) == (Phase.FAILING, None)


@given(st.dictionaries(st.sampled_from(["scenes", "hours", "user-id", "state"]), st.text()))
def test_no_annotation_keeps_the_door_from_reading_its_user(notes: dict[str, str | None]) -> None:
    found = judged(deployment_of("alice", notes), pod_of("alice"))
    assert found.reason is None or (len(found.reason) <= 300 and found.reason.isprintable())


def test_of_two_deployments_with_one_id_the_first_counts_and_says_so() -> None:
    second = deployment_of("mallory", {"user-id": "alice"})
    found = told_apart([person(second), person(deployment_of("alice"))])
    assert found["alice"].name == "oc-alice"
    assert "oc-mallory" in found["alice"].problems[0]


def test_a_runtime_whose_pod_is_ready_is_ready_at_its_address() -> None:
    found = judged(deployment_of("alice"), pod_of("alice", podIP="10.0.0.7"))
    assert (found.phase, found.address, found.reason) == (Phase.READY, "10.0.0.7", None)


def test_a_runtime_without_replicas_is_asleep_while_its_pod_still_ends() -> None:
    found = judged(deployment_of("alice", replicas=0), pod_of("alice"))
    assert (found.phase, found.gone, found.address) == (Phase.ASLEEP, False, None)


def test_a_suspended_runtime_is_suspended_whatever_its_replicas() -> None:
    assert judged(deployment_of("alice", {"state": "suspended"})).phase is Phase.SUSPENDED


def test_a_pod_that_ends_is_not_the_one_that_is_ready() -> None:
    ending = pod_of("alice")
    ending["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    found = judged(deployment_of("alice"), ending)
    assert (found.phase, found.reason) == (Phase.STARTING, "its former pod is still ending")


def test_a_pod_of_the_former_template_is_not_blamed_nor_used() -> None:
    """The Deployment was changed, and its controller has not come to it yet."""
    item = deployment_of("alice")
    item["metadata"]["generation"] = 2
    for pod in (pod_of("alice"), waiting("ImagePullBackOff")):
        assert judged(item, pod).phase is Phase.STARTING
    item["status"] = {"observedGeneration": 2, "updatedReplicas": 0}
    assert judged(item, pod_of("alice")).phase is Phase.STARTING


def test_pods_of_others_do_not_count() -> None:
    job = pod_of("alice")
    job["metadata"]["ownerReferences"] = [{"kind": "Job", "name": "oc-alice-copy"}]
    assert pod_facts(job) is None
    assert judged(deployment_of("alice"), pod_of("bob")).phase is Phase.STARTING


def test_a_full_cluster_is_told() -> None:
    message = "0/2 nodes are available: 2 Insufficient memory. preemption: 0/2 nodes are available"
    condition = {"type": "PodScheduled", "status": "False", "message": message}
    pod = pod_of("alice", conditions=[condition], containerStatuses=[], podIP=None)
    found = judged(deployment_of("alice"), pod)
    assert found.phase is Phase.FAILING
    assert found.reason == (
        "no room: the cluster's nodes are full (0/2 nodes are available: 2 Insufficient memory.)"
    )
    assert not found.runs


def test_an_image_that_cannot_be_had_is_told_in_the_registrys_words() -> None:
    message = 'Back-off: rpc error: code = NotFound desc = some/image:1: not "found"'
    found = judged(deployment_of("alice"), waiting("ImagePullBackOff", message))
    assert found.phase is Phase.FAILING
    assert found.reason == 'its image some/image:1 cannot be had: some/image:1: not "found"'


def test_a_crash_is_told_with_its_exit_code_and_how_often() -> None:
    ended = {"terminated": {"exitCode": 7, "reason": "Error"}}
    pod = waiting("CrashLoopBackOff", lastState=ended, restartCount=3)
    assert judged(deployment_of("alice"), pod).reason == (
        "OpenCode ended with exit code 7, started again 3 times"
    )


def test_too_little_memory_is_told() -> None:
    ended = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    reason = judged(deployment_of("alice"), waiting("CrashLoopBackOff", lastState=ended)).reason
    assert reason == "OpenCode was killed: it needs more memory than its limit"


def test_a_runtime_that_came_back_from_a_crash_is_ready() -> None:
    pod = pod_of("alice")
    pod["status"]["containerStatuses"][0]["lastState"] = {"terminated": {"exitCode": 1}}
    assert judged(deployment_of("alice"), pod).phase is Phase.READY


def test_a_used_up_quota_is_told() -> None:
    item = deployment_of("alice")
    item["status"]["conditions"] = [
        {
            "type": "ReplicaFailure",
            "status": "True",
            "message": 'pods "x" is forbidden: exceeded quota: pool, requested: pods=1',
        }
    ]
    found = judged(item)
    assert (found.phase, found.reason) == (
        Phase.FAILING,
        "the quota pool of its pool is used up",
    )


def test_what_a_pod_says_cannot_write_over_a_terminal_or_fill_a_page() -> None:
    found = judged(deployment_of("alice"), waiting("ErrImagePull", "\x1b[2J\n" + "x" * 10_000))
    assert found.reason is not None
    assert found.reason.isprintable()
    assert len(found.reason) <= 300


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_no_shape_of_a_status_breaks_the_reading(status: Any) -> None:
    item, pod = deployment_of("alice"), pod_of("alice")
    item["status"] = pod["status"] = status
    assert judged(item, pod).phase in Phase
