"""A cluster on Alibaba Cloud as the place where an environment runs.

Owns: wiring the cloud's parts around the workspaces, which are the same everywhere. Leaves out:
what each part is (`alicloud_cluster`, `cloud_services`, `registry`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi

from components.alicloud.cloud import Cloud, CloudArgs
from components.alicloud.provider import cloud_provider
from components.alicloud.registry import ImageCopy, ImageCopyArgs
from components.alicloud.services import CloudServices, CloudServicesArgs
from components.environment import FleetEnvironment
from components.providers import ClusterApi, KubernetesProviders
from components.target import Sealed, Target
from fleet.alicloud.config import AckCluster, VmCluster
from fleet.alicloud.rules import credentials_problem
from fleet.stackfile.config import StackConfig, TlsMode
from fleet.stackfile.image import Image, ImageMode


class CloudTarget(Target):
    """A VM with k3s, or ACK, with network, names, certificates and image delivery."""

    def __init__(
        self,
        environment: str,
        config: StackConfig,
        cluster: VmCluster | AckCluster,
        variables: Mapping[str, str],
    ) -> None:
        problem = credentials_problem(cluster, variables)
        if problem is not None:
            raise pulumi.RunError(str(problem))
        self._name, self._config, self._cluster = f"fleet-{environment}", config, cluster
        self._hosts = (f"*.{config.access.domain}",)
        self._cloud = Cloud(
            self._name,
            CloudArgs(
                cluster=cluster,
                hosts=self._hosts,
                domain=config.access.domain,
                https=config.access.tls is not TlsMode.NONE,
            ),
            pulumi.ResourceOptions(providers=[cloud_provider(self._name, cluster)]),
        )
        identifier, kubeconfig = self._cloud.cluster_identifier, self._cloud.kubeconfig
        super().__init__(ClusterApi(identifier=identifier, kubeconfig=kubeconfig))

    def delivered(self, image: Image, reference: pulumi.Output[str]) -> pulumi.Output[str]:
        """Return the image reference; an unpushed image is carried to a VM over SSH first."""
        known_hosts = self._cloud.known_hosts
        if known_hosts is None or image.mode is not ImageMode.DAEMON or image.push:
            return reference
        copy = ImageCopyArgs(
            image=reference,
            image_id=reference,  # its tag is the hash of what it was built from
            host=self._cloud.address,
            known_hosts=known_hosts,
            private_key=self._cloud.login_key,
        )
        return ImageCopy(self._name, copy).image

    def declare_services(
        self, providers: KubernetesProviders, fleet: FleetEnvironment, sealed: Sealed
    ) -> dict[str, Any]:
        """Declare certificates, logins and (on ACK) volumes and ingress; return the outputs."""
        registry = self._cluster.registry
        services = CloudServices(
            self._name,
            CloudServicesArgs(
                cluster=self._cluster,
                cloud=self._cloud,
                tls=self._config.access.tls.value,
                hosts=self._hosts,
                namespaces=tuple(fleet.namespaces.values()),
                issuer=self._config.access.cluster_issuer,
                registry_password=sealed[registry.password_secret] if registry else None,
            ),
            pulumi.ResourceOptions(
                providers=[providers.main],
                # Certificates and logins go into namespaces that they only name.
                depends_on=list(fleet.namespace_resources),
            ),
        )
        return {
            "address": self._cloud.address,
            "kubeconfig": self._cloud.kubeconfig,
            "kept": list(self._cloud.kept),
            "authority": services.authority,
            "loginKey": self._cloud.login_key,
        }
