"""What no pod may do, whatever the stack file: Pod Security `restricted`, secrets, scenes, rights.

The rules are those of https://kubernetes.io/docs/concepts/security/pod-security-standards/,
written down here a second time so that the manifests are not judged by themselves.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet.manifests.runtime import RUNTIME_UID, RuntimeInputs
from fleet.plan.environment import UserPlan
from tests.support.deployed import VARIANTS, Deployed, deploy, objects_of_user

PodSpec = dict[str, Any]


@pytest.fixture(scope="module", params=list(VARIANTS))
def variant(request: pytest.FixtureRequest, shared_folder: Path) -> Deployed:
    """Each variant's objects."""
    return deploy(VARIANTS[request.param], shared_folder)


def pods(deployed: Deployed) -> Iterator[PodSpec]:
    """Return every pod spec."""
    for item in deployed.of("Deployment"):
        yield item["spec"]["template"]["spec"]


def containers(pod: PodSpec) -> list[dict[str, Any]]:
    """Return every container of a pod, whatever its kind."""
    kinds = ("initContainers", "containers", "ephemeralContainers")
    return [container for kind in kinds for container in pod.get(kind, [])]


def no_host_namespaces(pod: PodSpec) -> bool:
    """HostPID, hostIPC, hostNetwork, hostUsers, host ports and host processes stay unused."""
    hosts = ("hostPID", "hostIPC", "hostNetwork")
    ports = [port for item in containers(pod) for port in item.get("ports", [])]
    return not any(pod.get(key) for key in hosts) and not any("hostPort" in port for port in ports)


