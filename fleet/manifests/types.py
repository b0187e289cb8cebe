"""Kubernetes objects as TypedDicts in the API's own spelling: the subset this project writes.

`Input` marks values that may be an Input of Pulumi's: functions here hand them on and never look.
"""

from __future__ import annotations

from typing import Any, NotRequired, TypeAlias, TypedDict

Input: TypeAlias = Any


class Metadata(TypedDict):
    """metav1.ObjectMeta."""

    name: str
    namespace: NotRequired[str]
    labels: dict[str, str]
    annotations: NotRequired[dict[str, Input]]


class TemplateMetadata(TypedDict):
    """metav1.ObjectMeta of a pod template."""

    labels: dict[str, str]
    annotations: dict[str, Input]


class Manifest(TypedDict):
    """What every object has; `body` keys depend on the kind."""

    apiVersion: str
    kind: str
    metadata: Metadata


class ConfigMap(Manifest):
    """core/v1 ConfigMap."""

    data: dict[str, str]
    immutable: bool


class Secret(Manifest):
    """core/v1 Secret."""

    type: str
    data: NotRequired[dict[str, Input]]


class EnvVar(TypedDict):
    """core/v1 EnvVar."""

    name: str
    value: NotRequired[str]
    valueFrom: NotRequired[dict[str, dict[str, str]]]


class VolumeMount(TypedDict):
    """core/v1 VolumeMount."""

    name: str
    mountPath: str
    subPath: NotRequired[str]
    readOnly: NotRequired[bool]


class KeyToPath(TypedDict):
    """core/v1 KeyToPath."""

    key: str
    path: str
    mode: NotRequired[int]


class ConfigMapVolume(TypedDict):
    """core/v1 ConfigMapVolumeSource."""

    name: str
    items: list[KeyToPath]


class Volume(TypedDict):
    """core/v1 Volume."""

    name: str
    configMap: NotRequired[ConfigMapVolume]
    projected: NotRequired[dict[str, Any]]
    emptyDir: NotRequired[dict[str, str]]
    persistentVolumeClaim: NotRequired[dict[str, str]]
    secret: NotRequired[dict[str, Any]]
    csi: NotRequired[dict[str, Any]]


class Probe(TypedDict):
    """core/v1 Probe."""

    httpGet: dict[str, str]
    periodSeconds: int
    timeoutSeconds: int
    failureThreshold: int


class Resources(TypedDict):
    """core/v1 ResourceRequirements."""

    requests: dict[str, str]
    limits: dict[str, str]


class Container(TypedDict):
    """core/v1 Container."""

    name: str
    image: Input
    imagePullPolicy: str
    command: NotRequired[list[str]]
    terminationMessagePolicy: NotRequired[str]
    env: list[EnvVar]
    ports: NotRequired[list[dict[str, str | int]]]
    startupProbe: NotRequired[Probe]
    readinessProbe: NotRequired[Probe]
    livenessProbe: NotRequired[Probe]
    resources: Resources
    securityContext: dict[str, Any]
    volumeMounts: list[VolumeMount]


class PlacementSpec(TypedDict):
    """What core/v1 PodSpec has on where a pod runs."""

    nodeSelector: NotRequired[dict[str, str]]
    tolerations: NotRequired[list[dict[str, str]]]
    topologySpreadConstraints: NotRequired[list[dict[str, Any]]]
    runtimeClassName: NotRequired[str]
    priorityClassName: NotRequired[str]
    hostUsers: NotRequired[bool]


class PodSpec(PlacementSpec):
    """core/v1 PodSpec."""

    automountServiceAccountToken: bool
    enableServiceLinks: bool
    terminationGracePeriodSeconds: int
    securityContext: dict[str, Any]
    imagePullSecrets: NotRequired[list[dict[str, str]]]
    initContainers: list[Container]
    containers: list[Container]
    volumes: list[Volume]


class PodTemplate(TypedDict):
    """core/v1 PodTemplateSpec."""

    metadata: TemplateMetadata
    spec: PodSpec


class DeploymentSpec(TypedDict):
    """apps/v1 DeploymentSpec."""

    replicas: NotRequired[int]
    revisionHistoryLimit: int
    progressDeadlineSeconds: int
    strategy: dict[str, str]
    selector: dict[str, dict[str, str]]
    template: PodTemplate


class Deployment(Manifest):
    """apps/v1 Deployment."""

    spec: DeploymentSpec


class ClaimSpec(TypedDict):
    """core/v1 PersistentVolumeClaimSpec."""

    accessModes: list[str]
    resources: dict[str, dict[str, str]]
    storageClassName: NotRequired[str]
    volumeName: NotRequired[str]


class Claim(Manifest):
    """core/v1 PersistentVolumeClaim."""

    spec: ClaimSpec


class Spec(Manifest):
    """Any other object with a `spec`: Service, Ingress, HTTPRoute, NetworkPolicy, quota, volume."""

    spec: dict[str, Any]


class Role(Manifest):
    """rbac.authorization.k8s.io/v1 Role."""

    rules: list[dict[str, list[str]]]


class RoleBinding(Manifest):
    """rbac.authorization.k8s.io/v1 RoleBinding."""

    roleRef: dict[str, str]
    subjects: list[dict[str, str]]


class ServiceAccount(Manifest):
    """core/v1 ServiceAccount."""

    automountServiceAccountToken: bool
