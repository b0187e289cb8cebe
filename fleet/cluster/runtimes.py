"""Day-to-day work on runtimes that exist: state, link, password, logs, restart."""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, cast

from fleet.cluster.desired import password_of
from fleet.cluster.kubectl import Kubectl, Live, container_states, part
from fleet.errors import ClusterError, InputError, Problem, shown
from fleet.manifests.policies import RUNTIME_PORT
from fleet.names import LABEL_ENVIRONMENT, LABEL_USER, USER_ID, slug
from fleet.plan.environment import Plan, UserPlan

_PARALLEL = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class RuntimeState:
    """One user's runtime as the cluster has it."""

    user: str
    state: str
    """active, suspended, retained (not in the roster, data kept) or absent."""
    phase: str
    """Ready, or what the pod waits for."""
    restarts: int
    image: str
    volume: str
    """Used and claimed storage, such as `1.2Gi/10Gi`."""
    url: str

    def as_json(self) -> dict[str, Any]:
        """Return the state for `--json`."""
        return asdict(self)


def find_user(plan: Plan, user_id: str) -> UserPlan:
    """Return a user of the roster; raise InputError when there is none."""
    for user in plan.users:
        if user.id == user_id:
            return user
    known = ", ".join(user.id for user in plan.users[:10]) or "nobody"
    rule = "no such user in the roster"
    raise InputError([Problem("USER", user_id, rule, f"use one of: {known}")])


def states(kubectl: Kubectl, plan: Plan, *, volumes: bool = True) -> list[RuntimeState]:
    """Return the state of every user, and of former users whose claims are there."""
    selector = f"--selector={LABEL_ENVIRONMENT}={plan.environment},{LABEL_USER}"
    kinds = ["deployments", "pods", "persistentvolumeclaims"]
    items = kubectl.get(kinds, "--all-namespaces", selector)
    found: dict[tuple[str, str], dict[str, Live]] = {}
    for item in items:
        metadata = item["metadata"]
        if item["kind"] == "Pod" and "deletionTimestamp" in metadata:
            continue
        owner = (metadata["namespace"], metadata["labels"][LABEL_USER])
        found.setdefault(owner, {})[item["kind"]] = item
    usage = _usage(kubectl, found) if volumes else {}
    rows = [
        _row(user, found.pop((user.namespace, slug(user.id)), {}), usage) for user in plan.users
    ]
    for (namespace, user), kinds_found in sorted(found.items()):
        claim = kinds_found.get("PersistentVolumeClaim")
        if claim is not None:
            name = part(claim["metadata"], "annotations").get(USER_ID, user)
            volume = f"-/{claim['spec']['resources']['requests']['storage']}"
            phase = f"claim {namespace}/{claim['metadata']['name']}"
            rows.append(
                RuntimeState(
                    user=name,
                    state="retained",
                    phase=phase,
                    restarts=0,
                    image="",
                    volume=volume,
                    url="",
                )
            )
    return rows


def _row(
    user: UserPlan, found: Mapping[str, Live], usage: Mapping[tuple[str, str], str]
) -> RuntimeState:
    deployment, pod = found.get("Deployment"), found.get("Pod")
    claim = found.get("PersistentVolumeClaim")
    size = claim["spec"]["resources"]["requests"]["storage"] if claim else ""
    state = "absent"
    if deployment is not None:
        state = "active" if deployment["spec"].get("replicas", 1) else "suspended"
    image = ""
    if deployment is not None:
        image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    statuses: list[Live] = part(pod, "status").get("containerStatuses", []) if pod else []
    return RuntimeState(
        user=user.id,
        state=state,
        phase=_phase(deployment, pod),
        restarts=sum(item["restartCount"] for item in statuses),
        image=image,
        volume=f"{usage.get((user.namespace, user.name), '-')}/{size}" if size else "",
        url=user.url,
    )


def _phase(deployment: Live | None, pod: Live | None) -> str:
    if deployment is None:
        return "not deployed"
    if pod is None:
        return "no pod" if deployment["spec"].get("replicas", 1) else "-"
    status = part(pod, "status")
    for state in container_states(pod):
        reason = part(state["state"], "waiting").get("reason")
        if reason:
            return str(reason)
    ready = any(
        item["type"] == "Ready" and item["status"] == "True"
        for item in status.get("conditions", [])
    )
    return "Ready" if ready else str(status.get("phase", "Unknown"))


