"""The cluster's API by lightkube, as plain JSON, with one kind of error.

Owns: which kinds the door touches and how (its Role has exactly these), what a refusal
is. lightkube's own classes of the kinds are not used: they refuse a whole list for one odd object.
Leaves out: when to ask again (`watching`), what the objects mean (`roster`, `phases`, `ledger`).
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from enum import Enum
from typing import Any, cast

import httpx2
from lightkube import AsyncClient, KubeConfig
from lightkube.core.exceptions import ConfigError
from lightkube.core.resource import ApiInfo, ResourceDef
from lightkube.generic_resource import GenericNamespacedResource
from lightkube.types import PatchType

from door.control.live import Live, line, part, text

FIELD_MANAGER = "opencode-fleet-door"
GONE = 410
CONFLICT = 409
NOT_FOUND = 404
_CONTEXT = "DOOR_CONTEXT"
_TIMEOUT = 10.0
_CHUNK = 500
_READ = ["get", "list", "watch"]


@dataclass(frozen=True, slots=True)
class _Metadata:
    """What lightkube itself needs of an object's metadata."""

    name: str | None
    namespace: str | None
    resourceVersion: str | None  # noqa: N815 - lightkube's word


class _Plain(GenericNamespacedResource):
    """An object whose parts nobody checks: lightkube would end a watch for one odd owner."""

    @property
    def metadata(self) -> Any:
        """What lightkube reads of an object."""
        found = part(cast("Live", self), "metadata")
        keys = ("name", "namespace", "resourceVersion")
        return _Metadata(*(text(found, key) or None for key in keys))


class _Deployment(_Plain):
    _api_info = ApiInfo(ResourceDef("apps", "v1", "Deployment"), "deployments", _READ)


class _Pod(_Plain):
    _api_info = ApiInfo(ResourceDef("", "v1", "Pod"), "pods", _READ)


class _Lease(_Plain):
    _api_info = ApiInfo(
        ResourceDef("coordination.k8s.io", "v1", "Lease"), "leases", [*_READ, "patch", "post"]
    )


class _Scale(_Plain):
    _api_info = ApiInfo(
        ResourceDef("autoscaling", "v1", "Scale"),
        "deployments",
        ["patch"],
        parent=ResourceDef("apps", "v1", "Deployment"),
        action="scale",
    )


class Kind(Enum):
    """What the door reads, and writes where a method below says so."""

    DEPLOYMENT = _Deployment
    POD = _Pod
    LEASE = _Lease


class RefusedError(Exception):
    """The API did not do what was asked; the text is one line."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(line(message))
        self.code = code
        """The HTTP status; 0 where nothing answered."""


class Api:
    """The cluster's API. Methods raise RefusedError."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = cast("Any", client)

    @classmethod
    def open(cls) -> Api:
        """Find the cluster: in a pod its service account, else KUBECONFIG and DOOR_CONTEXT."""
        context = os.environ.get(_CONTEXT)
        try:
            config = KubeConfig.from_env().get(context_name=context)
        except ConfigError as error:
            raise RefusedError(0, f"no cluster is configured: {error}") from error
        timeout = httpx2.Timeout(_TIMEOUT)
        return cls(AsyncClient(config=config, timeout=timeout, field_manager=FIELD_MANAGER))

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    async def list(
        self, kind: Kind, namespace: str, labels: Live | None = None
    ) -> tuple[list[Live], str]:
        """Return the objects of a namespace, and from which version on to watch them."""
        try:
            found = self._client.list(
                kind.value, namespace=namespace, labels=labels, chunk_size=_CHUNK
            )
            return [item async for item in found], cast("str", found.resourceVersion)
        except Exception as error:
            raise _refused(error) from error

    async def watch(
        self, kind: Kind, namespace: str, labels: Live | None, version: str
    ) -> AsyncGenerator[tuple[str, Live]]:
        """Yield what happens from a version on: ADDED, MODIFIED or DELETED, with the object."""
        events = self._client.watch(
            kind.value, namespace=namespace, labels=labels, resource_version=version
        )
        try:
            async for what, item in events:
                yield what, item
        except Exception as error:
            raise _refused(error) from error
        finally:
            await events.aclose()

    async def get(self, kind: Kind, namespace: str, name: str) -> Live:
        """Return one object as it is now."""
        try:
            return await self._client.get(kind.value, name, namespace=namespace)
        except Exception as error:
            raise _refused(error) from error

    async def scale(self, namespace: str, name: str, replicas: int, version: str) -> None:
        """Set a Deployment's replicas if it still has this version; else refused with 409."""
        asked = {"metadata": {"resourceVersion": version}, "spec": {"replicas": replicas}}
        await self._patch(_Scale, namespace, name, asked)

    async def create_lease(self, namespace: str, lease: dict[str, Any]) -> None:
        """Make a Lease; refused with 409 where there is one."""
        try:
            await self._client.create(_Lease(**lease), namespace=namespace)
        except Exception as error:
            raise _refused(error) from error

    async def patch_lease(self, namespace: str, name: str, asked: dict[str, Any]) -> None:
        """Merge into a Lease."""
        await self._patch(_Lease, namespace, name, asked)

    async def _patch(self, kind: type, namespace: str, name: str, asked: Live) -> None:
        try:
            await self._client.patch(
                kind, name, asked, namespace=namespace, patch_type=PatchType.MERGE
            )
        except Exception as error:
            raise _refused(error) from error


def version_of(item: Live) -> str:
    """Return an object's version."""
    return text(part(item, "metadata"), "resourceVersion")


# Everything is caught where this is used: what lightkube, its HTTP client and its decoder raise has
# no common class, and a loop that ends by the one nobody thought of would serve an old state for
# ever. CancelledError is none of them.
def _refused(error: Exception) -> RefusedError:
    status = getattr(error, "status", None)
    if status is not None:
        return RefusedError(getattr(status, "code", 0) or 0, str(error))
    if isinstance(error, httpx2.HTTPStatusError):
        return RefusedError(error.response.status_code, str(error))
    return RefusedError(0, f"the cluster's API does not answer: {type(error).__name__} {error}")
