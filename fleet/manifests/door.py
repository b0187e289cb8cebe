"""The objects of an environment's door: namespace, settings, rights, pods, routes, network rules.

Long because they are one design: what a container may reach, mount and do is read together. Leaves
out: the rights in pools' namespaces (`pool`), and what stands in the settings (`fleet.plan.door`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fleet.manifests.policies import PROXY_PORT, door_policies
from fleet.manifests.pool import SharedSecret
from fleet.manifests.runtime import CONTAINER_SECURITY, RUNTIME_UID
from fleet.manifests.types import (
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
    SECRETS_FINGERPRINT,
    SELF_SIGNED_SECRET,
    door_labels,
    door_selector,
)
from fleet.plan.door import TLS_SECRET, Certificate, DoorPlan
from fleet.stackfile.config import RouteKind, TlsMode

HEALTH_PORT = 9090
SETTINGS_FILE = "settings.json"
SETTINGS_FOLDER = "/etc/door"
SECRETS_FOLDER = "/etc/door/secrets"
_ACCOUNT_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"
# A proxy must not cut an answer while the model thinks, nor an event stream where nothing happens:
# a day is longer than both.
_STREAM_SECONDS = "86400"
# Longer than it takes until every node sends new connections elsewhere.
_LEAVE_SECONDS = 5
_GRACE_SECONDS = 30


@dataclass(frozen=True, kw_only=True, slots=True)
class DoorInputs:
    """What the door's objects take from outside the plan."""

    image: Input
    """Reference of the door's image."""
    pull_secret: str | None = None
    identity: Input | None = None
    """The environment's, where its seed is at hand."""
    secret_data: dict[str, Input] | None = field(default=None, repr=False)
    """Data of the door's Secret in base64; None leaves it out."""
    secrets_fingerprint: Input = ""
    """Changes with any of its secrets, so that the pods restart and read them anew."""


def door_objects(door: DoorPlan, inputs: DoorInputs) -> list[Manifest]:
    """Return every object of the door in the order they must be made; the namespace is first."""
    objects: list[Manifest] = [
        _namespace(door, inputs.identity),
        _settings(door),
        _secret(door, inputs.secret_data),
        *_rights(door),
        *door_policies(door),
        _service(door),
        _deployment(door, inputs),
    ]
    if door.replicas > 1:
        objects.append(_budget(door))
    objects.append(_route(door))
    return objects


def door_secret(door: DoorPlan, shared: SharedSecret) -> Secret:
    """Return the door's copy of a Secret: a certificate, a login at a registry."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _metadata(door, shared.name),
        "type": shared.type,
        "data": shared.data,
    }


def _metadata(door: DoorPlan, name: str = DOOR) -> Metadata:
    return {"name": name, "namespace": door.namespace, "labels": door_labels(door.environment)}


def _namespace(door: DoorPlan, identity: Input | None) -> Manifest:
    """Return the door's namespace. It holds nobody's work, so it goes with the environment."""
    restricted = {
        f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")
    }
    metadata: Metadata = {
        "name": door.namespace,
        "labels": {**door_labels(door.environment), **restricted},
    }
    if identity is not None:
        metadata["annotations"] = {IDENTITY: identity}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def _settings(door: DoorPlan) -> ConfigMap:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(door, door.settings_name),
        "immutable": True,
        "data": {SETTINGS_FILE: door.settings},
    }


def _secret(door: DoorPlan, data: dict[str, Input] | None) -> Secret:
    manifest: Secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _metadata(door),
        "type": "Opaque",
    }
    if data is not None:
        manifest["data"] = data
    return manifest


def _rights(door: DoorPlan) -> list[Manifest]:
    """Return the door's account, and what it may do in its own namespace: keep Leases."""
    account: ServiceAccount = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": _metadata(door),
        "automountServiceAccountToken": False,
    }
    role: Role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": _metadata(door),
        "rules": [
            {
                "apiGroups": ["coordination.k8s.io"],
                "resources": ["leases"],
                "verbs": ["get", "list", "watch", "create", "patch", "update"],
            }
        ],
    }
    binding: RoleBinding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": _metadata(door),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": DOOR},
        "subjects": [{"kind": "ServiceAccount", "name": DOOR, "namespace": door.namespace}],
    }
    return [account, role, binding]


