"""The door's objects: what it may do, who reaches it, how its hosts and certificates are told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from door.control import names as door_names
from door.control.app import create_app, make_context
from door.control.pages.refusals import DoorPages
from door.control.settings import Settings
from fleet import names
from fleet.plan.door import SEED_SECRET
from tests.support.deployed import VARIANTS, Deployed, deploy
from tests.support.door_world import SEED, FakeWorld
from tests.support.stacks import with_value

NAMES = sorted(name for name in vars(door_names) if name.isupper() and name != "RUNTIME_PORT")


@pytest.fixture
def plain(shared_folder: Path) -> Deployed:
    """Two users with scenes and a model."""
    return deploy(VARIANTS["plain"], shared_folder)


def pod_of(deployed: Deployed) -> dict[str, Any]:
    """Return the spec of the door's pods."""
    return deployed.of_door("Deployment")["spec"]["template"]["spec"]


def container_of(deployed: Deployed, name: str) -> dict[str, Any]:
    """Return one of the door's containers."""
    (found,) = (item for item in pod_of(deployed)["containers"] if item["name"] == name)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_the_door_reads_the_labels_and_annotations_that_are_written(name: str) -> None:
    assert getattr(door_names, name) == getattr(names, name)


@pytest.mark.parametrize("variant", list(VARIANTS))
def test_the_doors_settings_are_what_the_door_reads(variant: str, shared_folder: Path) -> None:
    deployed = deploy(VARIANTS[variant], shared_folder)
    plan = deployed.plan.door
    text = deployed.of_door("ConfigMap", plan.settings_name)["data"]["settings.json"]
    settings = Settings.model_validate_json(text)
    assert settings.front == plan.url
    assert settings.namespace == plan.namespace == "opencode-test"
    assert settings.pools == tuple(pool.namespace for pool in deployed.plan.pools)


def test_every_object_of_the_door_says_whose_it_is_and_is_of_no_pool(plain: Deployed) -> None:
    for item in plain.door:
        metadata = item["metadata"]
        assert metadata["labels"]["opencode-fleet/environment"] == "test"
        assert "opencode-fleet/pool" not in metadata["labels"]
        assert metadata.get("namespace", metadata["name"]) == "opencode-test"


