"""The objects of a user; the Deployment among them is made in `runtime`."""

from __future__ import annotations

import base64

from fleet.manifests.policies import RUNTIME_PORT
from fleet.manifests.pool import RETAINED
from fleet.manifests.runtime import RuntimeInputs, deployment
from fleet.manifests.types import Claim, Input, Manifest, Metadata, Secret, Spec
from fleet.names import DISPLAY_NAME, USER_ID, user_labels, user_selector
from fleet.plan.environment import UserPlan


def user_objects(user: UserPlan, inputs: RuntimeInputs) -> list[Manifest]:
    """Return every object of a user in the order they must be made."""
    return [
        secret(user, inputs.secret_data),
        claim(user),
        service(user),
        deployment(user, inputs),
    ]


def user_metadata(user: UserPlan) -> Metadata:
    """Return the metadata of a user's object; all of them share one name."""
    annotations = {USER_ID: user.id}
    if user.display_name:
        annotations[DISPLAY_NAME] = user.display_name
    return {
        "name": user.name,
        "namespace": user.namespace,
        "labels": user_labels(user.environment, user.pool, user.id),
        "annotations": annotations,
    }


def secret(user: UserPlan, data: dict[str, Input] | None) -> Secret:
    """Return the user's password and model API key."""
    manifest: Secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": user_metadata(user),
        "type": "Opaque",
    }
    if data is not None:
        # Not `stringData`: under server-side apply a key that leaves it stays in the cluster.
        manifest["data"] = data
    return manifest


def secret_text(text: str) -> str:
    """Return a text as the data of a Secret holds it."""
    return base64.b64encode(text.encode()).decode()


def claim(user: UserPlan) -> Claim:
    """Return the user's claim; it outlives the user, the environment and every update."""
    metadata = user_metadata(user)
    annotations = {**metadata.get("annotations", {}), **RETAINED}
    manifest: Claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {**metadata, "annotations": annotations},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": user.profile.storage}},
        },
    }
    if user.storage_class is not None:
        manifest["spec"]["storageClassName"] = user.storage_class
    return manifest


def service(user: UserPlan) -> Spec:
    """Return the user's Service, reachable inside the cluster only."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": user_metadata(user),
        "spec": {
            "type": "ClusterIP",
            "selector": user_selector(user.id),
            "ports": [
                {
                    "name": "http",
                    "port": RUNTIME_PORT,
                    "targetPort": RUNTIME_PORT,
                    "protocol": "TCP",
                }
            ],
        },
    }
