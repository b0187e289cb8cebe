"""The one bridge from a manifest of ours to a Pulumi Kubernetes resource.

Owns: type tokens, which parts of an object are secret, that nothing is waited for. The SDK's typed
classes are not used: they cost twice the time and add nothing to an object that is whole already.
Leaves out: what an object holds (`fleet.manifests`) and its resource options.
"""

from __future__ import annotations

from typing import Any, cast

import pulumi

from fleet.manifests.types import Manifest

# The provider waits for nothing to become ready, but for a quota to be counted (`pool`). What an
# object lacks is often no failure (a claim that no pod has asked for, a Service of a suspended
# user), of a pod that cannot start the provider says nothing for ten minutes, and a run that is
# interrupted while it waits forgets what it made.
# Whoever wants to wait has `fleet up` and `fleet wait`, which know what to look at.
_SKIP_AWAIT = {"pulumi.com/skipAwait": "true"}
# Of a Deployment, skipAwait would also skip waiting for its end: a user who is put back at once
# would get a second pod on the claim of the first, which still writes. This holds from the start.
_AWAIT_END = {"pulumi.com/waitFor": "jsonpath={.kind}=Deployment"}
_NOT_AWAITED = frozenset(
    {
        "Ingress",
        "PersistentVolume",
        "PersistentVolumeClaim",
        "Service",
        "ServiceAccount",
    }
)


def declare(
    name: str,
    manifest: Manifest,
    opts: pulumi.ResourceOptions,
    namespace: pulumi.Input[str] | None = None,
) -> pulumi.CustomResource:
    """Register a manifest as a resource; `namespace` is its own namespace as an edge to wait on."""
    fields = cast("dict[str, Any]", dict(manifest))
    metadata = dict(fields["metadata"])
    if namespace is not None:
        metadata["namespace"] = namespace
    if waiting := _waiting(manifest["kind"]):
        metadata["annotations"] = {**metadata.get("annotations", {}), **waiting}
    if fields["kind"] == "Secret":
        secret = pulumi.ResourceOptions(additional_secret_outputs=["data", "stringData"])
        opts = pulumi.ResourceOptions.merge(opts, secret)
    return pulumi.CustomResource(type_token(manifest), name, {**fields, "metadata": metadata}, opts)


def _waiting(kind: str) -> dict[str, str]:
    """Return the annotations that tell the provider what to wait for: of other kinds, nothing."""
    if kind == "Deployment":
        return _AWAIT_END
    return _SKIP_AWAIT if kind in _NOT_AWAITED else {}


def type_token(manifest: Manifest) -> str:
    """Return the type of a manifest's resource, as the SDK's class for it has it."""
    version = manifest["apiVersion"]
    return f"kubernetes:{version if '/' in version else f'core/{version}'}:{manifest['kind']}"
