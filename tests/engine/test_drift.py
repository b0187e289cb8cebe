"""How a cluster differs from the engine's state: what is gone, edited, unknown."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from fleet.cluster.owned import Key, key_of
from fleet.engine.drift import Drift, find_drift
from fleet.engine.state import read_state
from tests.support.engine_state import (
    MANAGER,
    SECRET_MARK,
    deployment,
    exported,
    live,
    secret,
    service,
)


def drift(*items: dict[str, Any], there: list[dict[str, Any]] | None = None) -> Drift:
    """Compare a state that holds `items` with a cluster that has them, or what is `there`."""
    found = [live(item) for item in items] if there is None else there
    return find_drift("t", read_state(exported(*items)), {key_of(item): item for item in found})


def edited(item: dict[str, Any], *path: str | int, value: Any) -> dict[str, Any]:
    """Return a live object that somebody has edited."""
    found: Any = live(deepcopy(item), version="2")
    place = found
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return found


def test_a_cluster_that_is_what_the_state_says_has_no_drift() -> None:
    assert drift(service(), deployment(), secret()) == Drift()


def test_an_object_that_was_deleted_is_missing() -> None:
    found = drift(service(), deployment(), there=[live(deployment())])
    assert [record.key for record in found.missing] == [Key("Service", "n", "oc-alice")]
    assert (found.edited, found.unknown) == ((), ())


def test_a_write_that_changes_nothing_of_ours_is_no_drift() -> None:
    item = live(deployment(), version="2")
    item["status"] = {"replicas": 1}
    item["metadata"]["annotations"] = {"somebody/else": "x"}
    item["spec"]["template"]["metadata"] = {"annotations": {"kubectl/restartedAt": "now"}}
    assert drift(deployment(), there=[item]) == Drift()


@pytest.mark.parametrize(
    ("path", "value", "patch"),
    [
        pytest.param(
            ("spec", "replicas"), 0, {"spec": {"replicas": 1}}, id="a field with another value"
        ),
        pytest.param(
            ("metadata", "labels"),
            {"opencode-fleet/environment": "t", "opencode-fleet/user": "alice"},
            {"metadata": {"labels": {"app": "x"}}},
            id="a label that is gone",
        ),
        pytest.param(
            ("spec", "template", "spec", "containers", 0, "image"),
            "other:2",
            {"spec": {"template": {"spec": {"containers": [{"name": "a", "image": "a:1"}]}}}},
            id="a list is put back whole",
        ),
        pytest.param(
            ("spec", "template", "spec", "containers"),
            [{"name": "a", "image": "a:1"}, {"name": "guest", "image": "b:1"}],
            {"spec": {"template": {"spec": {"containers": [{"name": "a", "image": "a:1"}]}}}},
            id="a list with one more",
        ),
        pytest.param(
            ("spec", "strategy"),
            {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}},
            {"spec": {"strategy": {"type": "Recreate", "rollingUpdate": None}}},
            id="what the API server filled in beside it goes too",
        ),
    ],
)
def test_an_edit_is_undone_by_a_patch(
    path: tuple[str | int, ...], value: Any, patch: dict[str, Any]
) -> None:
    (edit,) = drift(deployment(), there=[edited(deployment(), *path, value=value)]).edited
    assert (edit.patch, edit.sealed) == (patch, False)


def test_what_the_api_server_drops_because_it_is_empty_is_no_edit() -> None:
    item = deployment()
    item["spec"]["template"]["spec"] |= {"volumes": [], "hostNetwork": False}
    there = edited(deployment(), "metadata", "annotations", value={})
    assert drift(item, there=[there]).edited == ()


def test_an_annotation_that_is_gone_is_an_edit() -> None:
    item = deployment()
    item["metadata"]["annotations"] = {"a": "1"}
    (edit,) = drift(item, there=[live(deployment(), version="2")]).edited
    assert edit.patch == {"metadata": {"annotations": {"a": "1"}}}


def test_a_sealed_value_counts_as_edited_only_when_somebody_else_has_written() -> None:
    ours = live(secret(), version="2")
    assert drift(secret(), there=[ours]).edited == ()
    theirs = live(secret(), version="2", managers=(MANAGER, "kubectl-patch"))
    (edit,) = drift(secret(), there=[theirs]).edited
    assert (edit.patch, edit.sealed) == ({}, True)


def test_of_a_claim_only_its_size_is_put_back() -> None:
    claim: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": service()["metadata"],
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "new",
            "resources": {"requests": {"storage": "2Gi"}},
        },
    }
    there = edited(claim, "spec", "storageClassName", value="old")
    assert drift(claim, there=[there]).edited == ()
    there["spec"]["resources"]["requests"]["storage"] = "1Gi"
    (edit,) = drift(claim, there=[there]).edited
    assert edit.patch == {"spec": {"resources": {"requests": {"storage": "2Gi"}}}}


class TestUnknown:
    def test_an_object_of_ours_that_no_state_holds_is_unknown(self) -> None:
        found = drift(service(), there=[live(service()), live(deployment())])
        assert found.unknown == (Key("Deployment", "n", "oc-alice"),)

    @pytest.mark.parametrize("kind", ["Namespace", "PersistentVolumeClaim", "PersistentVolume"])
    def test_what_is_retained_is_not(self, kind: str) -> None:
        item = {**service(), "kind": kind}
        assert drift(service(), there=[live(service()), live(item)]).unknown == ()

    def test_what_a_controller_made_with_our_labels_is_not(self) -> None:
        item = live(deployment())
        item["metadata"]["ownerReferences"] = [{"kind": "Certificate", "name": "x"}]
        assert drift(there=[item]).unknown == ()

    def test_what_is_on_its_way_out_is_not_and_is_told(self) -> None:
        item = live(deployment())
        item["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        found = drift(deployment(), there=[item])
        assert found.leaving == (Key("Deployment", "n", "oc-alice"),)
        assert [record.key for record in found.missing] == [Key("Deployment", "n", "oc-alice")]


class TestState:
    def test_other_resources_and_other_environments_objects_are_left_out(self) -> None:
        other = service()
        other["metadata"]["labels"]["opencode-fleet/environment"] = "other"
        state = read_state(exported(other, deployment()))
        assert state.resources == 4  # with the provider and the component
        assert find_drift("t", state, {}).missing == (
            state.objects[Key("Deployment", "n", "oc-alice")],
        )

    def test_a_resource_that_waits_for_its_deletion_stands_for_nothing(self) -> None:
        deploy = exported(service())
        deploy["resources"][-1]["delete"] = True
        assert read_state(deploy).objects == {}

    def test_an_empty_deployment_is_empty(self) -> None:
        assert read_state({}).empty
        assert not read_state(exported(service())).empty

    def test_pending_operations_are_told(self) -> None:
        deploy = exported(service())
        deploy["pending_operations"] = [{"type": "creating", "resource": {"urn": "urn:a"}}]
        assert read_state(deploy).pending == ("urn:a",)

    def test_a_sealed_value_is_not_read(self) -> None:
        record = read_state(exported(secret())).objects[Key("Secret", "n", "oc-alice")]
        assert record.inputs["data"] == SECRET_MARK
        assert record.manager == MANAGER
