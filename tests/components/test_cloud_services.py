"""Both shipped clusters as a whole: cloud side and what runs inside, under every policy."""

from __future__ import annotations

from pathlib import Path

import pulumi
import pulumi_kubernetes as k8s
import pytest
import yaml
from pydantic import TypeAdapter

from components.alicloud.cluster import CloudArgs
from components.alicloud.machine_cluster import MachineCluster
from components.alicloud.managed_cluster import ManagedCluster
from components.alicloud.provider import cloud_provider
from components.alicloud.services import CloudServices, CloudServicesArgs
from fleet.alicloud.config import AckCluster, VmCluster
from fleet.alicloud.cost import cost_report
from fleet.alicloud.ram_policy import ram_policy
from fleet.alicloud.rules import cloud_problems
from tests.support.cloud_world import engine
from tests.support.clusters import vm
from tests.support.policy import offences
from tests.support.recording import Engine, run

SHIPPED = ("alicloud-vm", "alicloud-ack")
DOMAIN = "fleet.example.com"


def shipped(environment: str) -> VmCluster | AckCluster:
    text = Path(f"Pulumi.{environment}.yaml").read_text(encoding="utf-8")
    cluster = yaml.safe_load(text)["config"]["opencode-fleet:cluster"]
    known: TypeAdapter[VmCluster | AckCluster] = TypeAdapter(VmCluster | AckCluster)
    return known.validate_python(cluster)


def _whole(cluster: VmCluster | AckCluster, issuer: str | None = None) -> Engine:
    def program() -> None:
        opts = pulumi.ResourceOptions(providers=[cloud_provider("fleet-test", cluster)])
        hosts = (f"*.{DOMAIN}",)
        addons = None
        if isinstance(cluster, VmCluster):
            args = CloudArgs(cluster=cluster, domain=DOMAIN, hosts=hosts)
            made = MachineCluster("fleet-test", args, opts).made
        else:
            args = CloudArgs(cluster=cluster, domain=DOMAIN, hosts=hosts)
            managed = ManagedCluster("fleet-test", args, opts)
            made, addons = managed.made, managed.addons
        inside = k8s.Provider(
            "inside", kubeconfig=made.kubeconfig, cluster_identifier=made.identifier
        )
        wanted = CloudServicesArgs(
            cluster=cluster,
            addons=addons,
            issuer=issuer,
        )
        CloudServices("fleet-test", wanted, pulumi.ResourceOptions(providers=[inside]))

    return run(program, engine())


@pytest.mark.parametrize("environment", SHIPPED)
def test_a_shipped_cluster_holds_every_rule_and_policy(environment: str) -> None:
    cluster = shipped(environment)
    assert cloud_problems(cluster, DOMAIN) == ()
    made = _whole(cluster)
    assert offences(made.resources) == []
    provider = made.one("pulumi:providers:kubernetes")
    assert provider.is_secret("kubeconfig")
    assert provider.inputs["clusterIdentifier"]


@pytest.mark.parametrize("environment", SHIPPED)
def test_a_shipped_cluster_previews_without_the_cloud(environment: str) -> None:
    calls = {call.token for call in _whole(shipped(environment)).calls}
    # Of a cluster that is not there yet, a preview asks nothing.
    assert calls <= {"alicloud:cs/getClusterCredential:getClusterCredential"}


@pytest.mark.parametrize("environment", SHIPPED)
def test_a_shipped_cluster_has_a_price_and_a_policy(environment: str) -> None:
    cluster = shipped(environment)
    assert cost_report(cluster, users=2).unknown == ()
    assert list(ram_policy(cluster, "fleet-t")) == ["opencode-fleet"]


def test_the_machine_brings_its_own_ingress_controller() -> None:
    made = _whole(shipped("alicloud-vm"))
    assert made.of_type("Release") == []


def test_the_managed_cluster_gets_one_on_our_balancer() -> None:
    made = _whole(shipped("alicloud-ack"))
    values = made.one("Release").inputs["values"]["service"]["annotations"]
    assert "fleet-test-balancer-id" in values.values()
    assert "fleet-test-web-id" in values.values()


def test_lets_encrypt_is_installed_when_asked_for() -> None:
    certificates = {"email": "ops@example.com"}
    cluster = vm(certificates=certificates, network={"acmeOpen": True})
    made = _whole(cluster, "fleet")
    assert made.one("ClusterIssuer").inputs["metadata"]["name"] == "fleet"
    assert made.of_type("Secret") == []


def test_nothing_is_installed_that_is_not_asked_for() -> None:
    made = _whole(vm(certificates={"email": "ops@example.com"}, network={"acmeOpen": True}))
    assert made.of_type("Release") == []
    assert made.of_type("ClusterIssuer") == []
