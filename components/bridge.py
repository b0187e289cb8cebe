"""The one bridge from a manifest of ours to a Pulumi Kubernetes resource.

Owns: which resource class a kind is, which objects the provider must not wait for, how a Secret's
text becomes data. Leaves out: what an object holds (`fleet.manifests`) and its resource options.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any, cast

import pulumi
import pulumi_kubernetes as k8s

from fleet.manifests.types import Manifest

SKIP_AWAIT = {"pulumi.com/skipAwait": "true"}
# The provider's own waiting takes a Recreate rollout for finished as soon as the old pod is told
# to go: the new ReplicaSet is not there yet, and the old one has all of its zero pods.
AWAIT_POD = {
    "pulumi.com/waitFor": (
        '["jsonpath={.status.updatedReplicas}=1", "jsonpath={.status.availableReplicas}=1"]'
    )
}
# A claim of a WaitForFirstConsumer class is bound only when a pod asks, an adopted one is bound
# already, and the provider waits for neither. A Service waits for ready endpoints and an Ingress
# for an address: a suspended user has none of the first, a cluster without load balancer none of
# the second. Whether a runtime works is its Deployment's business.
_NEVER_AWAITED = frozenset({"Ingress", "PersistentVolume", "PersistentVolumeClaim", "Service"})
_FIELDS = {
    "automountServiceAccountToken": "automount_service_account_token",
    "data": "data",
    "immutable": "immutable",
    "roleRef": "role_ref",
    "rules": "rules",
    "spec": "spec",
    "subjects": "subjects",
    "type": "type",
}

Constructor = Callable[..., pulumi.CustomResource]


def declare(
    name: str,
    manifest: Manifest,
    opts: pulumi.ResourceOptions,
    namespace: pulumi.Input[str] | None = None,
) -> pulumi.CustomResource:
    """Register a manifest as a resource; `namespace` is its own namespace as an edge to wait on.

    Raises LookupError for a kind or field that the bridge does not know.
    """
    fields = cast("dict[str, Any]", dict(manifest))
    kind, version = str(fields.pop("kind")), str(fields.pop("apiVersion"))
    metadata = dict(fields.pop("metadata"))
    if namespace is not None:
        metadata["namespace"] = namespace
    metadata["annotations"] = {**metadata.get("annotations", {}), **_waiting(kind, fields)}
    if kind == "HTTPRoute":
        return k8s.apiextensions.CustomResource(
            name, api_version=version, kind=kind, metadata=metadata, spec=fields["spec"], opts=opts
        )
    if "stringData" in fields:
        fields["data"] = _encoded(fields.pop("stringData"))
    arguments = {_FIELDS[key]: value for key, value in fields.items()}
    return _constructor(kind)(name, metadata=metadata, opts=opts, **arguments)


def _waiting(kind: str, fields: Mapping[str, Any]) -> dict[str, str]:
    """Return the annotations that tell the provider what to wait for."""
    return SKIP_AWAIT if kind == "Deployment" or kind in _NEVER_AWAITED else {}


def _encoded(texts: Mapping[str, pulumi.Input[str]]) -> dict[str, pulumi.Output[str]]:
    """Return texts as a Secret's data: under server-side apply, `stringData` never loses a key."""
    return {key: pulumi.Output.from_input(text).apply(_base64) for key, text in texts.items()}


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _constructor(kind: str) -> Constructor:
    constructors: dict[str, object] = {
        "ConfigMap": k8s.core.v1.ConfigMap,
        "Deployment": k8s.apps.v1.Deployment,
        "Ingress": k8s.networking.v1.Ingress,
        "LimitRange": k8s.core.v1.LimitRange,
        "Namespace": k8s.core.v1.Namespace,
        "NetworkPolicy": k8s.networking.v1.NetworkPolicy,
        "PersistentVolume": k8s.core.v1.PersistentVolume,
        "PersistentVolumeClaim": k8s.core.v1.PersistentVolumeClaim,
        "ResourceQuota": k8s.core.v1.ResourceQuota,
        "Role": k8s.rbac.v1.Role,
        "RoleBinding": k8s.rbac.v1.RoleBinding,
        "Secret": k8s.core.v1.Secret,
        "Service": k8s.core.v1.Service,
        "ServiceAccount": k8s.core.v1.ServiceAccount,
    }
    return cast("Constructor", constructors[kind])
