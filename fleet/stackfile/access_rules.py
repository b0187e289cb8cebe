"""Rules between the keys of `access:`, of `network:`, and of the secrets that keys refer to."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping

from fleet.errors import HIDDEN, Problem
from fleet.names import SEED_KEY, host_name
from fleet.stackfile.backup_rules import backup_secrets
from fleet.stackfile.config import Access, ExistingCluster, Network, RouteKind, StackConfig, TlsMode
from fleet.stackfile.git import GitAccess
from fleet.stackfile.network import PrivateEndpoint
from fleet.stackfile.workspace import Workspace
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
            "use tls: certManager, secret or selfSigned, or front where a proxy before it has TLS",
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
    if access.challenge is not None and access.tls is not TlsMode.CERT_MANAGER:
        rule = "it only counts with tls: certManager"
        yield Problem("access.challenge", access.challenge, rule, "remove it or change the mode")
    for key, value, needed, why in needs:
        if needed and value is None:
            yield Problem(f"access.{key}", "missing", f"{why} needs it", f"add access.{key}")
        elif value is not None and not needed:
            text = value if isinstance(value, str) else value.name
            yield Problem(
                f"access.{key}", text, f"it only counts with {why}", "remove it or change the mode"
            )
    if access.tls not in (TlsMode.NONE, TlsMode.FRONT):
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
    opened: list[tuple[str, str]] = []
    for index, item in enumerate(network.allow):
        key = f"network.allow[{index}]"
        yield from _endpoint(key, item)
        opened += [(f"{key}.cidr", item.cidr)] if item.cidr is not None else []
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


def _endpoint(key: str, item: PrivateEndpoint) -> Iterator[Problem]:
    if (item.cidr is None) == (item.namespace is None):
        given = "neither" if item.cidr is None else "both"
        rule = "an endpoint is a range (cidr) or pods (namespace)"
        yield Problem(key, given, rule, "write one of cidr and namespace")
    if item.pod_labels and item.namespace is None:
        rule = "pods are found by their namespace too"
        yield Problem(f"{key}.podLabels", "a mapping", rule, "add namespace, or remove it")


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
    for provider, item in config.providers.items():
        if item.api_key is not None:
            yield f"providers.{provider}.apiKey", item.api_key, False
    yield from _of_workspace("", config)
    for name, profile in config.profiles.items():
        yield from _of_workspace(f"profiles.{name}.", profile)
    for index, user in enumerate(config.users):
        key = f"users[{index}]."
        yield from _of_workspace(key, user)
        for provider, name in user.api_keys.items():
            yield f"{key}apiKeys.{provider}", name, True
        yield from _of_git(f"{key}git.hosts", user.git.hosts)
    yield from _of_git("git.hosts", config.git.hosts)
    oidc = config.access.sign_in.oidc
    if oidc is not None:
        yield "access.signIn.oidc.clientSecret", oidc.client_secret, True
    for index, token in enumerate(config.agent_control.tokens):
        yield f"agentControl.tokens[{index}].secret", token.secret, True
    yield from backup_secrets(config.backup)
    cluster = config.cluster
    if not isinstance(cluster, ExistingCluster) and cluster.registry is not None:
        yield "cluster.registry.passwordSecret", cluster.registry.password_secret, True


def _of_workspace(key: str, given: Workspace) -> Iterator[tuple[str, str, bool]]:
    for variable, name in given.secret_env.items():
        yield f"{key}secretEnv.{variable}", name, True


def _of_git(key: str, hosts: Mapping[str, GitAccess]) -> Iterator[tuple[str, str, bool]]:
    for host, access in hosts.items():
        if access.token is not None:
            yield f"{key}.{host}.token", access.token, True
        if access.ssh_key is not None:
            yield f"{key}.{host}.sshKey", access.ssh_key, True


def _absent(key: str, secret: str) -> Problem:
    name = secret_reference(secret)
    rule = "no secret of this name in the stack file"
    change = f"add it: fleet secret {'KEY' if name == HIDDEN else name} -s ENV"
    return Problem(key, name, rule, change)
