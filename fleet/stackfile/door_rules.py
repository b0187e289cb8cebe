"""Rules between the keys of the door: sign-in, who is who, sleep, what it runs on."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from fleet.errors import Problem
from fleet.stackfile.config import StackConfig
from fleet.stackfile.door import Door, Idle, Oidc, SignIn, SignInMode, seconds
from fleet.values.quantity import parse_quantity
from fleet.values.secrecy import secret_reference

# Wider than any network of one's own.
_WIDEST = 8
_INSIDE = (".svc", ".cluster.local", ".localhost")
MIN_MEMORY = "192Mi"


def door_problems(config: StackConfig) -> Iterator[Problem]:
    """Yield the broken rules of the door."""
    access = config.access
    yield from _sign_in(access.sign_in)
    if access.sign_in.mode is SignInMode.HEADER and not access.trusted_proxies:
        # Unnamed, every private address is trusted: a pod could say that the proxy sent it.
        rule = "with mode: header, who is trusted as a proxy can say who somebody is"
        change = "name the ingress controller's own range, e.g. 10.42.0.0/24"
        yield Problem("access.trustedProxies", "missing", rule, change)
    yield from _ranges("access.trustedProxies", access.trusted_proxies)
    yield from _logins(config)
    yield from _tokens(config)
    yield from _sizes(config.door)
    yield from _idle("idle", config.idle)
    for name, profile in config.profiles.items():
        yield from _idle(f"profiles.{name}.idle", profile.idle)
    for index, user in enumerate(config.users):
        yield from _idle(f"users[{index}].idle", user.idle)


def _sign_in(wanted: SignIn) -> Iterator[Problem]:
    key = "access.signIn"
    for mode, given in ((SignInMode.OIDC, wanted.oidc), (SignInMode.HEADER, wanted.header)):
        if wanted.mode is mode and given is None:
            change = f"add {key}.{mode}"
            yield Problem(f"{key}.{mode}", "missing", f"mode: {mode} needs it", change)
        elif wanted.mode is not mode and given is not None:
            rule = f"it only counts with mode: {mode}"
            yield Problem(f"{key}.{mode}", "given", rule, "remove it or change the mode")
    if wanted.oidc is not None:
        yield from _oidc(f"{key}.oidc", wanted.oidc)
    if wanted.header is not None:
        yield from _ranges(f"{key}.header.peers", wanted.header.peers)
    sessions = wanted.sessions
    if seconds(sessions.idle) > seconds(sessions.absolute):
        rule = f"a sign-in ends after {sessions.absolute} whatever happens"
        change = "lower it, or raise access.signIn.sessions.absolute"
        yield Problem(f"{key}.sessions.idle", sessions.idle, rule, change)


def _oidc(key: str, oidc: Oidc) -> Iterator[Problem]:
    parts = urlsplit(oidc.issuer)
    host = parts.hostname or ""
    if parts.scheme != "https" and not host.endswith(_INSIDE):
        rule = "who people are would cross the network in clear"
        change = "write https://…; only a name inside the cluster (….svc) may go without"
        yield Problem(f"{key}.issuer", oidc.issuer, rule, change)
    if "openid" not in oidc.scopes:
        listed = ", ".join(oidc.scopes) or "none"
        rule = "without the scope openid a provider does not say who somebody is"
        yield Problem(f"{key}.scopes", listed, rule, "add openid")


def _ranges(key: str, ranges: Sequence[str]) -> Iterator[Problem]:
    for index, given in enumerate(ranges):
        if ipaddress.ip_network(given).prefixlen < _WIDEST:
            rule = f"these addresses are believed: a range has a prefix of /{_WIDEST} or longer"
            change = "name the proxies' own network, e.g. 10.1.2.0/24"
            yield Problem(f"{key}[{index}]", given, rule, change)


def _logins(config: StackConfig) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    ids: set[str] = set()
    for index, user in enumerate(config.users):
        if user.id in ids:
            continue  # told by itself
        ids.add(user.id)
        login = user.login or user.id
        if login in seen:
            key = f"users[{index}].{'login' if user.login else 'id'}"
            rule = f"users[{seen[login]}] signs in by this name"
            yield Problem(key, login, rule, "give one of them another login")
        seen.setdefault(login, index)


def _tokens(config: StackConfig) -> Iterator[Problem]:
    names: set[str] = set()
    secrets: set[str] = set()
    for index, token in enumerate(config.agent_control.tokens):
        key = f"agentControl.tokens[{index}]"
        if token.name in names:
            yield Problem(f"{key}.name", token.name, "this name is listed twice", "rename one")
        if token.secret in secrets:
            rule = "two tokens of one secret are one token"
            secret = secret_reference(token.secret)
            yield Problem(f"{key}.secret", secret, rule, "give each a secret of its own")
        names.add(token.name)
        secrets.add(token.secret)


def _sizes(door: Door) -> Iterator[Problem]:
    for part, size in (("cpu", door.cpu), ("memory", door.memory)):
        if parse_quantity(size.request) > parse_quantity(size.limit):
            rule = f"a request is at most its limit, here {size.limit}"
            change = "lower the request or raise the limit"
            yield Problem(f"door.{part}.request", size.request, rule, change)
    if parse_quantity(door.memory.limit) < parse_quantity(MIN_MEMORY):
        rule = f"the door needs at least {MIN_MEMORY} here"
        yield Problem("door.memory.limit", door.memory.limit, rule, f"write {MIN_MEMORY} or more")


def _idle(key: str, idle: Idle) -> Iterator[Problem]:
    hours = idle.hours
    if hours is None:
        return
    if hours.start == hours.end:
        rule = "working hours begin and end at two times"
        yield Problem(f"{key}.hours.end", hours.end, rule, "write when they end")
    if len(set(hours.days)) != len(hours.days):
        listed = ", ".join(hours.days)
        yield Problem(f"{key}.hours.days", listed, "a day is listed twice", "remove one")
