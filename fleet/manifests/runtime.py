"""The Deployment of a runtime: one pod, never two, that holds one user's OpenCode.

Sources: the image's contract (docs/image.md) and Pod Security `restricted`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from fleet.manifests.policies import RUNTIME_PORT
from fleet.manifests.pool import SHARED_CLAIM
from fleet.manifests.types import (
    ConfigMapVolume,
    Container,
    Deployment,
    EnvVar,
    Input,
    KeyToPath,
    PlacementSpec,
    Probe,
    Resources,
    Volume,
    VolumeMount,
)
from fleet.names import (
    ADMIN,
    DISPLAY_NAME,
    HOURS,
    LABEL_ENVIRONMENT,
    LOGIN,
    PASSWORD_FINGERPRINT,
    PASSWORD_KEY,
    PASSWORD_VERSION,
    PROFILE,
    SCENE_VERSION,
    SCENES,
    SECRETS_FINGERPRINT,
    STATE,
    SUSPEND_AFTER,
    USER_ID,
    runtime_selector,
    user_labels,
    user_selector,
)
from fleet.plan.environment import UserPlan
from fleet.plan.people import as_json
from fleet.plan.runtime_spec import HOME, SECRETS, TRUST, FilesPlan, MountPlan
from fleet.plan.scenes import SceneConfigMap, ScenePlan
from fleet.stackfile.scene_names import config_map_key
from fleet.stackfile.workspace import Placement, Toleration

RUNTIME_UID = 10001
_RUNS = 0o755
_SHARED: Volume = {"name": "shared", "persistentVolumeClaim": {"claimName": SHARED_CLAIM}}
# Of every pod that mounts a user's volume.
POD_SECURITY: dict[str, Any] = {
    "runAsNonRoot": True,
    "runAsUser": RUNTIME_UID,
    "runAsGroup": RUNTIME_UID,
    "fsGroup": RUNTIME_UID,
    "fsGroupChangePolicy": "OnRootMismatch",
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINER_SECURITY: dict[str, Any] = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "privileged": False,
    "readOnlyRootFilesystem": True,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class RuntimeInputs:
    """What a user's objects take from outside the plan."""

    image: Input
    """Reference of the runtime image."""
    pull_secret: str | None = None
    secret_data: dict[str, Input] | None = field(default=None, repr=False)
    """Data of the user's Secret in base64; None leaves it out."""
    password_fingerprint: Input = ""
    """Changes with the password, so that the pod restarts and asks for the new one."""
    secrets_fingerprint: Input = ""
    """Changes with any other secret of the user's, so that the pod restarts and reads it."""


def deployment(user: UserPlan, inputs: RuntimeInputs) -> Deployment:
    """Return the user's Deployment; a suspended user has no pod and keeps all else.

    How many pods an active user has, the door decides: it puts runtimes to sleep and wakes them.
    """
    mounts = _mounts(user)
    manifest: Deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": user.name,
            "namespace": user.namespace,
            "labels": user_labels(user.environment, user.pool, user.id),
            "annotations": _annotations(user),
        },
        "spec": {
            "revisionHistoryLimit": 2,
            "progressDeadlineSeconds": 600,
            # OpenCode's database takes one writer: the old pod is gone before the new one starts.
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": user_selector(user.id)},
            "template": {
                "metadata": {
                    "labels": user_labels(user.environment, user.pool, user.id),
                    "annotations": _marks(user, inputs),
                },
                "spec": {
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "terminationGracePeriodSeconds": 30,
                    "securityContext": POD_SECURITY,
                    "initContainers": [_init_container(user, inputs.image, mounts)],
                    "containers": [_container(user, inputs.image, mounts)],
                    "volumes": _volumes(user),
                    **placement(user.profile, user),
                },
            },
        },
    }
    if not user.active:
        manifest["spec"]["replicas"] = 0
    if inputs.pull_secret is not None:
        manifest["spec"]["template"]["spec"]["imagePullSecrets"] = [{"name": inputs.pull_secret}]
    return manifest


def runtime_state(user: UserPlan) -> str:
    """Return what the door reads of a runtime: of a suspended one it wakes nothing."""
    return "active" if user.active else "suspended"


def _annotations(user: UserPlan) -> dict[str, str]:
    """Return what the door is to know of the user; nobody restarts for it."""
    scenes = [(scene.id, scene.title, scene.description) for scene in user.scenes]
    noted: dict[str, str | None] = {
        USER_ID: user.id,
        PROFILE: user.profile_name,
        DISPLAY_NAME: user.display_name,
        LOGIN: user.login,
        ADMIN: "true" if user.admin else None,
        SCENES: as_json(scenes),
        STATE: runtime_state(user),
        PASSWORD_VERSION: str(user.password_version),
        SUSPEND_AFTER: None if user.suspend_after is None else str(user.suspend_after),
        HOURS: user.hours,
    }
    return {key: text for key, text in noted.items() if text is not None}


