"""What a cloud cluster needs inside before workspaces run, by the stack file's choices.

Wires volumes and ingress controller (`ack`), certificates, and the nodes' login at the registry.
Leaves out: the workspaces.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pulumi

from components.alicloud.addons import ClusterAddons, ClusterAddonsArgs
from components.alicloud.registry import PullSecret, PullSecretArgs
from components.tls import CertManager, CertManagerArgs, SelfSigned, SelfSignedArgs
from fleet.alicloud.config import AckCluster, VmCluster


@dataclass(frozen=True, kw_only=True, slots=True)
class CloudServicesArgs:
    """The cluster, and what the rest of the stack file says."""

    cluster: VmCluster | AckCluster
    addons: ClusterAddonsArgs | None
    """Volumes and ingress controller, where the cluster does not bring its own."""
    tls: Literal["none", "secret", "certManager", "selfSigned", "gateway"]
    hosts: tuple[str, ...]
    """Hosts of the certificate; `*.fleet.example.com` covers all users."""
    namespaces: tuple[str, ...]
    """Where certificate and registry login are needed; they must exist (`depends_on`)."""
    issuer: str | None = None
    registry_password: pulumi.Input[str] | None = None


class CloudServices(pulumi.ComponentResource):
    """Everything in the cluster that is not a workspace."""

    authority: pulumi.Output[str] | None
    """Certificate to trust, with `tls: selfSigned`."""
    pull_secret: str | None
    """Name of the registry login in every namespace."""

    def __init__(
        self, name: str, args: CloudServicesArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("opencode-fleet:services:CloudServices", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.authority = None
        self.pull_secret = None
        cluster = args.cluster
        if args.addons is not None:
            ClusterAddons(name, args.addons, child)
        if args.tls == "selfSigned":
            wanted = SelfSignedArgs(hosts=args.hosts, namespaces=args.namespaces)
            self.authority = SelfSigned(name, wanted, child).authority
        if args.tls == "certManager" and cluster.certificates is not None and args.issuer:
            CertManager(
                name, CertManagerArgs(certificates=cluster.certificates, issuer=args.issuer), child
            )
        if cluster.registry is not None and args.registry_password is not None:
            login = PullSecretArgs(
                server=cluster.registry.server,
                username=cluster.registry.username,
                password=args.registry_password,
                namespaces=args.namespaces,
            )
            self.pull_secret = PullSecret(name, login, child).secret_name
        self.register_outputs({"authority": self.authority})
