"""Who may reach whom: one table, evaluated in the unit tests and tried by connections end to end.

A row is `source > target protocol/port`; a source or target is one of `PODS` or an address.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fleet.names import door_labels, user_labels

NETWORK: dict[str, Any] = {
    "allow": [{"cidr": "10.1.2.3/32", "port": 8000}, {"cidr": "fd00:1::5/128", "port": 443}],
    "deny": ["47.0.0.0/16", "2a00:1::/32"],
    "dnsAddresses": ["10.9.9.9"],
}
USERS: list[dict[str, Any]] = [{"id": "alice"}, {"id": "bob"}, {"id": "carol", "pool": "lab"}]
# Namespaces of pods, by the part they play.
POOL, OTHER, ENTRANCE, SYSTEM, SHOP = "default", "lab", "ingress", "system", "shop"
FRONT = "front"
CONTROL = {"opencode-fleet/role": "agent-control"}


@dataclass(frozen=True)
class Pod:
    """A pod of the evaluated cluster; `part` names the part that its namespace plays."""

    name: str
    part: str
    labels: dict[str, str]
    user: bool = False
    door: bool = False

    def labels_in(self, environment: str) -> dict[str, str]:
        """Return the pod's labels in an environment, where a user's are their runtime's."""
        if self.user:
            return user_labels(environment, self.part, self.name)
        if self.door:
            return door_labels(environment)
        return self.labels


PODS = {
    pod.name: pod
    for pod in (
        Pod("alice", POOL, {}, user=True),
        Pod("bob", POOL, {}, user=True),
        Pod("carol", OTHER, {}, user=True),
        Pod("door", FRONT, {}, door=True),
        Pod("control", POOL, CONTROL),
        Pod("lab-control", OTHER, CONTROL),
        Pod("debug", POOL, {"app": "debug"}),
        Pod("ingress", ENTRANCE, {"app": "controller"}),
        Pod("webhook", ENTRANCE, {"app": "webhook"}),
        Pod("dns", SYSTEM, {"k8s-app": "kube-dns"}),
        Pod("metrics", SYSTEM, {"k8s-app": "metrics-server"}),
        Pod("shop", SHOP, {"app": "controller"}),
        Pod("impostor", SHOP, CONTROL),
    )
}


@dataclass(frozen=True)
class Way:
    """A row of the table."""

    source: str
    target: str
    protocol: str
    port: int

    def __str__(self) -> str:
        """Return the row as it is written."""
        return f"{self.source} > {self.target} {self.protocol}/{self.port}"


def way(text: str) -> Way:
    """Return a row from its text."""
    source, rest = text.split(" > ")
    target, port = rest.split(" ")
    protocol, number = port.split("/")
    return Way(source, target, protocol, int(number))


ALLOWED = [
    "ingress > door TCP/8080",
    "door > alice TCP/4096",
    "door > carol TCP/4096",
    "door > 172.16.0.1 TCP/6443",
    "door > 10.96.0.1 TCP/443",
    "door > dns UDP/53",
    "control > alice TCP/4096",
    "control > bob TCP/4096",
    "lab-control > carol TCP/4096",
    "control > 172.16.0.1 TCP/6443",
    "control > 10.96.0.1 TCP/443",
    "control > dns UDP/53",
    "alice > dns UDP/53",
    "alice > dns TCP/53",
    "alice > 10.9.9.9 UDP/53",
    "alice > 10.9.9.9 TCP/53",
    "alice > 1.1.1.1 TCP/443",
    "alice > 8.8.8.8 TCP/22",
    "alice > 2606:4700::1 TCP/443",
    "alice > 10.1.2.3 TCP/8000",
    "alice > fd00:1::5 TCP/443",
    "carol > 1.1.1.1 TCP/443",
    "shop > metrics TCP/443",
]
DENIED = [
    # From outside and from other pods.
    "1.1.1.1 > alice TCP/4096",
    "10.0.0.1 > alice TCP/4096",
    "ingress > alice TCP/4096",
    "ingress > carol TCP/4096",
    "door > alice TCP/22",
    "ingress > alice UDP/4096",
    "webhook > alice TCP/4096",
    "shop > alice TCP/4096",
    "impostor > alice TCP/4096",
    "control > carol TCP/4096",
    "lab-control > alice TCP/4096",
    "dns > alice TCP/4096",
    "metrics > alice TCP/4096",
    "debug > alice TCP/4096",
    "carol > alice TCP/4096",
    "bob > alice TCP/4096",
    "alice > bob TCP/4096",
    "alice > control TCP/443",
    "alice > debug TCP/80",
    "ingress > debug TCP/4096",
    "ingress > control TCP/4096",
    # The door has one entrance, and does not go everywhere.
    "ingress > door TCP/9090",
    "webhook > door TCP/8080",
    "shop > door TCP/8080",
    "alice > door TCP/8080",
    "control > door TCP/8080",
    "1.1.1.1 > door TCP/8080",
    "door > control TCP/4096",
    "door > 1.1.1.1 TCP/80",
    # Inside the cluster.
    "alice > dns TCP/443",
    "alice > metrics UDP/53",
    "alice > ingress TCP/443",
    "alice > shop TCP/80",
    # Credentials of the machine.
    "alice > 100.100.100.200 TCP/80",
    "alice > 169.254.169.254 TCP/80",
    "alice > fd00:ec2::254 TCP/80",
    "bob > 100.100.100.200 TCP/80",
    "carol > 100.100.100.200 TCP/80",
    "debug > 100.100.100.200 TCP/80",
    "control > 100.100.100.200 TCP/80",
    # Private ranges, link-local and the like.
    "alice > 10.0.0.1 TCP/443",
    "alice > 10.1.2.3 TCP/443",
    "alice > 10.1.2.4 TCP/8000",
    "alice > 172.16.0.1 TCP/6443",
    "alice > 172.31.255.254 TCP/443",
    "alice > 192.168.0.1 TCP/443",
    "alice > 100.64.0.1 TCP/443",
    "alice > 127.0.0.1 TCP/80",
    "alice > 169.254.20.10 UDP/53",
    "alice > 10.9.9.9 TCP/443",
    "alice > 224.0.0.1 UDP/5353",
    "alice > 198.18.0.1 TCP/443",
    "alice > fd00::1 TCP/443",
    "alice > fd00:1::5 TCP/80",
    "alice > fe80::1 TCP/443",
    "alice > fec0::1 TCP/443",
    "alice > ::1 TCP/80",
    "alice > 64:ff9b::a00:1 TCP/443",
    "alice > 2002:a00:1::1 TCP/443",
    "alice > ff02::1 UDP/5353",
    # What the stack file closes besides.
    "alice > 47.0.1.1 TCP/443",
    "alice > 2a00:1::1 TCP/443",
    # Other pods of the namespace have nothing at all.
    "debug > 1.1.1.1 TCP/443",
    "debug > dns UDP/53",
    "control > 1.1.1.1 TCP/80",
    "control > shop TCP/80",
]
