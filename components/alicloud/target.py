"""A cluster on Alibaba Cloud as the place where an environment runs.

Owns: which of the two kinds it is, and wiring the cloud's parts around the workspaces, which are
the same everywhere. Leaves out: what each part is (`machine_cluster`, `managed_cluster`,
`services`, `registry`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi

from components.alicloud.addons import ClusterAddonsArgs
from components.alicloud.cluster import AnyCluster, CloudArgs, CloudCluster
from components.alicloud.machine_cluster import MachineCluster
from components.alicloud.managed_cluster import ManagedCluster
from components.alicloud.provider import cloud_provider
from components.alicloud.registry import ImageCopy, ImageCopyArgs
from components.alicloud.services import CloudServices, CloudServicesArgs
from components.providers import ClusterApi, KubernetesProviders
from components.pull_secret import pull_secret
from components.target import Sealed, Target
from fleet.alicloud.config import AckCluster, VmCluster
from fleet.alicloud.credentials import credentials_problem
from fleet.alicloud.machine_plan import retained
from fleet.manifests.pool import SharedSecret
from fleet.stackfile.config import StackConfig, TlsMode
from fleet.stackfile.image import Image, ImageMode


def cloud_target(
    environment: str,
    config: StackConfig,
    cluster: VmCluster | AckCluster,
    variables: Mapping[str, str],
) -> CloudTarget:
    """Declare the cluster of an environment; the one place where its kind decides.

    `variables` are the process's, for credentials. Raises RunError when there are none.
    """
    problem = credentials_problem(cluster.profile, variables)
    if problem is not None:
        raise pulumi.RunError(str(problem))
    if cluster.allow_unlisted_region:
        pulumi.log.warn(
            f"cluster.region: {cluster.region}: this region is not listed here: "
            "what is sold there, and for how much, is not known"
        )
    name = f"fleet-{environment}"
    opts = pulumi.ResourceOptions(providers=[cloud_provider(name, cluster, variables)])
    if isinstance(cluster, VmCluster):
        return MachineTarget(
            name, config, cluster, MachineCluster(name, _arguments(config, cluster), opts)
        )
    managed = ManagedCluster(name, _arguments(config, cluster), opts)
    return CloudTarget(name, config, cluster, managed.made, managed.addons)


class CloudTarget(Target):
    """A cluster with network, names and certificates that takes images from a registry."""

    def __init__(
        self,
        name: str,
        config: StackConfig,
        cluster: VmCluster | AckCluster,
        made: CloudCluster,
        addons: ClusterAddonsArgs | None,
    ) -> None:
        self._name, self._config, self._cluster = name, config, cluster
        self._made, self._addons = made, addons
        super().__init__(ClusterApi(identifier=made.identifier, kubeconfig=made.kubeconfig))

    def secrets(self, sealed: Sealed) -> tuple[SharedSecret, ...]:
        """Return the login at the registry that the stack file names."""
        registry = self._cluster.registry
        if registry is None:
            return ()
        password = sealed[registry.password_secret]
        return (pull_secret(registry.server, registry.username, password),)

    def declare_services(self, providers: KubernetesProviders) -> dict[str, Any]:
        """Declare cert-manager and (on ACK) volumes and ingress; return the outputs."""
        access = self._config.access
        CloudServices(
            self._name,
            CloudServicesArgs(
                cluster=self._cluster,
                addons=self._addons,
                issuer=access.cluster_issuer if access.tls is TlsMode.CERT_MANAGER else None,
            ),
            pulumi.ResourceOptions(providers=[providers.main]),
        )
        return {
            "address": self._made.address,
            "domain": self._made.domain,
            "kubeconfig": self._made.kubeconfig,
            "retainedInCloud": list(retained(self._cluster)),
            **self._made.reports,
        }


class MachineTarget(CloudTarget):
    """k3s on one machine, which takes images over SSH too."""

    def __init__(
        self, name: str, config: StackConfig, cluster: VmCluster, machine: MachineCluster
    ) -> None:
        self._machine, self._vm = machine, cluster
        # k3s brings its volumes and its ingress controller along.
        super().__init__(name, config, cluster, machine.made, addons=None)

    def image_reference(self, image: Image, reference: pulumi.Output[str]) -> pulumi.Output[str]:
        """Return the image reference; an unpushed image is carried to the machine first."""
        if image.mode is not ImageMode.DAEMON or image.push:
            return reference
        copy = ImageCopyArgs(
            image=reference,
            image_id=reference,  # its tag is the hash of what it was built from
            host=self._made.address,
            known_hosts=self._machine.known_hosts,
            private_key=self._machine.login_key,
        )
        return ImageCopy(self._name, copy).image

    def declare_services(self, providers: KubernetesProviders) -> dict[str, Any]:
        """Declare cert-manager; return the outputs, the login key among them."""
        outputs = super().declare_services(providers)
        told = self._machine.disk_id
        if told is not None:
            outputs["retainedInCloud"] = told.apply(lambda disk: list(retained(self._vm, disk)))
        return outputs | {"loginKey": self._machine.login_key}


def _arguments(config: StackConfig, cluster: AnyCluster) -> CloudArgs[AnyCluster]:
    return CloudArgs(
        cluster=cluster,
        hosts=_hosts(config),
        domain=config.access.domain,
        https=config.access.tls is not TlsMode.NONE,
    )


def _hosts(config: StackConfig) -> tuple[str, ...]:
    return (f"*.{config.access.domain}",)
