"""Which kinds the program asks a cluster for: their plural, their group and version, their scope.

A table instead of discovery: discovery costs a request a group, and the program knows what it asks
for. Owns: the address of an object. Leaves out: asking.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind as the API serves it."""

    plural: str
    name: str
    version: str
    """Group and version, such as `apps/v1`; `v1` for the core group."""
    namespaced: bool = True

    def path(self, namespace: str | None = None, name: str | None = None) -> str:
        """Return the address of one object, or of a list: of a namespace, or of all."""
        base = "api" if "/" not in self.version else "apis"
        place = f"/namespaces/{quote(namespace, safe='')}" if namespace and self.namespaced else ""
        last = f"/{quote(name, safe='')}" if name is not None else ""
        return f"/{base}/{self.version}{place}/{self.plural}{last}"


_CORE = {
    "configmaps": "ConfigMap",
    "endpoints": "Endpoints",
    "events": "Event",
    "limitranges": "LimitRange",
    "persistentvolumeclaims": "PersistentVolumeClaim",
    "pods": "Pod",
    "resourcequotas": "ResourceQuota",
    "secrets": "Secret",
    "serviceaccounts": "ServiceAccount",
    "services": "Service",
}
_NAMESPACED = {
    "deployments": ("Deployment", "apps/v1"),
    "daemonsets": ("DaemonSet", "apps/v1"),
    "replicasets": ("ReplicaSet", "apps/v1"),
    "statefulsets": ("StatefulSet", "apps/v1"),
    "cronjobs": ("CronJob", "batch/v1"),
    "jobs": ("Job", "batch/v1"),
    "leases": ("Lease", "coordination.k8s.io/v1"),
    "endpointslices": ("EndpointSlice", "discovery.k8s.io/v1"),
    "ingresses": ("Ingress", "networking.k8s.io/v1"),
    "networkpolicies": ("NetworkPolicy", "networking.k8s.io/v1"),
    "poddisruptionbudgets": ("PodDisruptionBudget", "policy/v1"),
    "roles": ("Role", "rbac.authorization.k8s.io/v1"),
    "rolebindings": ("RoleBinding", "rbac.authorization.k8s.io/v1"),
    "gateways": ("Gateway", "gateway.networking.k8s.io/v1"),
    "httproutes": ("HTTPRoute", "gateway.networking.k8s.io/v1"),
    "certificates": ("Certificate", "cert-manager.io/v1"),
    "issuers": ("Issuer", "cert-manager.io/v1"),
    "volumesnapshots": ("VolumeSnapshot", "snapshot.storage.k8s.io/v1"),
}
_OF_THE_CLUSTER = {
    "namespaces": ("Namespace", "v1"),
    "nodes": ("Node", "v1"),
    "persistentvolumes": ("PersistentVolume", "v1"),
    "clusterroles": ("ClusterRole", "rbac.authorization.k8s.io/v1"),
    "clusterrolebindings": ("ClusterRoleBinding", "rbac.authorization.k8s.io/v1"),
    "customresourcedefinitions": ("CustomResourceDefinition", "apiextensions.k8s.io/v1"),
    "gatewayclasses": ("GatewayClass", "gateway.networking.k8s.io/v1"),
    "ingressclasses": ("IngressClass", "networking.k8s.io/v1"),
    "priorityclasses": ("PriorityClass", "scheduling.k8s.io/v1"),
    "runtimeclasses": ("RuntimeClass", "node.k8s.io/v1"),
    "storageclasses": ("StorageClass", "storage.k8s.io/v1"),
    "clusterissuers": ("ClusterIssuer", "cert-manager.io/v1"),
    "volumesnapshotclasses": ("VolumeSnapshotClass", "snapshot.storage.k8s.io/v1"),
}

KINDS: Mapping[str, Kind] = {
    kind.plural: kind
    for kind in (
        *(Kind(plural, name, "v1") for plural, name in _CORE.items()),
        *(Kind(plural, *named) for plural, named in _NAMESPACED.items()),
        *(Kind(plural, *named, namespaced=False) for plural, named in _OF_THE_CLUSTER.items()),
    )
}
"""Every kind by its plural."""

_BY_NAME = {(kind.version, kind.name): kind for kind in KINDS.values()}


def kind_of(manifest: Mapping[str, Any]) -> Kind:
    """Return the kind of an object as it names itself."""
    return _BY_NAME[(manifest["apiVersion"], manifest["kind"])]
