"""The door, decided: where it stands, what it is told, which names its certificates have.

Leaves out: who the users are, which the door learns from their own objects (`fleet.manifests.user`
writes it there), so that adding one changes nothing here.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from fleet.names import content_name, door_namespace
from fleet.stackfile.config import (
    Access,
    Challenge,
    ExistingCluster,
    Network,
    StackConfig,
    TlsMode,
)
from fleet.stackfile.door import Door, SignIn, default_replicas, seconds

# Where ingress controllers live. Only they reach the door, where network rules are enforced.
_PRIVATE = (
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "fc00::/7",
)
TLS_SECRET = "door-tls"  # noqa: S105 - an object's name
OIDC_SECRET = "oidc-client-secret"  # noqa: S105 - a file's name
SEED_SECRET = "seed"  # noqa: S105 - a file's name
TOKEN_PREFIX = "service-token-"  # noqa: S105 - a file's name


@dataclass(frozen=True, kw_only=True, slots=True)
class Certificate:
    """One certificate that cert-manager is to get."""

    secret: str
    hosts: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class DoorPlan:
    """What stands between browsers and an environment's workspaces."""

    environment: str
    namespace: str
    pools: tuple[str, ...]
    """Namespaces of the runtimes."""
    url: str
    """Of the front page."""
    access: Access
    size: Door
    replicas: int
    network: Network
    settings_name: str
    """Of the ConfigMap, which changes with its content."""
    settings: str
    """JSON, as `door.control.settings` reads it."""
    secrets: tuple[tuple[str, str], ...]
    """Files of the door's Secret beside the seed, each with the stack file's key it holds."""
    hosts: tuple[str, ...]
    """Host names that lead to the door."""
    certificates: tuple[Certificate, ...]
    """What cert-manager is to get; empty in every other mode."""


def origin(access: Access, host: str) -> str:
    """Return the URL of a host of an environment."""
    scheme = "http" if access.tls is TlsMode.NONE else "https"
    return f"{scheme}://{host}" + (f":{access.port}" if access.port else "")


def door_plan(environment: str, config: StackConfig, pools: dict[str, tuple[str, ...]]) -> DoorPlan:
    """Decide everything about the door; `pools` are namespaces, each with its users' hosts."""
    settings = json.dumps(_settings(environment, config, tuple(pools)), sort_keys=True, indent=1)
    digest = hashlib.sha256(settings.encode()).hexdigest()
    access, oidc = config.access, config.access.sign_in.oidc
    secrets = {TOKEN_PREFIX + token.name: token.secret for token in config.agent_control.tokens}
    if oidc is not None:
        secrets[OIDC_SECRET] = oidc.client_secret
    wildcard = f"*.{access.domain}"
    certificates: tuple[Certificate, ...] = ()
    hosts = (access.domain, wildcard)
    if access.tls is TlsMode.CERT_MANAGER:
        certificates = (Certificate(secret=TLS_SECRET, hosts=hosts),)
        if _challenge(config) is Challenge.HTTP01:
            certificates = _named(access.domain, pools)
            hosts = tuple(host for certificate in certificates for host in certificate.hosts)
    return DoorPlan(
        environment=environment,
        namespace=door_namespace(environment),
        pools=tuple(pools),
        url=origin(access, access.domain),
        access=access,
        size=config.door,
        replicas=config.door.replicas or default_replicas(config.cluster.kind),
        network=config.network,
        settings_name=content_name("settings", "door", digest),
        settings=settings,
        secrets=tuple(sorted(secrets.items())),
        hosts=hosts,
        certificates=certificates,
    )


def _challenge(config: StackConfig) -> Challenge:
    """Return how names are proven: naming every user works with every issuer."""
    if config.access.challenge is not None:
        return config.access.challenge
    if isinstance(config.cluster, ExistingCluster):
        return Challenge.HTTP01
    certificates = config.cluster.certificates
    by_name = certificates is not None and certificates.dns01 is not None
    return Challenge.DNS01 if by_name else Challenge.HTTP01


def _named(domain: str, pools: dict[str, tuple[str, ...]]) -> tuple[Certificate, ...]:
    """Return a certificate for the front page and one a pool.

    A pool has at most a hundred users, as many names as Let's Encrypt puts into one certificate.
    """
    of_pools = (
        Certificate(secret=f"{TLS_SECRET}-{namespace.rpartition('--')[2]}", hosts=hosts)
        for namespace, hosts in pools.items()
        if hosts
    )
    return (Certificate(secret=TLS_SECRET, hosts=(domain,)), *of_pools)


def _settings(environment: str, config: StackConfig, pools: tuple[str, ...]) -> dict[str, Any]:
    access = config.access
    settings: dict[str, Any] = {
        "environment": environment,
        "namespace": door_namespace(environment),
        "pools": list(pools),
        "domain": access.domain,
        "scheme": "http" if access.tls is TlsMode.NONE else "https",
        "port": access.port,
        "trustedProxies": list(access.trusted_proxies or _PRIVATE),
        "notice": config.door.notice,
        **_sign_in(access.sign_in),
    }
    return {key: value for key, value in settings.items() if value is not None}


def _sign_in(wanted: SignIn) -> dict[str, Any]:
    sessions = wanted.sessions
    settings: dict[str, Any] = {
        "signIn": wanted.mode.value,
        "sessions": {
            "idleMinutes": seconds(sessions.idle) // 60,
            "absoluteMinutes": seconds(sessions.absolute) // 60,
            "version": sessions.version,
        },
    }
    if wanted.oidc is not None:
        settings["oidc"] = {
            "issuer": wanted.oidc.issuer,
            "clientId": wanted.oidc.client_id,
            "scopes": list(wanted.oidc.scopes),
            "claim": wanted.oidc.claim,
        }
    if wanted.header is not None:
        settings["header"] = {"name": wanted.header.name, "peers": list(wanted.header.peers)}
    return settings
