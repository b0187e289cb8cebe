"""A user's resources: how many, what is secret, what outlives them, what waits for what."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any, cast

import pytest

from fleet.manifests.render import RenderInputs, rendered_files
from fleet.names import SEED_KEY
from fleet.plan.environment import Plan, fingerprint, secrets_fingerprint
from fleet.plan.passwords import derive_password, identity_of
from tests.support.recording import Engine
from tests.support.small_fleet import (
    DOOR_IMAGE,
    IMAGE,
    KEYS,
    SEED,
    as_manifest,
    deploy,
    is_retained,
    notes,
    objects,
    password_of,
    plan_of,
    secret_texts,
)
from tests.support.stacks import FULL, MODEL, SMALL, Values, with_value

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
    **MODEL,
    "users": [{"id": "alice", "apiKeys": {"openai": "aliceApiKey"}}, {"id": "bob"}],
}
VARIANTS = {
    "small": SMALL,
    "full": FULL,
    "routed": ROUTED,
    "suspended": SUSPENDED,
    "keyed": KEYED,
}


def inputs_of(secrets: dict[str, str]) -> RenderInputs:
    """Return what rendering takes, with the data of Secrets."""
    return RenderInputs(image=IMAGE, door_image=DOOR_IMAGE, secrets=secrets, with_secrets=True)


def _rendered(plan: Plan) -> list[dict[str, Any]]:
    secrets = {SEED_KEY: SEED, **KEYS}
    files = rendered_files(plan, inputs_of(secrets))
    return [cast("dict[str, Any]", item) for objects in files.values() for item in objects]


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
def test_a_user_costs_five_resources(name: str, tmp_path: Path) -> None:
    made = deploy(plan_of(VARIANTS[name], tmp_path))
    assert len(_of_user(made, "alice")) == 5, _of_user(made, "alice")


def test_one_more_user_costs_five_more(tmp_path: Path) -> None:
    two = deploy(plan_of(SMALL, tmp_path))
    three = deploy(plan_of(with_value(SMALL, "users[2]", {"id": "carol"}), tmp_path))
    assert len(three.resources) - len(two.resources) == 5


def test_a_suspended_user_has_no_pod_whoever_scaled_last(tmp_path: Path) -> None:
    made = deploy(plan_of(SUSPENDED, tmp_path))
    bob, alice = (made.one("Deployment", f"{user}-deployment") for user in ("bob", "alice"))
    assert bob.inputs["spec"]["replicas"] == 0
    assert notes(bob)["pulumi.com/patchForce"] == "true"
    # How many pods an active user has, the door decides.
    assert "replicas" not in alice.inputs["spec"]
    assert "pulumi.com/patchForce" not in notes(alice)


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


def test_a_password_is_the_derived_one_and_restarts_its_user_alone(tmp_path: Path) -> None:
    values = with_value(SMALL, "users[0].passwordVersion", 7)
    before, after = deploy(plan_of(SMALL, tmp_path)), deploy(plan_of(values, tmp_path))
    alice = secret_texts(after.one("Secret", "alice-secret"))["password"]
    assert alice == derive_password(SEED, "test", "alice", 7)
    assert after.exports["passwords"] == {"alice": alice, "bob": password_of("bob")}
    assert _mark(after, "alice", "password") == fingerprint(alice)
    assert _mark(before, "alice", "password") != _mark(after, "alice", "password")
    assert _mark(before, "bob", "password") == _mark(after, "bob", "password")


def test_the_seed_itself_goes_to_the_door_alone(tmp_path: Path) -> None:
    made = deploy(plan_of(KEYED, tmp_path))
    secret = made.one("Secret", "door-secret-door")
    assert secret_texts(secret)["seed"] == SEED
    assert secret.is_secret("data.seed")
    others = [item.inputs for item in made.resources if item is not secret]
    assert SEED not in str(others)
    assert base64.b64encode(SEED.encode()).decode() not in str(others)
    assert SEED not in str(made.exports)


def test_a_namespace_says_whose_it_is(tmp_path: Path) -> None:
    namespaces = deploy(plan_of(SMALL, tmp_path)).of_type("Namespace")
    assert len(namespaces) == 2
    for namespace in namespaces:
        assert notes(namespace)["opencode-fleet/identity"] == identity_of(SEED)
        assert namespace.secret_paths == frozenset()


def test_only_the_claim_outlives_its_user(tmp_path: Path) -> None:
    made = deploy(plan_of(SMALL, tmp_path))
    mine = [r for r in made.resources if r.name.startswith("alice")]
    assert [r.name for r in mine if r.options.retain_on_delete] == ["alice-claim"]
    assert [r.name for r in mine if is_retained(r)] == ["alice-claim"]
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
    # What the quota counts waits for the quota, which waits for the namespace.
    places = {made.one("Namespace", "default-namespace").urn, made.one("ResourceQuota").urn}
    mine = [r for r in objects(made) if r.name.startswith("alice-")]
    assert len(mine) == 4
    assert all(places & r.options.depends_on for r in mine)


# Kinds that the provider would wait for; of a quota it waits until it is counted.
AWAITED = {
    "Ingress",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Service",
    "ServiceAccount",
}


@pytest.mark.parametrize("name", VARIANTS)
def test_the_engine_waits_for_nothing_to_become_ready(name: str, tmp_path: Path) -> None:
    for item in objects(deploy(plan_of(VARIANTS[name], tmp_path))):
        told = {key: text for key, text in notes(item).items() if "pulumi.com/" in key}
        if item.inputs["kind"] in AWAITED:
            assert told == {"pulumi.com/skipAwait": "true"}, item.name
        elif item.inputs["kind"] != "Deployment":
            assert told == {}, item.name


@pytest.mark.parametrize("name", VARIANTS)
def test_the_end_of_a_runtime_is_waited_for(name: str, tmp_path: Path) -> None:
    """Else a user who is put back at once has two pods on one claim; skipAwait would skip it."""
    for item in deploy(plan_of(VARIANTS[name], tmp_path)).of_type("Deployment"):
        assert notes(item)["pulumi.com/waitFor"] == "jsonpath={.kind}=Deployment"
        assert "pulumi.com/skipAwait" not in notes(item)


def test_a_suspended_user_has_no_pod(tmp_path: Path) -> None:
    made = deploy(plan_of(SUSPENDED, tmp_path))
    assert made.one("Deployment", "bob-deployment").inputs["spec"]["replicas"] == 0


def test_a_key_of_the_users_own_reaches_their_secret_only(tmp_path: Path) -> None:
    made = deploy(plan_of(KEYED, tmp_path))
    alice = made.one("Secret", "alice-secret")
    assert alice.is_secret("data.FLEET_KEY_OPENAI")
    assert secret_texts(alice)["FLEET_KEY_OPENAI"] == KEYS["aliceApiKey"]
    assert secret_texts(made.one("Secret", "bob-secret"))["FLEET_KEY_OPENAI"] == KEYS["modelApiKey"]


def _mark(made: Engine, user: str, what: str = "secrets") -> str:
    spec = made.one("Deployment", f"{user}-deployment").inputs["spec"]
    return spec["template"]["metadata"]["annotations"][f"opencode-fleet/{what}-fingerprint"]


def test_a_new_key_restarts_the_pod_and_stays_out_of_its_spec(tmp_path: Path) -> None:
    made = deploy(plan_of(KEYED, tmp_path))
    given = {"FLEET_KEY_OPENAI": KEYS["aliceApiKey"]}
    assert _mark(made, "alice") == secrets_fingerprint(given)
    runtime = made.one("Deployment", "alice-deployment")
    assert runtime.secret_paths == frozenset()
    assert KEYS["aliceApiKey"] not in str(runtime.inputs)


def test_a_user_without_a_key_has_no_fingerprint(tmp_path: Path) -> None:
    made = deploy(plan_of(SMALL, tmp_path))
    with pytest.raises(KeyError):
        _mark(made, "alice")
    assert set(secret_texts(made.one("Secret", "alice-secret"))) == {"password"}


def test_a_gateway_gets_a_route_instead_of_an_ingress(tmp_path: Path) -> None:
    made = deploy(plan_of(ROUTED, tmp_path))
    route = made.one("kubernetes:gateway.networking.k8s.io/v1:HTTPRoute", "door-route")
    assert route.inputs["spec"]["hostnames"] == ["fleet.localhost", "*.fleet.localhost"]
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
    declared = deploy(plan).resources
    assert sorted(r.urn for r in shown.resources) == sorted(r.urn for r in declared)
    assert shown.one("Deployment", "alice-deployment").inputs["spec"]["template"]