def _marks(user: UserPlan, inputs: RuntimeInputs) -> dict[str, Input]:
    """Return what a pod restarts for beyond its own text."""
    marks: dict[str, Input] = {PASSWORD_FINGERPRINT: inputs.password_fingerprint}
    if user.runtime.secrets:
        marks[SECRETS_FINGERPRINT] = inputs.secrets_fingerprint
    for scene in user.scenes:
        if scene.version > 1:
            marks[f"{SCENE_VERSION}{scene.id}"] = str(scene.version)
    return marks


def _init_container(user: UserPlan, image: Input, mounts: list[VolumeMount]) -> Container:
    """Lay the skeleton of /app once, and the mount points of the scenes at every start."""
    return {
        "name": "lay-skeleton",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/usr/local/bin/fleet-init"],
        # Its last line then stands in the pod's status, where waiting and `fleet status` read it.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "env": [{"name": "FLEET_SCENES", "value": " ".join(scene.id for scene in user.scenes)}],
        "resources": _resources(user),
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [mount for mount in mounts if not _is_scene(mount)],
    }


def _is_scene(mount: VolumeMount) -> bool:
    return mount["name"].startswith("scene-") or mount.get("readOnly", False)


def _container(user: UserPlan, image: Input, mounts: list[VolumeMount]) -> Container:
    return {
        "name": "opencode",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "env": _environment(user),
        "ports": [{"name": "http", "containerPort": RUNTIME_PORT, "protocol": "TCP"}],
        # At the smallest CPU limit a start takes 23 s, and OpenCode never answers a request that
        # comes between its port opening and its being ready: many short attempts.
        "startupProbe": _probe(period=2, timeout=2, failures=60),
        "readinessProbe": _probe(period=10, timeout=3, failures=3),
        # An npm install blocks the event loop for a minute and more; that is no reason to kill.
        "livenessProbe": _probe(period=30, timeout=10, failures=6),
        "resources": _with_extended(_resources(user), user.profile.resources),
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": mounts,
    }


def _probe(*, period: int, timeout: int, failures: int) -> Probe:
    """Return a probe of the one route that OpenCode serves without credentials."""
    return {
        "httpGet": {"path": "/site.webmanifest", "port": "http"},
        "periodSeconds": period,
        "timeoutSeconds": timeout,
        "failureThreshold": failures,
    }


def _environment(user: UserPlan) -> list[EnvVar]:
    variables: list[EnvVar] = [
        {"name": "OPENCODE_SERVER_USERNAME", "value": user.id},
        {
            "name": "OPENCODE_SERVER_PASSWORD",
            "valueFrom": {"secretKeyRef": {"name": user.name, "key": PASSWORD_KEY}},
        },
    ]
    for use in user.runtime.secrets:
        if use.variable is not None:
            key = {"name": user.name, "key": use.key}
            variables.append({"name": use.variable, "valueFrom": {"secretKeyRef": key}})
    # Kubernetes would put other variables in the place of $(NAME).
    for name, text in user.runtime.variables:
        variables.append({"name": name, "value": text.replace("$(", "$$(")})
    return variables


def _resources(user: UserPlan) -> Resources:
    profile = user.profile
    return {
        "requests": {
            "cpu": profile.cpu.request,
            "memory": profile.memory.request,
            "ephemeral-storage": "256Mi",
        },
        "limits": {
            "cpu": profile.cpu.limit,
            "memory": profile.memory.limit,
            "ephemeral-storage": profile.ephemeral_storage,
        },
    }


def _with_extended(resources: Resources, extended: Mapping[str, int]) -> Resources:
    """Return resources with devices, which Kubernetes wants as request and limit alike."""
    more = {name: str(count) for name, count in extended.items()}
    return {
        "requests": {**resources["requests"], **more},
        "limits": {**resources["limits"], **more},
    }


def placement(profile: Placement, user: UserPlan) -> PlacementSpec:
    """Return what a pod's spec says of where it runs."""
    spec: PlacementSpec = {}
    if profile.node_selector:
        spec["nodeSelector"] = profile.node_selector
    if profile.tolerations:
        spec["tolerations"] = [_toleration(item) for item in profile.tolerations]
    if profile.topology_spread:
        labels = {**runtime_selector(), LABEL_ENVIRONMENT: user.environment}
        spec["topologySpreadConstraints"] = [
            {
                "topologyKey": item.key,
                "maxSkew": item.max_skew,
                "whenUnsatisfiable": "DoNotSchedule" if item.required else "ScheduleAnyway",
                "labelSelector": {"matchLabels": labels},
            }
            for item in profile.topology_spread
        ]
    if profile.runtime_class_name is not None:
        spec["runtimeClassName"] = profile.runtime_class_name
    if profile.priority_class_name is not None:
        spec["priorityClassName"] = profile.priority_class_name
    if profile.host_users is not None:
        spec["hostUsers"] = profile.host_users
    return spec


