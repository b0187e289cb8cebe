"""The objects that back up a pool: two CronJobs, their account, their secrets, their way out.

A CronJob's pod makes one pod a user in turn, so that nothing here grows with users but lines of a
ConfigMap and keys of a Secret. Owns: what those pods may read and reach. Leaves out: what they do
(`image/backup`), what is done by hand (`cluster.backups`).
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

from fleet.manifests.backup_pods import (
    BACKUP,
    CONTAINER,
    DRILL,
    PROGRAM,
    PYTHON,
    REPOSITORY_CLAIM,
    RESULTS,
    ROLE_POOL,
    ROLE_USER,
    STORE_KEYS,
    drill_pod,
    password_key,
    user_pod,
    user_values,
)
from fleet.manifests.policies import api_exit, names, policy
from fleet.manifests.pool import RETAINED, nas_volume
from fleet.manifests.runtime import CONTAINER_SECURITY, POD_SECURITY
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
from fleet.names import LABEL_ROLE, backup_volume_name, content_name, pool_labels, slug
from fleet.plan.backups import repository_password
from fleet.plan.environment import PoolPlan
from fleet.stackfile.backup import Backup
from fleet.values.ranges import closed_ranges

# An NFS server enforces none; a quota counts it.
_NFS_SIZE = "1Gi"


@dataclass(frozen=True, kw_only=True, slots=True)
class BackupInputs:
    """What a pool's backup objects take from outside the plan."""

    image: Input
    """Reference of the runtime image, which has restic."""
    pull_secret: str | None = None
    secret_data: dict[str, Input] | None = field(default=None, repr=False)
    """Data of the pool's Secret in base64; None leaves it out."""


def backup_objects(pool: PoolPlan, inputs: BackupInputs) -> list[Manifest]:
    """Return every object that backs up a pool, in the order they must be made."""
    backup = pool.backup
    if backup is None:
        return []
    return [
        *_repository(pool, backup),
        _secret(pool, inputs.secret_data),
        _settings(pool, backup),
        *_account(pool),
        *_network(pool, backup),
        _cron_job(pool, backup, BACKUP, inputs),
        _cron_job(pool, backup, DRILL, inputs),
    ]


def secret_texts(pool: PoolPlan, backup: Backup, secrets: dict[str, str]) -> dict[str, str]:
    """Return what the pool's Secret holds, in clear; `secrets` are the stack file's.

    Raises InputError when the backup password is too short.
    """
    key = backup.password_secret
    texts = {
        password_key(slug(user.id)): repository_password(
            key, secrets[key], pool.environment, user.id
        )
        for user in pool.users
    }
    if backup.repository.s3 is not None:
        held = (secrets[backup.access_key_id], secrets[backup.secret_access_key])
        texts |= {key: text.strip() for key, text in zip(STORE_KEYS, held, strict=True)}
    return texts


def secret_data(pool: PoolPlan, backup: Backup, secrets: dict[str, str]) -> dict[str, str]:
    """Return the data of the pool's Secret in base64."""
    texts = secret_texts(pool, backup, secrets)
    return {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}


def secret_references(backup: Backup) -> tuple[str, ...]:
    """Return the keys of the stack file's secrets that backups need."""
    if backup.repository.s3 is None:
        return (backup.password_secret,)
    return (backup.password_secret, backup.access_key_id, backup.secret_access_key)


def store_keys(backup: Backup) -> tuple[str, ...]:
    """Return the keys of the pool's Secret that hold the store's credentials."""
    return STORE_KEYS if backup.repository.s3 is not None else ()


def _metadata(pool: PoolPlan, name: str) -> Metadata:
    return {
        "name": name,
        "namespace": pool.namespace,
        "labels": pool_labels(pool.environment, pool.name),
    }


def _secret(pool: PoolPlan, data: dict[str, Input] | None) -> Secret:
    manifest: Secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _metadata(pool, BACKUP),
        "type": "Opaque",
    }
    if data is not None:
        manifest["data"] = data
    return manifest


def _settings(pool: PoolPlan, backup: Backup) -> ConfigMap:
    """Return whose turn it is, and the pod of a user with places to fill in."""
    users = [user_values(user) for user in pool.users]
    data = {
        "users.json": json.dumps(users, indent=1),
        "backup.json": json.dumps(user_pod(pool, backup), indent=1),
        "drill.json": json.dumps(drill_pod(pool, backup), indent=1),
    }
    digest = hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(pool, content_name(BACKUP, "settings", digest)),
        "immutable": True,
        "data": data,
    }


def _account(pool: PoolPlan) -> list[Manifest]:
    """Return the account of the CronJobs' pods: pods of this namespace and one ConfigMap."""
    account: ServiceAccount = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": _metadata(pool, BACKUP),
        "automountServiceAccountToken": False,
    }
    role: Role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": _metadata(pool, BACKUP),
        "rules": [
            {
                "apiGroups": [""],
                "resources": ["pods"],
                "verbs": ["get", "list", "create", "delete"],
            },
            {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create"]},
            {
                "apiGroups": [""],
                "resources": ["configmaps"],
                "resourceNames": [RESULTS],
                "verbs": ["get", "patch"],
            },
        ],
    }
    binding: RoleBinding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": _metadata(pool, BACKUP),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": BACKUP},
        "subjects": [{"kind": "ServiceAccount", "name": BACKUP, "namespace": pool.namespace}],
    }
    return [account, role, binding]


