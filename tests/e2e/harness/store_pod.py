"""An S3 store in the cluster for backups, in a namespace of its own, so that it outlives others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.harness.environment import Environment
from tests.e2e.harness.kube import Kube, Live, is_ready
from tests.e2e.harness.waiting import until

SOURCE = Path(__file__).parents[2] / "support/fakes" / "s3_server.py"
PORT = 9000
ACCESS_KEY, SECRET_KEY = "e2e-access-key", "e2e-secret-access-key"
PASSWORD = "of the end-to-end tests, long enough to be one"  # noqa: S105 - of a made-up store


@dataclass(frozen=True, kw_only=True)
class StorePod:
    """The running store."""

    namespace: str

    @property
    def config(self) -> dict[str, Any]:
        """The `backup:` key of a stack file that uses this store; its schedules never come."""
        s3 = f"http://store.{self.namespace}.svc.cluster.local:{PORT}/bucket/fleet"
        never = "0 0 29 2 *"
        return {"schedule": never, "repository": {"s3": s3}, "drill": {"schedule": never}}

    def use(self, environment: Environment) -> None:
        """Have an environment back up here, with its secrets sealed into the stack file."""
        environment.config["backup"] = self.config
        environment.save()
        for key, text in (
            ("backupPassword", PASSWORD),
            ("backupAccessKeyId", ACCESS_KEY),
            ("backupSecretAccessKey", SECRET_KEY),
        ):
            done = environment.fleet("secret", key, stdin=text)
            assert done.code == 0, done.said
        environment.reread()


def start_store(kube: Kube, namespace: str, image: str) -> StorePod:
    """Start the store in a namespace of its own and wait until it answers."""
    meta = {"name": "store", "namespace": namespace, "labels": {"app": "store"}}
    command = ["python3", "/srv/s3_server.py", "--port", str(PORT), "--host", "0.0.0.0"]  # noqa: S104 - inside the pod
    container = {
        "name": "store",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": command,
        "env": [
            {"name": "S3_ACCESS_KEY", "value": ACCESS_KEY},
            {"name": "S3_SECRET_KEY", "value": SECRET_KEY},
        ],
        "readinessProbe": {"httpGet": {"path": "/health", "port": PORT}},
        "volumeMounts": [{"name": "source", "mountPath": "/srv"}],
    }
    kube.make(
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": namespace, "labels": {"opencode-fleet/environment": namespace}},
        },
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": meta,
            "data": {"s3_server.py": SOURCE.read_text(encoding="utf-8")},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta,
            "spec": {"selector": {"app": "store"}, "ports": [{"port": PORT}]},
        },
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": meta,
            "spec": {
                "automountServiceAccountToken": False,
                "terminationGracePeriodSeconds": 1,
                "containers": [container],
                "volumes": [{"name": "source", "configMap": {"name": "store"}}],
            },
        },
    )

    def ready() -> Live | None:
        pod = kube.one("pod", "store", namespace)
        return pod if pod is not None and is_ready(pod) else None

    until("the store is ready", ready, 60)
    return StorePod(namespace=namespace)
