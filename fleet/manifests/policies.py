"""Network rules of a pool; their number does not grow with its users.

Nobody enters but the ingress controller and agent-control, on 4096. Out goes DNS and the internet;
pods labelled as agent-control reach the runtimes and the API server instead.
"""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

from fleet.manifests.types import Spec
from fleet.names import LABEL_ROLE, pool_labels, runtime_selector
from fleet.plan.environment import PoolPlan
from fleet.stackfile.config import Peer
from fleet.values.ranges import closed_ranges

RUNTIME_PORT = 4096
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
                "egress": [*_control_exits(), names(pool)],
            },
        ),
    ]


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
    return {
        "from": [_peer(pool.access.controller), control],
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


def names(pool: PoolPlan) -> dict[str, Any]:
    """Return the exit to the cluster's DNS servers."""
    ports = [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]
    resolvers = [
        {"ipBlock": {"cidr": str(ip_network(address))}} for address in pool.network.dns_addresses
    ]
    return {"to": [_peer(pool.network.dns), *resolvers], "ports": ports}


def _exits(pool: PoolPlan) -> list[dict[str, Any]]:
    four, six = closed_ranges(pool.network.deny)
    return [
        names(pool),
        {
            "to": [
                {"ipBlock": {"cidr": "0.0.0.0/0", "except": list(four)}},
                {"ipBlock": {"cidr": "::/0", "except": list(six)}},
            ]
        },
        *(
            {
                "to": [{"ipBlock": {"cidr": item.cidr}}],
                "ports": [{"protocol": "TCP", "port": item.port}],
            }
            for item in pool.network.allow
        ),
    ]