def _service(door: DoorPlan) -> Spec:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(door),
        "spec": {
            "type": "ClusterIP",
            "selector": door_selector(),
            "ports": [{"name": "http", "port": 80, "targetPort": PROXY_PORT, "protocol": "TCP"}],
        },
    }


def _deployment(door: DoorPlan, inputs: DoorInputs) -> Spec:
    pod: dict[str, Any] = {
        "serviceAccountName": DOOR,
        # Only control talks to the API server: the token is mounted into its container alone.
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": _GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": RUNTIME_UID,
            "runAsGroup": RUNTIME_UID,
            "fsGroup": RUNTIME_UID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_proxy(door, inputs.image), _control(door, inputs.image)],
        "volumes": _volumes(door),
    }
    if door.replicas > 1:
        pod["topologySpreadConstraints"] = [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": door_selector()},
            }
        ]
    if inputs.pull_secret is not None:
        pod["imagePullSecrets"] = [{"name": inputs.pull_secret}]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(door),
        "spec": {
            "replicas": door.replicas,
            "revisionHistoryLimit": 2,
            "progressDeadlineSeconds": 600,
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
            },
            "selector": {"matchLabels": door_selector()},
            "template": {
                "metadata": {
                    "labels": door_labels(door.environment),
                    "annotations": {SECRETS_FINGERPRINT: inputs.secrets_fingerprint},
                },
                "spec": pod,
            },
        },
    }


def _proxy(door: DoorPlan, image: Input) -> dict[str, Any]:
    port = {"tcpSocket": {"port": "http"}}
    return {
        "name": "proxy",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["nginx", "-c", "/srv/door/nginx/nginx.conf", "-g", "daemon off;"],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "ports": [{"name": "http", "containerPort": PROXY_PORT, "protocol": "TCP"}],
        "readinessProbe": {**port, "periodSeconds": 5, "timeoutSeconds": 2, "failureThreshold": 2},
        "livenessProbe": {**port, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 3},
        "lifecycle": _leaving(),
        "resources": _resources(door),
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [{"name": "tmp-proxy", "mountPath": "/tmp"}],  # noqa: S108 - emptyDir
    }


def _control(door: DoorPlan, image: Input) -> dict[str, Any]:
    return {
        "name": "control",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-m", "door.control"],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "env": [
            {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        ],
        "ports": [{"name": "health", "containerPort": HEALTH_PORT, "protocol": "TCP"}],
        "startupProbe": _health("/healthz", period=2, failures=60),
        "readinessProbe": _health("/readyz", period=5, failures=2),
        "livenessProbe": _health("/healthz", period=10, failures=3),
        "lifecycle": _leaving(),
        "resources": _resources(door),
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [
            {
                "name": "settings",
                "mountPath": f"{SETTINGS_FOLDER}/{SETTINGS_FILE}",
                "subPath": SETTINGS_FILE,
                "readOnly": True,
            },
            {"name": "secrets", "mountPath": SECRETS_FOLDER, "readOnly": True},
            {"name": "account", "mountPath": _ACCOUNT_FOLDER, "readOnly": True},
            {"name": "tmp-control", "mountPath": "/tmp"},  # noqa: S108 - the pod's own emptyDir
        ],
    }


def _leaving() -> dict[str, Any]:
    """Return what a container does when it is to end: both go on until nobody new is sent."""
    return {"preStop": {"exec": {"command": ["sleep", str(_LEAVE_SECONDS)]}}}


