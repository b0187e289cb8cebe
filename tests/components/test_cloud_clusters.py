"""Both kinds of cloud cluster as the state of an environment of release 0.1.0 knows them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from components.alicloud.provider import cloud_provider
from fleet.alicloud.config import AckCluster, VmCluster
from tests.support.cloud_world import declare
from tests.support.clusters import ack, vm
from tests.support.programs import ROOT
from tests.support.recording import run

BEFORE = "opencode-fleet:cloud:Cloud"
NOW = {"vm": "opencode-fleet:vm:MachineCluster", "ack": "opencode-fleet:ack:ManagedCluster"}
REGISTRY = {
    "server": "registry.example.com",
    "username": "puller",
    "acr": {"instanceId": "cri-t4n0abcd1234efgh"},
}
SHARED: dict[str, Any] = {"nas": {}, "dns": {"zone": "example.com"}, "registry": REGISTRY}
ROLE = {"actions": ["oss:GetObject"], "resources": ["acs:oss:*:*:bucket/*"]}
CLUSTERS = {
    "vm": vm(
        schedule={"start": "0 8 * * *", "stop": "0 20 * * *", "hoursPerWeek": 84},
        instance={"ramRole": ROLE},
        **SHARED,
    ),
    "ack": ack(**SHARED),
}
EVERYTHING: dict[str, Any] = {"hosts": ("*.fleet.example.com",), "domain": "fleet.example.com"}


def _names_before(kind: str) -> set[str]:
    """Return what release 0.1.0 declared for the same cluster, as its state has it."""
    text = (ROOT / "tests/support/releases/cloud-0.1.0.txt").read_text(encoding="utf-8")
    pairs = [line.split(" ", 1) for line in text.splitlines()]
    return {name for cluster, name in pairs if cluster == kind}


@pytest.mark.parametrize("kind", ["vm", "ack"])
def test_every_resource_of_the_release_before_is_found_in_its_state(kind: str) -> None:
    made = declare(CLUSTERS[kind], **EVERYTHING)
    names = {r.urn.split("::", 2)[2].replace(NOW[kind], BEFORE) for r in made.resources}
    # What is new: a repository for the door's image.
    added = {name for name in names if name.endswith("-repository-door")}
    assert names - added == _names_before(kind)
    assert len(added) == 1


@pytest.mark.parametrize("cluster", CLUSTERS.values(), ids=CLUSTERS)
def test_a_cluster_is_known_by_the_name_it_had_before(cluster: VmCluster | AckCluster) -> None:
    made = declare(cluster, **EVERYTHING)
    # The engine gives what lies in a component the other names of the component by itself.
    aliased = {r.typ: r.options.aliases for r in made.resources if r.options.aliases}
    assert aliased == {NOW[cluster.kind]: (f"type={BEFORE}",)}


def test_files_and_repository_are_reported_where_they_are_made() -> None:
    reported = {
        "nasServer": "0abc-xyz.ap-southeast-1.nas.aliyuncs.com",
        "repository": "registry.example.com/fleet/runtime",
    }
    for cluster in CLUSTERS.values():
        exports = declare(cluster, **EVERYTHING).exports
        assert {key: exports.get(key) for key in reported} == reported
    assert not set(reported) & set(declare(vm()).exports)


def test_a_role_by_oidc_is_told_to_the_provider_and_its_token_is_not() -> None:
    variables = {
        "ALIBABA_CLOUD_ROLE_ARN": "acs:ram::1:role/ci",
        "ALIBABA_CLOUD_OIDC_PROVIDER_ARN": "acs:ram::1:oidc-provider/ci",
        "ALIBABA_CLOUD_OIDC_TOKEN_FILE": "/run/token",
        "ALIBABA_CLOUD_OIDC_TOKEN": "invented token",
    }
    made = run(lambda: cloud_provider("fleet-test", vm(), variables))
    inputs = made.one("pulumi:providers:alicloud").inputs
    assert json.loads(inputs["assumeRoleWithOidc"])["oidcTokenFile"] == "/run/token"
    assert "invented token" not in str(inputs)
    plain = run(lambda: cloud_provider("fleet-test", vm(), {"ALICLOUD_ACCESS_KEY": "id"}))
    assert "assumeRoleWithOidc" not in plain.one("pulumi:providers:alicloud").inputs