def _cron_job(pool: PoolPlan, backup: Backup, name: str, inputs: BackupInputs) -> Spec:
    drill = name == DRILL
    settings = _settings(pool, backup)["metadata"]["name"]
    labels = {**pool_labels(pool.environment, pool.name), LABEL_ROLE: ROLE_POOL}
    variables: list[dict[str, Any]] = [
        {"name": "FLEET_API", "value": "https://kubernetes.default.svc"},
        {"name": "FLEET_PARALLEL", "value": "1" if drill else str(backup.parallel)},
        {"name": "FLEET_POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    ]
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "serviceAccountName": BACKUP,
        "automountServiceAccountToken": True,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 5,
        "securityContext": POD_SECURITY,
        "containers": [
            {
                "name": CONTAINER,
                "image": inputs.image,
                "imagePullPolicy": "IfNotPresent",
                "command": [*PYTHON, f"{PROGRAM}/pool.py"],
                "args": ["drill" if drill else "backup"],
                "env": variables,
                "resources": {
                    "requests": {"cpu": "10m", "memory": "32Mi", "ephemeral-storage": "16Mi"},
                    "limits": {"cpu": "500m", "memory": "256Mi", "ephemeral-storage": "256Mi"},
                },
                "securityContext": CONTAINER_SECURITY,
                "volumeMounts": [
                    {"name": "settings", "mountPath": "/fleet/settings", "readOnly": True}
                ],
            }
        ],
        "volumes": [{"name": "settings", "configMap": {"name": settings}}],
    }
    if inputs.pull_secret is not None:
        pod["imagePullSecrets"] = [{"name": inputs.pull_secret}]
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": _metadata(pool, name),
        "spec": {
            "schedule": backup.drill.schedule if drill else backup.schedule,
            "timeZone": backup.time_zone,
            "concurrencyPolicy": "Forbid",
            # A cluster that was off at the time makes up for it within the hour.
            "startingDeadlineSeconds": 3600,
            "successfulJobsHistoryLimit": 1,
            "failedJobsHistoryLimit": 1,
            "jobTemplate": {
                "metadata": {"labels": labels},
                "spec": {
                    "backoffLimit": 0,
                    "activeDeadlineSeconds": 24 * 3600,
                    "template": {"metadata": {"labels": labels}, "spec": pod},
                },
            },
        },
    }


def _network(pool: PoolPlan, backup: Backup) -> list[Spec]:
    """Return the ways out: to the API for the CronJobs' pods, to the store for the users'."""

    def selected(role: str, exits: list[dict[str, Any]]) -> Spec:
        spec = {
            "podSelector": {"matchLabels": {LABEL_ROLE: role}},
            "policyTypes": ["Egress"],
            "egress": exits,
        }
        return policy(pool, role, spec)

    to_store = _store(pool, backup)
    return [
        selected(ROLE_POOL, [api_exit(), names(pool.network)]),
        selected(ROLE_USER, [names(pool.network), *to_store] if to_store else []),
    ]


def _store(pool: PoolPlan, backup: Backup) -> list[dict[str, Any]]:
    """Return the exits to an S3 store; NFS and claims are the node's business."""
    if backup.repository.s3 is None:
        return []
    address = urlsplit(backup.repository.s3)
    host, port = address.hostname or "", address.port or (443 if address.scheme == "https" else 80)
    labels = host.removesuffix(".cluster.local").split(".")
    if labels[-1] == "svc" and len(labels) > 2:  # noqa: PLR2004 - service.namespace.svc
        # A Service's port is not its pods', and only the pods' counts.
        return [{"to": [{"namespaceSelector": _named(labels[-2])}]}]
    private = [{"ipBlock": {"cidr": item}} for item in backup.allow]
    try:
        ip_address(host)
    except ValueError:
        four, six = closed_ranges(pool.network.deny)
        public = [
            {"ipBlock": {"cidr": "0.0.0.0/0", "except": list(four)}},
            {"ipBlock": {"cidr": "::/0", "except": list(six)}},
        ]
    else:
        public = [{"ipBlock": {"cidr": str(ip_network(host))}}]
    return [{"to": [*public, *private], "ports": [{"protocol": "TCP", "port": port}]}]


def _named(namespace: str) -> dict[str, Any]:
    return {"matchLabels": {"kubernetes.io/metadata.name": namespace}}


def _repository(pool: PoolPlan, backup: Backup) -> list[Manifest]:
    """Return the claim that holds the repositories, and the static volume behind it on NFS."""
    repository = backup.repository
    if repository.s3 is not None:
        return []
    claim: Claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {**_metadata(pool, REPOSITORY_CLAIM), "annotations": RETAINED},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {}}},
    }
    if repository.claim is not None:
        claim["spec"]["resources"]["requests"]["storage"] = repository.claim.size
        if repository.claim.class_name is not None:
            claim["spec"]["storageClassName"] = repository.claim.class_name
        return [claim]
    if repository.nfs is None:  # the rules refuse it before a plan is made
        raise LookupError("backup.repository")
    name = backup_volume_name(pool.environment, pool.name)
    claim["spec"] = {
        "accessModes": ["ReadWriteMany"],
        "resources": {"requests": {"storage": _NFS_SIZE}},
        "storageClassName": "",
        "volumeName": name,
    }
    return [nas_volume(pool, repository.nfs, _NFS_SIZE, (name, REPOSITORY_CLAIM)), claim]
