"""Who reaches whom, judged by a program that knows nothing of ours: network-config-analyzer.

It runs in an environment of its own (`uv tool run`), since it pins other versions of our libraries.
"""

from __future__ import annotations

import ipaddress
import json
import shutil
import subprocess
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from fleet.names import user_labels
from tests.unit.deployed import deploy
from tests.unit.stacks import SMALL, Values

ANALYZER = "network-config-analyzer==2.1.0"
POOL, OTHER = "opencode-test--default", "opencode-test--lab"
VALUES: Values = {
    **SMALL,
    "pools": {"lab": {}},
    "users": [{"id": "alice"}, {"id": "bob"}, {"id": "carol", "pool": "lab"}],
    "network": {
        "allow": [{"cidr": "10.1.2.3/32", "port": 8000}, {"cidr": "fd00:1::5/128", "port": 443}],
        "deny": ["47.0.0.0/16", "2a00:1::/32"],
    },
    "access": {
        "domain": "fleet.localhost",
        "tls": "none",
        "controller": {"namespace": "ingress-nginx", "podLabels": {"app": "controller"}},
    },
}
CONTROL = {"opencode-fleet/role": "agent-control"}


@dataclass(frozen=True)
class Pod:
    """A pod of the evaluated cluster."""

    name: str
    namespace: str
    labels: dict[str, str]

    def manifest(self) -> dict[str, Any]:
        """Return the pod as the analyzer reads it."""
        metadata = {"name": self.name, "namespace": self.namespace, "labels": self.labels}
        spec = {"containers": [{"name": "main", "image": "x"}]}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


PODS = {
    pod.name: pod
    for pod in (
        Pod("alice", POOL, user_labels("test", "default", "alice")),
        Pod("bob", POOL, user_labels("test", "default", "bob")),
        Pod("carol", OTHER, user_labels("test", "lab", "carol")),
        Pod("control", POOL, CONTROL),
        Pod("lab-control", OTHER, CONTROL),
        Pod("debug", POOL, {"app": "debug"}),
        Pod("ingress", "ingress-nginx", {"app": "controller"}),
        Pod("webhook", "ingress-nginx", {"app": "webhook"}),
        Pod("dns", "kube-system", {"k8s-app": "kube-dns"}),
        Pod("metrics", "kube-system", {"k8s-app": "metrics-server"}),
        Pod("shop", "shop", {"app": "controller"}),
        Pod("impostor", "shop", CONTROL),
    )
}


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What the analyzer says is allowed, over all policies of two pools."""
    if shutil.which("uv") is None:
        pytest.skip("uv, which fetches the analyzer, is not on PATH")
    root = tmp_path_factory.mktemp("policies")
    (root / "scenes").mkdir()
    policies = deploy(VALUES, root).of("NetworkPolicy")
    namespaces = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        for name in sorted({pod.namespace for pod in PODS.values()})
        for labels in [{"kubernetes.io/metadata.name": name}]
    ]
    files: dict[str, list[dict[str, Any]]] = {
        "policies": policies,
        "namespaces": namespaces,
        "pods": [pod.manifest() for pod in PODS.values()],
    }
    for name, objects in files.items():
        (root / f"{name}.yaml").write_text(yaml.safe_dump_all(objects), encoding="utf-8")
    command = ["uv", "tool", "run", "--quiet", "--from", ANALYZER, "nca"]
    command += ["--connectivity", "policies.yaml", "-n", "namespaces.yaml", "-p", "pods.yaml"]
    command += ["--output_endpoints", "pods", "--print_ipv6", "--output_format", "json"]
    done = subprocess.run(
        [*command, "--file_out", "map.json", "--return_0"],
        cwd=root,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answers = json.loads((root / "map.json").read_text(encoding="utf-8"))
    return answers[0]["explanation"][0]["rules"]


def matches(rule: dict[str, Any], side: str, place: str) -> bool:
    """Return whether one side of an allowed connection holds a pod or an address."""
    if place in PODS:
        pod = PODS[place]
        return pod.namespace in rule.get(f"{side}_ns", []) and any(
            chosen(text, pod) for text in rule[f"{side}_pods"]
        )
    address = ipaddress.ip_address(place)
    blocks = (ipaddress.ip_network(text) for text in rule.get(f"{side}_ip_block", []))
    return any(address in block for block in blocks)


def chosen(text: str, pod: Pod) -> bool:
    """Return whether the analyzer's words for some pods mean this one."""
    if "=" not in text:
        return text in ("*", pod.name)
    pairs = dict(part.split("=", 1) for part in text.split(" and "))
    return pairs.items() <= pod.labels.items()


def carries(connection: Any, protocol: str, port: int) -> bool:
    """Return whether an allowed connection carries traffic to a port."""
    if connection == "All connections":
        return True
    protocols = connection.get("protocols", "").replace(" ", "").split(",")
    if protocol not in protocols:
        return False
    ports = connection.get("dst_ports")
    return ports is None or any(inside(item, port) for item in ports)


def inside(item: int | str, port: int) -> bool:
    """Return whether a port, or a range of them, holds a port."""
    first, _, last = str(item).partition("-")
    return int(first) <= port <= int(last or first)


def allowed(rules: list[dict[str, Any]], way: str) -> bool:
    """Return whether `source > target protocol/port` is allowed."""
    source, target = (part.strip() for part in way.split(" > "))
    target, port = target.rsplit(" ", 1)
    protocol, number = port.split("/")
    return any(
        matches(rule, "src", source)
        and matches(rule, "dst", target)
        and any(carries(item, protocol, int(number)) for item in rule["connection"])
        for rule in rules
    )


ALLOWED = [
    "ingress > alice TCP/4096",
    "ingress > carol TCP/4096",
    "control > alice TCP/4096",
    "control > bob TCP/4096",
    "lab-control > carol TCP/4096",
    "control > 172.16.0.1 TCP/6443",
    "control > 10.96.0.1 TCP/443",
    "control > dns UDP/53",
    "alice > dns UDP/53",
    "alice > dns TCP/53",
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
    "ingress > alice TCP/22",
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


@pytest.mark.parametrize("way", ALLOWED)
def test_what_runtimes_and_their_control_need_is_allowed(
    way: str, rules: list[dict[str, Any]]
) -> None:
    assert allowed(rules, way)


@pytest.mark.parametrize("way", DENIED)
def test_everything_else_is_denied(way: str, rules: list[dict[str, Any]]) -> None:
    assert not allowed(rules, way)


def test_the_analyzers_words_are_all_understood(rules: list[dict[str, Any]]) -> None:
    words = {
        text for rule in rules for side in ("src", "dst") for text in rule.get(f"{side}_pods", [])
    }
    names = set(PODS) | {"*"}
    unknown = [
        text
        for text in words - names
        if not all(part.count("=") == 1 and "(" not in part for part in text.split(" and "))
    ]
    assert unknown == []