def _usage(
    kubectl: Kubectl, found: Mapping[tuple[str, str], Mapping[str, Live]]
) -> dict[tuple[str, str], str]:
    """Return used storage by (namespace, claim), asked of the kubelets, else of the pods."""
    pods = [kinds["Pod"] for kinds in found.values() if "Pod" in kinds]
    nodes: list[str] = sorted(
        {pod["spec"]["nodeName"] for pod in pods if "nodeName" in pod["spec"]}
    )
    used: dict[tuple[str, str], str] = {}
    with ThreadPoolExecutor(_PARALLEL) as pool:
        for answer in pool.map(partial(_node_usage, kubectl), nodes):
            used |= answer
        missing = [
            kinds["Pod"]
            for (namespace, _), kinds in found.items()
            if "Pod" in kinds
            and _phase({"spec": {}}, kinds["Pod"]) == "Ready"
            and (namespace, _claim_name(kinds["Pod"])) not in used
        ]
        # Volumes that are folders of the node have no figures of their own; du knows them.
        sizes = pool.map(partial(_du, kubectl), missing)
        for pod, text in zip(missing, sizes, strict=True):
            if text is not None:
                used[(pod["metadata"]["namespace"], _claim_name(pod))] = text
    return used


def _claim_name(pod: Live) -> str:
    for volume in pod["spec"]["volumes"]:
        if volume["name"] == "user":
            return str(volume["persistentVolumeClaim"]["claimName"])
    return ""


def _node_usage(kubectl: Kubectl, node: str) -> dict[tuple[str, str], str]:
    reply = kubectl.run("get", "--raw", f"/api/v1/nodes/{node}/proxy/stats/summary", timeout=20)
    if reply.code != 0:
        return {}
    summary = cast("Live", json.loads(reply.out))
    return {
        (volume["pvcRef"]["namespace"], volume["pvcRef"]["name"]): _size(volume["usedBytes"])
        for pod in summary.get("pods", [])
        for volume in pod.get("volume", [])
        if "pvcRef" in volume and "usedBytes" in volume
    }


def _du(kubectl: Kubectl, pod: Live) -> str | None:
    metadata = pod["metadata"]
    target = (f"--namespace={metadata['namespace']}", metadata["name"], "--container=opencode")
    reply = kubectl.run("exec", *target, "--", "du", "-skx", "/app", "/data", timeout=20)
    sizes = [line.split()[0] for line in reply.out.splitlines() if line[:1].isdigit()]
    return _size(1024 * sum(map(int, sizes))) if sizes else None


def _size(size: int) -> str:
    for suffix, power in (("Gi", 30), ("Mi", 20)):
        if size >= 2**power:
            return f"{size / 2**power:.1f}{suffix}"
    return f"{size // 1024}Ki"


def read_password(kubectl: Kubectl, user: UserPlan) -> str:
    """Return a user's password from the cluster."""
    found = kubectl.get(
        ["secrets"], user.name, f"--namespace={user.namespace}", "--ignore-not-found"
    )
    password = password_of(found[0]) if found else None
    if password is None:
        raise ClusterError(f"user {user.id}: password: not in the cluster: run fleet apply first")
    return password


def restart(kubectl: Kubectl, user: UserPlan) -> None:
    """Restart a user's runtime; the old pod is gone before the new one starts."""
    if not user.active:
        rule, change = "a suspended user has no pod to restart", "set state: active and apply"
        raise InputError([Problem("USER", user.id, rule, change)])
    kubectl.ask("rollout", "restart", f"deployment/{user.name}", f"--namespace={user.namespace}")


def open_session(kubectl: Kubectl, user: UserPlan, scene: str | None) -> str:
    """Make a chat in a scene (or /app) and return its link.

    OpenCode's front page shows neither scenes nor chats it has not opened itself, so the chat is
    made first, from inside the pod: its password leaves neither the pod nor the cluster.
    """
    if scene is not None and scene not in [item.id for item in user.scenes]:
        have = ", ".join(item.id for item in user.scenes) or "none"
        rule = f"user {user.id} has no such scene"
        raise InputError([Problem("--scene", scene, rule, f"use one of: {have}")])
    folder = f"/app/{scene}" if scene else "/app"
    address = f"http://127.0.0.1:{RUNTIME_PORT}/session?directory={folder}"
    script = (
        'printf \'user = "%s:%s"\' "$OPENCODE_SERVER_USERNAME" "$OPENCODE_SERVER_PASSWORD"'
        " | curl -fsS -m 60 --config - -H 'content-type: application/json' -d '{}' "
        + shlex.quote(address)
    )
    target = (f"--namespace={user.namespace}", f"deployment/{user.name}", "--container=opencode")
    reply = kubectl.run("exec", *target, "--", "sh", "-c", script, timeout=90)
    if reply.code != 0:
        why = kubectl.explain(reply.err)
        raise ClusterError(f"user {user.id}: open a session in {folder}: {why}: see fleet status")
    session = _session_id(reply.out)
    if session is None:
        why = f"the runtime answered {shown(reply.out)}"
        raise ClusterError(f"user {user.id}: open a session in {folder}: {why}: see fleet logs")
    encoded = base64.urlsafe_b64encode(folder.encode()).decode().rstrip("=")
    return f"{user.url}/{encoded}/session/{session}"


def _session_id(answer: str) -> str | None:
    try:
        session = json.loads(answer)
    except ValueError:
        return None
    return cast("Live", session).get("id") if isinstance(session, dict) else None
