"""Users in a `LiveApi`: their Deployments and pods, and what a cluster's controllers do to them.

Leaves out: the server (`live_api`). A pod is made and ended only when a test says so, or at once
where `Pool.by_itself` runs.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from door.control import names
from door.control.settings import Settings
from tests.support.fakes.live_api import LiveApi, Object

NAMESPACE = "opencode-test--p1"
DOOR = "opencode-test"
SCENES = [{"id": "coding", "title": "Coding", "description": "Write and run code."}]


def live_settings(**changed: Any) -> Settings:
    """Return settings of the environment `test` with one pool."""
    values: dict[str, Any] = {
        "environment": "test",
        "namespace": DOOR,
        "pools": [NAMESPACE],
        "domain": "fleet.localhost",
        "scheme": "http",
    }
    return Settings.model_validate(values | changed)


def deployment_of(
    slug: str, notes: Mapping[str, str | None] | None = None, *, replicas: int = 1
) -> Object:
    """Return a user's Deployment; `notes` are annotations by the last part of their key."""
    given = {"user-id": slug, "scenes": json.dumps(SCENES)} | dict(notes or {})
    labels = {names.LABEL_ENVIRONMENT: "test", names.LABEL_USER: slug}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": f"oc-{slug}",
            "namespace": NAMESPACE,
            "labels": labels,
            "generation": 1,
            "annotations": {
                f"{names.PREFIX}/{key}": value for key, value in given.items() if value is not None
            },
        },
        "spec": {"replicas": replicas},
        "status": {"observedGeneration": 1, "updatedReplicas": replicas},
    }


def pod_of(slug: str, name: str = "1", *, ready: bool = True, **status: Any) -> Object:
    """Return a user's pod; `status` replaces parts of it."""
    running: Object = {
        "name": "opencode",
        "state": {"running": {}},
        "ready": ready,
        "restartCount": 0,
    }
    plain: Object = {
        "phase": "Running",
        "podIP": "127.0.0.1",
        "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        "containerStatuses": [running],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"oc-{slug}-abc-{name}",
            "namespace": NAMESPACE,
            "labels": {
                names.LABEL_ENVIRONMENT: "test",
                names.LABEL_USER: slug,
                "pod-template-hash": "abc",
            },
            "ownerReferences": [{"kind": "ReplicaSet", "name": f"oc-{slug}-abc"}],
            "creationTimestamp": datetime.now(UTC).isoformat(),
        },
        "status": plain | status,
    }


@dataclass
class Pool:
    """The users of one pool."""

    api: LiveApi
    most: int = 0
    """The most pods any user had at the same time."""
    _made: int = 0

    def add(
        self, slug: str, notes: Mapping[str, str | None] | None = None, *, replicas: int = 1
    ) -> None:
        """Add a user; with a ready pod where there is a replica."""
        self.api.put("deployments", deployment_of(slug, notes, replicas=replicas))
        if replicas:
            self.make_pod(slug)

    def replicas(self, slug: str) -> int:
        """Return how many pods are asked for."""
        return self.api.get("deployments", NAMESPACE, f"oc-{slug}")["spec"]["replicas"]

    def pods(self, slug: str) -> list[Object]:
        """Return a user's pods, ending ones too."""
        return [
            item
            for key, item in self.api.objects.items()
            if key[0] == "pods" and item["metadata"]["labels"][names.LABEL_USER] == slug
        ]

    def make_pod(self, slug: str, **status: Any) -> None:
        """Make a pod, ready unless told otherwise."""
        self._made += 1
        self.api.put("pods", pod_of(slug, str(self._made), **status))
        self.most = max(self.most, len(self.pods(slug)))

    def begin_end(self, slug: str) -> None:
        """Let a user's pods begin to end."""
        for pod in self.pods(slug):
            pod["metadata"]["deletionTimestamp"] = datetime.now(UTC).isoformat()
            pod["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
            self.api.put("pods", pod)

    def end(self, slug: str) -> None:
        """Take a user's pods away for good."""
        for pod in self.pods(slug):
            self.api.remove("pods", NAMESPACE, pod["metadata"]["name"])

    def settle(self, slug: str) -> None:
        """Say that the Deployment's controller has seen what is asked for."""
        item = self.api.get("deployments", NAMESPACE, f"oc-{slug}")
        status = {
            "observedGeneration": item["metadata"]["generation"],
            "updatedReplicas": item["spec"]["replicas"],
        }
        if item["status"] != status:
            self.api.put("deployments", item | {"status": status})

    async def by_itself(self, *, slow_end: float = 0.02) -> None:
        """Do what a cluster's controllers do, until cancelled."""
        while True:
            for key, item in list(self.api.objects.items()):
                if key[0] == "deployments":
                    await self._control(item, slow_end)
            await asyncio.sleep(0.01)

    async def _control(self, item: Object, slow_end: float) -> None:
        slug = item["metadata"]["labels"][names.LABEL_USER]
        asked = item["spec"]["replicas"]
        live = [pod for pod in self.pods(slug) if "deletionTimestamp" not in pod["metadata"]]
        if not asked and live:
            self.begin_end(slug)
            await asyncio.sleep(slow_end)
        elif not asked and self.pods(slug):
            self.end(slug)
        elif asked and not live:
            # As a ReplicaSet does: it does not wait for pods that still end.
            self.make_pod(slug)
        self.settle(slug)
