"""Day two: drift, what somebody edited or deleted by hand, is repaired by the next run."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.harness.environment import Environment, changes_of
from tests.e2e.harness.making import Maker

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def drift(make: Maker) -> Environment:
    """ann with a scene, running."""
    environment = make("drift", ["ann", "ben"])
    environment.user("ann")["scenes"] = ["coding"]
    environment.up()
    return environment


def repaired(environment: Environment, kind: str, name: str) -> None:
    """Apply: it must repair the one object and bring everybody back."""
    bens = environment.uids()["ben"]
    outcome = environment.up()
    put_back = outcome["putBack"]
    assert any(item.startswith(kind) and item.endswith(name) for item in put_back), outcome
    environment.ready("ann")
    environment.workspace("ann").healthy()
    assert environment.uids()["ben"] == bens, "nobody else is touched"


@pytest.mark.parametrize(
    "kind",
    [
        "Deployment",
        "Service",
        "NetworkPolicy",
        "ResourceQuota",
        "LimitRange",
        "ServiceAccount",
        "Role",
        "RoleBinding",
    ],
)
def test_an_object_that_somebody_deleted_is_made_again(drift: Environment, kind: str) -> None:
    """Lost otherwise: one careless kubectl delete is only found when a user complains."""
    names = {
        "NetworkPolicy": "runtimes",
        "ResourceQuota": "pool",
        "LimitRange": "pool",
        **dict.fromkeys(("ServiceAccount", "Role", "RoleBinding"), "agent-control"),
    }
    name = names.get(kind, "oc-ann")
    drift.kube.ask("delete", kind.lower(), name, f"-n={drift.namespace}", "--wait=true")
    repaired(drift, kind, name)


def test_a_secret_that_somebody_deleted_is_replaced_by_one_whose_password_works(
    drift: Environment,
) -> None:
    """Lost otherwise: `fleet password` prints a password that opens nothing."""
    drift.kube.ask("delete", "secret", "oc-ann", f"-n={drift.namespace}")
    drift.up()
    try:
        drift.workspace("ann").healthy(15)
    finally:
        assert drift.fleet("restart", "ann").code == 0
    drift.workspace("ann").healthy()


def test_scenes_and_managed_configuration_that_somebody_deleted_are_made_again(
    drift: Environment,
) -> None:
    """Lost otherwise: runtimes go on until their next restart, and then do not start."""
    where = f"-n={drift.namespace}"
    selector = f"--selector=opencode-fleet/environment={drift.name}"
    names = [item["metadata"]["name"] for item in drift.kube.list("configmaps", where, selector)]
    assert len(names) == 2
    drift.kube.ask("delete", "configmap", *names, where)
    before = drift.uids()
    outcome = drift.up()
    assert len(outcome["putBack"]) == 2
    assert drift.uids() == before
    assert drift.fleet("restart", "ann").code == 0


NO_TOKEN = {"template": {"spec": {"automountServiceAccountToken": True}}}
ALL_SECRETS = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["*"]}]
EDITS: list[tuple[str, str, dict[str, Any]]] = [
    ("Service", "oc-ann", {"spec": {"selector": {"opencode-fleet/user": "ben"}}}),
    ("Deployment", "oc-ann", {"spec": NO_TOKEN}),
    ("NetworkPolicy", "runtimes", {"spec": {"egress": [{}]}}),
    ("NetworkPolicy", "default-deny", {"spec": {"policyTypes": ["Ingress"]}}),
    ("Role", "agent-control", {"rules": ALL_SECRETS}),
    ("ResourceQuota", "pool", {"spec": {"hard": {"pods": "1"}}}),
]


@pytest.mark.parametrize(
    ("kind", "name", "patch"), EDITS, ids=[f"{kind}-{json.dumps(edit)}" for kind, _, edit in EDITS]
)
def test_an_object_that_somebody_edited_is_put_right(
    drift: Environment, kind: str, name: str, patch: dict[str, Any]
) -> None:
    """Lost otherwise: an edit by hand opens the network or the Secrets, and stays."""
    merge = ("--type=merge", "-p", json.dumps(patch))
    drift.kube.ask("patch", kind.lower(), name, f"-n={drift.namespace}", *merge)
    before = drift.fleet("preview", "--image", drift.image)
    assert before.code == 3, before.said
    repaired(drift, kind, name)


def test_an_update_strategy_that_somebody_edited_is_put_right(drift: Environment) -> None:
    """Lost otherwise: two pods of one user write one database, and every later apply fails."""

    def edit(strategy: dict[str, Any]) -> None:
        patch = json.dumps({"spec": {"strategy": strategy}})
        drift.kube.ask("patch", "deployment", "oc-ann", f"-n={drift.namespace}", "-p", patch)

    edit({"type": "RollingUpdate"})
    try:
        repaired(drift, "Deployment", "oc-ann")
    finally:
        edit({"type": "Recreate", "rollingUpdate": None})


def test_an_object_that_lost_its_label_is_taken_back(drift: Environment) -> None:
    """Lost otherwise: what nobody owns is never cleaned up."""
    label = "opencode-fleet/environment-"
    drift.kube.ask("label", "service", "oc-ann", label, f"-n={drift.namespace}")
    repaired(drift, "Service", "oc-ann")


def test_what_does_not_belong_to_the_environment_is_left_alone(drift: Environment) -> None:
    """Lost otherwise: apply deletes what the team put beside it, such as its certificates."""
    meta = {"name": "certificate-of-the-team", "namespace": drift.namespace}
    drift.kube.make({"apiVersion": "v1", "kind": "Secret", "metadata": meta})
    drift.up()
    assert drift.kube.one("secret", meta["name"], drift.namespace) is not None
    drift.kube.ask("delete", "secret", meta["name"], f"-n={drift.namespace}")


def test_when_all_is_repaired_the_next_run_finds_nothing_to_do(drift: Environment) -> None:
    """Lost otherwise: a repair that is not quite right is made again and again."""
    drift.up()
    again = drift.up()
    assert changes_of(again) == []
