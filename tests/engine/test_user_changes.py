"""What a run changes, in people's words: read from what the real engine printed."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from fleet.engine.changes import Action, Changes, UserChange, find_changes
from fleet.engine.events import Phase, Step, steps_of_edit
from tests.support.engine_events import recorded_inputs, recordings, step, steps

BOB = "bob.b@example.com"
CLAIM = "opencode-w--default/oc-bob-b-example-com-4996b30f08"


def changes(name: str, phase: Phase = Phase.BEGUN, **given: Any) -> Changes:
    return find_changes(steps(name, phase), **given)


def of(found: Changes, user: str) -> UserChange:
    (change,) = [item for item in found.users if item.user == user]
    return change


def test_the_same_file_changes_nothing() -> None:
    found = changes("unchanged")
    assert found == Changes()
    assert not found.anything
    assert found.lines() == ["nothing to do"]
    assert found.lines(done=True) == ["nothing changed"]


def test_the_first_run_creates_everybody_and_says_who_starts_suspended() -> None:
    found = changes("created")
    assert found.lines() == [
        "create    alice, bob.b@example.com",
        "create    carol: suspended",
        "pool default: created",
    ]
    assert found.anything


def test_a_new_user_is_created_and_nobody_else_is_named() -> None:
    assert [str(item.action) + " " + item.user for item in changes("added").users] == [
        "create dave"
    ]


def test_a_user_who_returns_is_told_to_find_the_data_again() -> None:
    found = changes("added", claims={"opencode-w--default/oc-dave"})
    assert of(found, "dave").reasons == ("finds the data of before again",)


@pytest.mark.parametrize(
    ("recording", "reasons"),
    [
        ("image", ("image runtime:t1 → runtime:t2",)),
        ("password", ("password",)),
        ("scene_added", ("scene research added",)),
        ("scene_removed", ("scene coding removed",)),
        ("scene_changed", ("scene coding changed",)),
    ],
)
def test_a_restart_names_its_reason(recording: str, reasons: tuple[str, ...]) -> None:
    change = of(changes(recording), "alice")
    assert change == UserChange(
        user="alice", pool="default", action=Action.RESTART, reasons=reasons
    )


@pytest.mark.parametrize(
    ("recording", "reasons"),
    [
        ("model", ("managed configuration",)),
        ("profile", ("cpu request 250m → 500m", "cpu limit 2 → 4", "memory limit 2Gi → 4Gi")),
    ],
)
def test_a_restart_of_everybody_names_its_reason(recording: str, reasons: tuple[str, ...]) -> None:
    assert of(changes(recording), BOB).reasons == reasons


def test_only_who_restarts_is_said_to_restart() -> None:
    assert [item.user for item in changes("password").users] == ["alice"]
    assert [item.user for item in changes("scene_added").users] == ["alice"]


def test_a_suspended_user_is_updated_not_restarted() -> None:
    assert of(changes("image"), "carol").action is Action.UPDATE
    assert of(changes("profile"), "carol").action is Action.UPDATE


def test_suspending_and_resuming_are_told_as_such() -> None:
    found = changes("state")
    assert of(found, "alice").action is Action.SUSPEND
    assert of(found, "carol").action is Action.RESUME


def test_a_grown_claim_restarts_nobody() -> None:
    change = of(changes("storage"), "alice")
    assert change.action is Action.RESIZE
    assert (change.reasons, change.also) == ((), ("storage 10Gi → 20Gi",))


def test_a_user_who_goes_is_removed_and_the_retained_claim_is_named() -> None:
    found = changes("removed")
    assert of(found, BOB).action is Action.REMOVE
    assert of(found, BOB).reasons == ("the claim and its data are retained",)
    assert f"claim {CLAIM}" in found.retained
    assert f"retained  claim {CLAIM}" in found.lines()


def test_a_claim_that_the_engine_really_deletes_is_told_loudly() -> None:
    claim = recorded_inputs("added", "dave-claim")
    (user,) = find_changes([step("delete", claim, None)]).users
    assert user.reasons == ("claim opencode-w--default/oc-dave AND ITS DATA are deleted",)
    namespace = recorded_inputs("created", "default-namespace-opencode-w--default")
    (pool,) = find_changes([step("delete", namespace, None)]).pools
    assert pool.changes == ("namespace opencode-w--default AND ALL IN IT are deleted",)


def test_taking_the_environment_down_names_all_that_stays() -> None:
    assert changes("destroyed").lines() == [
        "remove    alice, bob.b@example.com, carol: the claim and its data are retained",
        "pool default: removed",
        "retained  claim opencode-w--default/oc-alice",
        f"retained  claim {CLAIM}",
        "retained  claim opencode-w--default/oc-carol",
        "retained  namespace opencode-w--default",
    ]


@pytest.mark.parametrize(
    ("recording", "also"), [("display_name", ("display name",)), ("domain", ("route",))]
)
def test_what_reaches_no_pod_is_an_update(recording: str, also: tuple[str, ...]) -> None:
    change = of(changes(recording), BOB)
    assert (change.action, change.reasons, change.also) == (Action.UPDATE, (), also)


def test_what_a_pool_shares_is_told_by_pool() -> None:
    assert changes("pool").lines() == [
        "pool default: quota requests.cpu none → 20, network rules changed"
    ]
    assert "pool default: scene coding changed" in changes("scene_changed").lines()
    assert "pool default: scene research added" in changes("scene_added").lines()
    assert "pool default: managed configuration changed" in changes("model").lines()


def test_a_user_who_moves_to_another_pool_is_warned_of_the_empty_claim() -> None:
    found = changes("moved")
    assert of(found, "alice").action is Action.MOVE
    assert of(found, "alice").reasons == (
        "opencode-w--default → opencode-w--lab",
        "an empty claim there, the old one is retained",
    )
    assert found.retained == ("claim opencode-w--default/oc-alice",)


def test_what_somebody_edited_is_told_as_edited_not_as_a_change_of_the_file() -> None:
    found = changes("edited_by_hand")
    alice, bob, carol = of(found, "alice"), of(found, BOB), of(found, "carol")
    assert (alice.action, alice.reasons) == (Action.RESTART, ("image edited by hand",))
    assert set(alice.also) == {"Secret edited by hand", "Service deleted by hand"}
    assert (bob.action, bob.reasons) == (Action.RESUME, ("scaled by hand",))
    assert (carol.action, carol.reasons) == (Action.UPDATE, ("Deployment deleted by hand",))


def test_an_edit_that_the_file_makes_too_is_the_files() -> None:
    wanted = recorded_inputs("image", "alice-deployment")
    before, live = copy.deepcopy(wanted), copy.deepcopy(wanted)
    for item, image in ((before, "r:1"), (live, "r:2")):
        for kind in ("containers", "initContainers"):
            item["spec"]["template"]["spec"][kind][0]["image"] = image
    told = [step("refresh", before, None), step("update", live, wanted)]
    (change,) = find_changes(told).users
    assert change.reasons == ("image r:2 → runtime:t2",)


def test_an_object_put_back_without_the_engine_is_told_alike() -> None:
    wanted = recorded_inputs("image", "alice-deployment")
    found = copy.deepcopy(wanted)
    found["spec"]["template"]["spec"]["dnsPolicy"] = "ClusterFirst"
    found["spec"]["template"]["spec"]["containers"].append({"name": "sidecar", "image": "s:1"})
    main = found["spec"]["template"]["spec"]["containers"][0]
    main["terminationMessagePath"] = "/dev/termination-log"
    main["env"].insert(0, {"name": "FOREIGN", "value": "1"})
    token, urn = "kubernetes:apps/v1:Deployment", "urn:x"
    assert not find_changes(steps_of_edit(urn, token, wanted, found)).users
    main["image"] = "foreign:1"
    (change,) = find_changes(steps_of_edit(urn, token, wanted, found)).users
    assert (change.action, change.reasons) == (Action.RESTART, ("image edited by hand",))
    (change,) = find_changes(steps_of_edit(urn, token, wanted, None)).users
    assert change.reasons == ("Deployment deleted by hand",)


def test_an_edit_and_a_change_of_the_file_are_told_together() -> None:
    (change,) = [item for item in steps("image") if item.resource == "alice-deployment"]
    assert change.old is not None
    found = copy.deepcopy(dict(change.old))
    found["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = "somebody"
    put_back = steps_of_edit(change.urn, change.type, change.old, found)
    (told,) = find_changes([*put_back, change]).users
    assert told.action is Action.RESTART
    assert set(told.reasons) == {
        "image runtime:t1 → runtime:t2",
        "env OPENCODE_SERVER_USERNAME edited by hand",
    }
    unchanged = replace(change, op="same", new=change.old)
    (told,) = find_changes([*put_back, unchanged]).users
    assert told.reasons == ("env OPENCODE_SERVER_USERNAME edited by hand",)


def test_a_variable_somebody_took_away_is_told() -> None:
    wanted = recorded_inputs("image", "alice-deployment")
    found = copy.deepcopy(wanted)
    del found["spec"]["template"]["spec"]["containers"][0]["env"][0]
    told = steps_of_edit("urn:x", "kubernetes:apps/v1:Deployment", wanted, found)
    (change,) = find_changes(told).users
    assert change.reasons == ("env OPENCODE_SERVER_USERNAME edited by hand",)


def test_nothing_but_a_purge_is_a_change() -> None:
    found = changes("unchanged", purge={"eve": ["opencode-w--default/oc-eve"]})
    assert found.anything
    assert found.lines() == [
        "purge     eve: claim opencode-w--default/oc-eve and all data deleted for good"
    ]


def test_a_user_who_goes_and_is_purged_in_one_edit_is_purged_and_not_retained() -> None:
    found = changes("removed", purge={BOB: [CLAIM]})
    assert of(found, BOB).action is Action.PURGE
    assert found.retained == ("claim opencode-w--default/oc-carol",)


def test_a_replaced_deployment_restarts_and_says_which_field_forced_it() -> None:
    new = recorded_inputs("image", "alice-deployment")
    told = [
        step("create-replacement", new, new, keys=("spec.selector",)),
        step("delete-replaced", new, None),
    ]
    (change,) = find_changes(told).users
    assert change.action is Action.RESTART
    assert change.reasons == ("its Deployment is replaced (spec.selector)",)


def test_what_belongs_to_no_pool_is_told_of_the_environment() -> None:
    image = {"apiVersion": "docker/v1", "kind": "Image", "metadata": {"name": "runtime"}}
    provider = step("update", image, image, type="pulumi:providers:kubernetes")
    found = find_changes([step("create", None, image), provider])
    assert found.lines() == [
        "environment: Image runtime-image added",
        "environment: connection to the cluster changed",
    ]
    other = step("replace", image, image, type="pulumi:providers:kubernetes")
    assert find_changes([other]).lines() == [
        "environment: another cluster: every object is made anew"
    ]


def test_what_has_happened_is_told_in_the_past() -> None:
    assert changes("two_edits").lines(done=True) == [
        "removed   carol: the claim and its data are retained",
        "restarted alice: scene coding changed",
        "restarted bob.b@example.com: password, scene coding changed",
        "pool default: scene coding changed",
        "retained  claim opencode-w--default/oc-carol",
    ]


def test_what_failed_has_not_happened() -> None:
    assert {item.user for item in changes("failing").users} == {"alice", BOB, "carol", "dave"}
    done = changes("failing", Phase.DONE)
    assert [item.user for item in done.users] == ["dave"]


def test_many_users_alike_fit_a_line() -> None:
    base = recorded_inputs("image", "alice-deployment")
    told: list[Step] = []
    for number in range(100):
        old = copy.deepcopy(base)
        old["metadata"]["name"] = f"oc-u{number:02}"
        old["metadata"]["annotations"]["opencode-fleet/user-id"] = f"u{number:02}"
        new = copy.deepcopy(old)
        new["spec"]["template"]["spec"]["hostNetwork"] = True
        told.append(step("update", old, new))
    (line,) = find_changes(told).lines()
    assert line.startswith("restart   u00, u01, ")
    assert line.endswith("u11 and 88 more: pod's hostNetwork")


def test_a_script_reads_every_part() -> None:
    found = changes("removed").as_json()
    assert found["anything"] is True
    assert found["users"][0] == {
        "user": BOB,
        "pool": "default",
        "action": "remove",
        "reasons": ("the claim and its data are retained",),
        "also": (),
    }
    assert set(found) == {"anything", "users", "pools", "environment", "retained"}


@pytest.mark.parametrize("name", recordings())
def test_no_recording_holds_a_secret_value_and_no_line_is_long(name: str) -> None:
    for line in changes(name).lines():
        assert len(line) < 200
        assert line.isprintable()
