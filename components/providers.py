"""The two Kubernetes providers of an environment, and the options of objects that hold data.

The main provider refuses what already exists. The adopting one takes it over, and is only for
objects that are retained: namespaces, claims, static volumes. Leaves out: how a cluster is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import pulumi

# A change of any of these would replace a claim, and with it all data. So the value in the cluster
# holds, whatever the stack file says. The size is not among them: it may grow.
FIXED_CLAIM_FIELDS = (
    "spec.storageClassName",
    "spec.volumeName",
    "spec.accessModes",
    "spec.selector",
)
_SWITCHES = ("enableServerSideApply", "enableConfigMapMutable", "enableSecretMutable")
# A provider's settings are JSON in texts.
_ON = "true"


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

    main: pulumi.ProviderResource
    adopting: pulumi.ProviderResource


def kubernetes_providers(access: ClusterApi) -> KubernetesProviders:
    """Make both providers."""
    return KubernetesProviders(
        main=_provider("kubernetes", access, adopts=False),
        # The name in every deployed state: another would move what holds data between providers.
        adopting=_provider("kubernetes-keeper", access, adopts=True),
    )


def _provider(name: str, access: ClusterApi, *, adopts: bool) -> pulumi.ProviderResource:
    """Register a provider, with nothing in it but what is said here.

    The SDK's class fills in what it finds in the environment of whoever deploys: with KUBECONFIG
    set, and without it, the same stack would differ.
    """
    given: dict[str, pulumi.Input[Any] | None] = {
        "clusterIdentifier": access.identifier,
        "context": access.context,
        "kubeconfig": access.kubeconfig,
        **dict.fromkeys(_SWITCHES, _ON),
        # Unset, the main provider obeys PULUMI_K8S_UPSERT_EXISTING_OBJECTS: the way back for a
        # stack whose run was killed before its state was written.
        "upsertExistingObjects": _ON if adopts else None,
        # Every deployment anew has a field manager of its own; what it adopts, it takes over.
        "enablePatchForce": _ON if adopts else None,
    }
    values = {key: value for key, value in given.items() if value is not None}
    options = pulumi.ResourceOptions(version=version("pulumi-kubernetes"))
    return pulumi.ProviderResource("kubernetes", name, values, options)


def retained_options(
    parent: pulumi.Resource, adopting: pulumi.ProviderResource, *, claim: bool = False
) -> pulumi.ResourceOptions:
    """Return the options of an object that stays in the cluster whatever Pulumi deletes."""
    return pulumi.ResourceOptions(
        parent=parent,
        provider=adopting,
        retain_on_delete=True,
        ignore_changes=list(FIXED_CLAIM_FIELDS) if claim else None,
    )
