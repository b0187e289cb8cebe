"""A stack file and the cluster it speaks of: the fake API server, found by kubeconfig.

Owns: what a deployed user looks like to the commands. Leaves out: how it came there.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fleet.cluster.client import Cluster
from fleet.names import slug, user_labels, user_object_name
from tests.support.fakes.api_objects import Live
from tests.support.fakes.api_server import CONTEXT, ApiServer, api_server
from tests.support.fakes.project import IMAGE, StackFolder, write_small

PLACE = "opencode-t--default"
UP: Mapping[str, Any] = {
    "phase": "Running",
    "conditions": [{"type": "Ready", "status": "True"}],
    "containerStatuses": [
        {"name": "opencode", "restartCount": 0, "started": True, "state": {"running": {}}}
    ],
}
"""The status of a pod that is ready."""


@dataclass(frozen=True, kw_only=True)
class Served(StackFolder):
    """A stack file, and its cluster."""

    api: ApiServer

    @property
    def cluster(self) -> Cluster:
        """The cluster, as the commands open it."""
        return Cluster.open(CONTEXT)

    def deploy(self, *users: str, replicas: int = 1, pod: Mapping[str, Any] | None = UP) -> None:
        """Place what users have in the cluster; a status of None for no pod."""
        for user in users:
            self.api.put(*self.objects_of(user, replicas))
            if pod is not None:
                self.api.put(self.pod(user, pod))

    def objects_of(self, user: str, replicas: int = 1) -> list[Live]:
        """Return a user's Deployment, ReplicaSet and claim."""
        container = {"name": "opencode", "image": IMAGE}
        template = {"spec": {"containers": [container]}}
        return [
            {
                "apiVersion": "apps/v1",
                "kind": kind,
                "metadata": self.metadata(user) | {"name": user_object_name(user) + suffix},
                "spec": {"replicas": replicas, "template": template},
            }
            for kind, suffix in (("Deployment", ""), ("ReplicaSet", "-1"))
        ] + [self.claim(user)]

    def claim(self, user: str, **spec: Any) -> Live:
        """Return a user's claim."""
        asked = {"resources": {"requests": {"storage": "10Gi"}}}
        return {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": self.metadata(user),
            "spec": asked | spec,
        }

    def pod(self, user: str, status: Mapping[str, Any], name: str = "1", **metadata: Any) -> Live:
        """Return a pod of a user's."""
        claim = {"claimName": user_object_name(user)}
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": self.metadata(user)
            | {"name": f"{user_object_name(user)}-{name}"}
            | metadata,
            "spec": {
                "nodeName": "node",
                "containers": [{"name": "opencode"}],
                "volumes": [{"name": "user", "persistentVolumeClaim": claim}],
            },
            "status": dict(status),
        }

    def metadata(self, user: str) -> Live:
        """Return the metadata of a user's object."""
        return {
            "name": user_object_name(user),
            "namespace": PLACE,
            "labels": user_labels("t", "default", slug(user)),
            "annotations": {"opencode-fleet/user-id": user},
        }


@contextmanager
def served(folder: Path, patch: pytest.MonkeyPatch) -> Generator[Served]:
    """Serve a cluster with nothing in it; the stack file has the users alice and bob."""
    for name in [name for name in os.environ if name.startswith(("FLEET_", "PULUMI_"))]:
        patch.delenv(name)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        patch.delenv(name, raising=False)
        patch.delenv(name.lower(), raising=False)
    patch.chdir(folder)
    with api_server() as api:
        patch.setenv("KUBECONFIG", str(api.write_kubeconfig(folder / "kubeconfig")))
        project = Served(folder=folder, api=api)
        write_small(project)
        yield project
