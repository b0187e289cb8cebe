"""One apply at a time for an environment: a Lease in the cluster, taken, renewed, given back.

A run that dies leaves a lease that expires after a minute, so nobody has to clean up by hand.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from fleet.kubectl import ClusterError, Kubectl
from fleet.names import LABEL_ENVIRONMENT

SECONDS = 60
_NAMESPACE = "default"
_RENEW_EVERY = 15.0


@contextmanager
def held(kubectl: Kubectl, environment: str, holder: str) -> Generator[None]:
    """Hold the environment's lease; raise ClusterError when somebody else does."""
    lease = _take(kubectl, environment, holder)
    stop = threading.Event()
    keeper = threading.Thread(target=_renew, args=(kubectl, lease, stop), daemon=True)
    keeper.start()
    try:
        yield
    finally:
        stop.set()
        keeper.join()
        name = lease["metadata"]["name"]
        kubectl.run("delete", "lease", name, f"--namespace={_NAMESPACE}", "--wait=false")


def _name(environment: str) -> str:
    return f"opencode-fleet-{environment}"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _take(kubectl: Kubectl, environment: str, holder: str) -> dict[str, Any]:
    lease: dict[str, Any] = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": _name(environment),
            "namespace": _NAMESPACE,
            # No label of ownership: a lease is of the run, not of the environment.
            "annotations": {LABEL_ENVIRONMENT: environment},
        },
        "spec": {
            "holderIdentity": holder,
            "leaseDurationSeconds": SECONDS,
            "acquireTime": _now(),
            "renewTime": _now(),
        },
    }
    reply = kubectl.run("create", "-f", "-", "-o", "json", stdin=json.dumps(lease))
    if reply.code == 0:
        return cast("dict[str, Any]", json.loads(reply.out))
    if "AlreadyExists" not in reply.err:
        raise ClusterError(kubectl.explain(reply.err))
    there = kubectl.get(["lease"], _name(environment), f"--namespace={_NAMESPACE}")[0]
    renewed = datetime.fromisoformat(there["spec"]["renewTime"])
    free = renewed + timedelta(seconds=there["spec"]["leaseDurationSeconds"])
    if free > datetime.now(UTC):
        other = there["spec"]["holderIdentity"]
        raise ClusterError(
            f"environment {environment}: another apply is running ({other}): one at a time, so that"
            " neither undoes the other: wait until it ends and run this again"
        )
    # The resource version makes this fail when somebody else takes the expired lease first.
    lease["metadata"]["resourceVersion"] = there["metadata"]["resourceVersion"]
    text = kubectl.ask("replace", "-f", "-", "-o", "json", stdin=json.dumps(lease))
    return cast("dict[str, Any]", json.loads(text))


def _renew(kubectl: Kubectl, lease: dict[str, Any], stop: threading.Event) -> None:
    while not stop.wait(_RENEW_EVERY):
        patch = json.dumps({"spec": {"renewTime": _now()}})
        name = lease["metadata"]["name"]
        kubectl.run("patch", "lease", name, f"--namespace={_NAMESPACE}", "-p", patch)
