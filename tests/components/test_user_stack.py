"""A user's resources: how many, what is secret, what outlives them, what waits for what."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from fleet.cluster.desired import key_fingerprint
from fleet.manifests.pool import pool_objects
from fleet.manifests.runtime import Given
from fleet.manifests.user import user_objects
from fleet.plan.environment import Plan, fingerprint
from tests.support.recording import Engine
from tests.support.small_fleet import (
    IMAGE,
    KEYS,
    as_manifest,
    deploy,
    is_kept,
    notes,
    objects,
    password_of,
    plan_of,
)
from tests.support.stacks import FULL, SMALL, Values, with_value

MODEL = {"provider": "openai", "baseUrl": "https://api.example.com/v1", "name": "gpt-5"}
ROUTED = {
    **SMALL,
    "access": {
        **SMALL["access"],
        "route": "httpRoute",
        "gateway": {"name": "front", "namespace": "gateways"},
    },
}
SUSPENDED = with_value(SMALL, "users[1].state", "suspended")
KEYED = {
    **SMALL,
    "model": MODEL,
    "users": [{"id": "alice", "apiKey": "aliceApiKey"}, {"id": "bob"}],
}
VARIANTS = {
    "small": SMALL,
    "full": FULL,
    "routed": ROUTED,
    "suspended": SUSPENDED,
    "keyed": KEYED,
}


def _rendered(plan: Plan) -> list[dict[str, Any]]:
    found: list[Any] = []
    for pool in plan.pools:
        found += pool_objects(pool)
        for user in pool.users:
            data = {"password": password_of(user.id)}
            if user.api_key:
                data["apiKey"] = KEYS[user.api_key]
            given = Given(
                image=IMAGE,
                pull_secret=plan.pull_secret,
                secret_data=data,
                api_key_fingerprint=key_fingerprint(user, KEYS),
            )
            found += user_objects(user, plan.access, given)
    return cast("list[dict[str, Any]]", found)


def _ordered(manifests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    def key(item: dict[str, Any]) -> tuple[str, ...]:
        metadata = item["metadata"]
        return (item["kind"], metadata.get("namespace", ""), metadata["name"])

    return sorted(manifests, key=key)


@pytest.mark.parametrize("name", VARIANTS)
def test_pulumi_and_render_make_the_same_objects(name: str, tmp_path: Path) -> None:
    plan = plan_of(VARIANTS[name], tmp_path)
    declared = [as_manifest(item) for item in objects(deploy(plan))]
    assert _ordered(declared) == _ordered(_rendered(plan))


def _of_user(made: Engine, user: str) -> list[str]:
    return [r.name for r in made.resources if r.name == user or r.name.startswith(f"{user}-")]


@pytest.mark.parametrize("name", VARIANTS)
def test_a_user_costs_seven_resources(name: str, tmp_path: Path) -> None:
    made = deploy(plan_of(VARIANTS[name], tmp_path))
    assert len(_of_user(made, "alice")) == 7, _of_user(made, "alice")


def test_one_more_user_costs_seven_more(tmp_path: Path) -> None:
    two = deploy(plan_of(SMALL, tmp_path))
    three = deploy(plan_of(with_value(SMALL, "users[2]", {"id": "carol"}), tmp_path))
    assert len(three.resources) - len(two.resources) == 7


def test_the_password_is_secret_wherever_it_goes(tmp_path: Path) -> None:
    made = deploy(plan_of(SMALL, tmp_path))
    secret = made.one("Secret", "alice-secret")
    assert secret.is_secret("data.password")
    assert made.exports["passwords"] == {user: password_of(user) for user in ("alice", "bob")}
    assert "passwords" in made.secret_exports
    in_clear = [
        r.name
        for r in made.resources
        if password_of("alice") in str(r.inputs) and not r.is_secret("data.password")
    ]
    assert in_clear == []


def test_a_password_has_190_bits_and_needs_no_quoting(tmp_path: Path) -> None:
    inputs = deploy(plan_of(SMALL, tmp_path)).one("RandomPassword", "alice-password").inputs
    assert inputs["length"] == 32
    assert inputs["special"] is False


def test_a_new_password_version_makes_a_new_password(tmp_path: Path) -> None:
    values = with_value(SMALL, "users[0].passwordVersion", 7)
    made = deploy(plan_of(values, tmp_path))
    assert made.one("RandomPassword", "alice-password").inputs["keepers"] == {"version": "7"}
    assert made.one("RandomPassword", "bob-password").inputs["keepers"] == {"version": "1"}


def test_only_the_claim_outlives_its_user(tmp_path: Path) -> None:
    made = deploy(plan_of(SMALL, tmp_path))
    mine = [r for r in made.resources if r.name.startswith("alice")]
    assert [r.name for r in mine if r.options.retain_on_delete] == ["alice-claim"]
    assert [r.name for r in mine if is_kept(r)] == ["alice-claim"]
    assert not any(r.options.protect for r in mine)


def test_no_edit_of_the_stack_file_replaces_a_claim(tmp_path: Path) -> None:
    ignored = deploy(plan_of(SMALL, tmp_path)).one("PersistentVolumeClaim", "alice-claim").options
    assert set(ignored.ignore_changes) == {
        "spec.storageClassName",
        "spec.volumeName",
        "spec.accessModes",
        "spec.selector",
    }


def test_a_pod_starts_after_its_secret_claim_and_the_rules_that_confine_it(tmp_path: Path) -> None:
    made = deploy(plan_of(FULL, tmp_path))
    waits = {
        urn.rsplit("::", 1)[1]
        for urn in made.one("Deployment", "alice-deployment").options.depends_on
    }
    assert {"alice-secret", "alice-claim"} <= waits
    assert {"lab-networkpolicy-runtimes", "lab-networkpolicy-default-deny"} <= waits
    assert any(name.startswith("lab-configmap-scene-coding") for name in waits)
    assert any(name.startswith("lab-configmap-managed-config") for name in waits)


def test_everything_of_a_user_waits_for_the_namespace(tmp_path: Path) -> None:
    made = deploy(plan_of(SMALL, tmp_path))
    namespace = made.one("Namespace").urn
    mine = [r for r in objects(made) if r.name.startswith("alice-")]
    assert len(mine) == 5
    assert all(namespace in r.options.depends_on for r in mine)


def test_nobody_waits_for_a_suspended_user(tmp_path: Path) -> None:
    made = deploy(plan_of(SUSPENDED, tmp_path))
    suspended = made.one("Deployment", "bob-deployment")
    assert suspended.inputs["spec"]["replicas"] == 0
    assert notes(suspended)["pulumi.com/skipAwait"] == "true"
    assert "pulumi.com/waitFor" not in notes(suspended)


def test_an_active_runtime_is_waited_for_until_its_new_pod_is_ready(tmp_path: Path) -> None:
    found = notes(deploy(plan_of(SUSPENDED, tmp_path)).one("Deployment", "alice-deployment"))
    assert "updatedReplicas}=1" in found["pulumi.com/waitFor"]
    assert "availableReplicas}=1" in found["pulumi.com/waitFor"]
    assert "pulumi.com/skipAwait" not in found


@pytest.mark.parametrize("kind", ["PersistentVolumeClaim", "Service", "Ingress"])
def test_what_never_gets_ready_by_itself_is_not_waited_for(kind: str, tmp_path: Path) -> None:
    for item in deploy(plan_of(SMALL, tmp_path)).of_type(kind):
        assert notes(item)["pulumi.com/skipAwait"] == "true"


def test_a_key_of_the_users_own_reaches_their_secret_only(tmp_path: Path) -> None:
    made = deploy(plan_of(KEYED, tmp_path))
    alice = made.one("Secret", "alice-secret")
    assert alice.is_secret("data.apiKey")
    assert as_manifest(alice)["stringData"]["apiKey"] == KEYS["aliceApiKey"]
    assert (
        as_manifest(made.one("Secret", "bob-secret"))["stringData"]["apiKey"] == KEYS["modelApiKey"]
    )


def _mark(made: Engine, user: str) -> str:
    spec = made.one("Deployment", f"{user}-deployment").inputs["spec"]
    return spec["template"]["metadata"]["annotations"]["opencode-fleet/api-key-fingerprint"]


def test_a_new_key_restarts_the_pod_and_stays_out_of_its_spec(tmp_path: Path) -> None:
    made = deploy(plan_of(KEYED, tmp_path))
    assert _mark(made, "alice") == fingerprint(KEYS["aliceApiKey"])
    runtime = made.one("Deployment", "alice-deployment")
    assert runtime.secret_paths == frozenset()
    assert KEYS["aliceApiKey"] not in str(runtime.inputs)


def test_a_user_without_a_key_has_no_fingerprint(tmp_path: Path) -> None:
    made = deploy(plan_of(SMALL, tmp_path))
    assert _mark(made, "alice") == ""
    assert set(as_manifest(made.one("Secret", "alice-secret"))["stringData"]) == {"password"}


def test_a_gateway_gets_a_route_instead_of_an_ingress(tmp_path: Path) -> None:
    made = deploy(plan_of(ROUTED, tmp_path))
    route = made.one("kubernetes:gateway.networking.k8s.io/v1:HTTPRoute", "alice-route")
    assert route.inputs["spec"]["hostnames"] == ["alice.fleet.localhost"]
    assert made.of_type("Ingress") == []


def test_on_the_shared_claim_a_user_keeps_a_claim_of_their_own(tmp_path: Path) -> None:
    made = deploy(plan_of(FULL, tmp_path))
    spec = made.one("Deployment", "alice-deployment").inputs["spec"]["template"]["spec"]
    mounts = {mount["mountPath"]: mount for mount in spec["containers"][0]["volumeMounts"]}
    assert mounts["/app"] == {"name": "shared", "mountPath": "/app", "subPath": "alice"}
    assert mounts["/data"]["name"] == "user"
    assert made.one("PersistentVolumeClaim", "alice-claim").options.retain_on_delete


@pytest.mark.parametrize("values", [SMALL, FULL], ids=["small", "full"])
def test_a_preview_shows_every_resource(values: Values, tmp_path: Path) -> None:
    plan = plan_of(values, tmp_path)
    shown = deploy(plan, preview=True)
    assert [r.urn for r in shown.resources].sort() == [r.urn for r in deploy(plan).resources].sort()
    assert shown.one("Deployment", "alice-deployment").inputs["spec"]["template"]
