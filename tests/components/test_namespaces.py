"""A pool's resources, and the two providers that everything in a cluster goes through."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as k8s
import pytest

from components.bridge import type_token
from components.placement import declare_target
from components.providers import retained_options
from fleet.manifests.types import Manifest
from fleet.stackfile.config import StackConfig
from tests.support.recording import run
from tests.support.small_fleet import deploy, is_retained, notes, objects, plan_of
from tests.support.stacks import FULL, SMALL, lay_scene, with_value

RETAINED = {"Namespace", "PersistentVolume", "PersistentVolumeClaim"}


def test_what_holds_data_stays_and_nothing_else_does(tmp_path: Path) -> None:
    for item in objects(deploy(plan_of(FULL, tmp_path))):
        # The door's namespace holds nobody's work.
        retained = item.inputs["kind"] in RETAINED and item.name != "door-namespace"
        assert item.options.retain_on_delete == retained, item.name
        assert is_retained(item) == retained, item.name


def test_nothing_is_deleted_together_with_a_namespace_that_stays(tmp_path: Path) -> None:
    assert not any(r.options.deleted_with for r in deploy(plan_of(FULL, tmp_path)).resources)


def test_what_stays_is_told(tmp_path: Path) -> None:
    assert deploy(plan_of(SMALL, tmp_path)).exports["retained"] == [
        "namespace/opencode-test--default",
        "persistentvolumeclaim/oc-alice -n opencode-test--default",
        "persistentvolumeclaim/oc-bob -n opencode-test--default",
    ]


def test_the_shared_claim_and_its_volume_are_told_too(tmp_path: Path) -> None:
    told = deploy(plan_of(FULL, tmp_path)).exports["retained"]
    assert "persistentvolumeclaim/workspaces -n opencode-test--lab" in told
    assert "persistentvolume/opencode-test--lab--shared" in told


def test_everything_in_a_pool_waits_for_its_namespace(tmp_path: Path) -> None:
    made = deploy(plan_of(SMALL, tmp_path))
    places = {made.one("Namespace", "default-namespace").urn, made.one("ResourceQuota").urn}
    for item in objects(made):
        if item.inputs["metadata"].get("namespace") == "opencode-test--default":
            assert places & item.options.depends_on, item.name


def test_what_a_quota_counts_is_made_when_it_has_been_counted(tmp_path: Path) -> None:
    """Else the controller that counts first and the API server meet, and one object is refused."""
    made = deploy(plan_of(FULL, tmp_path))
    quotas = {item.inputs["metadata"]["namespace"]: item for item in made.of_type("ResourceQuota")}
    counted = [*made.of_type("Service"), *made.of_type("PersistentVolumeClaim")]
    # No quota counts in the door's namespace.
    counted = [item for item in counted if item.name != "door-service-door"]
    assert len(counted) > len(quotas)
    for item in counted:
        assert quotas[item.inputs["metadata"]["namespace"]].urn in item.options.depends_on
    for quota in quotas.values():
        assert "pulumi.com/skipAwait" not in notes(quota)


def test_rules_do_not_grow_with_users(tmp_path: Path) -> None:
    more = with_value(SMALL, "users[2]", {"id": "carol"})
    two, three = (deploy(plan_of(values, tmp_path)) for values in (SMALL, more))
    names = [item.name for item in two.of_type("NetworkPolicy")]
    assert "default-networkpolicy-default-deny" in names
    assert [item.name for item in three.of_type("NetworkPolicy")] == names


def test_a_changed_scene_is_another_object(tmp_path: Path) -> None:
    values = with_value(SMALL, "users[0].scenes", ["coding"]) | {
        "scenes": {"coding": {"path": "scenes/coding"}}
    }
    lay_scene(tmp_path / "scenes" / "coding")
    names: set[str] = set()
    for text in ("one", "two"):
        (tmp_path / "scenes" / "coding" / "AGENTS.md").write_text(text, encoding="utf-8")
        found = deploy(plan_of(values, tmp_path)).of_type("ConfigMap")
        scenes = [item for item in found if "scene" in item.name]
        assert [item.inputs["immutable"] for item in scenes] == [True]
        names |= {item.urn for item in scenes}
    assert len(names) == 2


def test_two_pools_share_no_resource(tmp_path: Path) -> None:
    made = deploy(plan_of(FULL, tmp_path))
    assert {item.name for item in made.of_type("PoolNamespace")} == {"default", "lab"}
    assert len(made.of_type("Namespace")) == 3, "with the door's"


def test_only_one_provider_adopts_what_is_there(tmp_path: Path) -> None:
    made = deploy(plan_of(SMALL, tmp_path))
    main = made.one("pulumi:providers:kubernetes", "kubernetes").inputs
    adopting = made.one("pulumi:providers:kubernetes", "kubernetes-keeper").inputs
    assert adopting["upsertExistingObjects"] == "true"
    assert adopting["enablePatchForce"] == "true"
    assert "upsertExistingObjects" not in main
    assert "enablePatchForce" not in main
    for inputs in (main, adopting):
        assert inputs["clusterIdentifier"] == "cluster-1"
        assert inputs["context"] == "test"
        assert inputs["enableServerSideApply"] == "true"
        assert inputs["enableSecretMutable"] == "true"
        assert inputs["enableConfigMapMutable"] == "true"


def test_another_context_is_no_other_cluster_within_an_environment() -> None:
    first, second, other = (
        declare_target(environment, config_of(context), {}).api
        for environment, context in (("dev", "one"), ("dev", "two"), ("lab", "one"))
    )
    assert first.identifier == second.identifier
    assert (first.context, second.context) == ("one", "two")
    assert other.identifier != first.identifier


def config_of(context: str) -> StackConfig:
    """Return the least configuration of an existing cluster."""
    access = {"domain": "fleet.localhost", "tls": "none"}
    cluster = {"kind": "existing", "context": context}
    return StackConfig.model_validate({"cluster": cluster, "access": access, "users": []})


class Retained(pulumi.ComponentResource):
    """One object that stays, and the options it was given."""

    def __init__(self) -> None:
        super().__init__("opencode-fleet:test:Retained", "retained")
        adopting = k8s.Provider("adopting")
        self.plain = retained_options(self, adopting)
        self.claim = retained_options(self, adopting, claim=True)
        self.register_outputs({})


def test_options_of_retained_objects_change_nothing_of_their_parent() -> None:
    found: list[Retained] = []
    run(lambda: found.append(Retained()))
    made = found[0]
    assert made.plain.retain_on_delete is True
    assert made.plain.ignore_changes is None
    assert made.claim.ignore_changes is not None
    assert made.plain.parent is made


@pytest.mark.parametrize(
    ("resource", "version"),
    [
        (k8s.core.v1.Secret, "v1"),
        (k8s.core.v1.Namespace, "v1"),
        (k8s.apps.v1.Deployment, "apps/v1"),
        (k8s.networking.v1.Ingress, "networking.k8s.io/v1"),
        (k8s.rbac.v1.RoleBinding, "rbac.authorization.k8s.io/v1"),
    ],
)
def test_an_object_has_the_type_of_the_sdks_own_class(resource: Any, version: str) -> None:
    """Another type would be another URN: everything deployed would be deleted and made again."""
    manifest: Manifest = {
        "apiVersion": version,
        "kind": resource.__name__,
        "metadata": {"name": "x", "labels": {}},
    }
    assert type_token(manifest) == resource.pulumi_type


@pytest.mark.parametrize("kind", ["Secret", "ConfigMap"])
def test_only_what_a_secret_holds_is_secret_in_the_state(kind: str, tmp_path: Path) -> None:
    for item in deploy(plan_of(SMALL, tmp_path)).of_type(kind):
        found = set(item.options.additional_secret_outputs)
        assert found == ({"data", "stringData"} if kind == "Secret" else set())
