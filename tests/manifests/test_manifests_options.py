"""Where each option of a runtime ends up, and that no secret stands in clear."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.deployed import Deployed, deploy
from tests.support.stacks import FULL, MODEL, SMALL, Values, with_value


@pytest.fixture
def full(shared_folder: Path) -> Deployed:
    """Alice has everything."""
    return deploy(FULL, shared_folder)


def spec_of(made: Deployed, name: str = "oc-alice") -> dict[str, Any]:
    """Return a user's pod."""
    return made.named("Deployment", name)["spec"]["template"]["spec"]


def variables(made: Deployed, name: str = "oc-alice") -> dict[str, Any]:
    """Return the variables of a user's runtime: text, or key of which Secret."""
    (container,) = spec_of(made, name)["containers"]
    return {
        item["name"]: item.get("value", item.get("valueFrom", {}).get("secretKeyRef"))
        for item in container["env"]
    }


def volumes(made: Deployed, name: str = "oc-alice") -> dict[str, Any]:
    """Return where a runtime's mounts come from, by their path: mount and volume."""
    pod = spec_of(made, name)
    held = {item["name"]: item for item in pod["volumes"]}
    return {
        item["mountPath"]: (item, held[item["name"]])
        for item in pod["containers"][0]["volumeMounts"]
    }


def test_variables_of_all_of_the_profile_and_of_the_user_meet(full: Deployed) -> None:
    found = variables(full)
    assert (found["JIRA_URL"], found["SIZE"], found["TEAM"]) == (
        "https://jira.example.com",
        "large",
        "lab",
    )
    for name in ("JIRA_TOKEN", "LARGE_TOKEN", "ALICE_TOKEN", "FLEET_KEY_OPENAI"):
        assert found[name] == {"name": "oc-alice", "key": name}


def test_the_nearer_variable_takes_the_place_of_the_farther(tmp_path: Path) -> None:
    values: Values = {
        **SMALL,
        "env": {"A": "all", "B": "all", "C": "all"},
        "secretEnv": {"D": "jiraToken", "E": "jiraToken"},
        "profiles": {"standard": {"env": {"A": "profile", "D": "clear"}}},
        "users": [
            {"id": "alice", "env": {"A": "user", "E": "x"}, "secretEnv": {"C": "gitToken"}},
            {"id": "bob"},
        ],
    }
    made = deploy(values, tmp_path)
    of_alice, of_bob = variables(made), variables(made, "oc-bob")
    assert [of_alice[name] for name in ("A", "B", "D", "E")] == ["user", "all", "clear", "x"]
    assert of_alice["C"] == {"name": "oc-alice", "key": "C"}
    assert [of_bob[name] for name in ("A", "B", "C", "D")] == ["profile", "all", "all", "clear"]
    assert of_bob["E"] == {"name": "oc-bob", "key": "E"}


def test_a_variables_text_is_never_expanded(tmp_path: Path) -> None:
    values = {**SMALL, "env": {"A": "$(OPENCODE_SERVER_PASSWORD) $HOME"}}
    assert variables(deploy(values, tmp_path))["A"] == "$$(OPENCODE_SERVER_PASSWORD) $HOME"


def test_mounts_of_all_profile_scene_and_user_come_read_only(full: Deployed) -> None:
    found = volumes(full)
    for path, source in (
        ("/mnt/papers", {"persistentVolumeClaim": {"claimName": "papers"}}),
        ("/mnt/rules", {"configMap": {"name": "rules"}}),
        ("/mnt/licence", {"secret": {"secretName": "licence"}}),
        ("/mnt/large", {"configMap": {"name": "large"}}),
        ("/mnt/coding", {"configMap": {"name": "coding"}}),
        ("/mnt/alice", {"persistentVolumeClaim": {"claimName": "alice-data"}}),
        (
            "/mnt/models",
            {
                "csi": {
                    "driver": "csi.example.com",
                    "readOnly": True,
                    "volumeAttributes": {"a": "b"},
                }
            },
        ),
    ):
        mount, volume = found[path]
        assert {**volume, "name": None} == {**source, "name": None}
        assert mount.get("readOnly", False) is (path != "/mnt/papers")
    assert found["/mnt/papers"][0]["subPath"] == "all"
    first = spec_of(full)["initContainers"][0]["volumeMounts"]
    assert {item["mountPath"] for item in first} & {"/mnt/rules", "/mnt/alice"} == set()


def test_an_nfs_folder_has_a_volume_and_a_claim_in_each_pool_that_uses_it(full: Deployed) -> None:
    claim = volumes(full)["/mnt/nas"][1]["persistentVolumeClaim"]["claimName"]
    claims = [
        item for item in full.of("PersistentVolumeClaim") if item["metadata"]["name"] == claim
    ]
    assert {item["metadata"]["namespace"] for item in claims} == {
        "opencode-test--default",
        "opencode-test--lab",
    }
    for item in claims:
        volume = full.named("PersistentVolume", item["spec"]["volumeName"])
        assert volume["spec"]["nfs"] == {"server": "nas.example.com", "path": "/data"}
        assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain"


