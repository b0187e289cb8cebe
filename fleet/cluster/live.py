"""What an environment owns in a cluster, by its labels, and how it differs from what it should be.

Ownership is the label `opencode-fleet/environment`. Claims, volumes and namespaces are owned too,
but never pruned: they hold people's work.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, NamedTuple, cast

from fleet.cluster.kubectl import Kubectl, Live
from fleet.names import LABEL_ENVIRONMENT

APPLIED_HASH = "opencode-fleet/applied-hash"
KEPT_KINDS = frozenset({"Namespace", "PersistentVolumeClaim", "PersistentVolume"})
_PARALLEL = 4
_NUMEROUS = (
    "/apis/apps/v1/deployments",
    "/api/v1/secrets",
    "/api/v1/persistentvolumeclaims",
    "/apis/networking.k8s.io/v1/ingresses",
    "/api/v1/services",
    "/api/v1/configmaps",
    # Not every cluster has it.
    "/apis/gateway.networking.k8s.io/v1/httproutes",
)
_FEW = (
    "namespaces",
    "persistentvolumes",
    "resourcequotas",
    "limitranges",
    "serviceaccounts",
    "roles.rbac.authorization.k8s.io",
    "rolebindings.rbac.authorization.k8s.io",
    "networkpolicies.networking.k8s.io",
)


class Key(NamedTuple):
    """Identity of an object in a cluster."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        place = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind} {place}{self.name}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """A field that is not what it should be, as a dotted path."""

    path: str
    wanted: object
    found: object


def key_of(item: Mapping[str, Any]) -> Key:
    """Return an object's identity."""
    metadata = item["metadata"]
    return Key(item["kind"], metadata.get("namespace", ""), metadata["name"])


def owned(kubectl: Kubectl, environment: str) -> dict[Key, Live]:
    """Return every object that an environment owns.

    Kinds of which a user has one are listed raw and side by side: `kubectl get` spends seconds on
    reading and writing 5,000 objects anew. The others share one call: a start of kubectl costs more
    than they do.
    """
    selector = f"{LABEL_ENVIRONMENT}={environment}"
    pool = ThreadPoolExecutor(_PARALLEL)
    try:
        few = pool.submit(kubectl.get, _FEW, "--all-namespaces", f"--selector={selector}")
        numerous = pool.map(partial(kubectl.listing, selector=selector), _NUMEROUS)
        items = [*few.result(), *chain.from_iterable(numerous)]
    finally:
        pool.shutdown(cancel_futures=True)
    return {key_of(item): item for item in items}


def content_hash(item: Mapping[str, Any]) -> str:
    """Return a hash of a rendered object without its secret data."""
    open_part = {key: value for key, value in item.items() if key not in ("data", "stringData")}
    shown_part = item if item["kind"] != "Secret" else open_part
    return hashlib.sha256(json.dumps(shown_part, sort_keys=True).encode()).hexdigest()[:32]


def stamped(item: Mapping[str, Any]) -> Live:
    """Return a rendered object with its own hash, so that a field that goes away is noticed too."""
    metadata = dict(item["metadata"])
    metadata["annotations"] = {**metadata.get("annotations", {}), APPLIED_HASH: content_hash(item)}
    return {**item, "metadata": metadata}


def differences(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> list[Difference]:
    """Return where a live object differs from a rendered one; fields we do not render are free.

    A Secret's data counts whole: a key that is no longer rendered is a difference.
    """
    result: list[Difference] = []
    _compare("", wanted, found, result)
    if wanted["kind"] == "Secret" and set(wanted.get("data", {})) != set(found.get("data") or {}):
        result.append(Difference(path="data", wanted="[keys]", found="[keys]"))
    return result


def _compare(path: str, wanted: object, found: object, result: list[Difference]) -> None:
    if isinstance(wanted, dict) and isinstance(found, dict):
        live = cast("dict[str, object]", found)
        for key, value in cast("dict[str, object]", wanted).items():
            inner = f"{path}.{key}" if path else key
            if key in live:
                _compare(inner, value, live[key], result)
            # The API server drops empty maps and lists; their absence is no difference.
            elif value not in ({}, [], ""):
                result.append(Difference(path=inner, wanted=value, found=None))
    elif isinstance(wanted, list) and isinstance(found, list):
        ours, theirs = cast("list[object]", wanted), cast("list[object]", found)
        if len(ours) != len(theirs):
            result.append(Difference(path=path, wanted=ours, found=theirs))
            return
        for index, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            _compare(f"{path}[{index}]", one, other, result)
    elif cast("object", wanted) != found:
        result.append(Difference(path=path, wanted=cast("object", wanted), found=found))
