"""Why a runtime does not run: every way to fail as a real cluster shows it, one line each."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest

from fleet.cluster.reasons import LONGEST, Kind, reason_of, safe
from tests.support.pods import Recorded, cases, recorded

SAID: dict[str, tuple[Kind, str]] = {
    "class": (
        Kind.NO_CLASS,
        'its claim of class fst is not bound: storageclass.storage.k8s.io "fst" not found',
    ),
    "command": (
        Kind.CONTAINER,
        'container opencode cannot start: exec: "/no/such/program": stat /no/such/program:'
        " no such file or directory: unknown",
    ),
    "cpu": (
        Kind.UNSCHEDULABLE,
        "no node takes the pod: 0/1 nodes are available: 1 Insufficient cpu.",
    ),
    "crash": (Kind.CRASH, "container opencode ended with exit code 7"),
    "ended": (Kind.CRASH, "container opencode ended with exit code 0"),
    "ending": (Kind.ENDING, "the former pod has not ended yet on node opencode-fleet"),
    "init": (Kind.INIT, "init container lay-skeleton ended with exit code 3: /app: disk is full"),
    "init-between-tries": (
        Kind.INIT,
        "init container lay-skeleton ended with exit code 3: laying",
    ),
    "init-mute": (Kind.INIT, "init container lay-skeleton ended with exit code 3"),
    "memory": (
        Kind.MEMORY,
        "container opencode was killed: it needs more memory than its limit"
        " (OOMKilled, exit code 137)",
    ),
    "name": (
        Kind.IMAGE,
        'image Not//Valid cannot be used: Failed to apply default image tag "Not//Valid": couldn\'t'
        ' parse image name "Not//Valid": invalid reference format: repository name (/Valid) must be'
        " lowercase",
    ),
    "never": (
        Kind.IMAGE,
        'image team/absent:t1 cannot be used: Container image "team/absent:t1" is not present with'
        " pull policy of Never",
    ),
    "no-class": (
        Kind.NO_CLASS,
        "its claim of no class is not bound: no persistent volumes available for this claim and no"
        " storage class is set",
    ),
    "no-key": (Kind.MISSING, "couldn't find key apiKey in Secret t-watching/oc-no-key"),
    "no-scene": (Kind.MISSING, 'configmap "scene-coding-0123456789" not found'),
    "no-secret": (Kind.MISSING, 'secret "oc-no-secret" not found'),
    "node": (Kind.NODE, "node gone-node does not answer"),
    "pull": (
        Kind.IMAGE_PULL,
        "image registry.invalid/team/runtime:t1 cannot be used: failed to do request: Head"
        ' "https://registry.invalid/v2/team/runtime/manifests/t1": dial tcp: lookup'
        " registry.invalid on 10.43.0.10:53: no such host",
    ),
    "quota": (
        Kind.QUOTA,
        "quota pool is used up: requested: requests.cpu=1m, used: requests.cpu=0, limited:"
        " requests.cpu=0",
    ),
    "selector": (
        Kind.UNSCHEDULABLE,
        "no node takes the pod: 0/1 nodes are available: 1 node(s) didn't match Pod's node"
        " affinity/selector.",
    ),
    "silent": (Kind.SILENT, "runs, does not answer: Startup probe failed: connection refused"),
    "unhealthy": (
        Kind.CRASH,
        "container opencode does not answer and was ended: Liveness probe failed: connection"
        " refused",
    ),
    "volume": (
        Kind.VOLUME,
        'MountVolume.SetUp failed for volume "x" : hostPath type check failed: /not/there is not a'
        " directory",
    ),
}
RUNNING = {"corrected", "evicted", "ready"}


@pytest.mark.parametrize("case", sorted(set(cases()) - RUNNING - {"strict"}))
def test_the_clusters_own_reason_is_told(case: str) -> None:
    reason = recorded(case).reason()
    assert reason is not None
    assert (reason.kind, reason.text) == SAID[case]


@pytest.mark.parametrize("case", sorted(RUNNING))
def test_what_runs_has_no_reason(case: str) -> None:
    assert recorded(case).reason() is None


def test_a_pod_that_the_cluster_refuses_names_the_rule_without_the_pods_random_name() -> None:
    reason = recorded("strict").reason()
    assert reason is not None
    assert reason.kind is Kind.REFUSED
    assert reason.text.startswith('the cluster refuses its pod: violates PodSecurity "restricted')
    assert len(reason.text) == LONGEST


def test_a_deployment_that_is_not_there_is_told() -> None:
    reason = reason_of(None, [], [])
    assert reason is not None
    assert reason.kind is Kind.GONE


def test_who_is_to_have_no_pod_has_no_reason() -> None:
    found = recorded("crash")
    found.deployment["spec"]["replicas"] = 0
    assert found.reason() is None


def test_a_pod_of_a_former_template_is_not_blamed() -> None:
    """A bad image, then the corrected file: the old pod's pull error is nobody's any more."""
    found = recorded("pull")
    for kind in ("containers", "initContainers"):
        found.deployment["spec"]["template"]["spec"][kind][0]["image"] = "team/good:1"
    assert found.reason() is None
    found.pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    reason = found.reason()
    assert reason is not None
    assert reason.kind is Kind.ENDING


def test_a_failed_set_of_a_former_template_is_not_blamed() -> None:
    found = recorded("quota")
    found.deployment["spec"]["template"]["spec"]["containers"][0]["image"] = "team/good:1"
    assert found.reason() is None


def test_a_set_that_cannot_be_made_is_told() -> None:
    found = recorded("quota")
    message = 'replicasets.apps "x" is forbidden: exceeded quota: pool, requested: count=1'
    found.replicasets = []
    found.deployment["status"]["conditions"] = [
        {
            "type": "Progressing",
            "status": "False",
            "reason": "ReplicaSetCreateError",
            "message": message,
        }
    ]
    reason = found.reason()
    assert reason is not None
    assert (reason.kind, reason.text) == (Kind.QUOTA, "quota pool is used up: requested: count=1")


def test_an_evicted_pod_beside_its_running_replacement_is_no_reason() -> None:
    found = recorded("evicted")
    assert len(found.pods) == 3
    found.pods.reverse()
    assert found.reason() is None


def test_an_evicted_pod_alone_says_why_the_node_put_it_out() -> None:
    found = recorded("evicted")
    found.pods = [pod for pod in found.pods if pod["status"]["phase"] == "Failed"]
    reason = found.reason()
    assert reason is not None
    assert reason.kind is Kind.EVICTED
    assert reason.text.startswith("Evicted: Usage of EmptyDir volume")


@pytest.mark.parametrize(
    ("case", "kind"),
    [
        ("no-scene", Kind.STARTING),
        ("volume", Kind.STARTING),
        ("silent", Kind.SILENT),
        ("class", Kind.CLAIM),
        ("unhealthy", Kind.CRASH),
        ("pull", Kind.IMAGE_PULL),
    ],
)
def test_without_events_a_reason_is_less_exact(case: str, kind: Kind) -> None:
    found = recorded(case)
    found.events = []
    reason = found.reason()
    assert reason is not None
    assert reason.kind is kind


def test_events_of_another_pod_are_not_read() -> None:
    found = recorded("no-scene")
    for event in found.events:
        event["involvedObject"]["name"] = "another"
    reason = found.reason()
    assert reason is not None
    assert reason.kind is Kind.STARTING


def test_a_pull_that_only_backs_off_is_told_by_its_event() -> None:
    found = recorded("pull")
    waiting = {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "x"'}
    found.pod["status"]["initContainerStatuses"][0]["state"] = {"waiting": waiting}
    said = 'Failed to pull image "x": rpc error: code = NotFound desc = manifest unknown'
    about = {"kind": "Pod", "name": found.pod["metadata"]["name"]}
    found.events = [{"reason": "Failed", "message": said, "involvedObject": about, "metadata": {}}]
    reason = found.reason()
    assert reason is not None
    assert reason.text.endswith("cannot be used: manifest unknown")


def test_a_first_crash_is_told_while_the_next_try_has_not_begun() -> None:
    reason = recorded("crash").reason()
    assert reason is not None
    assert reason.restarts > 0


def test_an_init_container_that_is_tried_again_is_not_blamed_for_the_try_before() -> None:
    found = recorded("init-between-tries")
    state = found.pod["status"]["initContainerStatuses"][0]
    state["state"] = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
    reason = found.reason()
    assert reason is None or reason.kind is Kind.STARTING


def test_a_pod_that_a_gate_holds_back_is_told() -> None:
    found = recorded("cpu")
    (condition,) = found.pod["status"]["conditions"]
    condition["reason"] = "SchedulingGated"
    reason = found.reason()
    assert reason is not None
    assert reason.text == "a scheduling gate holds the pod back"


def long(found: Recorded) -> None:
    found.pod["status"]["conditions"][0]["message"] = "x" * 10_000


def lines(found: Recorded) -> None:
    found.pod["status"]["conditions"][0]["message"] = "a\nb\x1b[2J\x1b]0;owned\x07 c"


def token(found: Recorded) -> None:
    found.pod["status"]["conditions"][0]["message"] = "user sk-abcdefgh12345678 refused"


@pytest.mark.parametrize("edit", [long, lines, token])
def test_what_a_cluster_says_is_one_short_line_without_escapes_and_credentials(
    edit: Callable[[Recorded], None],
) -> None:
    found = recorded("cpu")
    edit(found)
    reason = found.reason()
    assert reason is not None
    assert len(reason.text) <= LONGEST
    assert reason.text.isprintable()
    assert "sk-abcdefgh" not in reason.text


def test_safe_text_keeps_what_is_no_credential() -> None:
    assert safe("a\n  b") == "a b"
    assert safe("pull with sk-abcdefgh12345678 refused") == "pull with [hidden] refused"


@pytest.mark.parametrize("case", cases())
def test_every_recording_is_read_whatever_is_missing_of_it(case: str) -> None:
    """A controller may not have written its part yet."""
    whole = recorded(case)
    for part in ("status", "spec"):
        found = copy.deepcopy(whole)
        for item in (*found.pods, *found.replicasets, *found.claims):
            item.pop(part, None)
        reason = found.reason()
        assert reason is None or reason.text
    reason = whole.reason()
    assert reason is None or set(reason.as_json()) == {"kind", "text", "restarts"}
