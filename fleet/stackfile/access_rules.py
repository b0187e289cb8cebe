"""Rules between the keys of `access:`, of `network:`, and of the secrets that keys refer to."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from urllib.parse import urlsplit

from fleet.errors import HIDDEN, Problem
from fleet.names import SEED_KEY, host_name
from fleet.stackfile.backup_rules import backup_secrets
from fleet.stackfile.config import Access, ExistingCluster, Network, RouteKind, StackConfig, TlsMode
from fleet.values.ranges import METADATA, closed_ranges, overlaps_private
from fleet.values.secrecy import secret_reference

# RFC 1035 2.3.4, as Kubernetes checks an Ingress host.
_HOST_MAX = 253
_WIDEST = 2**16
# Kubernetes refuses an exception as wide as what it is excepted from.
_WIDEST_DENY = 4


def access_problems(config: StackConfig) -> Iterator[Problem]:
    """Yield the broken rules of how users reach their workspaces."""
    access = config.access
    local = access.domain == "localhost" or access.domain.endswith(".localhost")
    if access.tls is TlsMode.NONE and not local:
        yield Problem(
            "access.tls",
            "none",
            "passwords would cross the network in clear; only *.localhost may go without TLS",
            "use tls: certManager, secret or selfSigned",
        )
    yield from _needs(access)
    longest = max((len(host_name(user.id, access.domain)) for user in config.users), default=0)
    if longest > _HOST_MAX:
        yield Problem(
            "access.domain",
            access.domain,
            f"a user's host would have {longest} characters, {_HOST_MAX} are the limit",
            "use a shorter domain",
        )


def _needs(access: Access) -> Iterator[Problem]:
    needs = (
        ("tlsSecretName", access.tls_secret_name, access.tls is TlsMode.SECRET, "tls: secret"),
        (
            "clusterIssuer",
            access.cluster_issuer,
            access.tls is TlsMode.CERT_MANAGER,
            "tls: certManager",
        ),
        ("gateway", access.gateway, access.route is RouteKind.HTTP_ROUTE, "route: httpRoute"),
    )
    for key, value, needed, why in needs:
        if needed and value is None:
            yield Problem(f"access.{key}", "missing", f"{why} needs it", f"add access.{key}")
        elif value is not None and not needed:
            text = value if isinstance(value, str) else value.name
            yield Problem(
                f"access.{key}", text, f"it only counts with {why}", "remove it or change the mode"
            )
    if access.tls is not TlsMode.NONE:
        by_gateway = access.tls is TlsMode.GATEWAY
        if by_gateway != (access.route is RouteKind.HTTP_ROUTE):
            rule = "the Gateway's listener holds the certificate of HTTPRoutes, and of nothing else"
            change = "use tls: gateway with route: httpRoute, another tls with route: ingress"
            yield Problem("access.tls", access.tls, rule, change)
    if access.class_name is not None and access.route is not RouteKind.INGRESS:
        rule = "it only counts with route: ingress"
        yield Problem("access.className", access.class_name, rule, "remove it or change the mode")


def network_problems(network: Network) -> Iterator[Problem]:
    """Yield the broken rules of the ranges that runtimes may or may not reach."""
    yield from _allowed(network)
    yield from _denied(network)


def _allowed(network: Network) -> Iterator[Problem]:
    opened = [(f"network.allow[{n}].cidr", item.cidr) for n, item in enumerate(network.allow)]
    opened += [(f"network.dnsAddresses[{n}]", one) for n, one in enumerate(network.dns_addresses)]
    for key, value in opened:
        if not overlaps_private(value):
            rule = "public addresses are reachable already; this list opens private ones"
            yield Problem(key, value, rule, "remove it")
        elif ipaddress.ip_network(value).num_addresses > _WIDEST:
            yield Problem(
                key,
                value,
                "private endpoints are allowed one by one, at most a /16 (IPv6: a /112)",
                "name the endpoint's own network, e.g. 10.1.2.3/32",
            )
        elif any(_overlap(value, address) for address in METADATA):
            yield Problem(
                key,
                value,
                "it holds the cloud's metadata address, which hands out the machine's credentials",
                "name the endpoint's own network, e.g. 10.1.2.3/32",
            )
        for other, denied in enumerate(network.deny):
            if _overlap(value, denied):
                yield Problem(
                    f"network.deny[{other}]",
                    denied,
                    f"it overlaps {key.removesuffix('.cidr')}, {value}",
                    "narrow one of them, so that it is clear what holds",
                )


def _denied(network: Network) -> Iterator[Problem]:
    for index, denied in enumerate(network.deny):
        if ipaddress.ip_network(denied).prefixlen < _WIDEST_DENY:
            yield Problem(
                f"network.deny[{index}]",
                denied,
                f"a denied range has a prefix of /{_WIDEST_DENY} or longer",
                "name the networks to close; the private ones are closed already",
            )
    for whole in (item for family in closed_ranges(network.deny) for item in family):
        if whole in ("0.0.0.0/0", "::/0"):
            yield Problem(
                "network.deny",
                f"{len(network.deny)} ranges",
                f"with the private ranges they close all of {whole}",
                "leave the model endpoint's own network open",
            )


def _overlap(one: str, two: str) -> bool:
    first, second = ipaddress.ip_network(one), ipaddress.ip_network(two)
    return first.version == second.version and first.overlaps(second)


def model_problems(config: StackConfig) -> Iterator[Problem]:
    """Yield a model endpoint at a private address that no runtime may reach."""
    if config.model is None:
        return
    parts = urlsplit(config.model.base_url)
    try:
        address = ipaddress.ip_address(parts.hostname or "")
    except ValueError:  # a name; what it resolves to is not known here
        return
    port = parts.port or (443 if parts.scheme == "https" else 80)
    allowed = any(
        item.port == port and address in ipaddress.ip_network(item.cidr)
        for item in config.network.allow
    )
    if overlaps_private(str(address)) and not allowed:
        network = ipaddress.ip_network(str(address))
        rule = "runtimes reach no private address that is not allowed by name"
        change = f"add {{cidr: {network}, port: {port}}} under network.allow"
        yield Problem("model.baseUrl", config.model.base_url, rule, change)


def secret_problems(config: StackConfig, secrets: frozenset[str]) -> Iterator[Problem]:
    """Yield secrets that are referred to and absent, or present and referred to by nothing."""
    known = {"modelApiKey", SEED_KEY}
    for key, name, needed in _references(config):
        known.add(name)
        if name == SEED_KEY:
            rule = "the seed of all passwords is given to nobody"
            yield Problem(key, name, rule, "give this secret a key of its own")
        elif needed and name not in secrets:
            yield _absent(key, name)
    for name in sorted(secrets - known):
        yield Problem(name, "[secret]", "no key refers to this secret", "remove it, or name it")


def _references(config: StackConfig) -> Iterator[tuple[str, str, bool]]:
    """Yield the places that name a secret: key, the secret's name, whether it must be there."""
    for index, user in enumerate(config.users):
        if user.api_key is not None:
            yield f"users[{index}].apiKey", user.api_key, True
    if config.model is not None:
        yield "model.apiKey", config.model.api_key, False
    yield from backup_secrets(config.backup)
    cluster = config.cluster
    if not isinstance(cluster, ExistingCluster) and cluster.registry is not None:
        yield "cluster.registry.passwordSecret", cluster.registry.password_secret, True


def _absent(key: str, secret: str) -> Problem:
    name = secret_reference(secret)
    rule = "no secret of this name in the stack file"
    change = f"add it: fleet secret {'KEY' if name == HIDDEN else name} -s ENV"
    return Problem(key, name, rule, change)