def test_the_doors_namespace_goes_with_the_environment(plain: Deployed) -> None:
    metadata = plain.of_door("Namespace", "opencode-test")["metadata"]
    assert "opencode-fleet/retain" not in metadata.get("annotations", {})
    assert metadata["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_the_door_looks_and_scales_in_pools_and_does_nothing_else(plain: Deployed) -> None:
    (role,) = (item for item in plain.of("Role") if item["metadata"]["name"] == "door")
    rights = {
        (resource, verb)
        for rule in role["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    looks = {(kind, verb) for kind in ("pods", "deployments") for verb in ("get", "list", "watch")}
    assert rights == {*looks, ("deployments/scale", "patch")}
    (binding,) = (item for item in plain.of("RoleBinding") if item["metadata"]["name"] == "door")
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": "door", "namespace": "opencode-test"}
    ]


def test_the_door_keeps_leases_in_its_own_namespace_and_deletes_none(plain: Deployed) -> None:
    (rule,) = plain.of_door("Role")["rules"]
    assert rule["resources"] == ["leases"]
    assert "delete" not in rule["verbs"]


def test_only_control_has_the_token_of_the_account(plain: Deployed) -> None:
    pod = pod_of(plain)
    assert pod["automountServiceAccountToken"] is False
    paths = {
        item["name"]: {mount["mountPath"] for mount in item["volumeMounts"]}
        for item in pod["containers"]
    }
    assert "/var/run/secrets/kubernetes.io/serviceaccount" in paths["control"]
    assert paths["proxy"] == {"/tmp"}  # noqa: S108 - a mount of its own


def test_no_pod_of_the_door_goes_before_another_is_ready(plain: Deployed) -> None:
    spec = plain.of_door("Deployment")["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert container_of(plain, "control")["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_several_pods_spread_over_nodes_and_outlive_an_emptied_one(shared_folder: Path) -> None:
    one = deploy(VARIANTS["plain"], shared_folder)
    assert "PodDisruptionBudget" not in {item["kind"] for item in one.door}
    two = deploy(VARIANTS["two doors"], shared_folder)
    assert two.of_door("Deployment")["spec"]["replicas"] == 2
    assert two.of_door("PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    (spread,) = pod_of(two)["topologySpreadConstraints"]
    assert spread["topologyKey"] == "kubernetes.io/hostname"


def test_one_route_carries_everybody_and_no_user_has_one(plain: Deployed) -> None:
    assert {item["kind"] for item in plain.objects} & {"Ingress", "HTTPRoute"} == set()
    spec = plain.of_door("Ingress")["spec"]
    assert [rule["host"] for rule in spec["rules"]] == ["fleet.localhost", "*.fleet.localhost"]
    backends = [path["backend"] for rule in spec["rules"] for path in rule["http"]["paths"]]
    assert backends == [{"service": {"name": "door", "port": {"number": 80}}}] * 2
    assert "tls" not in spec


def test_no_proxy_in_front_cuts_a_stream_off_or_refuses_a_body(plain: Deployed) -> None:
    assert plain.of_door("Ingress")["metadata"]["annotations"] == {
        "nginx.ingress.kubernetes.io/proxy-body-size": "100m",
        "nginx.ingress.kubernetes.io/proxy-buffering": "off",
        "nginx.ingress.kubernetes.io/proxy-request-buffering": "off",
        "nginx.ingress.kubernetes.io/proxy-read-timeout": "86400",
        "nginx.ingress.kubernetes.io/proxy-send-timeout": "86400",
        "haproxy.org/timeout-server": "86400s",
        "haproxy.org/timeout-tunnel": "86400s",
    }


BOTH = ["fleet.example.com", "*.fleet.example.com"]


@pytest.mark.parametrize(
    ("variant", "certificates"),
    [
        ("tls secret", [(BOTH, "wildcard")]),
        ("tls selfSigned", [(BOTH, "fleet-self-signed")]),
        ("tls by dns01", [(BOTH, "door-tls")]),
        (
            "tls certManager",
            [
                (["fleet.example.com"], "door-tls"),
                (
                    ["alice.fleet.example.com", "bob-b-example-com-4996b30f08.fleet.example.com"],
                    "door-tls-default",
                ),
            ],
        ),
        ("tls front", None),
    ],
)
def test_each_mode_has_certificates_for_its_hosts(
    variant: str, certificates: list[tuple[list[str], str]] | None, shared_folder: Path
) -> None:
    item = deploy(VARIANTS[variant], shared_folder).of_door("Ingress")
    found = item["spec"].get("tls")
    wanted = certificates and [{"hosts": hosts, "secretName": name} for hosts, name in certificates]
    assert found == wanted
    issuer = item["metadata"]["annotations"].get("cert-manager.io/cluster-issuer")
    managed = variant in {"tls certManager", "tls by dns01"}
    assert issuer == ("letsencrypt" if managed else None)


def test_hosts_that_are_proven_one_by_one_have_a_rule_each(shared_folder: Path) -> None:
    # A controller takes the certificate of a rule's own host; a wildcard would have none.
    spec = deploy(VARIANTS["tls certManager"], shared_folder).of_door("Ingress")["spec"]
    certified = [host for item in spec["tls"] for host in item["hosts"]]
    assert [rule["host"] for rule in spec["rules"]] == certified


def test_tls_that_ends_in_front_still_makes_links_of_https(shared_folder: Path) -> None:
    plan = deploy(VARIANTS["tls front"], shared_folder).plan
    assert plan.door.url == "https://fleet.example.com"
    assert json.loads(plan.door.settings)["trustedProxies"] == ["10.0.0.0/24"]


def test_an_http_route_leads_from_the_gateways_listener_to_the_door(shared_folder: Path) -> None:
    values = with_value(VARIANTS["httpRoute"], "access.gateway.sectionName", "fleet")
    deployed = deploy(values, shared_folder)
    assert "Ingress" not in {item["kind"] for item in deployed.door}
    spec = deployed.of_door("HTTPRoute")["spec"]
    parent = {"name": "public", "namespace": "gateways", "sectionName": "fleet"}
    assert spec["parentRefs"] == [parent]
    assert spec["hostnames"] == ["fleet.localhost", "*.fleet.localhost"]
    (rule,) = spec["rules"]
    assert rule["backendRefs"] == [{"name": "door", "port": 80}]
    assert rule["timeouts"] == {"request": "0s"}


def test_an_active_runtime_leaves_its_number_of_pods_to_the_door(shared_folder: Path) -> None:
    deployed = deploy(VARIANTS["suspended"], shared_folder)
    suspended = deployed.named("Deployment", "oc-alice")
    assert suspended["spec"]["replicas"] == 0
    assert suspended["metadata"]["annotations"]["opencode-fleet/state"] == "suspended"
    active = next(
        item for item in deployed.of("Deployment") if item["metadata"]["name"] != "oc-alice"
    )
    assert "replicas" not in active["spec"]


def test_a_runtime_tells_the_door_who_its_user_is(shared_folder: Path) -> None:
    deployed = deploy(VARIANTS["full"], shared_folder)
    notes = deployed.named("Deployment", "oc-alice")["metadata"]["annotations"]
    told = {key.partition("/")[2]: text for key, text in notes.items()}
    assert told["user-id"] == "alice"
    assert told["login"] == "alice@example.com"
    assert told["admin"] == "true"
    assert told["password-version"] == "2"
    assert told["suspend-after"] == str(4 * 3600)
    assert json.loads(told["scenes"])[0] == {
        "id": "coding",
        "title": "Coding",
        "description": "Code with care.",
    }
    assert "hours" not in told, "her profile says never, and the environment's hours lie beyond it"


def test_none_of_it_is_in_the_pod(shared_folder: Path) -> None:
    # Else a changed title would restart everybody.
    template = deploy(VARIANTS["full"], shared_folder).named("Deployment", "oc-alice")["spec"]
    annotations = template["template"]["metadata"]["annotations"]
    assert set(annotations) == {
        "opencode-fleet/password-fingerprint",
        "opencode-fleet/secrets-fingerprint",
        "opencode-fleet/scene-version-papers",
    }


@pytest.mark.parametrize("variant", ["plain", "oidc", "header"])
def test_every_mode_of_sign_in_starts_with_what_the_fleet_writes(
    variant: str, shared_folder: Path
) -> None:
    plan = deploy(VARIANTS[variant], shared_folder).plan.door
    settings = Settings.model_validate_json(plan.settings)
    assert settings.sign_in == plan.access.sign_in.mode
    secrets = {SEED_SECRET: SEED} | {name: "a secret" for name, _ in plan.secrets}
    context = make_context(settings, secrets, FakeWorld(), DoorPages(settings))
    client = TestClient(create_app(context), base_url=settings.front)
    assert client.get("/.door/sign-in").status_code == (403 if variant == "header" else 200)
