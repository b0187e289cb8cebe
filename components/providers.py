"""The two Kubernetes providers of an environment, and the options of objects that hold data.

The main provider refuses what already exists. The adopting one takes it over, and is only for
objects that are retained: namespaces, claims, static volumes. Leaves out: how a cluster is made.
"""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s

# A change of any of these would replace a claim, and with it all data. So the value in the cluster
# holds, whatever the stack file says. The size is not among them: it may grow.
FIXED_CLAIM_FIELDS = (
    "spec.storageClassName",
    "spec.volumeName",
    "spec.accessModes",
    "spec.selector",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterApi:
    """How a cluster is reached, and which one it is."""

    identifier: pulumi.Input[str]
    """Says whether it is the same cluster: another value replaces every object."""
    context: str | None = None
    kubeconfig: pulumi.Input[str] | None = None
    """Content; None reads the operator's own kubeconfig."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KubernetesProviders:
    """The providers of one environment."""

    main: k8s.Provider
    adopting: k8s.Provider


def kubernetes_providers(access: ClusterApi) -> KubernetesProviders:
    """Make both providers."""
    return KubernetesProviders(
        main=_provider("kubernetes", access, adopts=False),
        # The name in every deployed state: another would move what holds data between providers.
        adopting=_provider("kubernetes-keeper", access, adopts=True),
    )


def _provider(name: str, access: ClusterApi, *, adopts: bool) -> k8s.Provider:
    return k8s.Provider(
        name,
        cluster_identifier=access.identifier,
        context=access.context,
        kubeconfig=access.kubeconfig,
        enable_server_side_apply=True,
        enable_config_map_mutable=True,
        enable_secret_mutable=True,
        # Unset, the main provider obeys PULUMI_K8S_UPSERT_EXISTING_OBJECTS: the way back for a
        # stack whose run was killed before its state was written.
        upsert_existing_objects=adopts or None,
        # Every deployment anew has a field manager of its own; what it adopts, it takes over.
        enable_patch_force=adopts or None,
    )


def retained_options(
    parent: pulumi.Resource, adopting: k8s.Provider, *, claim: bool = False
) -> pulumi.ResourceOptions:
    """Return the options of an object that stays in the cluster whatever Pulumi deletes."""
    return pulumi.ResourceOptions(
        parent=parent,
        provider=adopting,
        retain_on_delete=True,
        ignore_changes=list(FIXED_CLAIM_FIELDS) if claim else None,
    )
