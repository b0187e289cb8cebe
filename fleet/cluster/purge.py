"""Deleting a former user's data for good: the one place of the program that destroys work.

Only for ids that are typed in full and are not in the roster. The claim's volume usually has the
reclaim policy Retain, so that is changed first, else the data would outlive its claim unseen.
"""

from __future__ import annotations

import json
import time

from fleet.cluster.kubectl import Kubectl, as_list
from fleet.errors import ClusterError
from fleet.manifests.pool import SHARED_CLAIM
from fleet.manifests.runtime import RUNTIME_UID
from fleet.names import LABEL_ENVIRONMENT, LABEL_USER, slug, user_object_name

_PATIENCE = 120.0


def purge_user(kubectl: Kubectl, environment: str, user_id: str, image: str) -> list[str]:
    """Delete every claim of a former user with its data; return what was deleted."""
    selector = f"--selector={LABEL_ENVIRONMENT}={environment},{LABEL_USER}={slug(user_id)}"
    if kubectl.get(["deployments", "pods"], "--all-namespaces", selector):
        raise ClusterError(
            f"user {user_id}: purge: the runtime still exists: remove the user from the roster and"
            " apply, then purge"
        )
    done: list[str] = []
    for claim in kubectl.get(["persistentvolumeclaims"], "--all-namespaces", selector):
        metadata = claim["metadata"]
        namespace = metadata["namespace"]
        if _has_shared_claim(kubectl, namespace):
            _empty_shared_folder(kubectl, namespace, user_id, image)
            done.append(f"folder {user_id} on {namespace}/{SHARED_CLAIM}")
        volume = claim["spec"].get("volumeName")
        if volume:
            patch = json.dumps({"spec": {"persistentVolumeReclaimPolicy": "Delete"}})
            kubectl.ask("patch", "persistentvolume", volume, "-p", patch)
        kubectl.ask("delete", "pvc", metadata["name"], f"--namespace={namespace}", "--wait=true")
        if volume:
            _wait_gone(kubectl, user_id, volume)
        done.append(f"claim {namespace}/{metadata['name']}")
    return done


def _wait_gone(kubectl: Kubectl, user_id: str, volume: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while kubectl.get(["persistentvolumes"], volume, "--ignore-not-found"):
        if time.monotonic() > deadline:
            raise ClusterError(
                f"user {user_id}: purge: volume {volume} stays after {_PATIENCE:.0f} s: its claim"
                " is gone, its data may not be: look at kubectl describe pv"
            )
        time.sleep(1)


def _has_shared_claim(kubectl: Kubectl, namespace: str) -> bool:
    arguments = (SHARED_CLAIM, f"--namespace={namespace}", "--ignore-not-found")
    return bool(kubectl.get(["persistentvolumeclaims"], *arguments))


def _empty_shared_folder(kubectl: Kubectl, namespace: str, user_id: str, image: str) -> None:
    """Remove a user's folder from the shared claim, by a pod that runs once."""
    name = f"purge-{user_object_name(user_id)}"[:63]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": RUNTIME_UID,
                "runAsGroup": RUNTIME_UID,
                "fsGroup": RUNTIME_UID,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "purge",
                    "image": image,
                    # The id is an argument, never part of a script.
                    "command": ["rm", "-rf", "--", f"/shared/{user_id}"],
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
    where = f"--namespace={namespace}"
    kubectl.ask("apply", "--server-side", "-f", "-", stdin=as_list([pod]))
    try:
        phase = "{.status.phase}=Succeeded"
        wait = ("--for", f"jsonpath={phase}", f"--timeout={_PATIENCE:.0f}s")
        reply = kubectl.run("wait", f"pod/{name}", where, *wait)
        if reply.code != 0:
            raise ClusterError(
                f"user {user_id}: purge: the folder on the shared claim was not removed:"
                f" {kubectl.explain(reply.err)}: nothing else was deleted; run this again"
            )
    finally:
        kubectl.run("delete", "pod", name, where, "--wait=true", "--ignore-not-found")
