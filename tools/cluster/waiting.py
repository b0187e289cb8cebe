"""Waiting for parts of the cluster to be really there, not only started."""

import http.client
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from tools.cluster import addresses
from tools.cluster.api import Api
from tools.cluster.machine import answers

_NODE = f"/api/v1/nodes/{addresses.NODE_NAME}"


def until(condition: Callable[[], bool], timeout: float, *, pause: float = 0.1) -> bool:
    """Try `condition` until it holds, for at most `timeout` seconds; whether it did."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(pause)
    return True


def http_status(host: str, port: int, path: str, name: str | None = None) -> int | None:
    """The status of a plain GET there, asked for as host `name`; None when nothing answers."""
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", path, headers={"Host": name or host})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def door_answers(port: int) -> bool:
    """Whether the front door says of a host nobody has that there is nothing."""
    status = http_status(addresses.LOOPBACK, port, "/", "nobody.invalid")
    return status == http.client.NOT_FOUND


def dns_ready() -> bool:
    """Whether CoreDNS has read the cluster's Services."""
    status = http_status(addresses.LOOPBACK, addresses.DNS_READY_PORT, "/ready")
    return status == http.client.OK


def kubelet_healthy() -> bool:
    """Whether the kubelet's own check passes."""
    status = http_status(addresses.LOOPBACK, addresses.KUBELET_HEALTH_PORT, "/healthz")
    return status == http.client.OK


def proxy_healthy() -> bool:
    """Whether kube-proxy has written its rules."""
    status = http_status(addresses.LOOPBACK, addresses.PROXY_HEALTH_PORT, "/livez")
    return status == http.client.OK


def listening(host: str, port: int) -> Callable[[], bool]:
    """A condition: something accepts connections there."""
    return lambda: answers(host, port)


def _seconds(timestamp: str | None) -> float:
    if not timestamp:
        return 0.0
    return datetime.fromisoformat(timestamp.replace("Z", "+00:00")).astimezone(UTC).timestamp()


def _get(api: Api, path: str) -> dict[str, Any] | None:
    try:
        return api.objects(path)
    except (OSError, http.client.HTTPException):
        return None


def node_exists(api: Api) -> bool:
    """Whether the kubelet has registered its node."""
    return _get(api, _NODE) is not None


def node_ready(api: Api, since: float) -> bool:
    """Whether the node says it is ready and said so after `since` (seconds since the epoch).

    The node object of an earlier run still says what was true then.
    """
    node = _get(api, _NODE) or {}
    for condition in node.get("status", {}).get("conditions", []):
        if condition["type"] == "Ready":
            fresh = _seconds(condition.get("lastHeartbeatTime")) >= since - 1
            return fresh and condition["status"] == "True"
    return False


def has_default_storage(api: Api) -> bool:
    """Whether a storage class is marked as the default."""
    mark = "storageclass.kubernetes.io/is-default-class"
    classes = (_get(api, "/apis/storage.k8s.io/v1/storageclasses") or {}).get("items", [])
    return any(c["metadata"].get("annotations", {}).get(mark) == "true" for c in classes)


def _ready_since(pod: dict[str, Any], since: float) -> bool:
    status = pod.get("status", {})
    ready = any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in status.get("conditions", [])
    )
    starts = [
        _seconds(container.get("state", {}).get("running", {}).get("startedAt"))
        for container in status.get("containerStatuses", [])
    ]
    return ready and all(start >= since - 1 for start in starts)


def pods_ready(api: Api, since: float) -> tuple[int, int]:
    """How many pods are ready with containers started after `since`, and how many should be."""
    pods = (_get(api, "/api/v1/pods") or {}).get("items", [])
    wanted = [
        pod
        for pod in pods
        if pod.get("spec", {}).get("nodeName")
        and pod.get("status", {}).get("phase") in {"Running", "Pending"}
        and "deletionTimestamp" not in pod["metadata"]
    ]
    return sum(_ready_since(pod, since) for pod in wanted), len(wanted)
