"""The pods of the table of who may reach whom, on a real cluster, and what they reached.

Users are stood in for by pods with the labels of their runtimes: those rules select by label, and
OpenCode listens on one port only. Every pod answers on every port that the table asks for.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from tests.e2e.harness.environment import Environment
from tests.e2e.harness.kube import Live, is_ready
from tests.e2e.harness.outside import Outside, can_stand_for, is_here, outside
from tests.e2e.harness.waiting import until
from tests.support.reachability import FRONT, NETWORK, PODS, USERS, Pod, Way

KNOCK = Path(__file__).with_name("knock.py")


def foreign_namespaces(name: str) -> dict[str, str]:
    """Return the namespaces, by part, of pods that belong to no pool of the environment `name`."""
    return {part: f"{name}-{part}" for part in ("ingress", "system", "shop")}


def configure(environment: Environment) -> None:
    """Give an environment the users and rules of the table; nobody of them runs."""
    others = foreign_namespaces(environment.name)
    access = environment.config["access"]
    access["controller"] = {"namespace": others["ingress"], "podLabels": {"app": "controller"}}
    dns = {"namespace": others["system"], "podLabels": {"k8s-app": "kube-dns"}}
    environment.config["network"] = {**NETWORK, "dns": dns}
    environment.config["pools"] = {"lab": {}}
    environment.config["users"] = [{**user, "state": "suspended"} for user in USERS]


@dataclass(kw_only=True)
class Landscape:
    """The running pods, and the outside where there is one."""

    environment: Environment
    namespaces: Mapping[str, str]
    addresses: Mapping[str, str]
    """Pod address by name in the table."""
    world: Outside | None

    def can_try(self, row: Way) -> bool:
        """Return whether both ends of a row exist here."""
        known = {*self.addresses, *(self.world.addresses if self.world else ())}
        return {row.source, row.target} <= known

    def reached(self, rows: Iterable[Way]) -> set[Way]:
        """Try rows by connections and return those that were answered."""
        by_source: dict[str, list[Way]] = {}
        for row in rows:
            by_source.setdefault(row.source, []).append(row)
        with ThreadPoolExecutor(len(by_source)) as pool:
            answers = pool.map(self._from, by_source, by_source.values())
            return {row for found in answers for row in found}

    def _from(self, source: str, rows: list[Way]) -> list[Way]:
        wanted = [
            (row.protocol, self.addresses.get(row.target, row.target), row.port) for row in rows
        ]
        if source not in self.addresses:
            assert self.world is not None
            answers = self.world.knock(source, wanted)
        else:
            where = (self.namespaces[PODS[source].part], source)
            done = self.environment.kube.exec(
                *where, "python3", "-c", KNOCK.read_text(), "try", stdin=json.dumps(wanted)
            )
            assert done.returncode == 0, f"{source}: {done.stderr}"
            answers = cast("list[bool]", json.loads(done.stdout))
        return [row for row, answered in zip(rows, answers, strict=True) if answered]


def _manifest(pod: Pod, environment: Environment, namespace: str, ports: object) -> Live:
    script = f"echo '{json.dumps(ports)}' | python3 -c \"$KNOCK\" listen"
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod.name,
            "namespace": namespace,
            "labels": pod.labels_in(environment.name),
        },
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
                "sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}],
            },
            "containers": [
                {
                    "name": "opencode",
                    "image": environment.image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["bash", "-c", script],
                    "env": [{"name": "KNOCK", "value": KNOCK.read_text(encoding="utf-8")}],
                    "resources": {"limits": {"cpu": "100m", "memory": "64Mi"}},
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"]},
                    },
                }
            ],
        },
    }


@contextmanager
def landscape(environment: Environment, table: list[Way]) -> Generator[Landscape]:
    """Yield the pods of the table, in an environment that was configured and applied."""
    found = _start(environment, table)
    node = _only_node(environment)
    if node is None or not is_here(node):
        yield found
        return
    ends = {end for row in table for end in (row.source, row.target) if end not in PODS}
    with outside(sorted(end for end in ends if can_stand_for(end))) as world:
        world.listen(sorted({(row.protocol, row.port) for row in table if row.target in ends}))
        world.meet(found.addresses.values())
        yield replace(found, world=world)


def _start(environment: Environment, table: list[Way]) -> Landscape:
    kube, name = environment.kube, environment.name
    foreign = foreign_namespaces(name)
    pools = {part: f"opencode-{name}--{part}" for part in ("default", "lab")}
    namespaces = {**foreign, **pools, FRONT: f"opencode-{name}"}
    for namespace in foreign.values():
        meta = {"name": namespace, "labels": {"opencode-fleet/environment": name}}
        kube.make({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
    any_address = "0.0.0.0"  # noqa: S104 - inside of a pod
    asked = {(row.protocol, row.port) for row in table if row.target in PODS}
    ports = [(protocol, any_address, port) for protocol, port in sorted(asked)]
    pods = PODS.values()
    kube.make(*(_manifest(pod, environment, namespaces[pod.part], ports) for pod in pods))
    addresses = {pod.name: _address(environment, namespaces[pod.part], pod.name) for pod in pods}
    return Landscape(
        environment=environment, namespaces=namespaces, addresses=addresses, world=None
    )


def _address(environment: Environment, namespace: str, name: str) -> str:
    def check() -> str | None:
        pod = environment.kube.one("pod", name, namespace)
        assert pod is not None, "no pod"
        return pod["status"]["podIP"] if is_ready(pod) else None

    return until(f"pod {name} runs", check, 60)


def _only_node(environment: Environment) -> str | None:
    """Return the address of the cluster's node, None where there are several."""
    found = [
        address["address"]
        for node in environment.kube.list("nodes")
        for address in node["status"]["addresses"]
        if address["type"] == "InternalIP"
    ]
    return found[0] if len(found) == 1 else None
