"""Who reaches whom, judged by a program that knows nothing of ours: network-config-analyzer.

The table is in tests/support/reachability.py. The analyzer runs in an environment of its own
(`uv tool run`), since it pins other versions of our libraries.
"""

from __future__ import annotations

import ipaddress
import json
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from tests.support.deployed import deploy
from tests.support.reachability import (
    ALLOWED,
    DENIED,
    ENTRANCE,
    FRONT,
    NETWORK,
    OTHER,
    PODS,
    POOL,
    SHOP,
    SYSTEM,
    USERS,
    Pod,
    Way,
    way,
)
from tests.support.stacks import SMALL, Values

ANALYZER = "network-config-analyzer==2.1.0"
NAMESPACES = {
    POOL: "opencode-test--default",
    OTHER: "opencode-test--lab",
    ENTRANCE: "ingress-nginx",
    SYSTEM: "kube-system",
    SHOP: "shop",
    FRONT: "opencode-test",
}
VALUES: Values = {
    **SMALL,
    "pools": {"lab": {}},
    "users": USERS,
    "network": NETWORK,
    "access": {
        "domain": "fleet.localhost",
        "tls": "none",
        "controller": {"namespace": NAMESPACES[ENTRANCE], "podLabels": {"app": "controller"}},
    },
}


def namespace_labels(name: str) -> dict[str, str]:
    """Return the labels of a namespace, ours where it is of the environment."""
    of_us = {"opencode-fleet/environment": "test"} if name.startswith("opencode-test") else {}
    return {"kubernetes.io/metadata.name": name, **of_us}


def manifest(pod: Pod) -> dict[str, Any]:
    """Return the pod as the analyzer reads it."""
    labels = pod.labels_in("test")
    metadata = {"name": pod.name, "namespace": NAMESPACES[pod.part], "labels": labels}
    spec = {"containers": [{"name": "main", "image": "x"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What the analyzer says is allowed, over all policies of two pools."""
    if shutil.which("uv") is None:
        pytest.skip("uv, which fetches the analyzer, is not on PATH")
    root = tmp_path_factory.mktemp("policies")
    (root / "scenes").mkdir()
    deployed = deploy(VALUES, root)
    policies = deployed.of("NetworkPolicy")
    policies += [item for item in deployed.door if item["kind"] == "NetworkPolicy"]
    namespaces = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        for name in sorted(NAMESPACES.values())
        for labels in [namespace_labels(name)]
    ]
    files: dict[str, list[dict[str, Any]]] = {
        "policies": policies,
        "namespaces": namespaces,
        "pods": [manifest(pod) for pod in PODS.values()],
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
        return NAMESPACES[pod.part] in rule.get(f"{side}_ns", []) and any(
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
    return pairs.items() <= pod.labels_in("test").items()


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


def allowed(rules: list[dict[str, Any]], one: Way) -> bool:
    """Return whether a row of the table is allowed."""
    return any(
        matches(rule, "src", one.source)
        and matches(rule, "dst", one.target)
        and any(carries(item, one.protocol, one.port) for item in rule["connection"])
        for rule in rules
    )


@pytest.mark.parametrize("row", ALLOWED)
def test_what_runtimes_and_their_control_need_is_allowed(
    row: str, rules: list[dict[str, Any]]
) -> None:
    assert allowed(rules, way(row))


@pytest.mark.parametrize("row", DENIED)
def test_everything_else_is_denied(row: str, rules: list[dict[str, Any]]) -> None:
    assert not allowed(rules, way(row))


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
