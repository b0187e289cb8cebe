"""What the stack file relies on and the product does not make, looked up before a run.

Owns: objects it names that are not there, host names that are somebody else's, storage that cannot
grow. Leaves out: what existing claims forbid by themselves (`claims`), whose namespaces are
(`ownership`). Who may not ask for a kind is told nothing about it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from fleet.cluster.client import Cluster, Live
from fleet.cluster.kinds import KINDS
from fleet.cluster.owned import Key, labels_of
from fleet.engine.events import part, parts
from fleet.errors import ClusterError, Problem, RefusedError, shown
from fleet.names import LABEL_ENVIRONMENT, PULL_SECRET
from fleet.plan.environment import Plan, UserPlan
from fleet.stackfile.config import TlsMode
from fleet.values.quantity import parse_quantity

_FORBIDDEN = 403
_CLAIM = "PersistentVolumeClaim"


@dataclass(frozen=True, order=True, slots=True)
class Reference:
    """An object that the stack file names."""

    key: str
    kind: str
    """In plural, as the client asks for it."""
    name: str
    namespace: str | None = None

    def __str__(self) -> str:
        place = f" in namespace {self.namespace}" if self.namespace else ""
        return f"{KINDS[self.kind].name} {self.name}{place}"


def absent(cluster: Cluster, plan: Plan, live: Mapping[Key, Live]) -> list[str]:
    """Return a line for each object that the stack file names and the cluster does not have."""
    references = sorted(set(_references(plan, live)))
    return [
        f"{item.key}: {item.name}: the cluster has no {item}: make it, or what needs it waits"
        for item in references
        if not _there(cluster, item)
    ]


def _references(plan: Plan, live: Mapping[Key, Live]) -> Iterator[Reference]:
    access = plan.access
    if access.class_name is not None:
        yield Reference("access.className", "ingressclasses", access.class_name)
    if access.cluster_issuer is not None:
        yield Reference("access.clusterIssuer", "clusterissuers", access.cluster_issuer)
    if access.gateway is not None:
        gateway = access.gateway
        yield Reference("access.gateway", "gateways", gateway.name, gateway.namespace)
    for user in plan.users:
        # A class that is gone does no harm to the claims that it has made.
        if user.storage_class is not None and Key(_CLAIM, user.namespace, user.name) not in live:
            yield Reference("storage.className", "storageclasses", user.storage_class)
    for pool in plan.pools:
        if pool.shared is not None and pool.shared.class_name is not None:
            name = pool.shared.class_name
            yield Reference("storage.shared.className", "storageclasses", name)
    yield from _secrets(plan, live)


def _secrets(plan: Plan, live: Mapping[Key, Live]) -> Iterator[Reference]:
    """Yield Secrets in namespaces that are there; in others nobody could have put one yet."""
    access = plan.access
    own = access.tls is TlsMode.SECRET and access.tls_secret_name is not None
    for pool in plan.pools:
        if Key("Namespace", "", pool.namespace) not in live:
            continue
        if own:
            name = str(access.tls_secret_name)
            yield Reference("access.tlsSecretName", "secrets", name, pool.namespace)
        if plan.pull_secret not in {None, PULL_SECRET}:
            name = str(plan.pull_secret)
            yield Reference("image.pullSecret", "secrets", name, pool.namespace)


def _there(cluster: Cluster, item: Reference) -> bool:
    try:
        return cluster.get(item.kind, item.name, item.namespace) is not None
    except RefusedError as refusal:
        if refusal.status == _FORBIDDEN:
            return True
        raise


def growth_problems(cluster: Cluster, plan: Plan, live: Mapping[Key, Live]) -> list[Problem]:
    """Return the claims that are to grow and whose StorageClass does not let them."""
    fixed: dict[str, bool] = {}
    problems: list[Problem] = []
    for user in plan.users:
        claim = live.get(Key(_CLAIM, user.namespace, user.name))
        if claim is None or not _grows(user, claim):
            continue
        name = str(claim["spec"].get("storageClassName") or "")
        if name not in fixed:
            fixed[name] = _cannot_grow(cluster, name)
        if fixed[name]:
            problems.append(
                Problem(
                    f"profiles.{user.profile_name}.storage",
                    user.profile.storage,
                    f"the claim of user {user.id} has {_size(claim)}, and StorageClass"
                    f" {shown(name)} does not allow claims to grow",
                    "keep the size, or set allowVolumeExpansion on the class if its driver can",
                )
            )
    return problems


def _grows(user: UserPlan, claim: Live) -> bool:
    return parse_quantity(user.profile.storage) > parse_quantity(_size(claim))


def _size(claim: Live) -> str:
    return str(claim["spec"]["resources"]["requests"]["storage"])


def _cannot_grow(cluster: Cluster, name: str) -> bool:
    try:
        found = cluster.get("storageclasses", name) if name else None
    except RefusedError as refusal:
        if refusal.status == _FORBIDDEN:
            return False
        raise
    # Without a class of this name nothing in the cluster would resize the volume either.
    return found is None or not found.get("allowVolumeExpansion", False)


def refuse_taken_hosts(cluster: Cluster, plan: Plan) -> None:
    """Raise ClusterError when a host of this environment leads to somebody else's workspace."""
    wanted = [user.host for user in plan.users]
    try:
        routes = cluster.list_all(["ingresses", "httproutes"])
    except RefusedError as refusal:
        if refusal.status == _FORBIDDEN:
            return
        raise
    for items in routes.values():
        for item in items:
            if labels_of(item).get(LABEL_ENVIRONMENT) != plan.environment:
                _refuse_taken(item, wanted)


def _refuse_taken(item: Live, wanted: Sequence[str]) -> None:
    taken = next((host for host in wanted if any(_covers(of, host) for of in _hosts(item))), None)
    if taken is None:
        return
    metadata = item["metadata"]
    owner = labels_of(item).get(LABEL_ENVIRONMENT)
    whose = f"environment {shown(owner)}" if owner else "somebody else"
    raise ClusterError(
        f"access.domain: host {taken} leads to {whose} already ({item['kind']}"
        f" {shown(metadata['namespace'])}/{shown(metadata['name'])}): give this environment another"
        " domain, or delete that object"
    )


def _hosts(item: Live) -> Iterator[str]:
    spec = part(item, "spec")
    rules = parts(spec, "rules") if item["kind"] == "Ingress" else []
    yield from (str(rule["host"]).lower() for rule in rules if rule.get("host"))
    names: object = spec.get("hostnames")
    if isinstance(names, list):
        yield from (str(name).lower() for name in cast("list[object]", names))


def _covers(pattern: str, host: str) -> bool:
    """Return whether a rule for `pattern` gets the requests for `host` (RFC 1123, one label)."""
    if pattern == host:
        return True
    label, dot, rest = host.partition(".")
    return bool(label and dot) and pattern == f"*.{rest}"
