"""Rules for Kubernetes objects; each returns one line for each offence.

Leaves out: what only Pulumi's own options say (retention, secrets), which tests of this project
check.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import MappingProxyType
from typing import Any

from policy.declared import Declared, Rule, of_kind

_LIMITED = ("cpu", "memory", "ephemeral-storage")
_COMPONENT = "app.kubernetes.io/component"


def containers_are_limited(resources: Sequence[Declared]) -> Iterator[str]:
    """CPU, memory and ephemeral storage of every container have a request and a limit."""
    for owner, container in _containers(resources):
        for part in ("requests", "limits"):
            missing = set(_LIMITED) - set(container.get("resources", {}).get(part, {}))
            if missing:
                yield f"{owner}: {container['name']}: no {part} for {sorted(missing)}"


def containers_have_no_privilege(resources: Sequence[Declared]) -> Iterator[str]:
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


def pods_run_as_nobody(resources: Sequence[Declared]) -> Iterator[str]:
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
        if any("hostPath" in volume for volume in pod.get("volumes", ())):
            yield f"{owner}: mounts the host"


def runtimes_never_meet_on_a_claim(resources: Sequence[Declared]) -> Iterator[str]:
    """OpenCode's database takes one writer: one pod a user, and the old one goes first."""
    for item in of_kind(resources, "kubernetes", "Deployment"):
        spec = item.inputs["spec"]
        if spec["template"]["metadata"].get("labels", {}).get(_COMPONENT) != "runtime":
            continue
        if spec.get("replicas", 1) > 1 or spec["strategy"] != {"type": "Recreate"}:
            yield f"{item.name}: two pods at once"


def services_stay_inside(resources: Sequence[Declared]) -> Iterator[str]:
    """Nothing but the route leads to a runtime from outside."""
    for item in of_kind(resources, "kubernetes", "Service"):
        if item.inputs["spec"].get("type") != "ClusterIP":
            yield f"{item.name}: {item.inputs['spec'].get('type')}"


def pools_are_confined(resources: Sequence[Declared]) -> Iterator[str]:
    """Every namespace denies all traffic but what a rule opens, and enforces `restricted`."""
    denied = {
        item.inputs["metadata"]["namespace"]
        for item in of_kind(resources, "kubernetes", "NetworkPolicy")
        if item.inputs["spec"].get("podSelector") == {}
        and item.inputs["spec"].get("policyTypes") == ["Ingress", "Egress"]
        and not {"ingress", "egress"} & set(item.inputs["spec"])
    }
    for item in of_kind(resources, "kubernetes", "Namespace"):
        metadata = item.inputs["metadata"]
        if metadata["name"] not in denied:
            yield f"{item.name}: open network"
        if metadata["labels"].get("pod-security.kubernetes.io/enforce") != "restricted":
            yield f"{item.name}: any pod is admitted"


def roles_name_their_rights(resources: Sequence[Declared]) -> Iterator[str]:
    """No wildcard, no Secret, nothing cluster-wide."""
    for item in resources:
        if item.typ.split(":")[-1] in ("ClusterRole", "ClusterRoleBinding"):
            yield f"{item.name}: cluster-wide"
    for item in of_kind(resources, "kubernetes", "Role"):
        for rule in item.inputs["rules"]:
            words = [*rule.get("apiGroups", ()), *rule.get("resources", ()), *rule["verbs"]]
            if "*" in words or "secrets" in words:
                yield f"{item.name}: {rule}"


def _pods(resources: Sequence[Declared]) -> Iterator[tuple[str, dict[str, Any]]]:
    for item in of_kind(resources, "kubernetes", "Deployment"):
        yield item.name, item.inputs["spec"]["template"]["spec"]


def _containers(resources: Sequence[Declared]) -> Iterator[tuple[str, dict[str, Any]]]:
    for owner, pod in _pods(resources):
        for container in (*pod.get("initContainers", ()), *pod["containers"]):
            yield owner, container


RULES: MappingProxyType[str, Rule] = MappingProxyType(
    {
        rule.__name__: rule
        for rule in (
            containers_are_limited,
            containers_have_no_privilege,
            pods_run_as_nobody,
            runtimes_never_meet_on_a_claim,
            services_stay_inside,
            pools_are_confined,
            roles_name_their_rights,
        )
    }
)
"""Every rule by its name."""
