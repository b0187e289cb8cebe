"""A pool in the cluster: its namespace and all its users share.

Owns: the order of the pool's objects, which of them stay. Leaves out: the users' own objects
(`user`) and what the objects hold (`fleet.manifests.pool`).
"""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from components.bridge import declare
from components.providers import retained_options
from fleet.manifests.backup import BackupInputs, backup_objects
from fleet.manifests.pool import SharedSecret, pool_objects, pool_secret
from fleet.manifests.types import Manifest
from fleet.names import PULL_SECRET
from fleet.plan.environment import PoolPlan

# Release 0.1.0 made this copy in a component of its own: its former type and name.
_FORMER_COPIES = {
    PULL_SECRET: ("opencode-fleet:registry:PullSecret", "pull-secret"),
}
# The namespace is among them because deleting it would delete every claim in it.
RETAINED_KINDS = frozenset({"Namespace", "PersistentVolume", "PersistentVolumeClaim"})
# What the pool's quota counts, Pods aside, which come much later.
COUNTED_KINDS = frozenset({"PersistentVolumeClaim", "Service"})


@dataclass(frozen=True, kw_only=True, slots=True)
class PoolNamespaceArgs:
    """What a pool needs."""

    pool: PoolPlan
    identity: pulumi.Input[str]
    """Of the environment, which tells it from others of the same name."""
    secrets: tuple[SharedSecret, ...] = ()
    """What this pool gets a copy of: a login at a registry."""
    backup: BackupInputs | None = None
    """What its backups need, where it has any."""
    adopting: pulumi.ProviderResource
    """Adopts what an earlier deployment left behind."""


class PoolNamespace(pulumi.ComponentResource):
    """One pool's namespace, quota, limits, shared files, network rules, and who may act in it."""

    resource: pulumi.CustomResource
    """The namespace itself, to depend on."""
    namespace: pulumi.Output[str]
    """The namespace's name, once it exists."""
    counted: pulumi.Output[str]
    """The namespace's name, once its quota has been counted for the first time.

    The API server writes what it counts into the quota, and so does the controller that counts
    first. Where the two meet, it refuses the object that it was counting (409).
    """
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
        others += [pool_secret(pool, shared) for shared in args.secrets]
        if args.backup is not None:
            others += backup_objects(pool, args.backup)
        namespace = declare(f"{name}-namespace", first, retained_options(self, adopting))
        self.resource = namespace
        self.namespace = namespace.urn.apply(lambda _: pool.namespace)
        self.counted = self.namespace
        made = [namespace]
        for manifest in others:
            named = self.counted if manifest["kind"] in COUNTED_KINDS else self.namespace
            made.append(
                declare(
                    f"{name}-{_role(manifest)}",
                    manifest,
                    self._options(manifest, adopting, former_copies(pool, manifest)),
                    namespace=named if "namespace" in manifest["metadata"] else None,
                )
            )
            if manifest["kind"] == "ResourceQuota":
                self.counted = made[-1].urn.apply(lambda _: pool.namespace)
        self.ready = pulumi.Output.all(*(item.urn for item in made)).apply(lambda _: pool.namespace)
        self.retained = tuple(
            retained_name(manifest)
            for manifest in (first, *others)
            if manifest["kind"] in RETAINED_KINDS
        )
        self.register_outputs({"namespace": self.namespace})

    def _options(
        self,
        manifest: Manifest,
        adopting: pulumi.ProviderResource,
        aliases: list[pulumi.Output[str]],
    ) -> pulumi.ResourceOptions:
        kind = manifest["kind"]
        if kind in RETAINED_KINDS:
            return retained_options(self, adopting, claim=kind == "PersistentVolumeClaim")
        return pulumi.ResourceOptions(parent=self, aliases=list(aliases))


def _role(manifest: Manifest) -> str:
    return f"{manifest['kind'].lower()}-{manifest['metadata']['name']}"


def former_copies(pool: PoolPlan, manifest: Manifest) -> list[pulumi.Output[str]]:
    """Return the URN of a copied Secret in release 0.1.0, where the cloud's services made it.

    Without it the copy would be made, refused because it is there, and the former one deleted.
    """
    former = _FORMER_COPIES.get(manifest["metadata"]["name"])
    if manifest["kind"] != "Secret" or former is None:
        return []
    parents, role = former
    kind = f"opencode-fleet:services:CloudServices${parents}$kubernetes:core/v1:Secret"
    return [pulumi.create_urn(f"fleet-{pool.environment}-{role}-in-{pool.namespace}", kind)]


def retained_name(manifest: Manifest) -> str:
    """Return kind, namespace and name of a retained object, as kubectl writes a resource."""
    metadata = manifest["metadata"]
    name = f"{manifest['kind'].lower()}/{metadata['name']}"
    return f"{name} -n {metadata['namespace']}" if "namespace" in metadata else name
