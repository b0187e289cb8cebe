"""What a cloud cluster needs inside before workspaces run, by the stack file's choices.

Wires volumes and ingress controller (`ack`) and cert-manager. Leaves out: the workspaces, and what
every kind of cluster has (self-signed certificates, logins at a registry).
"""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from components.alicloud.addons import ClusterAddons, ClusterAddonsArgs
from components.tls import CertManager, CertManagerArgs
from fleet.alicloud.config import AckCluster, VmCluster


@dataclass(frozen=True, kw_only=True, slots=True)
class CloudServicesArgs:
    """The cluster, and what the rest of the stack file says."""

    cluster: VmCluster | AckCluster
    addons: ClusterAddonsArgs | None
    """Volumes and ingress controller, where the cluster does not bring its own."""
    issuer: str | None = None
    """The ClusterIssuer that cert-manager gets, with `tls: certManager`."""


class CloudServices(pulumi.ComponentResource):
    """Everything in the cluster that is not a workspace."""

    def __init__(
        self, name: str, args: CloudServicesArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("opencode-fleet:services:CloudServices", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        certificates = args.cluster.certificates
        if args.addons is not None:
            ClusterAddons(name, args.addons, child)
        if certificates is not None and args.issuer is not None:
            CertManager(name, CertManagerArgs(certificates=certificates, issuer=args.issuer), child)
        self.register_outputs({})