def test_placement_stands_in_the_pod_and_devices_at_the_runtime_alone(full: Deployed) -> None:
    pod = spec_of(full)
    assert pod["nodeSelector"] == {"size": "large"}
    assert pod["tolerations"] == [
        {"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoSchedule"}
    ]
    (spread,) = pod["topologySpreadConstraints"]
    assert spread["topologyKey"] == "topology.kubernetes.io/zone"
    assert (spread["maxSkew"], spread["whenUnsatisfiable"]) == (2, "DoNotSchedule")
    assert pod["runtimeClassName"] == "gvisor"
    assert pod["priorityClassName"] == "high"
    assert pod["hostUsers"] is False
    for part in ("requests", "limits"):
        assert pod["containers"][0]["resources"][part]["nvidia.com/gpu"] == "1"
        assert "nvidia.com/gpu" not in pod["initContainers"][0]["resources"][part]


def test_git_knows_who_commits_and_what_opens_a_forge(full: Deployed) -> None:
    found = variables(full)
    assert (found["FLEET_GIT_NAME"], found["FLEET_GIT_EMAIL"]) == ("Alice", "alice@example.com")
    # Alice's own entry has no SSH key, and takes the place of everybody's.
    assert found["FLEET_GIT_USERS"] == "forge x-access-token"
    assert variables(full, "oc-bob")["FLEET_GIT_USERS"] == "forge oauth2"
    items = volumes(full, "oc-bob")["/etc/opencode-fleet/secrets"][1]["secret"]
    assert items == {
        "secretName": "oc-bob",
        "items": [
            {"key": "git.forge.token", "path": "git/forge/token"},
            {"key": "git.forge.key", "path": "git/forge/key"},
        ],
    }
    trust = volumes(full)["/etc/opencode-fleet/trust"][1]["configMap"]["name"]
    held = {item["metadata"]["name"]: item["data"] for item in full.of("ConfigMap")}
    assert held[trust]["known_hosts"].startswith("git.example.com ssh-ed25519 ")


def test_a_proxy_is_told_to_every_program_and_spares_the_cluster(full: Deployed) -> None:
    found = variables(full)
    for name, value in (
        ("HTTP_PROXY", "http://proxy.example.com:3128"),
        ("HTTPS_PROXY", "http://proxy.example.com:3129"),
    ):
        assert found[name] == found[name.lower()] == value
    exempt = found["NO_PROXY"].split(",")
    assert {"localhost", "127.0.0.1", ".svc", ".cluster.local", ".example.com"} <= set(exempt)


def test_a_model_in_the_cluster_is_asked_without_the_proxy(tmp_path: Path) -> None:
    values: Values = {
        **SMALL,
        **with_value(MODEL, "providers.openai.baseUrl", "http://litellm.ai.svc:4000/v1"),
        "network": {
            "proxy": {"http": "http://proxy.example.com:3128"},
            "allow": [{"namespace": "ai", "podLabels": {"app": "litellm"}, "port": 4000}],
        },
    }
    made = deploy(values, tmp_path)
    assert "litellm.ai.svc" in variables(made)["NO_PROXY"].split(",")
    policy = made.named("NetworkPolicy", "runtimes")
    assert policy["spec"]["egress"][-1] == {
        "to": [
            {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ai"}},
                "podSelector": {"matchLabels": {"app": "litellm"}},
            }
        ],
        "ports": [{"protocol": "TCP", "port": 4000}],
    }


def test_a_closed_network_leads_nowhere_but_to_what_is_allowed(tmp_path: Path) -> None:
    allow = [{"cidr": "10.1.2.3/32", "port": 443}]
    made = deploy({**SMALL, "network": {"internet": False, "allow": allow}}, tmp_path)
    exits = made.named("NetworkPolicy", "runtimes")["spec"]["egress"]
    assert [item["to"] for item in exits[1:]] == [[{"ipBlock": {"cidr": "10.1.2.3/32"}}]]


def test_no_key_stands_in_a_config_map_or_a_pod(full: Deployed) -> None:
    text = json.dumps([item for item in full.objects if item["kind"] != "Secret"])
    assert "{env:FLEET_KEY_OPENAI}" in text
    for name in ("modelApiKey", "aliceApiKey", "jiraToken", "gitToken", "gitKey"):
        assert name not in text


def test_a_scene_on_the_shared_claim_is_rolled_out_by_its_number(full: Deployed) -> None:
    template = full.named("Deployment", "oc-alice")["spec"]["template"]
    assert template["metadata"]["annotations"]["opencode-fleet/scene-version-papers"] == "3"
