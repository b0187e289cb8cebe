"""Network rules of pools and of the door; their number does not grow with users.

Nobody enters but the environment's door and agent-control, on 4096. Out goes DNS and the internet;
pods labelled as agent-control reach the runtimes and the API server instead.
"""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit

from fleet.manifests.types import Spec
from fleet.names import (
    LABEL_ENVIRONMENT,
    LABEL_ROLE,
    door_labels,
    door_namespace,
    door_selector,
    pool_labels,
    runtime_selector,
)
from fleet.plan.door import DoorPlan
from fleet.plan.environment import PoolPlan
from fleet.stackfile.network import Network, Peer, PrivateEndpoint
from fleet.values.ranges import closed_ranges

RUNTIME_PORT = 4096
PROXY_PORT = 8080
AGENT_CONTROL = "agent-control"


def network_policies(pool: PoolPlan) -> list[Spec]:
    """Return the policies: nothing for anybody, what runtimes need, what their control needs."""
    both = ["Ingress", "Egress"]
    return [
        policy(pool, "default-deny", {"podSelector": {}, "policyTypes": both}),
        policy(
            pool,
            "runtimes",
            {
                "podSelector": {"matchLabels": runtime_selector()},
                "policyTypes": both,
                "ingress": [_entrance(pool)],
                "egress": _exits(pool),
            },
        ),
        policy(
            pool,
            AGENT_CONTROL,
            {
                "podSelector": {"matchLabels": {LABEL_ROLE: AGENT_CONTROL}},
                "policyTypes": ["Egress"],
                "egress": [*_control_exits(), names(pool.network)],
            },
        ),
    ]


def door_policies(door: DoorPlan) -> list[Spec]:
    """Return the policies of the door's namespace: nothing for anybody, and what the door needs."""
    both = ["Ingress", "Egress"]
    door_spec: dict[str, Any] = {
        "podSelector": {"matchLabels": door_selector()},
        "policyTypes": both,
        "ingress": [
            {
                "from": [_peer(door.access.controller)],
                "ports": [{"protocol": "TCP", "port": PROXY_PORT}],
            }
        ],
        "egress": [*_door_exits(door), names(door.network)],
    }
    return [
        _of_door(door, "default-deny", {"podSelector": {}, "policyTypes": both}),
        _of_door(door, "door", door_spec),
    ]


def _door_exits(door: DoorPlan) -> list[dict[str, Any]]:
    runtimes = {
        "namespaceSelector": {"matchLabels": {LABEL_ENVIRONMENT: door.environment}},
        "podSelector": {"matchLabels": runtime_selector()},
    }
    ports = {443, 6443}
    if door.access.sign_in.oidc is not None:
        issuer = urlsplit(door.access.sign_in.oidc.issuer)
        ports.add(issuer.port or (443 if issuer.scheme == "https" else 80))
    # Neither the API server nor a provider is a pod that a selector could name; their addresses
    # only the operator knows.
    outside = [{"protocol": "TCP", "port": port} for port in sorted(ports)]
    return [
        {"to": [runtimes], "ports": [{"protocol": "TCP", "port": RUNTIME_PORT}]},
        {"ports": outside},
    ]


def _of_door(door: DoorPlan, name: str, spec: dict[str, Any]) -> Spec:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": name,
            "namespace": door.namespace,
            "labels": door_labels(door.environment),
        },
        "spec": spec,
    }


def policy(pool: PoolPlan, name: str, spec: dict[str, Any]) -> Spec:
    """Return a NetworkPolicy of a pool."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": name,
            "namespace": pool.namespace,
            "labels": pool_labels(pool.environment, pool.name),
        },
        "spec": spec,
    }


def _peer(peer: Peer) -> dict[str, Any]:
    selector: dict[str, Any] = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": peer.namespace}}
    }
    if peer.pod_labels:
        selector["podSelector"] = {"matchLabels": peer.pod_labels}
    return selector


def _entrance(pool: PoolPlan) -> dict[str, Any]:
    control = {"podSelector": {"matchLabels": {LABEL_ROLE: AGENT_CONTROL}}}
    place = {"kubernetes.io/metadata.name": door_namespace(pool.environment)}
    door = {
        "namespaceSelector": {"matchLabels": place},
        "podSelector": {"matchLabels": door_selector()},
    }
    return {
        "from": [door, control],
        "ports": [{"protocol": "TCP", "port": RUNTIME_PORT}],
    }


def _control_exits() -> list[dict[str, Any]]:
    runtimes = {"podSelector": {"matchLabels": runtime_selector()}}
    return [
        {"to": [runtimes], "ports": [{"protocol": "TCP", "port": RUNTIME_PORT}]},
        api_exit(),
    ]


def api_exit() -> dict[str, Any]:
    """Return the exit to the cluster's API."""
    # The API server is no pod that a selector could name. It listens on one of these ports, at an
    # address that only the operator knows.
    return {"ports": [{"protocol": "TCP", "port": port} for port in (443, 6443)]}


def names(network: Network) -> dict[str, Any]:
    """Return the exit to the cluster's DNS servers."""
    ports = [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]
    resolvers = [
        {"ipBlock": {"cidr": str(ip_network(address))}} for address in network.dns_addresses
    ]
    return {"to": [_peer(network.dns), *resolvers], "ports": ports}


def _exits(pool: PoolPlan) -> list[dict[str, Any]]:
    four, six = closed_ranges(pool.network.deny)
    internet: dict[str, Any] = {
        "to": [
            {"ipBlock": {"cidr": "0.0.0.0/0", "except": list(four)}},
            {"ipBlock": {"cidr": "::/0", "except": list(six)}},
        ]
    }
    return [
        names(pool.network),
        *([internet] if pool.network.internet else []),
        *(
            {
                "to": [_endpoint(item)],
                "ports": [{"protocol": "TCP", "port": item.port}],
            }
            for item in pool.network.allow
        ),
    ]


def _endpoint(item: PrivateEndpoint) -> dict[str, Any]:
    if item.namespace is not None:
        return _peer(Peer(namespace=item.namespace, pod_labels=item.pod_labels))
    return {"ipBlock": {"cidr": item.cidr}}
