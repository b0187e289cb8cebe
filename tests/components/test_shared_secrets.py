"""Certificates and logins: one for the environment, a copy in every pool, never in clear."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pulumi

from components.environment import FleetEnvironment, FleetEnvironmentArgs
from components.providers import ClusterApi, kubernetes_providers
from components.pull_secret import pull_secret
from fleet.names import PULL_SECRET, SELF_SIGNED_SECRET
from tests.support.cloud_world import OUTPUTS, PRIVATE_PEM
from tests.support.deployed import SEED
from tests.support.recorded import Recorded
from tests.support.recording import Engine, run
from tests.support.small_fleet import DOOR_IMAGE, IMAGE, plan_of, secret_texts
from tests.support.stacks import SMALL, Values, with_value

POOLS = {"default": "opencode-test--default", "lab": "opencode-test--lab"}
DOOR = "opencode-test"
VALUES: Values = {**with_value(SMALL, "access.tls", "selfSigned"), "pools": {"lab": {}}}


def _deployed(folder: Path, values: dict[str, Any]) -> Engine:
    plan = plan_of(values, folder)

    def program() -> None:
        providers = kubernetes_providers(ClusterApi(identifier="cluster-1", context="test"))
        password = pulumi.Output.secret("made-up")
        login = pull_secret("registry.example.com", "puller", password)
        FleetEnvironment(
            plan.environment,
            FleetEnvironmentArgs(
                plan=plan,
                image=IMAGE,
                door_image=DOOR_IMAGE,
                seed=pulumi.Output.secret(SEED),
                sealed={},
                secrets=(login,),
                adopting=providers.adopting,
            ),
            pulumi.ResourceOptions(provider=providers.main),
        )

    return run(program, Engine(outputs=OUTPUTS))


def _copies(made: Engine, name: str) -> dict[str, Recorded]:
    found = [item for item in made.of_type("Secret") if item.inputs["metadata"]["name"] == name]
    return {item.inputs["metadata"]["namespace"]: item for item in found}


def test_every_namespace_can_pull_and_the_login_is_secret(tmp_path: Path) -> None:
    copies = _copies(_deployed(tmp_path, VALUES), PULL_SECRET)
    assert set(copies) == {*POOLS.values(), DOOR}
    for copy in copies.values():
        assert copy.inputs["type"] == "kubernetes.io/dockerconfigjson"
        assert copy.is_secret("data..dockerconfigjson")
        login = json.loads(secret_texts(copy)[".dockerconfigjson"])["auths"]
        assert login["registry.example.com"]["username"] == "puller"
        assert login["registry.example.com"]["auth"] == "cHVsbGVyOm1hZGUtdXA="


def test_a_cluster_that_exists_gets_the_certificate_that_its_route_names(tmp_path: Path) -> None:
    made = _deployed(tmp_path, VALUES)
    route = made.one("Ingress", "door-route").inputs["spec"]["tls"][0]
    copies = _copies(made, route["secretName"])
    assert route["secretName"] == SELF_SIGNED_SECRET
    assert set(copies) == {DOOR}
    for copy in copies.values():
        assert copy.inputs["type"] == "kubernetes.io/tls"
        assert secret_texts(copy)["tls.key"] == PRIVATE_PEM
        assert copy.is_secret("data.tls.key")
    assert made.one("CertRequest").inputs["dnsNames"] == ["fleet.localhost", "*.fleet.localhost"]


def test_no_certificate_is_made_that_is_not_asked_for(tmp_path: Path) -> None:
    made = _deployed(tmp_path, SMALL)
    assert [item.typ for item in made.resources if item.package == "tls"] == []
    assert _copies(made, SELF_SIGNED_SECRET) == {}


def test_a_pod_starts_after_the_copies_in_its_pool(tmp_path: Path) -> None:
    made = _deployed(tmp_path, VALUES)
    waits = made.one("Deployment", "alice-deployment").options.depends_on
    assert _copies(made, PULL_SECRET)["opencode-test--default"].urn in waits
    waits = made.one("Deployment", "door-deployment-door").options.depends_on
    for name in (PULL_SECRET, SELF_SIGNED_SECRET):
        assert _copies(made, name)[DOOR].urn in waits


def test_what_release_0_1_0_made_in_a_cloud_is_taken_over(tmp_path: Path) -> None:
    made = _deployed(tmp_path, VALUES)
    project = "urn:pulumi:dev::opencode-fleet::"
    services = f"{project}opencode-fleet:services:CloudServices$"
    authority = f"{services}opencode-fleet:tls:SelfSigned"
    assert made.one("SelfSigned").options.aliases == (f"{authority}::fleet-test",)
    copy = "$kubernetes:core/v1:Secret::fleet-test"
    assert _copies(made, PULL_SECRET)["opencode-test--lab"].options.aliases == (
        f"{services}opencode-fleet:registry:PullSecret{copy}-pull-secret-in-opencode-test--lab",
    )
