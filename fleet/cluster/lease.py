"""One apply at a time for an environment: a Lease in the cluster, taken, renewed, given back.

A run that dies leaves a lease that expires after a minute, so nobody has to clean up by hand.
"""

from __future__ import annotations

import getpass
import json
import os
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import cast

from fleet.cluster.kubectl import PATIENCE, Kubectl, Live, part
from fleet.errors import ClusterError
from fleet.names import LABEL_ENVIRONMENT

SECONDS = 60
_NAMESPACE = "default"
_RENEW_EVERY = 15.0
_ATTEMPTS = 3
_PATH = f"/apis/coordination.k8s.io/v1/namespaces/{_NAMESPACE}/leases"


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
        _give_back(kubectl, lease)


def _name(environment: str) -> str:
    return f"opencode-fleet-{environment}"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _take(kubectl: Kubectl, environment: str, holder: str) -> Live:
    lease: Live = {
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
    for _ in range(_ATTEMPTS):
        reply = kubectl.run("create", "--raw", _PATH, "-f", "-", PATIENCE, stdin=json.dumps(lease))
        if reply.code == 0:
            return cast("Live", json.loads(reply.out))
        if "AlreadyExists" not in reply.err:
            raise ClusterError(kubectl.explain(reply.err))
        where = (_name(environment), f"--namespace={_NAMESPACE}", "--ignore-not-found")
        for there in kubectl.get(["lease"], *where):
            _refuse_held(environment, part(there, "spec"))
            # The version makes this fail when somebody else takes the expired lease first.
            lease["metadata"]["resourceVersion"] = there["metadata"]["resourceVersion"]
            text = kubectl.ask("replace", "-f", "-", "-o", "json", stdin=json.dumps(lease))
            return cast("Live", json.loads(text))
    raise ClusterError(
        f"environment {environment}: its lease comes and goes: other applies start and end right"
        " now: run this again"
    )


def _refuse_held(environment: str, spec: Live) -> None:
    renewed = spec.get("renewTime")
    if renewed is None:  # as an outside tool leaves it when it lets go
        return
    if _died_here(str(spec.get("holderIdentity", ""))):
        return
    free = datetime.fromisoformat(renewed) + timedelta(seconds=spec["leaseDurationSeconds"])
    if free > datetime.now(UTC):
        raise ClusterError(
            f"environment {environment}: another apply is running ({spec['holderIdentity']}): one"
            " at a time, so that neither undoes the other: wait until it ends and run this again"
        )


def identity() -> str:
    """Return who holds a lease: user, machine, process."""
    return f"{getpass.getuser()}@{socket.gethostname()} process {os.getpid()}"


def _died_here(holder: str) -> bool:
    """Return whether the holder was a process of this machine that is gone."""
    place, _, process = holder.rpartition(" process ")
    if place.partition("@")[2] != socket.gethostname() or not process.isdigit():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def _renew(kubectl: Kubectl, lease: Live, stop: threading.Event) -> None:
    metadata = lease["metadata"]
    while not stop.wait(_RENEW_EVERY):
        version = {"resourceVersion": metadata["resourceVersion"]}
        patch = json.dumps({"metadata": version, "spec": {"renewTime": _now()}})
        where = (metadata["name"], f"--namespace={_NAMESPACE}", "--type=merge", "-o", "json")
        try:
            reply = kubectl.run("patch", "lease", *where, "-p", patch, timeout=_RENEW_EVERY)
        except ClusterError:
            continue
        if reply.code == 0:
            metadata["resourceVersion"] = json.loads(reply.out)["metadata"]["resourceVersion"]


def _give_back(kubectl: Kubectl, lease: Live) -> None:
    """Delete the lease if it still is as we wrote it last: an expired one may be another's now."""
    metadata = lease["metadata"]
    version = {"resourceVersion": metadata["resourceVersion"]}
    options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": version}
    path = f"{_PATH}/{metadata['name']}"
    kubectl.run("delete", "--raw", path, "-f", "-", PATIENCE, stdin=json.dumps(options))
