"""An engine's exported state as the engine writes it, and the same objects as a cluster has them.

Leaves out: what the program really declares; two or three small objects show what matters here.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

MANAGER = "pulumi-kubernetes-0a1b2c3d"
SECRET_MARK = {
    "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270",
    "ciphertext": "v1:AAAA:BBBB",
}
_URN = "urn:pulumi:t::opencode-fleet::"


def _metadata(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": "n",
        "labels": {
            "opencode-fleet/environment": "t",
            "opencode-fleet/user": name.removeprefix("oc-"),
            "app": "x",
        },
    }


def service(name: str = "oc-alice") -> dict[str, Any]:
    """Return a Service as it is sent."""
    spec = {"ports": [{"port": 4096}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": _metadata(name), "spec": spec}


def deployment(name: str = "oc-alice") -> dict[str, Any]:
    """Return a Deployment as it is sent."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(name),
        "spec": {
            "replicas": 1,
            "strategy": {"type": "Recreate"},
            "template": {"spec": {"containers": [{"name": "a", "image": "a:1"}]}},
        },
    }


def secret(name: str = "oc-alice") -> dict[str, Any]:
    """Return a Secret as a state has it, its data sealed."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _metadata(name),
        "data": dict(SECRET_MARK),
    }


def exported(*items: Mapping[str, Any]) -> dict[str, Any]:
    """Return a deployment that holds some objects, as `pulumi stack export` writes it."""
    resources: list[dict[str, Any]] = [
        {"urn": f"{_URN}pulumi:pulumi:Stack::t", "type": "pulumi:pulumi:Stack"},
        {
            "urn": f"{_URN}pulumi:providers:kubernetes::kubernetes",
            "type": "pulumi:providers:kubernetes",
            "custom": True,
            "inputs": {"context": "c"},
        },
        {"urn": f"{_URN}opencode-fleet:user:User::alice", "type": "opencode-fleet:user:User"},
    ]
    return {"resources": [*resources, *map(_resource, items)]}


def _resource(item: Mapping[str, Any]) -> dict[str, Any]:
    version = item["apiVersion"]
    kind = f"kubernetes:{version if '/' in version else f'core/{version}'}:{item['kind']}"
    metadata = {**item["metadata"], "resourceVersion": "1"}
    return {
        "urn": urn(item),
        "type": kind,
        "custom": True,
        "id": f"{metadata['namespace']}/{metadata['name']}",
        "inputs": deepcopy(dict(item)),
        "outputs": {**item, "metadata": metadata, "__fieldManager": MANAGER},
    }


def urn(item: Mapping[str, Any]) -> str:
    """Return what the engine calls an object."""
    return f"{_URN}{item['kind']}::{item['metadata']['name']}"


def live(
    item: Mapping[str, Any], version: str = "1", managers: tuple[str, ...] = (MANAGER,)
) -> dict[str, Any]:
    """Return an object as a cluster has it."""
    found = deepcopy(dict(item))
    found["metadata"] |= {
        "resourceVersion": version,
        "uid": f"uid-{item['kind']}-{item['metadata']['name']}",
        "managedFields": [
            {"manager": name, "operation": "Update" if "kubectl" in name else "Apply"}
            for name in managers
        ],
    }
    if found["kind"] == "Secret":
        found["data"] = {"password": "bm9uZQ=="}
    return found
