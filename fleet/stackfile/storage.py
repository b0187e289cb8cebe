"""The `storage:` key of a stack file: claims of users, and the shared claim of a pool.

Leaves out: sizes of users' claims (`config.Profile`), the objects themselves (`manifests.pool`).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from fleet.values.model import Model
from fleet.values.scalars import Domain, MemoryQuantity, ObjectName


class Nas(Model):
    """An NFS export that backs the shared claim through a static PersistentVolume."""

    server: Domain
    """Address of the NFS server."""
    path: Annotated[str, Field(pattern=r"^/[A-Za-z0-9._/-]*$", max_length=512)] = "/"
    """Exported folder."""
    driver: Literal["nfs", "csi"] = "nfs"
    """`csi` is Alibaba Cloud's nasplugin.csi.alibabacloud.com; `nfs` the kubelet's own."""


class SharedClaim(Model):
    """One ReadWriteMany claim a pool, for `/app` folders (`subPath: <userId>`) or NAS scenes."""

    size: MemoryQuantity = "100Gi"
    """Size of the claim; an NFS export does not enforce it."""
    class_name: ObjectName | None = None
    """StorageClass of the claim; unset leaves it to the cluster's default."""
    nas: Nas | None = None
    """NFS export behind the claim; without it the StorageClass makes the volume."""


class StorageMode(StrEnum):
    """Where a user's `/app` lives; OpenCode's own database is always on a claim of the user's."""

    CLAIM = "claim"
    SHARED = "shared"


class Storage(Model):
    """Where data lives."""

    mode: StorageMode = StorageMode.CLAIM
    """`shared` keeps every /app on the shared claim, in a folder named by the user id."""
    class_name: ObjectName | None = None
    """StorageClass of the users' claims; unset leaves it to the cluster's default."""
    shared: SharedClaim | None = None
    """The shared claim, for mode shared and for NAS scenes."""
