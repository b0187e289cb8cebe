"""Deleting a former user's data for good: the one place of the program that destroys work.

Only for ids that are typed in full and are not in the roster. Each step can be done twice, and the
last thing that names the user goes last, so that a run that is killed is finished by the next one:
the folder on the shared claim, the volume's fate, the claim, the volume.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from fleet.cluster import pods as judged
from fleet.cluster.client import Cluster, Live
from fleet.cluster.pods import part
from fleet.cluster.untrusted import one_line
from fleet.errors import ClusterError, RefusedError
from fleet.manifests.pool import SHARED_CLAIM
from fleet.manifests.runtime import RUNTIME_UID
from fleet.names import LABEL_ENVIRONMENT, LABEL_USER, pool_labels, slug, user_object_name

_PATIENCE = 120.0
_PAUSE = 0.5
_CONTAINER = "purge"
_NOT_FOUND = 404


def purge_user(
    cluster: Cluster, environment: str, user_id: str, image: str, pull_secret: str | None = None
) -> list[str]:
    """Delete every claim of a former user with its data; return what was deleted.

    `image` runs once where a shared claim has a folder of the user; `pull_secret` pulls it.
    """
    owner = {LABEL_ENVIRONMENT: environment, LABEL_USER: slug(user_id)}
    _need_no_runtime(cluster, user_id, owner)
    done: list[str] = []
    for claim in cluster.list("persistentvolumeclaims", labels=owner):
        namespace, name = claim["metadata"]["namespace"], claim["metadata"]["name"]
        if cluster.get("persistentvolumeclaims", SHARED_CLAIM, namespace) is not None:
            pod = _purge_pod(environment, namespace, user_id, image)
            if pull_secret is not None:
                pod["spec"]["imagePullSecrets"] = [{"name": pull_secret}]
            _run_once(cluster, pod, user_id)
            done.append(f"folder {user_id} on {namespace}/{SHARED_CLAIM}")
        _let_volume_go(cluster, claim, owner)
        cluster.delete("persistentvolumeclaims", name, namespace, wait=_PATIENCE)
        done.append(f"claim {namespace}/{name}")
    # By label, so that volumes of a run that was killed after deleting the claim are found too.
    left = cluster.list("persistentvolumes", labels=owner)
    _wait_gone(cluster, user_id, [item["metadata"]["name"] for item in left])
    return done


def _need_no_runtime(cluster: Cluster, user_id: str, owner: dict[str, str]) -> None:
    """Raise ClusterError while the user has a runtime; wait for a pod that is on its way out."""
    if cluster.list("deployments", labels=owner):
        raise ClusterError(
            f"user {user_id}: purge: the runtime still exists: remove the user from the roster and"
            " run fleet up, then purge"
        )

    def none_left() -> bool:
        return not cluster.list("pods", labels=owner)

    if not _wait(none_left, _PATIENCE):
        raise ClusterError(
            f"user {user_id}: purge: a pod of the runtime is still there after {_PATIENCE:g} s:"
            " nothing was deleted; run this again when it is gone"
        )


def _let_volume_go(cluster: Cluster, claim: Live, owner: dict[str, str]) -> None:
    """Have the volume deleted with its claim: usually it is retained, unseen.

    The labels let a later run find a volume whose claim is gone already.
    """
    volume = claim["spec"].get("volumeName")
    if not volume:
        return
    change = {
        "metadata": {"labels": owner},
        "spec": {"persistentVolumeReclaimPolicy": "Delete"},
    }
    try:
        cluster.patch("persistentvolumes", volume, change)
    except RefusedError as refused:
        # A claim can outlive its volume; then there is no data either.
        if refused.status != _NOT_FOUND:
            raise


def _wait_gone(cluster: Cluster, user_id: str, volumes: list[str]) -> None:
    for volume in volumes:

        def gone(name: str = volume) -> bool:
            return cluster.get("persistentvolumes", name) is None

        if not _wait(gone, _PATIENCE):
            left = cluster.get("persistentvolumes", volume) or {}
            why = one_line(str(part(left, "status").get("message") or ""), 200)
            raise ClusterError(
                f"user {user_id}: purge: volume {volume} stays after {_PATIENCE:g} s"
                f"{f' ({why})' if why else ''}: its claim is gone, its data may not be: delete the"
                " volume by hand, or run this again"
            )


def _wait(done: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() >= deadline:
            return False
        time.sleep(_PAUSE)
    return True


def _run_once(cluster: Cluster, manifest: Live, user_id: str) -> None:
    """Remove a user's folder from the shared claim, by a pod that runs once."""
    name, namespace = manifest["metadata"]["name"], manifest["metadata"]["namespace"]
    # One that a killed run left behind may be of another image, and pods cannot be changed.
    cluster.delete("pods", name, namespace, wait=_PATIENCE)
    cluster.create(manifest)
    try:
        _wait_done(cluster, namespace, name, user_id)
    finally:
        cluster.delete("pods", name, namespace, wait=_PATIENCE)


def _wait_done(cluster: Cluster, namespace: str, name: str, user_id: str) -> None:
    pod: Live = {}

    def ended() -> bool:
        nonlocal pod
        pod = cluster.get("pods", name, namespace) or {"metadata": {}, "status": {}}
        return judged.ended(pod)

    in_time = _wait(ended, _PATIENCE)
    if in_time and part(pod, "status").get("phase") == "Succeeded":
        return
    doing = judged.doing(pod)
    why = doing.note or doing.phase
    if in_time:
        why = _last_line(cluster, namespace, name) or why
    raise ClusterError(
        f"user {user_id}: purge: the folder on the shared claim was not removed: {why}: nothing"
        " else was deleted; run this again"
    )


def _last_line(cluster: Cluster, namespace: str, name: str) -> str:
    try:
        lines = list(cluster.logs(namespace, name, _CONTAINER, tail=1))
    except ClusterError:
        return ""
    return one_line(lines[-1], 200) if lines else ""


def _purge_pod(environment: str, namespace: str, user_id: str, image: str) -> Live:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"purge-{user_object_name(user_id)}"[:63],
            "namespace": namespace,
            "labels": pool_labels(environment, namespace.partition("--")[2]),
        },
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": RUNTIME_UID,
                "runAsGroup": RUNTIME_UID,
                "fsGroup": RUNTIME_UID,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": _CONTAINER,
                    "image": image,
                    # The id is an argument, never part of a script.
                    "command": ["/bin/rm", "-rf", "--", f"/shared/{user_id}"],
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "volumeMounts": [{"name": "shared", "mountPath": "/shared"}],
                }
            ],
            "volumes": [{"name": "shared", "persistentVolumeClaim": {"claimName": SHARED_CLAIM}}],
        },
    }
