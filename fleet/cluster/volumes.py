"""How much of a claim is used: asked of the kubelets, else of the pods themselves.

A kubelet's figure counts only for a volume that is a disk of its own. Of one that is a folder on
the node's disk or on a file server the kubelet tells that disk's figures, which say nothing about
the claim; there `du` in the pod knows. Nobody's answer is trusted: a figure that is none is a dash.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from fleet.cluster.client import Cluster, Live
from fleet.cluster.pods import part, parts
from fleet.errors import ClusterError
from fleet.values.quantity import parse_quantity

_PARALLEL = 8
_FOLDERS = frozenset({"hostPath", "local", "nfs"})
# The file system of a claim's own disk is about as large as the claim. One that is larger than this
# factor is a disk that several claims share, whose use says nothing of one of them.
_ROOM = 1.25
_PATIENCE = 20.0
# By its path: a user can put a program named du into the first folders of their PATH.
_DU = ("/usr/bin/du", "-skx", "/app", "/data")
_DU_LINE = re.compile(r"(\d{1,15})\s+/(?:app|data)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """A claim that is asked about, with the pod that mounts it."""

    claim: Live
    pod: Live
    can_tell: bool
    """Whether a command can be run in the pod."""

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        metadata = self.claim["metadata"]
        return metadata["namespace"], metadata["name"]


def claimed(claim: Live) -> str:
    """Return how much a claim asks for."""
    return str(claim["spec"]["resources"]["requests"]["storage"])


def claim_name(pod: Live) -> str:
    """Return the claim that holds a runtime's own data."""
    for volume in parts(pod["spec"], "volumes"):
        if volume["name"] == "user":
            return str(part(volume, "persistentVolumeClaim").get("claimName", ""))
    return ""


def used(cluster: Cluster, asked: Sequence[Claim], container: str) -> dict[tuple[str, str], str]:
    """Return how much of each claim is used, by namespace and name, where somebody knows."""
    if not asked:
        return {}
    with ThreadPoolExecutor(_PARALLEL) as pool:
        known = _told(cluster, asked, pool)
        unknown = [item for item in asked if item.key not in known and item.can_tell]
        sizes = pool.map(partial(_du, cluster, container), unknown)
        for item, size in zip(unknown, sizes, strict=True):
            if size is not None:
                known[item.key] = size
    return {key: _text(size) for key, size in known.items()}


def _told(
    cluster: Cluster, asked: Sequence[Claim], pool: ThreadPoolExecutor
) -> dict[tuple[str, str], int]:
    """Return what the kubelets tell of claims that are disks of their own."""
    folders = _folders(cluster)
    nodes = sorted({str(item.pod["spec"].get("nodeName", "")) for item in asked} - {""})
    figures: dict[tuple[str, str], Live] = {}
    for answer in pool.map(partial(_node, cluster), nodes):
        figures |= answer
    sizes: dict[tuple[str, str], int] = {}
    for item in asked:
        if item.key in figures and item.claim["spec"].get("volumeName") not in folders:
            size = _own_use(figures[item.key], item.claim)
            if size is not None:
                sizes[item.key] = size
    return sizes


def _folders(cluster: Cluster) -> set[str]:
    """Return the volumes that are folders of something larger."""
    try:
        volumes = cluster.list("persistentvolumes")
    except ClusterError:
        # Volumes belong to the whole cluster: not everybody may list them.
        return set()
    return {item["metadata"]["name"] for item in volumes if _FOLDERS & set(item["spec"])}


def _node(cluster: Cluster, node: str) -> dict[tuple[str, str], Live]:
    try:
        summary = cluster.raw(f"/api/v1/nodes/{node}/proxy/stats/summary")
    except ClusterError:
        return {}
    volumes: dict[tuple[str, str], Live] = {}
    for pod in _mappings(summary, "pods"):
        for volume in _mappings(pod, "volume"):
            claim = part(volume, "pvcRef")
            if claim:
                volumes[(str(claim.get("namespace")), str(claim.get("name")))] = volume
    return volumes


def _mappings(item: object, key: str) -> Iterable[Live]:
    entries = parts(cast("Mapping[str, Any]", item), key) if isinstance(item, dict) else []
    return [each for each in entries if isinstance(cast("object", each), dict)]


def _own_use(figure: Live, claim: Live) -> int | None:
    size, capacity = figure.get("usedBytes"), figure.get("capacityBytes", 0)
    if not isinstance(size, int) or not isinstance(capacity, int):
        return None
    bound = part(part(claim, "status"), "capacity").get("storage") or claimed(claim)
    return size if capacity <= _ROOM * parse_quantity(str(bound)) else None


def _du(cluster: Cluster, container: str, asked: Claim) -> int | None:
    metadata = asked.pod["metadata"]
    try:
        done = cluster.exec(
            metadata["namespace"], metadata["name"], container, _DU, timeout=_PATIENCE
        )
    except ClusterError:
        return None
    # du ends with 1 when it may not read a folder, and still tells the rest.
    sizes = [found for line in done.out.splitlines() if (found := _DU_LINE.fullmatch(line))]
    return 1024 * sum(int(item[1]) for item in sizes) if sizes else None


def _text(size: int) -> str:
    for suffix, power in (("Gi", 30), ("Mi", 20)):
        if size >= 2**power:
            return f"{size / 2**power:.1f}{suffix}"
    return f"{size // 1024}Ki"