def _toleration(item: Toleration) -> dict[str, str]:
    told = {"key": item.key, "operator": "Exists" if item.value is None else "Equal"}
    if item.value is not None:
        told["value"] = item.value
    return told if item.effect is None else {**told, "effect": item.effect}


def runtime_volumes(user: UserPlan) -> tuple[list[VolumeMount], list[Volume]]:
    """Return what a pod mounts of a user's own data, and where it comes from."""
    app: VolumeMount = {"name": "user", "mountPath": "/app", "subPath": "app"}
    volumes: list[Volume] = [
        {"name": "user", "persistentVolumeClaim": {"claimName": user.name}},
        {"name": "home", "emptyDir": {}},
        {"name": "tmp", "emptyDir": {}},
    ]
    if user.runtime.app_on_shared_claim:
        app = {"name": "shared", "mountPath": "/app", "subPath": user.id}
        volumes.append(_SHARED)
    mounts: list[VolumeMount] = [
        app,
        {"name": "user", "mountPath": "/data", "subPath": "data"},
        {"name": "home", "mountPath": HOME},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the pod's own emptyDir
    ]
    return mounts, volumes


def _mounts(user: UserPlan) -> list[VolumeMount]:
    mounts, _ = runtime_volumes(user)
    mounts.append({"name": "managed-config", "mountPath": "/etc/opencode", "readOnly": True})
    spec = user.runtime
    if spec.trust is not None:
        mounts.append({"name": "trust", "mountPath": TRUST, "readOnly": True})
    if any(use.file for use in spec.secrets):
        mounts.append({"name": "secrets", "mountPath": SECRETS, "readOnly": True})
    for scene in user.scenes:
        for file in ("AGENTS.md", ".opencode"):
            mounts.append(_scene_mount(scene, file))
    mounts.extend(_own_mount(mount) for mount in spec.mounts)
    return mounts


def _own_mount(mount: MountPlan) -> VolumeMount:
    mounted: VolumeMount = {"name": mount.name, "mountPath": mount.path}
    if mount.sub_path is not None:
        mounted["subPath"] = mount.sub_path
    return {**mounted, "readOnly": True} if mount.read_only else mounted


def _scene_mount(scene: ScenePlan, file: str) -> VolumeMount:
    inside = file if scene.nas_path is None else f"{scene.nas_path}/{file}"
    return {
        "name": f"scene-{scene.id}" if scene.nas_path is None else "shared",
        "mountPath": f"/app/{scene.id}/{file}",
        "subPath": inside,
        "readOnly": True,
    }


def _volumes(user: UserPlan) -> list[Volume]:
    _, volumes = runtime_volumes(user)
    spec = user.runtime
    volumes.insert(3, _files_volume("managed-config", spec.managed_config))
    if spec.trust is not None:
        volumes.append(_files_volume("trust", spec.trust))
    if files := [use for use in spec.secrets if use.file]:
        items: list[KeyToPath] = [{"key": use.key, "path": str(use.file)} for use in files]
        volumes.append({"name": "secrets", "secret": {"secretName": user.name, "items": items}})
    if any(scene.nas_path for scene in user.scenes) and _SHARED not in volumes:
        volumes.append(_SHARED)
    volumes.extend(_scene_volume(scene) for scene in user.scenes if scene.config_maps)
    volumes.extend(cast("Volume", {"name": it.name, **it.source}) for it in spec.mounts)
    return volumes


def _files_volume(name: str, files: FilesPlan) -> Volume:
    items: list[KeyToPath] = [{"key": file, "path": file} for file, _ in files.files]
    return {"name": name, "configMap": {"name": files.name, "items": items}}


def _scene_volume(scene: ScenePlan) -> Volume:
    name = f"scene-{scene.id}"
    first, *more = (_scene_source(part) for part in scene.config_maps)
    if not more:
        return {"name": name, "configMap": first}
    return {"name": name, "projected": {"sources": [{"configMap": it} for it in (first, *more)]}}


def _scene_source(part: SceneConfigMap) -> ConfigMapVolume:
    return {
        "name": part.name,
        "items": [_item(path, runs=path in part.executable) for path, _ in part.files],
    }


def _item(path: str, *, runs: bool) -> KeyToPath:
    item: KeyToPath = {"key": config_map_key(path), "path": path}
    return {**item, "mode": _RUNS} if runs else item
