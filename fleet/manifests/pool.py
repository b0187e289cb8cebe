"""The objects of a pool: its namespace, limits, scenes, managed config, who may do what in it.

Leaves out: network rules (`policies`), the users' objects (`user`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from fleet.manifests.policies import AGENT_CONTROL, network_policies
from fleet.manifests.types import (
    Claim,
    ConfigMap,
    Input,
    Manifest,
    Metadata,
    Role,
    RoleBinding,
    Secret,
    ServiceAccount,
    Spec,
)
from fleet.names import (
    DOOR,
    IDENTITY,
    RETAIN,
    door_namespace,
    pool_labels,
    shared_volume_name,
)
from fleet.plan.environment import PoolPlan
from fleet.plan.runtime_spec import FilesPlan, NfsPlan
from fleet.plan.scenes import SceneConfigMap
from fleet.stackfile.config import MAX_USERS_A_POOL
from fleet.stackfile.scene_names import config_map_key
from fleet.stackfile.storage import Nas, SharedClaim

SHARED_CLAIM = "workspaces"
RETAINED = {RETAIN: "true"}
# Claims of former users are retained and count. Of all else a user has one, for moments two.
_CLAIMS_A_POOL = 5 * MAX_USERS_A_POOL


def pool_objects(pool: PoolPlan, identity: Input | None = None) -> list[Manifest]:
    """Return every object of a pool in the order they must be made; the namespace is first.

    `identity` is the environment's, where its seed is at hand.
    """
    objects: list[Manifest] = [
        namespace(pool, identity),
        resource_quota(pool),
        limit_range(pool),
        *(files_config_map(pool, files) for files in pool.files),
        *(scene_config_map(pool, part) for scene in pool.scenes for part in scene.config_maps),
        *network_policies(pool),
        *agent_control(pool),
        *door_rights(pool),
    ]
    if pool.shared is not None:
        objects.extend(shared_storage(pool, pool.shared))
    for export in pool.nfs:
        objects.extend(nfs_storage(pool, export))
    return objects


def _metadata(pool: PoolPlan, name: str) -> Metadata:
    return {
        "name": name,
        "namespace": pool.namespace,
        "labels": pool_labels(pool.environment, pool.name),
    }


def namespace(pool: PoolPlan, identity: Input | None = None) -> Manifest:
    """Return the pool's namespace; Pod Security `restricted` is enforced in it."""
    identified = RETAINED if identity is None else {**RETAINED, IDENTITY: identity}
    restricted = {
        f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")
    }
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": pool.namespace,
            "labels": {**pool_labels(pool.environment, pool.name), **restricted},
            "annotations": identified,
        },
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class SharedSecret:
    """A Secret that namespaces have copies of: pods and Ingresses reach those beside them alone."""

    name: str
    type: str
    data: dict[str, Input] = field(repr=False)
    """In base64."""


def pool_secret(pool: PoolPlan, shared: SharedSecret) -> Secret:
    """Return a pool's copy of a Secret."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _metadata(pool, shared.name),
        "type": shared.type,
        "data": shared.data,
    }


def resource_quota(pool: PoolPlan) -> Spec:
    """Return the pool's quota: object counts always, totals where the stack file sets them."""
    hard = {
        "persistentvolumeclaims": str(_CLAIMS_A_POOL),
        "pods": str(2 * MAX_USERS_A_POOL),
        "services": str(MAX_USERS_A_POOL + 10),
        "services.loadbalancers": "0",
        "services.nodeports": "0",
    }
    totals = {
        "requests.cpu": pool.quota.cpu,
        "requests.memory": pool.quota.memory,
        "requests.storage": pool.quota.storage,
    }
    hard |= {key: value for key, value in totals.items() if value is not None}
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": _metadata(pool, "pool"),
        "spec": {"hard": hard},
    }


def limit_range(pool: PoolPlan) -> Spec:
    """Return defaults for containers that set no limits, such as an operator's debug pod."""
    limits = [
        {
            "type": "Container",
            "default": {"cpu": "1", "memory": "512Mi", "ephemeral-storage": "1Gi"},
            "defaultRequest": {"cpu": "50m", "memory": "64Mi", "ephemeral-storage": "100Mi"},
        }
    ]
    return {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": _metadata(pool, "pool"),
        "spec": {"limits": limits},
    }


def files_config_map(pool: PoolPlan, files: FilesPlan) -> ConfigMap:
    """Return files that runtimes mount, such as OpenCode's managed configuration."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(pool, files.name),
        "immutable": True,
        "data": dict(files.files),
    }


def scene_config_map(pool: PoolPlan, part: SceneConfigMap) -> ConfigMap:
    """Return files of a scene, named by their content."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(pool, part.name),
        "immutable": True,
        "data": {config_map_key(path): text for path, text in part.files},
    }


