"""Rules of providers and models: what a kind needs, what can be reached, what refers to what."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from fleet.errors import HIDDEN, Problem, looks_secret, shown
from fleet.stackfile.config import StackConfig
from fleet.stackfile.network import Network
from fleet.stackfile.providers import ModelChoice, Provider, ProviderKind
from fleet.values.ranges import overlaps_private
from fleet.values.secrecy import names_secret

_OWN_OPTIONS = {"apiKey": "apiKey", "baseURL": "baseUrl", "headers": "headers"}


def provider_problems(config: StackConfig) -> Iterator[Problem]:
    """Yield the broken rules of `providers:`, `models:`, and of who may use which."""
    for name, provider in config.providers.items():
        key = f"providers.{name}"
        yield from _provider(key, provider, config.network)
        yield from _options(key, provider)
    yield from _models(config)
    for name, profile in config.profiles.items():
        yield from _choice(config, f"profiles.{name}.models", profile.models)
    for index, user in enumerate(config.users):
        key = f"users[{index}]"
        yield from _choice(config, f"{key}.models", user.models)
        for provider in user.api_keys:
            if provider not in config.providers:
                yield _unknown(f"{key}.apiKeys.{provider}", provider, "provider", config.providers)
        yield from _resolved(config, index)


def _provider(key: str, provider: Provider, network: Network) -> Iterator[Problem]:
    if provider.base_url is not None:
        yield from reach_problems(f"{key}.baseUrl", provider.base_url, network)
    elif provider.kind is ProviderKind.OPENAI_COMPATIBLE:
        rule = "kind openai-compatible has no vendor whose address is known"
        yield Problem(f"{key}.baseUrl", "missing", rule, "add baseUrl: https://…/v1")
    elif not network.internet and network.proxy is None:
        rule = "with network.internet: false no workspace reaches the vendor's own address"
        yield Problem(f"{key}.baseUrl", "missing", rule, "add baseUrl, or network.proxy")


def _options(key: str, provider: Provider) -> Iterator[Problem]:
    for name, value in provider.options.items():
        if name in _OWN_OPTIONS:
            rule = "this option has a key of its own"
            yield Problem(f"{key}.options.{name}", HIDDEN, rule, f"write {_OWN_OPTIONS[name]}")
        elif names_secret(name) or looks_secret(str(value)):
            yield _clear(f"{key}.options.{shown(name)}")
    for name, value in provider.headers.items():
        if looks_secret(value):
            yield _clear(f"{key}.headers.{shown(name)}")


def _clear(key: str) -> Problem:
    change = "seal it, name it under secretEnv, write {env:NAME} here"
    return Problem(key, HIDDEN, "a secret stands in the file in clear text", change)


def reach_problems(key: str, url: str, network: Network) -> Iterator[Problem]:
    """Yield why no workspace would reach an address."""
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        yield from _named(key, url, host, port, network)
        return
    open_ = any(
        item.port == port and item.cidr and address in ipaddress.ip_network(item.cidr)
        for item in network.allow
    )
    if address.is_loopback:
        yield _loopback(key, url)
    elif overlaps_private(str(address)) and not open_:
        rule = "runtimes reach no private address that is not allowed by name"
        change = (
            f"add {{cidr: {ipaddress.ip_network(str(address))}, port: {port}}} under network.allow"
        )
        yield Problem(key, url, rule, change)


def _loopback(key: str, url: str) -> Problem:
    rule = "in a workspace this is the workspace itself"
    return Problem(key, url, rule, "write the server's name or address as pods know it")


def _named(key: str, url: str, host: str, port: int, network: Network) -> Iterator[Problem]:
    labels = host.split(".")
    if host == "localhost" or host.endswith(".localhost"):
        yield _loopback(key, url)
    elif len(labels) == 1:
        rule = "a name without a dot is looked up in the pool's own namespace"
        yield Problem(key, url, rule, f"write {host}.<namespace>.svc, or the full name")
    elif len(labels) > 2 and labels[2] == "svc":  # noqa: PLR2004 - service, namespace, svc
        namespace = labels[1]
        # A range may be the Service's own address, which only the operator knows.
        if not any(
            item.namespace == namespace or (item.cidr and item.port == port)
            for item in network.allow
        ):
            rule = f"runtimes reach no pods of namespace {namespace} that are not allowed"
            entry = f"{{namespace: {namespace}, podLabels: {{…}}, port: {port}}}"
            # A policy is about pods, and a Service may call their port otherwise.
            change = f"add {entry} under network.allow, the port being the pods' own"
            yield Problem(key, url, rule, change)


def _models(config: StackConfig) -> Iterator[Problem]:
    if config.models is None:
        if config.providers:
            first = next(iter(config.providers))
            model = next(iter(config.providers[first].models))
            rule = "with providers it must be clear what a chat starts with"
            change = f"add models: {{default: {shown(f'{first}/{model}')}}}"
            yield Problem("models", "missing", rule, change)
        return
    for word, name in (("default", config.models.default), ("small", config.models.small)):
        if name is not None:
            yield from _known(config, f"models.{word}", name)


def _choice(config: StackConfig, key: str, choice: ModelChoice) -> Iterator[Problem]:
    for word, name in (("default", choice.default), ("small", choice.small)):
        if name is not None:
            yield from _known(config, f"{key}.{word}", name)
    for index, name in enumerate(choice.allowed or ()):
        yield from _known(config, f"{key}.allowed[{index}]", name, alone=True)


def _known(config: StackConfig, key: str, name: str, *, alone: bool = False) -> Iterator[Problem]:
    """Yield that there is no such model, or (`alone`) no such provider."""
    provider, slash, model = name.partition("/")
    held = config.providers.get(provider)
    if held is None:
        yield _unknown(key, name, "provider", config.providers)
    elif model not in held.models and (slash or not alone):
        yield _unknown(key, name, "model", {f"{provider}/{item}": item for item in held.models})


def _resolved(config: StackConfig, index: int) -> Iterator[Problem]:
    """Yield a default that a user may not choose."""
    user = config.users[index]
    profile = config.profile(user.profile)
    wanted = [user.models, *([profile.models] if profile else [])]
    allowed = next((item.allowed for item in wanted if item.allowed is not None), None)
    if allowed is None:
        return
    for word in ("default", "small"):
        name = next((found for item in wanted if (found := getattr(item, word))), None)
        name = name or (getattr(config.models, word) if config.models else None)
        if name and name not in allowed and name.partition("/")[0] not in allowed:
            rule = "this user starts with a model that is not among those allowed"
            change = f"allow it, or name another: models: {{{word}: …}}"
            yield Problem(f"users[{index}].models.{word}", name, rule, change)


def _unknown(key: str, value: str, what: str, known: Mapping[str, object]) -> Problem:
    names = shown(", ".join(sorted(known)) or "none")
    return Problem(key, value, f"no such {what}", f"use one of {names}, or add it under providers")
