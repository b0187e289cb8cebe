"""The fake model server as a pod of the runtime image, and what it was asked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from tests.e2e.harness.kube import Kube, Live, is_ready
from tests.e2e.harness.waiting import until

SOURCE = Path(__file__).parents[2] / "support/fakes" / "model_server.py"
PORT = 8000
API_KEY = "e2e-model-key"
MODEL = "fake-model"


@dataclass(frozen=True, kw_only=True)
class ModelPod:
    """The running model server."""

    kube: Kube
    namespace: str
    addresses: tuple[str, ...]
    """The Service's address and the pod's: policies see one or the other."""

    @property
    def config(self) -> dict[str, Any]:
        """The keys of a stack file that uses this server."""
        base = f"http://model.{self.namespace}.svc.cluster.local:{PORT}/v1"
        provider: dict[str, Any] = {
            "kind": "openai-compatible",
            "baseUrl": base,
            "apiKey": "modelApiKey",
            "models": {MODEL: {}},
        }
        return {"providers": {"openai": provider}, "models": {"default": f"openai/{MODEL}"}}

    @property
    def allow(self) -> list[dict[str, Any]]:
        """The `network.allow` key of a stack file that uses this server."""
        return [{"cidr": f"{address}/32", "port": PORT} for address in self.addresses]

    def _ask(self, method: str) -> str:
        script = (
            "import sys,urllib.request as u;"
            f"r=u.Request('http://127.0.0.1:{PORT}/requests',method=sys.argv[1]);"
            "sys.stdout.write(u.urlopen(r,timeout=10).read().decode())"
        )
        target = (f"--namespace={self.namespace}", "model")
        return self.kube.ask("exec", *target, "--", "python3", "-c", script, method)

    def requests(self) -> list[dict[str, Any]]:
        """Return the chat requests seen since `forget`, newest last."""
        return cast("list[dict[str, Any]]", json.loads(self._ask("GET")))

    def forget(self) -> None:
        """Forget the requests seen so far."""
        self._ask("DELETE")

    def asked(self, prompt: str) -> dict[str, Any]:
        """Return the last request with tools whose prompt contains `prompt`."""
        found = [one for one in self.requests() if prompt in one["prompt"] and one["tools"]]
        assert found, f"the model was never asked {prompt!r}"
        return found[-1]


def _objects(namespace: str, image: str) -> list[Live]:
    meta = {"name": "model", "namespace": namespace, "labels": {"app": "model"}}
    command = ["python3", "/srv/model_server.py", "--port", str(PORT), "--host", "0.0.0.0"]  # noqa: S104 - inside the pod
    return [
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": namespace, "labels": {"opencode-fleet/environment": namespace}},
        },
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": meta,
            "data": {"model_server.py": SOURCE.read_text(encoding="utf-8")},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta,
            "spec": {"selector": {"app": "model"}, "ports": [{"port": PORT}]},
        },
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": meta,
            "spec": {
                "automountServiceAccountToken": False,
                "terminationGracePeriodSeconds": 1,
                "containers": [
                    {
                        "name": "model",
                        "image": image,
                        "imagePullPolicy": "IfNotPresent",
                        "command": [*command, "--api-key-env", "KEY"],
                        "env": [{"name": "KEY", "value": API_KEY}],
                        "readinessProbe": {"httpGet": {"path": "/health", "port": PORT}},
                        "volumeMounts": [{"name": "source", "mountPath": "/srv"}],
                    }
                ],
                "volumes": [{"name": "source", "configMap": {"name": "model"}}],
            },
        },
    ]


def start_model(kube: Kube, namespace: str, image: str) -> ModelPod:
    """Start the model server in a namespace of its own and wait until it answers."""
    kube.make(*_objects(namespace, image))

    def ready() -> Live | None:
        pod = kube.one("pod", "model", namespace)
        assert pod is not None, "no pod"
        statuses = cast("list[Live]", pod["status"].get("containerStatuses", []))
        waits = [item["state"].get("waiting", {}).get("reason") for item in statuses]
        assert is_ready(pod), f"{pod['status'].get('phase')} {waits}"
        return pod

    try:
        pod = until("the model server is ready", ready, 60)
    except AssertionError as error:
        why = f"image {image}: is it on the cluster? Load it: python -m tools.cluster load {image}"
        raise AssertionError(f"{error}; {why}") from None
    service = kube.one("service", "model", namespace)
    assert service is not None
    addresses = (service["spec"]["clusterIP"], pod["status"]["podIP"])
    return ModelPod(kube=kube, namespace=namespace, addresses=addresses)
