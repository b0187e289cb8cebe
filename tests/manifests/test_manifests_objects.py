"""Facts of the objects that users and operators rely on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fleet.names import FIELD_MANAGER
from tests.support.deployed import VARIANTS, Deployed, deploy
from tests.support.stacks import SMALL, lay_scene

RETAINED = "opencode-fleet/retain"


@pytest.fixture
def plain(shared_folder: Path) -> Deployed:
    """Two users with scenes and a model."""
    return deploy(VARIANTS["plain"], shared_folder)


def container_of(deployed: Deployed, name: str) -> dict[str, Any]:
    """Return the runtime container of a user."""
    return deployed.named("Deployment", name)["spec"]["template"]["spec"]["containers"][0]


def test_what_holds_data_is_marked_as_retained(shared_folder: Path) -> None:
    for variant in VARIANTS.values():
        deployed = deploy(variant, shared_folder)
        for kind in ("PersistentVolumeClaim", "PersistentVolume", "Namespace"):
            for item in deployed.of(kind):
                assert item["metadata"]["annotations"][RETAINED] == "true"
        others = [item for item in deployed.objects if "Volume" not in item["kind"]]
        marked = [
            item["kind"]
            for item in others
            if RETAINED in item["metadata"].get("annotations", {}) and item["kind"] != "Namespace"
        ]
        assert marked == []


def test_a_claim_has_the_size_of_the_profile_and_the_class_of_the_storage(
    plain: Deployed, shared_folder: Path
) -> None:
    spec = plain.named("PersistentVolumeClaim", "oc-alice")["spec"]
    assert spec == {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "10Gi"}},
    }
    full = deploy(VARIANTS["full"], shared_folder)
    assert full.named("PersistentVolumeClaim", "oc-alice")["spec"]["storageClassName"] == "fast"


def test_app_and_data_of_a_user_are_two_folders_of_one_claim(plain: Deployed) -> None:
    mounts = {item["mountPath"]: item for item in container_of(plain, "oc-alice")["volumeMounts"]}
    assert mounts["/app"] == {"name": "user", "mountPath": "/app", "subPath": "app"}
    assert mounts["/data"] == {"name": "user", "mountPath": "/data", "subPath": "data"}


def test_app_on_the_shared_claim_keeps_the_database_on_the_users_own(shared_folder: Path) -> None:
    # SQLite on NFS has been reported corrupt.
    shared = deploy(VARIANTS["shared"], shared_folder)
    mounts = {item["mountPath"]: item for item in container_of(shared, "oc-alice")["volumeMounts"]}
    assert mounts["/app"] == {"name": "shared", "mountPath": "/app", "subPath": "alice"}
    assert mounts["/data"] == {"name": "user", "mountPath": "/data", "subPath": "data"}
    claim = shared.named("PersistentVolumeClaim", "workspaces")
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]


@pytest.mark.parametrize(
    ("variant", "source"),
    [
        ("nas by nfs", {"nfs": {"server": "10.0.0.9", "path": "/fleet"}}),
        (
            "nas by csi",
            {
                "csi": {
                    "driver": "nasplugin.csi.alibabacloud.com",
                    "volumeHandle": "opencode-test--default--shared",
                    "volumeAttributes": {"server": "10.0.0.9", "path": "/fleet", "vers": "3"},
                }
            },
        ),
    ],
)
def test_a_nas_backs_the_shared_claim_and_survives_it(
    variant: str, source: dict[str, Any], shared_folder: Path
) -> None:
    deployed = deploy(VARIANTS[variant], shared_folder)
    (volume,) = deployed.of("PersistentVolume")
    claim = deployed.named("PersistentVolumeClaim", "workspaces")
    assert volume["spec"] == {
        "capacity": claim["spec"]["resources"]["requests"],
        "accessModes": ["ReadWriteMany"],
        "persistentVolumeReclaimPolicy": "Retain",
        "storageClassName": "",
        # Locks go to a server that NAS does not have; the other two are the vendor's advice.
        "mountOptions": ["nolock", "tcp", "noresvport"],
        "claimRef": {"namespace": "opencode-test--default", "name": "workspaces"},
        **source,
    }
    assert claim["spec"]["volumeName"] == volume["metadata"]["name"]
    # By these a purge finds what a killed one left behind.
    labels = volume["metadata"]["labels"]
    assert (labels["opencode-fleet/environment"], labels["opencode-fleet/pool"]) == (
        "test",
        "default",
    )
    # An empty class on both sides: a default class would make another volume.
    assert claim["spec"]["storageClassName"] == volume["spec"]["storageClassName"] == ""


def test_a_scene_on_the_nas_is_mounted_from_there_read_only(shared_folder: Path) -> None:
    deployed = deploy(VARIANTS["nas scenes on claims"], shared_folder)
    mounts = {
        item["mountPath"]: item for item in container_of(deployed, "oc-alice")["volumeMounts"]
    }
    assert mounts["/app/research/AGENTS.md"] == {
        "name": "shared",
        "mountPath": "/app/research/AGENTS.md",
        "subPath": "scenes/research/AGENTS.md",
        "readOnly": True,
    }
    assert mounts["/app"]["name"] == "user"
    assert mounts["/app/coding/.opencode"]["name"] == "scene-coding"


def test_a_pods_patience_is_what_was_measured(plain: Deployed) -> None:
    pod = plain.named("Deployment", "oc-alice")["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] == 30
    probes = {
        name: [probe[key] for key in ("periodSeconds", "timeoutSeconds", "failureThreshold")]
        for name, probe in pod["containers"][0].items()
        if name.endswith("Probe")
    }
    assert probes == {
        "startupProbe": [2, 2, 60],
        "readinessProbe": [10, 3, 3],
        "livenessProbe": [30, 10, 6],
    }


def test_a_runtime_is_told_of_no_other_service(plain: Deployed) -> None:
    pod = plain.named("Deployment", "oc-alice")["spec"]["template"]["spec"]
    assert pod["enableServiceLinks"] is False


def test_the_init_container_mounts_all_but_the_scenes(plain: Deployed) -> None:
    (init,) = plain.named("Deployment", "oc-alice")["spec"]["template"]["spec"]["initContainers"]
    # It lays the points that scenes are mounted on, so they must not be there yet.
    writable = [item["mountPath"] for item in init["volumeMounts"] if not item.get("readOnly")]
    assert len(writable) == len(init["volumeMounts"])
    assert {"/app", "/data"} <= set(writable)


def test_no_proxy_cuts_a_stream_off(plain: Deployed) -> None:
    metadata = plain.named("Ingress", "oc-alice")["metadata"]
    ours = {key: text for key, text in metadata["annotations"].items() if "/" in key}
    assert ours == {
        "opencode-fleet/user-id": "alice",
        "opencode-fleet/display-name": "Alice",
        "nginx.ingress.kubernetes.io/proxy-body-size": "100m",
        "nginx.ingress.kubernetes.io/proxy-buffering": "off",
        "nginx.ingress.kubernetes.io/proxy-read-timeout": "86400",
        "nginx.ingress.kubernetes.io/proxy-send-timeout": "86400",
        "haproxy.org/timeout-server": "86400s",
        "haproxy.org/timeout-tunnel": "86400s",
    }


@pytest.mark.parametrize("file", ["AGENTS.md", ".opencode"])
def test_a_scene_is_mounted_from_its_config_map_read_only(plain: Deployed, file: str) -> None:
    mounts = {item["mountPath"]: item for item in container_of(plain, "oc-alice")["volumeMounts"]}
    assert mounts[f"/app/coding/{file}"] == {
        "name": "scene-coding",
        "mountPath": f"/app/coding/{file}",
        "subPath": file,
        "readOnly": True,
    }


def test_a_scene_config_map_holds_the_files_and_the_pod_puts_them_in_place(
    plain: Deployed,
) -> None:
    (scene,) = (
        item
        for item in plain.of("ConfigMap")
        if item["metadata"]["name"].startswith("scene-coding")
    )
    pod = plain.named("Deployment", "oc-alice")["spec"]["template"]["spec"]
    (volume,) = (item for item in pod["volumes"] if item["name"] == "scene-coding")
    assert volume["configMap"]["name"] == scene["metadata"]["name"]
    paths = {item["key"]: item["path"] for item in volume["configMap"]["items"]}
    assert set(paths) == set(scene["data"])
    assert sorted(paths.values()) == [
        ".opencode/.gitignore",
        ".opencode/agents/review.md",
        ".opencode/opencode.json",
        "AGENTS.md",
    ]


def test_requests_and_limits_are_those_of_the_profile(shared_folder: Path) -> None:
    deployed = deploy(VARIANTS["sizes"], shared_folder)
    assert container_of(deployed, "oc-alice")["resources"] == {
        "requests": {"cpu": "1500m", "memory": "1Gi", "ephemeral-storage": "256Mi"},
        "limits": {"cpu": "4", "memory": "8Gi", "ephemeral-storage": "4Gi"},
    }


def test_probes_need_no_credential_and_have_a_short_timeout(plain: Deployed) -> None:
    # A request that comes before OpenCode is ready is never answered.
    container = container_of(plain, "oc-alice")
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        probe = container[name]
        assert probe["httpGet"] == {"path": "/site.webmanifest", "port": "http"}
        assert probe["timeoutSeconds"] <= 10
    startup = container["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 60


def test_what_the_init_container_said_last_is_in_the_pods_status(plain: Deployed) -> None:
    pod = plain.of("Deployment")[0]["spec"]["template"]["spec"]
    (init,) = pod["initContainers"]
    assert init["terminationMessagePolicy"] == "FallbackToLogsOnError"
    # What OpenCode prints is its user's, and who lists pods need not read it.
    (main,) = pod["containers"]
    assert "terminationMessagePolicy" not in main


def test_an_ingress_streams_for_a_day(plain: Deployed) -> None:
    item = plain.named("Ingress", "oc-alice")
    annotations = item["metadata"]["annotations"]
    assert annotations["nginx.ingress.kubernetes.io/proxy-buffering"] == "off"
    assert annotations["nginx.ingress.kubernetes.io/proxy-read-timeout"] == "86400"
    assert item["spec"]["rules"][0]["host"] == "alice.fleet.localhost"
    assert "tls" not in item["spec"]


@pytest.mark.parametrize(
    ("variant", "name"),
    [
        ("tls secret", "wildcard"),
        ("tls certManager", "oc-alice-tls"),
        ("tls selfSigned", "fleet-self-signed"),
    ],
)
def test_each_kind_of_certificate_is_asked_for_by_its_secret(
    variant: str, name: str, shared_folder: Path
) -> None:
    item = deploy(VARIANTS[variant], shared_folder).named("Ingress", "oc-alice")
    assert item["spec"]["tls"] == [{"hosts": ["alice.fleet.example.com"], "secretName": name}]
    issuer = item["metadata"]["annotations"].get("cert-manager.io/cluster-issuer")
    assert issuer == ("letsencrypt" if variant == "tls certManager" else None)


def test_an_http_route_leads_from_the_gateway_to_the_service(shared_folder: Path) -> None:
    deployed = deploy(VARIANTS["httpRoute"], shared_folder)
    assert deployed.of("Ingress") == []
    item = deployed.named("HTTPRoute", "oc-alice")
    assert item["apiVersion"] == "gateway.networking.k8s.io/v1"
    assert item["spec"]["parentRefs"] == [{"name": "public", "namespace": "gateways"}]
    assert item["spec"]["hostnames"] == ["alice.fleet.localhost"]
    (rule,) = item["spec"]["rules"]
    assert rule["matches"] == [{"path": {"type": "PathPrefix", "value": "/"}}]
    assert rule["backendRefs"] == [{"name": "oc-alice", "port": 4096}]
    assert rule["timeouts"] == {"request": "0s"}


def test_a_pool_counts_its_objects_and_keeps_to_its_quota(shared_folder: Path) -> None:
    full = deploy(VARIANTS["full"], shared_folder)
    quotas = {
        item["metadata"]["namespace"]: item["spec"]["hard"] for item in full.of("ResourceQuota")
    }
    assert (
        quotas["opencode-test--default"]
        | {
            "requests.cpu": "20",
            "requests.memory": "64Gi",
            "requests.storage": "500Gi",
        }
        == quotas["opencode-test--default"]
    )
    assert not [key for key in quotas["opencode-test--lab"] if key.startswith("requests.")]


def test_the_number_of_policies_does_not_grow_with_users(shared_folder: Path) -> None:
    users = [{"id": f"user-{index}"} for index in range(100)]
    many = deploy({**VARIANTS["plain"], "users": users}, shared_folder)
    assert len(many.of("NetworkPolicy")) == 3


def test_an_id_that_no_name_can_hold_is_kept_in_an_annotation(plain: Deployed) -> None:
    (claim,) = (
        item
        for item in plain.of("PersistentVolumeClaim")
        if item["metadata"]["name"].startswith("oc-bob-b-example-com-")
    )
    assert claim["metadata"]["annotations"]["opencode-fleet/user-id"] == "bob.b@example.com"


def test_a_pull_secret_reaches_the_pod(shared_folder: Path) -> None:
    deployed = deploy(VARIANTS["pull secret"], shared_folder)
    pod = deployed.named("Deployment", "oc-alice")["spec"]["template"]["spec"]
    assert pod["imagePullSecrets"] == [{"name": "registry-login"}]


def test_a_pool_without_users_is_a_namespace_with_its_rules(shared_folder: Path) -> None:
    deployed = deploy(VARIANTS["no users"], shared_folder)
    assert deployed.plan.users == ()
    assert len(deployed.of("Namespace")) == 1
    assert len(deployed.of("NetworkPolicy")) == 3


def test_the_field_manager_is_the_projects_name() -> None:
    # Server-side apply tells owners of fields apart by it: another one would conflict with all.
    assert FIELD_MANAGER == "opencode-fleet"


def big_scene(folder: Path) -> Path:
    """Lay a scene that no single ConfigMap holds, with a script; return its skill's folder."""
    lay_scene(folder / "scenes" / "big")
    skill = folder / "scenes" / "big" / ".opencode" / "skills" / "数据"
    skill.mkdir(parents=True)
    (skill / "SKILL.md").write_text("---\nname: 数据\ndescription: d\n---\n", encoding="utf-8")
    (skill / "run.sh").write_text("#!/bin/sh\n", encoding="utf-8")
    for index in range(3):
        (skill / f"{index}.txt").write_text("x" * 700_000, encoding="utf-8")
    return skill


def test_a_big_scene_is_one_folder_of_several_config_maps(tmp_path: Path) -> None:
    big_scene(tmp_path)
    values = {**SMALL, "scenes": {"big": {"path": "scenes/big"}}}
    values["users"] = [{"id": "alice", "scenes": ["big"]}]
    made = deploy(values, tmp_path)
    pod = made.named("Deployment", "oc-alice")["spec"]["template"]["spec"]
    (volume,) = (item for item in pod["volumes"] if item["name"] == "scene-big")
    sources = [source["configMap"] for source in volume["projected"]["sources"]]
    held = {item["metadata"]["name"]: item["data"] for item in made.of("ConfigMap")}
    assert len(sources) == 3
    placed = {
        item["path"]: held[source["name"]][item["key"]]
        for source in sources
        for item in source["items"]
    }
    assert placed[".opencode/skills/数据/run.sh"] == "#!/bin/sh\n"
    assert placed["AGENTS.md"] == "Work.\n"
    modes = {item["path"]: item.get("mode") for source in sources for item in source["items"]}
    assert {path for path, mode in modes.items() if mode == 0o755} == {
        ".opencode/skills/数据/run.sh"
    }
