"""Leaving nothing behind: namespaces, claims, volumes, leases of test environments.

Only what carries the label of an environment whose name begins with `e2e-` is ever touched.
"""

from __future__ import annotations

import json
from typing import cast

from tests.e2e.harness.kube import Kube, Live, labels
from tests.e2e.harness.waiting import until

ENVIRONMENT_LABEL = "opencode-fleet/environment"
MARK = "e2e-"


def leftovers(kube: Kube, name: str | None = None) -> list[str]:
    """Return the namespaces of one test environment, or of all."""
    found: list[str] = []
    for item in kube.list("namespaces", f"--selector={ENVIRONMENT_LABEL}"):
        owner = labels(item)[ENVIRONMENT_LABEL]
        if owner.startswith(MARK) and name in (None, owner):
            found.append(item["metadata"]["name"])
    return found


def namespace_of(volume: Live) -> str:
    """Return the namespace of the claim that a volume is bound to; empty when it is not."""
    claim = cast("dict[str, str]", volume["spec"].get("claimRef") or {})
    return claim.get("namespace", "")


def _volumes(kube: Kube, namespaces: set[str]) -> list[str]:
    return [
        item["metadata"]["name"]
        for item in kube.list("persistentvolumes")
        if namespace_of(item) in namespaces
    ]


def sweep(kube: Kube, name: str | None = None, *, wait: bool = True) -> None:
    """Delete one test environment, or all of them, with their data."""
    namespaces = leftovers(kube, name)
    volumes = _volumes(kube, set(namespaces))
    patch = json.dumps({"spec": {"persistentVolumeReclaimPolicy": "Delete"}})
    for volume in volumes:
        kube.run("patch", "persistentvolume", volume, "-p", patch)
    if namespaces:
        kube.run("delete", "namespace", *namespaces, "--ignore-not-found", "--wait=false")
    for lease in kube.list("leases", "--namespace=default"):
        owner = lease["metadata"]["name"].removeprefix("opencode-fleet-")
        if owner.startswith(MARK) and name in (None, owner):
            kube.run("delete", "lease", lease["metadata"]["name"], "--namespace=default")
    if wait:
        until("test namespaces are gone", lambda: not leftovers(kube, name), 240, 1)
        until("test volumes are gone", lambda: not _orphans(kube), 120, 1)


def _orphans(kube: Kube) -> list[str]:
    """Return volumes of test namespaces that no longer exist."""
    there = {item["metadata"]["name"] for item in kube.list("namespaces")}
    return [
        item["metadata"]["name"]
        for item in kube.list("persistentvolumes")
        if (name := namespace_of(item)) not in there and name.startswith(f"opencode-{MARK}")
    ]
