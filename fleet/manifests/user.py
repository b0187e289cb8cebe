"""The objects of a user; the Deployment among them is made in `runtime`."""

from __future__ import annotations

import base64
from typing import Any

from fleet.manifests.policies import RUNTIME_PORT
from fleet.manifests.pool import RETAINED
from fleet.manifests.runtime import RuntimeInputs, deployment
from fleet.manifests.types import Claim, Input, Manifest, Metadata, Secret, Spec
from fleet.names import DISPLAY_NAME, SELF_SIGNED_SECRET, USER_ID, user_labels, user_selector
from fleet.plan.environment import UserPlan
from fleet.stackfile.config import Access, RouteKind, TlsMode

# A proxy must not cut an answer while the model thinks, nor an event stream where nothing happens:
# a day is longer than both.
_STREAM_SECONDS = "86400"


def user_objects(user: UserPlan, access: Access, inputs: RuntimeInputs) -> list[Manifest]:
    """Return every object of a user in the order they must be made."""
    return [
        secret(user, inputs.secret_data),
        claim(user),
        service(user),
        deployment(user, inputs),
        route(user, access),
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


def route(user: UserPlan, access: Access) -> Spec:
    """Return what carries the user's host to the Service."""
    if access.route is RouteKind.HTTP_ROUTE and access.gateway is not None:
        return _http_route(user, access.gateway.name, access.gateway.namespace)
    return _ingress(user, access)


def _ingress(user: UserPlan, access: Access) -> Spec:
    metadata = user_metadata(user)
    annotations: dict[str, Any] = {
        **metadata.get("annotations", {}),
        "nginx.ingress.kubernetes.io/proxy-body-size": "100m",
        "nginx.ingress.kubernetes.io/proxy-buffering": "off",
        "nginx.ingress.kubernetes.io/proxy-read-timeout": _STREAM_SECONDS,
        "nginx.ingress.kubernetes.io/proxy-send-timeout": _STREAM_SECONDS,
        "haproxy.org/timeout-server": f"{_STREAM_SECONDS}s",
        "haproxy.org/timeout-tunnel": f"{_STREAM_SECONDS}s",
    }
    backend = {"service": {"name": user.name, "port": {"number": RUNTIME_PORT}}}
    rule = {
        "host": user.host,
        "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]},
    }
    spec: dict[str, Any] = {"rules": [rule]}
    if access.class_name is not None:
        spec["ingressClassName"] = access.class_name
    if access.tls is not TlsMode.NONE:
        spec["tls"] = [{"hosts": [user.host], "secretName": tls_secret_name(user, access)}]
    if access.tls is TlsMode.CERT_MANAGER and access.cluster_issuer is not None:
        annotations["cert-manager.io/cluster-issuer"] = access.cluster_issuer
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {**metadata, "annotations": annotations},
        "spec": spec,
    }


def tls_secret_name(user: UserPlan, access: Access) -> str:
    """Return the Secret with the certificate of the user's host."""
    if access.tls is TlsMode.SECRET and access.tls_secret_name is not None:
        return access.tls_secret_name
    if access.tls is TlsMode.SELF_SIGNED:
        return SELF_SIGNED_SECRET
    return f"{user.name}-tls"


def _http_route(user: UserPlan, gateway: str, namespace: str) -> Spec:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": user_metadata(user),
        "spec": {
            "parentRefs": [{"name": gateway, "namespace": namespace}],
            "hostnames": [user.host],
            "rules": [
                {
                    "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                    "backendRefs": [{"name": user.name, "port": RUNTIME_PORT}],
                    # GEP-1742: zero disables the timeout, which streams need.
                    "timeouts": {"request": "0s"},
                }
            ],
        },
    }
