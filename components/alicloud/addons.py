"""What an ACK cluster needs inside before workspaces run: volumes that stay, a way in.

The k3s machine brings the same along in its own files. Leaves out: certificates (`tls`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from fleet.alicloud.config_ack import Charts
from fleet.alicloud.machine_settings import STORAGE_CLASS
from fleet.alicloud.machine_settings import traefik_values as common_values

NAS_CLASS = "fleet-nas"
INGRESS_CLASS = "traefik"
_TRAEFIK = "39.0.7"
_NAMESPACE = "traefik"
_BALANCER = "service.beta.kubernetes.io/alibaba-cloud-loadbalancer"


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterAddonsArgs:
    """Where users come in, and where files are."""

    balancer_id: pulumi.Input[str]
    access_list_id: pulumi.Input[str] | None = None
    nas_server: pulumi.Input[str] | None = None
    nas_path: str = "/"
    https: bool = True
    charts: Charts = field(default_factory=Charts)


class ClusterAddons(pulumi.ComponentResource):
    """StorageClasses and the ingress controller."""

    storage_class: str
    """Disk class for users' claims; keeps the disk when a claim goes."""
    ingress_class: str
    """Class of the ingress controller."""

    def __init__(
        self, name: str, args: ClusterAddonsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("opencode-fleet:addons:ClusterAddons", name, None, opts)
        self.storage_class, self.ingress_class = STORAGE_CLASS, INGRESS_CLASS
        child = pulumi.ResourceOptions(parent=self)
        k8s.storage.v1.StorageClass(
            f"{name}-disks",
            metadata={"name": STORAGE_CLASS},
            provisioner="diskplugin.csi.alibabacloud.com",
            parameters={"type": "cloud_essd,cloud_auto", "encrypted": "true"},
            reclaim_policy="Retain",
            # The disk has to be made in the zone where the pod lands.
            volume_binding_mode="WaitForFirstConsumer",
            allow_volume_expansion=True,
            opts=child,
        )
        if args.nas_server is not None:
            k8s.storage.v1.StorageClass(
                f"{name}-files",
                metadata={"name": NAS_CLASS},
                provisioner="nasplugin.csi.alibabacloud.com",
                parameters={
                    "volumeAs": "subpath",
                    "server": pulumi.Output.concat(args.nas_server, ":", args.nas_path),
                },
                mount_options=["nolock,tcp,noresvport", "vers=3"],
                reclaim_policy="Retain",
                opts=child,
            )
        k8s.helm.v3.Release(
            f"{name}-traefik",
            name="traefik",
            chart="traefik",
            version=_TRAEFIK,
            repository_opts={"repo": args.charts.traefik},
            namespace=_NAMESPACE,
            create_namespace=True,
            values=traefik_values(args),
            opts=child,
        )
        self.register_outputs({"storageClass": self.storage_class})


def traefik_values(args: ClusterAddonsArgs) -> dict[str, Any]:
    """Return the chart's values: our load balancer, its access list, streams without time-outs."""
    annotations: dict[str, pulumi.Input[str]] = {
        f"{_BALANCER}-id": args.balancer_id,
        f"{_BALANCER}-force-override-listeners": "true",
    }
    if args.access_list_id is not None:
        annotations |= {
            f"{_BALANCER}-acl-status": "on",
            f"{_BALANCER}-acl-id": args.access_list_id,
            f"{_BALANCER}-acl-type": "white",
        }
    registry = args.charts.registry
    return {
        **({"image": {"registry": registry}} if registry is not None else {}),
        "deployment": {"replicas": 2},
        **common_values(_NAMESPACE, https=args.https),
        "ingressClass": {"enabled": True, "isDefaultClass": True},
        "service": {"annotations": annotations, "spec": {"externalTrafficPolicy": "Local"}},
    }