def _health(path: str, *, period: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": "health"},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def _resources(door: DoorPlan) -> dict[str, Any]:
    cpu, memory = door.size.cpu, door.size.memory
    return {
        "requests": {
            "cpu": cpu.request,
            "memory": memory.request,
            "ephemeral-storage": "64Mi",
        },
        # Bodies of requests pass through /tmp, 100 MB each at most.
        "limits": {"cpu": cpu.limit, "memory": memory.limit, "ephemeral-storage": "4Gi"},
    }


def _volumes(door: DoorPlan) -> list[dict[str, Any]]:
    token = {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}}
    authority = {
        "configMap": {
            "name": "kube-root-ca.crt",
            "items": [{"key": "ca.crt", "path": "ca.crt"}],
        }
    }
    field_path = {"fieldPath": "metadata.namespace"}
    place = {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": field_path}]}}
    return [
        {
            "name": "settings",
            "configMap": {
                "name": door.settings_name,
                "items": [{"key": SETTINGS_FILE, "path": SETTINGS_FILE}],
            },
        },
        {"name": "secrets", "secret": {"secretName": DOOR, "defaultMode": 0o440}},
        {
            "name": "account",
            "projected": {"defaultMode": 0o440, "sources": [token, authority, place]},
        },
        {"name": "tmp-proxy", "emptyDir": {}},
        {"name": "tmp-control", "emptyDir": {}},
    ]


def _budget(door: DoorPlan) -> Spec:
    """Return the rule that a node is emptied without the last of the door's pods going."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": _metadata(door),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": door_selector()}},
    }


def _route(door: DoorPlan) -> Spec:
    access = door.access
    if access.route is RouteKind.HTTP_ROUTE and access.gateway is not None:
        return _http_route(door)
    return _ingress(door)


def _ingress(door: DoorPlan) -> Spec:
    access = door.access
    annotations: dict[str, Input] = {
        "nginx.ingress.kubernetes.io/proxy-body-size": "100m",
        "nginx.ingress.kubernetes.io/proxy-buffering": "off",
        "nginx.ingress.kubernetes.io/proxy-request-buffering": "off",
        "nginx.ingress.kubernetes.io/proxy-read-timeout": _STREAM_SECONDS,
        "nginx.ingress.kubernetes.io/proxy-send-timeout": _STREAM_SECONDS,
        "haproxy.org/timeout-server": f"{_STREAM_SECONDS}s",
        "haproxy.org/timeout-tunnel": f"{_STREAM_SECONDS}s",
    }
    backend = {"service": {"name": DOOR, "port": {"number": 80}}}
    paths = [{"path": "/", "pathType": "Prefix", "backend": backend}]
    spec: dict[str, Any] = {
        "rules": [{"host": host, "http": {"paths": paths}} for host in door.hosts]
    }
    if access.class_name is not None:
        spec["ingressClassName"] = access.class_name
    if certificates := _certificates(door):
        spec["tls"] = [
            {"hosts": list(item.hosts), "secretName": item.secret} for item in certificates
        ]
    if access.tls is TlsMode.CERT_MANAGER and access.cluster_issuer is not None:
        annotations["cert-manager.io/cluster-issuer"] = access.cluster_issuer
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {**_metadata(door), "annotations": annotations},
        "spec": spec,
    }


def _certificates(door: DoorPlan) -> tuple[Certificate, ...]:
    """Return which Secret has the certificate of which hosts; of TLS that ends in front, none."""
    access = door.access
    match access.tls:
        case TlsMode.NONE | TlsMode.FRONT | TlsMode.GATEWAY:
            return ()
        case TlsMode.SECRET:
            return (Certificate(secret=access.tls_secret_name or TLS_SECRET, hosts=door.hosts),)
        case TlsMode.SELF_SIGNED:
            return (Certificate(secret=SELF_SIGNED_SECRET, hosts=door.hosts),)
        case TlsMode.CERT_MANAGER:
            return door.certificates


def _http_route(door: DoorPlan) -> Spec:
    gateway = door.access.gateway
    parent: dict[str, Any] = {}
    if gateway is not None:
        parent = {"name": gateway.name, "namespace": gateway.namespace}
        if gateway.section_name is not None:
            parent["sectionName"] = gateway.section_name
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": _metadata(door),
        "spec": {
            "parentRefs": [parent],
            "hostnames": list(door.hosts),
            "rules": [
                {
                    "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                    "backendRefs": [{"name": DOOR, "port": 80}],
                    # GEP-1742: zero disables the timeout, which streams need.
                    "timeouts": {"request": "0s"},
                }
            ],
        },
    }
