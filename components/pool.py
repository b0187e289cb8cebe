"""A pool in the cluster: its namespace and all its users share.

Owns: the order of the pool's objects, which of them stay. Leaves out: the users' own objects
(`user`) and what the objects hold (`fleet.manifests.pool`).
"""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s

from components.bridge import declare
from components.providers import retained_options
from fleet.manifests.pool import pool_objects
from fleet.manifests.types import Manifest
from fleet.plan.environment import PoolPlan

# A namespace takes every claim in it along, whatever is said of the claims.
RETAINED_KINDS = frozenset({"Namespace", "PersistentVolume", "PersistentVolumeClaim"})


@dataclass(frozen=True, kw_only=True, slots=True)
class PoolNamespaceArgs:
    """What a pool needs."""

    pool: PoolPlan
    identity: pulumi.Input[str]
    """Of the environment, which tells it from others of the same name."""
    adopting: k8s.Provider
    """Adopts what an earlier deployment left behind."""


class PoolNamespace(pulumi.ComponentResource):
    """One pool's namespace, quota, limits, shared files, network rules and agent-control."""

    resource: pulumi.CustomResource
    """The namespace itself, to depend on."""
    namespace: pulumi.Output[str]
    """The namespace's name, once it exists."""
    ready: pulumi.Output[str]
    """The namespace's name, once everything a runtime relies on exists in it."""
    retained: tuple[str, ...]
    """What stays in the cluster when the pool is deleted."""

    def __init__(
        self, name: str, args: PoolNamespaceArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("opencode-fleet:namespaces:PoolNamespace", name, None, opts)
        pool, adopting = args.pool, args.adopting
        first, *others = pool_objects(pool, args.identity)
        namespace = declare(f"{name}-namespace", first, retained_options(self, adopting))
        self.resource = namespace
        self.namespace = namespace.urn.apply(lambda _: pool.namespace)
        made = [namespace]
        for manifest in others:
            made.append(
                declare(
                    f"{name}-{_role(manifest)}",
                    manifest,
                    self._options(manifest, adopting),
                    namespace=self.namespace if "namespace" in manifest["metadata"] else None,
                )
            )
        self.ready = pulumi.Output.all(*(item.urn for item in made)).apply(lambda _: pool.namespace)
        self.retained = tuple(
            retained_name(manifest)
            for manifest in (first, *others)
            if manifest["kind"] in RETAINED_KINDS
        )
        self.register_outputs({"namespace": self.namespace})

    def _options(self, manifest: Manifest, adopting: k8s.Provider) -> pulumi.ResourceOptions:
        kind = manifest["kind"]
        if kind in RETAINED_KINDS:
            return retained_options(self, adopting, claim=kind == "PersistentVolumeClaim")
        return pulumi.ResourceOptions(parent=self)


def _role(manifest: Manifest) -> str:
    return f"{manifest['kind'].lower()}-{manifest['metadata']['name']}"


def retained_name(manifest: Manifest) -> str:
    """Return kind, namespace and name of a retained object, as kubectl writes a resource."""
    metadata = manifest["metadata"]
    name = f"{manifest['kind'].lower()}/{metadata['name']}"
    return f"{name} -n {metadata['namespace']}" if "namespace" in metadata else name
