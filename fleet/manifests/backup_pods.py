"""The pods that back up, restore and drill, with places to fill in for each user.

Owns: what such a pod mounts and may do. Leaves out: who makes it, and the objects around it
(`backup`).
"""

from __future__ import annotations

from typing import Any

from fleet.manifests.pool import SHARED_CLAIM
from fleet.manifests.runtime import CONTAINER_SECURITY, POD_SECURITY
from fleet.names import LABEL_ROLE, pool_labels, slug
from fleet.plan.backups import REPOSITORY_FOLDER, repository_address
from fleet.plan.environment import PoolPlan, UserPlan
from fleet.stackfile.backup import Backup
from fleet.values.quantity import canonical_quantity, parse_quantity

BACKUP = "backup"
DRILL = "backup-drill"
RESULTS = "backup-results"
"""ConfigMap in which the pods of the CronJobs note what came of it; no object of the stack."""
REPOSITORY_CLAIM = "backup-repository"
ROLE_POOL, ROLE_USER = "backup-pool", "backup-user"
CONTAINER = "work"
STORE_KEYS = ("accessKeyId", "secretAccessKey")
PROGRAM = "/usr/local/lib/opencode-fleet/backup"
PYTHON = ["/usr/bin/tini", "-g", "--", "/usr/bin/python3", "-EsB"]
EXPORT_COMMAND = ("/usr/bin/python3", "-EsB", f"{PROGRAM}/export.py")
# For copies of databases, restic's own files and, in a drill, everything: beside the claim's size.
_SPARE = 4 * 2**30


def password_key(user_slug: str) -> str:
    """Return the key of the pool's Secret that holds a user's repository password."""
    return f"password.{user_slug}"


def user_values(user: UserPlan) -> dict[str, str]:
    """Return what is filled into the pod of a user; none of it means anything to JSON."""
    size = parse_quantity(user.profile.storage)
    return {
        "id": user.id,
        "slug": slug(user.id),
        "storage": user.profile.storage,
        "scratch": canonical_quantity(str(int(size) + _SPARE)),
    }


def user_pod(pool: PoolPlan, backup: Backup) -> dict[str, Any]:
    """Return the pod that works on a user's claim; `<id>` and the like are filled in.

    Its name is the lock of the claim: whoever backs up, restores or exports makes this pod.
    """
    mounts: list[dict[str, Any]] = [{"name": "user", "mountPath": "/user"}]
    volumes: list[dict[str, Any]] = [
        {"name": "user", "persistentVolumeClaim": {"claimName": "oc-<slug>"}}
    ]
    if any(user.runtime.app_on_shared_claim for user in pool.users):
        mounts.append({"name": "shared", "mountPath": "/user/app", "subPath": "<id>"})
        volumes.append({"name": "shared", "persistentVolumeClaim": {"claimName": SHARED_CLAIM}})
    return _pod(pool, backup, "backup", mounts, volumes)


def drill_pod(pool: PoolPlan, backup: Backup) -> dict[str, Any]:
    scratch: dict[str, Any] = {"name": "user", "emptyDir": {"sizeLimit": "<scratch>"}}
    if backup.drill.class_name is not None:
        spec = {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": backup.drill.class_name,
            "resources": {"requests": {"storage": "<scratch>"}},
        }
        scratch = {"name": "user", "ephemeral": {"volumeClaimTemplate": {"spec": spec}}}
    mounts = [{"name": "user", "mountPath": "/user"}]
    return _pod(pool, backup, "drill", mounts, [scratch])


def _pod(
    pool: PoolPlan,
    backup: Backup,
    verb: str,
    mounts: list[dict[str, Any]],
    volumes: list[dict[str, Any]],
) -> dict[str, Any]:
    items = [{"key": password_key("<slug>"), "path": "password"}]
    if backup.repository.s3 is not None:
        items += [{"key": key, "path": key} for key in STORE_KEYS]
    else:
        mounts = [*mounts, {"name": "repository", "mountPath": REPOSITORY_FOLDER}]
        held = {"claimName": REPOSITORY_CLAIM}
        volumes = [*volumes, {"name": "repository", "persistentVolumeClaim": held}]
    keep = backup.keep
    address = repository_address(backup, pool.environment, "<slug>")
    variables = {
        "FLEET_REPOSITORY": address,
        "FLEET_KEEP": f"{keep.daily} {keep.weekly} {keep.monthly}",
        "FLEET_TAG": "scheduled",
        "HOME": "/work",
    }
    secret = {"secretName": BACKUP, "items": items, "defaultMode": 0o440}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{verb}-<slug>",
            "namespace": pool.namespace,
            # No label of a user: it would be taken for the user's runtime.
            "labels": {**pool_labels(pool.environment, pool.name), LABEL_ROLE: ROLE_USER},
        },
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 5,
            "securityContext": POD_SECURITY,
            "containers": [
                {
                    "name": CONTAINER,
                    "image": "",
                    "imagePullPolicy": "IfNotPresent",
                    "command": [*PYTHON, f"{PROGRAM}/user.py"],
                    "args": [verb],
                    "env": [{"name": key, "value": text} for key, text in variables.items()],
                    "resources": {
                        "requests": {
                            "cpu": "10m",
                            "memory": "64Mi",
                            "ephemeral-storage": "256Mi",
                        },
                        "limits": {"cpu": "1", "memory": "1Gi", "ephemeral-storage": "<scratch>"},
                    },
                    "securityContext": CONTAINER_SECURITY,
                    "volumeMounts": [
                        *mounts,
                        {"name": "work", "mountPath": "/work"},
                        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the pod's own
                        {"name": "secrets", "mountPath": "/fleet/secrets", "readOnly": True},
                    ],
                }
            ],
            "volumes": [
                *volumes,
                {"name": "work", "emptyDir": {}},
                {"name": "tmp", "emptyDir": {}},
                {"name": "secrets", "secret": secret},
            ],
        },
    }
