"""The managed cluster: what it is told, who comes in, how it is reached."""

from __future__ import annotations

import json
from typing import Any

import pulumi
import pulumi_kubernetes as k8s
import pytest
import yaml

from components.alicloud.addons import ClusterAddons, ClusterAddonsArgs
from tests.support.cloud_world import declare
from tests.support.clusters import ack
from tests.support.policy import offences
from tests.support.recording import Engine, run

SPOT_POOL = {"name": "spot", "types": ["ecs.g7.large"], "spot": True, "minNodes": 0, "maxNodes": 5}
BASE_POOL = {"name": "base", "types": ["ecs.g7.xlarge"], "minNodes": 2, "maxNodes": 2}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"production": True, "nas": {}},
        {"webCidrs": []},
        {"nodePools": [BASE_POOL, SPOT_POOL]},
        {"controlPlane": {"publicEndpoint": True}, "network": {"allowOpenAdmin": True}},
    ],
)
def test_every_policy_holds(changes: dict[str, Any]) -> None:
    assert offences(declare(ack(**changes)).resources) == []


def test_network_policies_are_enforced() -> None:
    addons = {a["name"]: a for a in declare(ack()).one("ManagedKubernetes").inputs["addons"]}
    assert json.loads(addons["terway-eniip"]["config"])["NetworkPolicy"] == "true"
    assert addons["nginx-ingress-controller"]["disabled"] is True


def test_nothing_is_made_behind_our_back() -> None:
    cluster = declare(ack()).one("ManagedKubernetes").inputs
    assert cluster["newNatGateway"] is False
    assert cluster["slbInternetEnabled"] is False
    assert cluster["skipSetCertificateAuthority"] is True
    kept = {o["resourceType"] for o in cluster["deleteOptions"] if o["deleteMode"] == "retain"}
    assert kept == {"SLS_Data", "SLS_ControlPlane"}


def test_logs_and_audit_are_on() -> None:
    cluster = declare(ack()).one("ManagedKubernetes").inputs
    assert cluster["controlPlaneLogComponents"] == ["apiserver", "controlplane-events"]
    assert cluster["controlPlaneLogTtl"] == "30"
    assert cluster["auditLogConfig"] == {"enabled": True}


def test_production_cannot_be_deleted_by_mistake() -> None:
    made = declare(ack(production=True))
    assert made.one("ManagedKubernetes").inputs["deletionProtection"] is True
    assert made.one("ManagedKubernetes").options.protect
    assert made.one("ApplicationLoadBalancer").inputs["deleteProtection"] == "on"


def test_a_pool_between_two_sizes_is_left_to_the_autoscaler() -> None:
    pool = declare(ack(nodePools=[BASE_POOL, SPOT_POOL])).one("NodePool", "fleet-test-pool-spot")
    assert pool.inputs["scalingConfig"] == {
        "enable": True,
        "minSize": 0,
        "maxSize": 5,
        "type": "spot",
    }
    assert "desiredSize" not in pool.inputs
    assert pool.options.ignore_changes == ("desiredSize",)
    assert pool.inputs["spotStrategy"] == "SpotAsPriceGo"


def test_a_pool_of_one_size_has_it() -> None:
    pool = declare(ack(nodePools=[BASE_POOL])).one("NodePool")
    assert pool.inputs["desiredSize"] == "2"
    assert "scalingConfig" not in pool.inputs
    assert pool.options.ignore_changes == ()


def test_the_kubeconfig_is_secret_bounded_and_private_by_default() -> None:
    made = declare(ack())
    config = yaml.safe_load(made.exports["kubeconfig"])
    assert config["clusters"][0]["cluster"]["server"] == "https://172.20.0.30:6443"
    assert "kubeconfig" in made.secret_exports
    asked = next(call for call in made.calls if "getClusterCredential" in call.token)
    assert asked.args["temporaryDurationMinutes"] == 180


