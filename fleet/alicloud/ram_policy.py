"""The least RAM policies under which an environment can be made, changed and destroyed.

Decides the features an environment has, and packs their actions into as few policies as the size
limit allows. Leaves out: the actions themselves (`ram_actions`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from fleet.alicloud.config import AckCluster, VmCluster
from fleet.alicloud.network_plan import WORLD
from fleet.alicloud.ram_actions import ACTIONS

# Services whose resources are named by region. ACK's are not: a cluster's own id is not known yet.
_REGIONAL = frozenset({"cr", "ecs", "fc", "nas", "slb", "vpc"})
# Characters of one custom policy, without white space.
LIMIT = 6144


def features(cluster: VmCluster | AckCluster) -> tuple[str, ...]:
    """Return the features of `cluster` by their names in `ram_actions`."""
    own = _machine(cluster) if isinstance(cluster, VmCluster) else _kubernetes(cluster)
    return (*own, *_shared(cluster))


def ram_policy(cluster: VmCluster | AckCluster, name: str) -> dict[str, dict[str, Any]]:
    """Return policy documents by name, each within the size limit: attach all of them.

    `name` is what everything that is made begins with: `fleet-<environment>`.
    """
    packed: list[list[str]] = [[]]
    for feature in features(cluster):
        tried = _document([*packed[-1], feature], cluster, name)
        if len(json.dumps(tried, separators=(",", ":"))) > LIMIT:
            packed.append([])
        packed[-1].append(feature)
    single = len(packed) == 1
    return {
        "opencode-fleet" if single else f"opencode-fleet-{n}": _document(group, cluster, name)
        for n, group in enumerate(packed, start=1)
    }


def _document(group: list[str], cluster: VmCluster | AckCluster, name: str) -> dict[str, Any]:
    seen: set[str] = set()
    statements: list[dict[str, Any]] = []
    for feature in group:
        # A statement cannot be named after its feature: RAM has no `Sid` as other clouds have.
        actions = [action for action in sorted(ACTIONS[feature]) if action not in seen]
        seen.update(actions)
        for service in dict.fromkeys(action.partition(":")[0] for action in actions):
            mine = [action for action in actions if action.startswith(f"{service}:")]
            resource = _resource(service, cluster, name)
            statements.append({"Effect": "Allow", "Action": mine, "Resource": resource})
    return {"Version": "1", "Statement": statements}


def _resource(service: str, cluster: VmCluster | AckCluster, name: str) -> str | list[str]:
    """Return what a service's actions may act on, as narrow as its resource names allow."""
    if service in _REGIONAL:
        return f"acs:{service}:{cluster.region}:*:*"
    if service == "ram":
        # Whoever could attach any policy to any role would have all rights.
        names = [f"acs:ram:*:*:role/{name}-*", f"acs:ram:*:*:policy/{name}-*"]
        role = cluster.instance.ram_role if isinstance(cluster, VmCluster) else None
        given = role.existing_name if role is not None else None
        return [*names, f"acs:ram:*:*:role/{given}"] if given else names
    if service == "alidns" and cluster.dns is not None:
        return f"acs:alidns:*:*:domain/{cluster.dns.zone}"
    return "*"


def _machine(cluster: VmCluster) -> Iterator[str]:
    instance = cluster.instance
    if instance.id is not None:
        yield from ("machine-found", "network-found")
    else:
        yield from ("network" if cluster.network.reuse is None else "network-found", "address")
        yield from ("security-group", "machine")
        if instance.ssh_key.existing_name is None:
            yield "key"
        if instance.ram_role is not None:
            yield "role-of-machine"
            if instance.ram_role.existing_name is None:
                yield "role"
        if cluster.data_disk is not None:
            yield "data-disk"
            if cluster.data_disk.snapshot_days:
                yield "snapshots"
    yield "cloud-assistant"
    if cluster.schedule is not None:
        yield from ("schedule", "role")


def _kubernetes(cluster: AckCluster) -> Iterator[str]:
    if cluster.network.reuse is None:
        yield from ("network", "address", "nat")
    else:
        yield "network-found"
    yield from ("kubernetes", "balancer")
    if cluster.web_cidrs and WORLD not in cluster.web_cidrs:
        yield "balancer-access"


def _shared(cluster: VmCluster | AckCluster) -> Iterator[str]:
    if cluster.nas is not None and cluster.nas.existing is None:
        yield "files"
    if cluster.dns is not None:
        yield "dns"
    if cluster.registry is not None and cluster.registry.acr is not None:
        yield "registry"
