"""What must hold for every Kubernetes object the program declares, as functions over the record.

Each returns one line for each offence. Leaves out: rules for cloud resources (`tests.policy`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import MappingProxyType
from typing import Any

from tests.support.recorded import Recorded

Rule = Callable[[Sequence[Recorded]], Iterator[str]]
_LIMITED = ("cpu", "memory", "ephemeral-storage")


def containers_are_limited(resources: Sequence[Recorded]) -> Iterator[str]:
    """CPU, memory and ephemeral storage of every container have a request and a limit."""
    for owner, container in _containers(resources):
        for part in ("requests", "limits"):
            missing = set(_LIMITED) - set(container.get("resources", {}).get(part, {}))
            if missing:
                yield f"{owner}: {container['name']}: no {part} for {sorted(missing)}"


def containers_have_no_privilege(resources: Sequence[Recorded]) -> Iterator[str]:
    """No privilege, no capability, no way to get either, nothing written to the image."""
    wanted = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "privileged": False,
        "readOnlyRootFilesystem": True,
    }
    for owner, container in _containers(resources):
        if container.get("securityContext") != wanted:
            yield f"{owner}: {container['name']}: {container.get('securityContext')}"


def pods_run_as_nobody(resources: Sequence[Recorded]) -> Iterator[str]:
    """A fixed non-root user, the default seccomp profile, no token, nothing of the host."""
    for owner, pod in _pods(resources):
        context = pod.get("securityContext", {})
        if not context.get("runAsNonRoot") or not context.get("runAsUser"):
            yield f"{owner}: may run as root"
        if context.get("seccompProfile") != {"type": "RuntimeDefault"}:
            yield f"{owner}: no seccomp profile"
        if pod.get("automountServiceAccountToken") is not False:
            yield f"{owner}: holds a token"
        if any(pod.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")):
            yield f"{owner}: shares the host's namespaces"
        if any("hostPath" in volume for volume in pod["volumes"]):
            yield f"{owner}: mounts the host"


def runtimes_never_meet_on_a_claim(resources: Sequence[Recorded]) -> Iterator[str]:
    """OpenCode's database takes one writer."""
    for item in _kind(resources, "Deployment"):
        spec = item.inputs["spec"]
        if spec["replicas"] > 1 or spec["strategy"] != {"type": "Recreate"}:
            yield f"{item.name}: two pods at once"


def services_stay_inside(resources: Sequence[Recorded]) -> Iterator[str]:
    """Nothing but the route leads to a runtime from outside."""
    for item in _kind(resources, "Service"):
        if item.inputs["spec"].get("type") != "ClusterIP":
            yield f"{item.name}: {item.inputs['spec'].get('type')}"


def data_stays(resources: Sequence[Recorded]) -> Iterator[str]:
    """Claims, static volumes and the namespaces around them outlive every deletion."""
    for kind in ("Namespace", "PersistentVolume", "PersistentVolumeClaim"):
        for item in _kind(resources, kind):
            if not item.options.retain_on_delete:
                yield f"{item.name}: deleted with the stack"
            if item.options.delete_before_replace or item.options.replace_on_changes:
                yield f"{item.name}: replaced"


def secrets_are_marked(resources: Sequence[Recorded]) -> Iterator[str]:
    """State holds no password or key in clear."""
    for item in _kind(resources, "Secret"):
        for key in item.inputs.get("data", {}):
            if not item.is_secret(f"data.{key}"):
                yield f"{item.name}: {key} in clear"


def pools_are_confined(resources: Sequence[Recorded]) -> Iterator[str]:
    """Every namespace denies all traffic but what a rule opens, and enforces `restricted`."""
    denied = {
        item.inputs["metadata"]["namespace"]
        for item in _kind(resources, "NetworkPolicy")
        if item.inputs["spec"].get("podSelector") == {}
        and item.inputs["spec"].get("policyTypes") == ["Ingress", "Egress"]
        and not {"ingress", "egress"} & set(item.inputs["spec"])
    }
    for item in _kind(resources, "Namespace"):
        metadata = item.inputs["metadata"]
        if metadata["name"] not in denied:
            yield f"{item.name}: open network"
        if metadata["labels"].get("pod-security.kubernetes.io/enforce") != "restricted":
            yield f"{item.name}: any pod is admitted"


def roles_name_their_rights(resources: Sequence[Recorded]) -> Iterator[str]:
    """No wildcard, no Secret, nothing cluster-wide."""
    for item in resources:
        if item.typ.split(":")[-1] in ("ClusterRole", "ClusterRoleBinding"):
            yield f"{item.name}: cluster-wide"
    for item in _kind(resources, "Role"):
        for rule in item.inputs["rules"]:
            words = [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            if "*" in words or "secrets" in words:
                yield f"{item.name}: {rule}"


POLICIES: MappingProxyType[str, Rule] = MappingProxyType(
    {
        rule.__name__: rule
        for rule in (
            containers_are_limited,
            containers_have_no_privilege,
            pods_run_as_nobody,
            runtimes_never_meet_on_a_claim,
            services_stay_inside,
            data_stays,
            secrets_are_marked,
            pools_are_confined,
            roles_name_their_rights,
        )
    }
)


def _kind(resources: Sequence[Recorded], kind: str) -> Iterator[Recorded]:
    objects = (item for item in resources if item.typ.startswith("kubernetes:"))
    return (item for item in objects if item.typ.split(":")[-1] == kind)


def _pods(resources: Sequence[Recorded]) -> Iterator[tuple[str, dict[str, Any]]]:
    for item in _kind(resources, "Deployment"):
        yield item.name, item.inputs["spec"]["template"]["spec"]


def _containers(resources: Sequence[Recorded]) -> Iterator[tuple[str, dict[str, Any]]]:
    for owner, pod in _pods(resources):
        for container in (*pod["initContainers"], *pod["containers"]):
            yield owner, container