def test_a_public_endpoint_is_asked_for() -> None:
    made = declare(ack(controlPlane={"publicEndpoint": True}, network={"allowOpenAdmin": True}))
    config = yaml.safe_load(made.exports["kubeconfig"])
    assert config["clusters"][0]["cluster"]["server"] == "https://198.51.100.30:6443"


def test_only_the_named_networks_come_in() -> None:
    made = declare(ack(webCidrs=["203.0.113.0/24", "198.51.100.0/24"]))
    entries = {entry.inputs["entry"] for entry in made.of_type("AclEntryAttachment")}
    assert entries == {"203.0.113.0/24", "198.51.100.0/24"}
    assert made.exports["access_list_id"] == "fleet-test-web-id"


def test_without_web_networks_the_balancer_is_private() -> None:
    made = declare(ack(webCidrs=[]))
    balancer = made.one("ApplicationLoadBalancer").inputs
    assert balancer["addressType"] == "intranet"
    assert balancer["vswitchId"] == "fleet-test-node-ap-southeast-1b-id"
    assert made.of_type("Acl") == []


def test_the_cluster_is_known_by_its_id_whatever_the_kubeconfig() -> None:
    assert declare(ack()).exports["identifier"] == "fleet-test-cluster-id"


def test_files_are_mounted_from_our_switches_only() -> None:
    made = declare(ack(nas={}))
    sources = {rule.inputs["sourceCidrIp"] for rule in made.of_type("AccessRule")}
    assert sources == {"172.20.0.0/19", "172.20.32.0/19"}
    assert made.exports["nasServer"].endswith(".nas.aliyuncs.com")
    assert made.one("FileSystem").options.retain_on_delete


def test_a_file_system_that_is_there_is_only_named() -> None:
    existing = {"server": "0abc-xyz.ap-southeast-1.nas.aliyuncs.com"}
    made = declare(ack(nas={"existing": existing}))
    assert made.of_type("FileSystem") == []
    assert made.exports["nasServer"] == existing["server"]


def _addons(**changes: Any) -> Engine:
    def program() -> None:
        provider = k8s.Provider("cluster", kubeconfig="{}")
        ClusterAddons(
            "fleet-test",
            ClusterAddonsArgs(balancer_id="lb-1", **changes),
            pulumi.ResourceOptions(providers=[provider]),
        )

    return run(program)


def test_disks_and_files_outlive_their_claims() -> None:
    made = _addons(nas_server="files.example")
    classes = {c.inputs["metadata"]["name"]: c.inputs for c in made.of_type("StorageClass")}
    assert {c["reclaimPolicy"] for c in classes.values()} == {"Retain"}
    assert classes["fleet-retain"]["volumeBindingMode"] == "WaitForFirstConsumer"
    assert classes["fleet-retain"]["allowVolumeExpansion"] is True
    assert classes["fleet-nas"]["parameters"]["server"] == "files.example:/"


def test_the_ingress_controller_uses_our_balancer_and_its_access_list() -> None:
    values = _addons(access_list_id="acl-1").one("Release").inputs["values"]
    annotations = values["service"]["annotations"]
    prefix = "service.beta.kubernetes.io/alibaba-cloud-loadbalancer"
    assert annotations[f"{prefix}-id"] == "lb-1"
    assert annotations[f"{prefix}-acl-id"] == "acl-1"
    assert annotations[f"{prefix}-acl-type"] == "white"


def test_streams_are_never_cut_by_the_ingress_controller() -> None:
    arguments = _addons().one("Release").inputs["values"]["additionalArguments"]
    for entry in ("web", "websecure"):
        wanted = f"--entryPoints.{entry}.transport.respondingTimeouts.writeTimeout=0s"
        assert wanted in arguments


def test_without_certificates_nobody_is_sent_to_https() -> None:
    arguments = _addons(https=False).one("Release").inputs["values"]["additionalArguments"]
    assert not [argument for argument in arguments if "redirections" in argument]
