"""The whole program with the two shipped cloud files: what it makes, exports and never does."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from fleet.names import SEED_KEY
from tests.support.cloud_world import LOOKUPS, OUTPUTS
from tests.support.deployed import SEED
from tests.support.policies import POLICIES
from tests.support.policy import offences
from tests.support.programs import ROOT, keys_of_engine
from tests.support.recording import Engine, run

CREDENTIALS = ("ALICLOUD_ACCESS_KEY", "ALICLOUD_SECRET_KEY")
REGISTRY_PASSWORD = "invented-registry-password"  # noqa: S105 - of nobody


def shipped(
    environment: str,
    monkeypatch: pytest.MonkeyPatch,
    registry: dict[str, str] | None = None,
    **changes: Any,
) -> Engine:
    """Run the program with a shipped stack file, with `changes` to its `cluster`."""
    monkeypatch.chdir(ROOT)
    text = Path(f"Pulumi.{environment}.yaml").read_text(encoding="utf-8")
    values: dict[str, Any] = {
        key.removeprefix("opencode-fleet:"): value
        for key, value in yaml.safe_load(text)["config"].items()
        if key.startswith("opencode-fleet:")
    }
    values["cluster"] |= changes
    secrets = {SEED_KEY: SEED}
    if registry is not None:
        values["cluster"]["registry"] = registry
        secrets["registryPassword"] = REGISTRY_PASSWORD
    engine = Engine(
        outputs=OUTPUTS,
        lookups=dict(LOOKUPS),
        config={**keys_of_engine(values, secrets), "pulumi:disable-default-providers": "[]"},
        secret_keys=tuple(f"opencode-fleet:{key}" for key in secrets),
    )

    def program() -> None:
        runpy.run_path(str(ROOT / "__main__.py"), run_name="__main__")

    return run(program, engine)


@pytest.fixture(params=["alicloud-vm", "alicloud-ack"])
def made(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Engine:
    give_credentials(monkeypatch)
    return shipped(request.param, monkeypatch)


def give_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set made-up credentials; no call leaves the process."""
    for variable in CREDENTIALS:
        monkeypatch.setenv(variable, "made-up")


def test_a_shipped_cloud_file_breaks_no_rule(made: Engine) -> None:
    assert offences(made.resources) == []
    assert [line for rule in POLICIES.values() for line in rule(made.resources)] == []


def test_it_exports_what_an_operator_needs_next(made: Engine) -> None:
    assert {"urls", "passwords", "namespaces", "retained", "address", "kubeconfig"} <= set(
        made.exports
    )
    assert set(made.exports["urls"]) == {"alice", "bob"}
    assert made.exports["address"]


def test_workspaces_stand_under_the_provider_of_the_cluster_it_made(made: Engine) -> None:
    deployments = [item for item in made.resources if item.typ.endswith(":Deployment")]
    assert {item.name for item in deployments} >= {"alice-deployment", "bob-deployment"}
    providers = [item for item in made.resources if item.typ == "pulumi:providers:kubernetes"]
    assert len(providers) == 2
    assert all(item.inputs.get("kubeconfig") for item in providers)


def test_without_credentials_it_says_so_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in CREDENTIALS:
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(pulumi.RunError, match=r"^cluster\.profile: not set: nobody to work as"):
        shipped("alicloud-vm", monkeypatch)


def test_a_region_that_is_not_listed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    give_credentials(monkeypatch)
    there: dict[str, Any] = {
        "region": "sa-east-1",
        "zone": "sa-east-1a",
        "allowUnlistedRegion": True,
    }
    # A warning is all that this run has against it.
    with pytest.raises(AssertionError) as caught:
        shipped("alicloud-vm", monkeypatch, **there)
    assert str(caught.value) == (
        "SDK warning: cluster.region: sa-east-1: this region is not listed here: what is sold "
        "there, and for how much, is not known"
    )


def test_the_registry_password_is_a_secret_and_reaches_the_pull_secret_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    give_credentials(monkeypatch)
    registry = {"server": "registry.example.com", "username": "puller"}
    resources = shipped("alicloud-ack", monkeypatch, registry).resources
    logins = [item for item in resources if item.name.endswith("-secret-fleet-registry")]
    assert logins
    assert all(item.is_secret("data..dockerconfigjson") for item in logins)
    assert not [
        item for item in resources if REGISTRY_PASSWORD in str(item.inputs) and item not in logins
    ]
    runtimes = [item for item in resources if item.typ.endswith(":Deployment")]
    pods = [item.inputs["spec"]["template"]["spec"] for item in runtimes]
    assert all(pod["imagePullSecrets"] == [{"name": "fleet-registry"}] for pod in pods)