def agent_control(pool: PoolPlan) -> list[Manifest]:
    """Return the account of an outside control plane: list, watch, restart, scale, nothing more.

    Restarting is deleting a pod. Patching a Deployment would do it too, but whoever may do that may
    mount any Secret of the namespace.
    """
    account: ServiceAccount = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": _metadata(pool, AGENT_CONTROL),
        "automountServiceAccountToken": False,
    }
    role: Role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": _metadata(pool, AGENT_CONTROL),
        "rules": [
            {
                "apiGroups": [""],
                "resources": ["pods"],
                "verbs": ["get", "list", "watch", "delete"],
            },
            {
                "apiGroups": ["apps"],
                "resources": ["deployments"],
                "verbs": ["get", "list", "watch"],
            },
            {
                "apiGroups": ["apps"],
                "resources": ["deployments/scale"],
                "verbs": ["get", "update", "patch"],
            },
        ],
    }
    binding: RoleBinding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": _metadata(pool, AGENT_CONTROL),
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "Role",
            "name": AGENT_CONTROL,
        },
        "subjects": [
            {"kind": "ServiceAccount", "name": AGENT_CONTROL, "namespace": pool.namespace}
        ],
    }
    return [account, role, binding]


def door_rights(pool: PoolPlan) -> list[Manifest]:
    """Return what the door may do among a pool's objects: look, and scale; read no Secret."""
    looks = ["get", "list", "watch"]
    role: Role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": _metadata(pool, DOOR),
        "rules": [
            {"apiGroups": [""], "resources": ["pods"], "verbs": looks},
            {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": looks},
            {"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["patch"]},
        ],
    }
    binding: RoleBinding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": _metadata(pool, DOOR),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": DOOR},
        "subjects": [
            {
                "kind": "ServiceAccount",
                "name": DOOR,
                "namespace": door_namespace(pool.environment),
            }
        ],
    }
    return [role, binding]


def shared_storage(pool: PoolPlan, shared: SharedClaim) -> list[Manifest]:
    """Return the pool's ReadWriteMany claim, and the static volume behind it on a NAS."""
    claim: Claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {**_metadata(pool, SHARED_CLAIM), "annotations": RETAINED},
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "resources": {"requests": {"storage": shared.size}},
        },
    }
    if shared.class_name is not None:
        claim["spec"]["storageClassName"] = shared.class_name
    if shared.nas is None:
        return [claim]
    name = shared_volume_name(pool.environment, pool.name)
    claim["spec"]["storageClassName"] = ""
    claim["spec"]["volumeName"] = name
    return [nas_volume(pool, shared.nas, shared.size, (name, SHARED_CLAIM)), claim]


def nas_volume(pool: PoolPlan, nas: Nas, size: str, names: tuple[str, str]) -> Spec:
    """Return a static volume on an NFS export; `names`: its own, and of the claim it is for."""
    name, claim = names
    source: dict[str, object] = {"nfs": {"server": nas.server, "path": nas.path}}
    if nas.driver == "csi":
        source = {
            "csi": {
                "driver": "nasplugin.csi.alibabacloud.com",
                "volumeHandle": name,
                "volumeAttributes": {"server": nas.server, "path": nas.path, "vers": "3"},
            }
        }
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": name,
            "labels": pool_labels(pool.environment, pool.name),
            "annotations": RETAINED,
        },
        "spec": {
            "capacity": {"storage": size},
            "accessModes": ["ReadWriteMany"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "",
            "mountOptions": ["nolock", "tcp", "noresvport"],
            "claimRef": {"namespace": pool.namespace, "name": claim},
            **source,
        },
    }


def nfs_storage(pool: PoolPlan, export: NfsPlan) -> list[Manifest]:
    """Return a volume and a claim for an NFS folder: Pod Security lets no pod name one itself.

    What is in the folder is somebody else's: nothing here deletes it.
    """
    size = {"storage": "1Gi"}
    volume: Spec = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": export.volume,
            "labels": pool_labels(pool.environment, pool.name),
            "annotations": RETAINED,
        },
        "spec": {
            "capacity": size,
            "accessModes": ["ReadWriteMany"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "",
            "mountOptions": ["nolock", "tcp", "noresvport"],
            "claimRef": {"namespace": pool.namespace, "name": export.claim},
            "nfs": {"server": export.server, "path": export.path},
        },
    }
    claim: Claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {**_metadata(pool, export.claim), "annotations": RETAINED},
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "resources": {"requests": size},
            "storageClassName": "",
            "volumeName": export.volume,
        },
    }
    return [volume, claim]