def allowed_volumes(pod: PodSpec) -> bool:
    """Only volume types that restricted lists are used."""
    types = {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
    return all(set(volume) - {"name"} <= types for volume in pod["volumes"])


def not_privileged(pod: PodSpec) -> bool:
    """No container is privileged or may become so."""
    contexts = [item["securityContext"] for item in containers(pod)]
    return not any(context.get("privileged") for context in contexts) and all(
        context.get("allowPrivilegeEscalation") is False for context in contexts
    )


def no_capabilities(pod: PodSpec) -> bool:
    """Every capability is dropped and none added."""
    found = [item["securityContext"].get("capabilities", {}) for item in containers(pod)]
    return all(item.get("drop") == ["ALL"] and not item.get("add") for item in found)


def not_root(pod: PodSpec) -> bool:
    """Pods run as somebody who is not root, and no container overrides it."""
    contexts = [pod["securityContext"], *(item["securityContext"] for item in containers(pod))]
    return pod["securityContext"].get("runAsNonRoot") is True and not any(
        context.get("runAsNonRoot") is False or context.get("runAsUser") == 0
        for context in contexts
    )


def default_seccomp(pod: PodSpec) -> bool:
    """The runtime's seccomp profile holds for the pod, and no container overrides it."""
    profile = pod["securityContext"].get("seccompProfile", {}).get("type")
    own = [item["securityContext"].get("seccompProfile") for item in containers(pod)]
    return profile in ("RuntimeDefault", "Localhost") and not any(own)


def no_special_options(pod: PodSpec) -> bool:
    """SELinux, AppArmor, procMount and sysctls stay as the cluster has them."""
    contexts = [pod["securityContext"], *(item["securityContext"] for item in containers(pod))]
    keys = {"seLinuxOptions", "appArmorProfile", "procMount", "sysctls", "windowsOptions"}
    return not any(keys & set(context) for context in contexts)


RULES: list[Callable[[PodSpec], bool]] = [
    no_host_namespaces,
    allowed_volumes,
    not_privileged,
    no_capabilities,
    not_root,
    default_seccomp,
    no_special_options,
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_pods_pass_the_restricted_standard(
    rule: Callable[[PodSpec], bool], variant: Deployed
) -> None:
    assert [pod for pod in pods(variant) if not rule(pod)] == []


BREAKS: dict[str, Callable[[PodSpec], None]] = {
    "no_host_namespaces": lambda pod: pod.update(hostNetwork=True),
    "allowed_volumes": lambda pod: pod["volumes"].append({"name": "x", "hostPath": {"path": "/"}}),
    "not_privileged": lambda pod: pod["containers"][0]["securityContext"].update(privileged=True),
    "no_capabilities": lambda pod: pod["initContainers"][0]["securityContext"].update(
        capabilities={"drop": ["ALL"], "add": ["NET_RAW"]}
    ),
    "not_root": lambda pod: pod["containers"][0]["securityContext"].update(runAsUser=0),
    "default_seccomp": lambda pod: pod["securityContext"].pop("seccompProfile"),
    "no_special_options": lambda pod: pod["securityContext"].update(
        sysctls=[{"name": "kernel.msgmax", "value": "1"}]
    ),
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_each_rule_notices_a_pod_that_breaks_it(
    rule: Callable[[PodSpec], bool], shared_folder: Path
) -> None:
    text = json.dumps(next(pods(deploy(VARIANTS["plain"], shared_folder))))
    assert rule(json.loads(text))
    broken = json.loads(text)
    BREAKS[rule.__name__](broken)
    assert not rule(broken)


def test_a_pod_has_no_account_token_and_cannot_write_its_own_image(variant: Deployed) -> None:
    for pod in pods(variant):
        assert pod["automountServiceAccountToken"] is False
        assert "serviceAccountName" not in pod
        assert pod["enableServiceLinks"] is False
        assert pod["securityContext"]["runAsUser"] == RUNTIME_UID
        for container in containers(pod):
            assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_every_container_has_requests_and_limits(variant: Deployed) -> None:
    for pod in pods(variant):
        for container in containers(pod):
            for part in ("requests", "limits"):
                assert {"cpu", "memory", "ephemeral-storage"} <= set(container["resources"][part])


def test_namespaces_enforce_the_standard(variant: Deployed) -> None:
    for item in variant.of("Namespace"):
        for mode in ("enforce", "audit", "warn"):
            assert item["metadata"]["labels"][f"pod-security.kubernetes.io/{mode}"] == "restricted"


def test_nothing_is_reachable_past_the_ingress(variant: Deployed) -> None:
    assert all(item["spec"]["type"] == "ClusterIP" for item in variant.of("Service"))
    for item in variant.of("ResourceQuota"):
        assert item["spec"]["hard"]["services.loadbalancers"] == "0"
        assert item["spec"]["hard"]["services.nodeports"] == "0"


def test_scenes_and_managed_settings_are_read_only_and_only_the_runtime_sees_them(
    variant: Deployed,
) -> None:
    for pod in pods(variant):
        (runtime,) = pod["containers"]
        guarded = [
            mount
            for mount in runtime["volumeMounts"]
            if mount["mountPath"] == "/etc/opencode" or mount["mountPath"].count("/") > 2
        ]
        assert guarded
        assert all(mount["readOnly"] is True for mount in guarded)
        (init,) = pod["initContainers"]
        assert not [mount for mount in init["volumeMounts"] if mount.get("readOnly")]
        paths = {mount["mountPath"] for mount in init["volumeMounts"]}
        assert not paths & {mount["mountPath"] for mount in guarded}


def test_each_scene_of_a_user_is_mounted_whole_and_no_other(variant: Deployed) -> None:
    for user in variant.plan.users:
        pod = variant.named("Deployment", user.name)["spec"]["template"]["spec"]
        mounts = {mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
        scenes = {path for path in mounts if path.startswith("/app/")}
        assert scenes == {
            f"/app/{scene.id}/{part}"
            for scene in user.scenes
            for part in ("AGENTS.md", ".opencode")
        }
        (init,) = pod["initContainers"]
        names = " ".join(scene.id for scene in user.scenes)
        assert {"name": "FLEET_SCENES", "value": names} in init["env"]


def test_a_pod_mounts_the_claim_of_its_own_user_and_no_other(variant: Deployed) -> None:
    for user in variant.plan.users:
        pod = variant.named("Deployment", user.name)["spec"]["template"]["spec"]
        claims = [
            volume["persistentVolumeClaim"]["claimName"]
            for volume in pod["volumes"]
            if "persistentVolumeClaim" in volume and not volume["name"].startswith("mount-")
        ]
        assert set(claims) <= {user.name, "workspaces"}
        for container in containers(pod):
            for mount in container["volumeMounts"]:
                if mount["name"] == "shared" and not mount.get("readOnly"):
                    assert mount["subPath"] == user.id


def test_rendered_secrets_have_no_data(variant: Deployed) -> None:
    for item in variant.of("Secret"):
        assert not {"data", "stringData"} & set(item)


def test_secret_values_stand_in_the_secret_alone(shared_folder: Path) -> None:
    plan = deploy(VARIANTS["plain"], shared_folder).plan
    data = {"password": "hunter2-password", "FLEET_KEY_OPENAI": "hunter2-key"}
    for user in plan.users:
        objects = objects_of_user(plan, user, secret_data=data)
        (own,) = (item for item in objects if item["kind"] == "Secret")
        assert own["data"] == data
        others = json.dumps([item for item in objects if item is not own])
        assert "hunter2" not in others


def test_secret_data_is_not_printed() -> None:
    assert "hunter2" not in repr(RuntimeInputs(image="a:b", secret_data={"password": "hunter2"}))


def test_a_pod_takes_its_password_and_key_from_its_own_secret(shared_folder: Path) -> None:
    deployed = deploy(VARIANTS["plain"], shared_folder)

    def variables(user: UserPlan) -> dict[str, Any]:
        pod = deployed.named("Deployment", user.name)["spec"]["template"]["spec"]
        return {item["name"]: item for item in pod["containers"][0]["env"]}

    for user in deployed.plan.users:
        found = variables(user)
        assert found["OPENCODE_SERVER_USERNAME"]["value"] == user.id
        for name, key in (
            ("OPENCODE_SERVER_PASSWORD", "password"),
            ("FLEET_KEY_OPENAI", "FLEET_KEY_OPENAI"),
        ):
            assert found[name]["valueFrom"] == {"secretKeyRef": {"name": user.name, "key": key}}
            assert "value" not in found[name]
    without_key = deploy(VARIANTS["small"], shared_folder)
    for item in without_key.of("Deployment"):
        names = [
            entry["name"] for entry in item["spec"]["template"]["spec"]["containers"][0]["env"]
        ]
        assert "FLEET_KEY_OPENAI" not in names


def test_agent_control_restarts_and_scales_and_reads_no_secret(variant: Deployed) -> None:
    for role in variant.of("Role"):
        if role["metadata"]["name"] != "agent-control":
            continue  # the door's: test_manifests_door; what backups may do: test_backup_objects
        granted = {
            (group, resource, verb)
            for rule in role["rules"]
            for group in rule["apiGroups"]
            for resource in rule["resources"]
            for verb in rule["verbs"]
        }
        assert not any("*" in parts for parts in granted)
        resources = {resource for _, resource, _ in granted}
        assert resources == {"pods", "deployments", "deployments/scale"}
        writes = {item for item in granted if item[2] not in ("get", "list", "watch")}
        assert writes == {
            ("", "pods", "delete"),
            ("apps", "deployments/scale", "update"),
            ("apps", "deployments/scale", "patch"),
        }
    assert not [item for item in variant.objects if item["kind"].startswith("ClusterRole")]
    for account in variant.of("ServiceAccount"):
        assert account["automountServiceAccountToken"] is False
