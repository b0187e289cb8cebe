"""Everything that can be set of a runtime, put together: all, profile, scenes, user.

Owns: `RuntimeSpec`, into which every option is resolved, so that no signature grows with them.
Leaves out: whose runtime it is (`environment`), the objects (`manifests.runtime`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from fleet.names import content_name, shared_volume_name, slug
from fleet.plan.opencode import Choice, key_variable
from fleet.plan.scenes import ScenePlan
from fleet.stackfile.config import Profile, StackConfig, User
from fleet.stackfile.git import GitAccess
from fleet.stackfile.network import Proxy
from fleet.stackfile.reading import Environment
from fleet.stackfile.storage import StorageMode
from fleet.stackfile.workspace import Mount, NfsExport

HOME = "/home/opencode"
OWN = "/etc/opencode-fleet"
"""Folder of what the product itself mounts into runtimes."""
TRUST = f"{OWN}/trust"
SECRETS = f"{OWN}/secrets"
# fleet-start puts the image's authorities and the stack file's together there.
AUTHORITIES = f"{HOME}/.fleet/authorities.crt"
GIT_CONFIG = f"{HOME}/.fleet/gitconfig"
AUTHORITIES_FILE, KNOWN_HOSTS_FILE = "authorities.crt", "known_hosts"
# What each program looks at: OpenSSL and Python, git, curl, requests and pip, npm and Node.
_AUTHORITY_VARIABLES = (
    "SSL_CERT_FILE",
    "GIT_SSL_CAINFO",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "NODE_EXTRA_CA_CERTS",
    "npm_config_cafile",
)
_IN_CLUSTER = ("localhost", "127.0.0.1", "::1", ".svc", ".cluster.local")


@dataclass(frozen=True, kw_only=True, slots=True)
class SecretUse:
    """A secret of the stack file that a runtime gets, by its own user's Secret."""

    key: str
    """Key of the user's Secret."""
    source: str
    """Top-level key of the stack file."""
    variable: str | None = None
    """Environment variable that holds it."""
    file: str | None = None
    """File that holds it, below /etc/opencode-fleet/secrets."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MountPlan:
    """A volume and where a runtime finds it."""

    name: str
    path: str
    source: Mapping[str, Any]
    """The volume's source, as Kubernetes writes it."""
    sub_path: str | None
    read_only: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class NfsPlan:
    """An NFS folder that a pool has a volume and a claim for."""

    claim: str
    volume: str
    server: str
    path: str


@dataclass(frozen=True, kw_only=True, slots=True)
class FilesPlan:
    """Files of text that a pool has one ConfigMap for, named by its content."""

    name: str
    files: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class RuntimeSpec:
    """All of one runtime that a stack file decides."""

    profile: Profile
    scenes: tuple[ScenePlan, ...]
    app_on_shared_claim: bool
    managed_config: FilesPlan
    trust: FilesPlan | None
    """Authorities and known hosts."""
    variables: tuple[tuple[str, str], ...]
    secrets: tuple[SecretUse, ...]
    mounts: tuple[MountPlan, ...]
    nfs: tuple[NfsPlan, ...]
    """What of the mounts needs a volume in the pool."""


def files_plan(kind: str, name: str, files: Mapping[str, str]) -> FilesPlan:
    """Return files as a ConfigMap's content."""
    held = tuple(files.items())
    text = held[0][1] if len(held) == 1 else json.dumps(held)
    return FilesPlan(
        name=content_name(kind, name, hashlib.sha256(text.encode()).hexdigest()), files=held
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class SpecInputs:
    """What of a runtime is decided before: its files."""

    managed_config: FilesPlan
    trust: FilesPlan | None
    scenes: tuple[ScenePlan, ...]
    choice: Choice


def runtime_spec(environment: Environment, user: User, inputs: SpecInputs) -> RuntimeSpec:
    """Return everything about a user's runtime."""
    config = environment.config
    profile = config.profile(user.profile)
    if profile is None:  # the rules refuse it before a plan is made
        raise LookupError(user.profile)
    secrets = tuple(_secrets(environment, profile, user, inputs.choice))
    wanted = _mounts_of(config, profile, user)
    mounts = tuple(_mount(path, mount) for path, mount in wanted.items())
    exports = {item.nfs: None for item in wanted.values() if item.nfs is not None}
    return RuntimeSpec(
        profile=profile,
        scenes=inputs.scenes,
        app_on_shared_claim=config.storage.mode is StorageMode.SHARED,
        managed_config=inputs.managed_config,
        trust=inputs.trust,
        variables=tuple(_variables(config, profile, user, inputs, secrets)),
        secrets=secrets,
        mounts=mounts,
        nfs=tuple(_nfs(environment.name, user.pool, export) for export in exports),
    )


# -- secrets


def _secrets(
    environment: Environment, profile: Profile, user: User, choice: Choice
) -> Iterator[SecretUse]:
    config = environment.config
    for provider, _ in choice.models:
        source = user.api_keys.get(provider) or config.providers[provider].api_key
        # A stack file is complete before its keys are: without one, chats do not answer.
        if source in environment.secret_keys:
            variable = key_variable(provider)
            yield SecretUse(key=variable, source=source, variable=variable)
    named = {**config.secret_env, **profile.secret_env, **user.secret_env}
    in_clear = {**profile.env, **user.env}, user.env
    for variable, source in named.items():
        # A nearer value in clear takes its place.
        if variable in user.secret_env or not _hidden(variable, profile, *in_clear):
            yield SecretUse(key=variable, source=source, variable=variable)
    for host, access in git_hosts(config, user).items():
        yield from _git_secrets(host, access)


def _hidden(
    variable: str, profile: Profile, nearer: Mapping[str, str], nearest: Mapping[str, str]
) -> bool:
    return variable in (nearest if variable in profile.secret_env else nearer)


def git_hosts(config: StackConfig, user: User) -> dict[str, GitAccess]:
    """Return what opens which forge for a user."""
    return {**config.git.hosts, **user.git.hosts}


def _git_secrets(host: str, access: GitAccess) -> Iterator[SecretUse]:
    name = host.replace(":", "_")
    if access.token is not None:
        yield SecretUse(key=f"git.{name}.token", source=access.token, file=f"git/{name}/token")
    if access.ssh_key is not None:
        yield SecretUse(key=f"git.{name}.key", source=access.ssh_key, file=f"git/{name}/key")


# -- variables


def _variables(
    config: StackConfig,
    profile: Profile,
    user: User,
    inputs: SpecInputs,
    secrets: tuple[SecretUse, ...],
) -> Iterator[tuple[str, str]]:
    if config.network.proxy is not None:
        yield from _proxy(config.network.proxy, config)
    if inputs.trust is not None and AUTHORITIES_FILE in dict(inputs.trust.files):
        yield from ((name, AUTHORITIES) for name in _AUTHORITY_VARIABLES)
    yield from _git(config, user)
    taken = {use.variable for use in secrets}
    for name, text in {**config.env, **profile.env, **user.env}.items():
        if name not in taken:
            yield name, text


def _proxy(proxy: Proxy, config: StackConfig) -> Iterator[tuple[str, str]]:
    addresses = {"HTTP_PROXY": proxy.http, "HTTPS_PROXY": proxy.https or proxy.http}
    inside = [
        host
        for item in config.providers.values()
        if (host := urlsplit(item.base_url or "").hostname) and is_in_cluster(host)
    ]
    addresses["NO_PROXY"] = ",".join(dict.fromkeys([*_IN_CLUSTER, *inside, *proxy.no]))
    for name, value in addresses.items():
        if value is not None:
            # curl reads the small one only, some programs the large one only.
            yield name, value
            yield name.lower(), value


def is_in_cluster(host: str) -> bool:
    """Return whether a host is the name of a Service."""
    return re.fullmatch(r"[a-z0-9.-]+\.svc(\.cluster\.local)?", host) is not None


def _git(config: StackConfig, user: User) -> Iterator[tuple[str, str]]:
    hosts = git_hosts(config, user)
    tokens = {host: access for host, access in hosts.items() if access.token is not None}
    if tokens or user.git.name or user.git.email:
        yield "GIT_CONFIG_SYSTEM", GIT_CONFIG
    if user.git.name:
        yield "FLEET_GIT_NAME", user.git.name
    if user.git.email:
        yield "FLEET_GIT_EMAIL", user.git.email
    if tokens:
        # Host and user name, one a line: neither is a secret.
        lines = [f"{host} {access.username}" for host, access in tokens.items()]
        yield "FLEET_GIT_USERS", "\n".join(lines)


# -- mounts


def _mounts_of(config: StackConfig, profile: Profile, user: User) -> dict[str, Mount]:
    """Return a user's mounts by their path; the nearer one takes the place of the farther."""
    of_scenes = (mount for scene in user.scenes for mount in config.scenes[scene].mounts)
    every = (*config.mounts, *profile.mounts, *of_scenes, *user.mounts)
    return {mount.path: mount for mount in every}


def _mount(path: str, mount: Mount) -> MountPlan:
    return MountPlan(
        name=f"mount-{slug(path.strip('/').replace('/', '-').lower(), 40)}",
        path=path,
        source=_source(mount),
        sub_path=mount.sub_path,
        read_only=mount.read_only,
    )


def _source(mount: Mount) -> dict[str, Any]:
    if mount.config_map is not None:
        return {"configMap": {"name": mount.config_map}}
    if mount.secret is not None:
        return {"secret": {"secretName": mount.secret}}
    if mount.csi is not None:
        csi = {"driver": mount.csi.driver, "readOnly": mount.read_only}
        attributes = mount.csi.attributes
        return {"csi": {**csi, **({"volumeAttributes": attributes} if attributes else {})}}
    claim = mount.claim or (nfs_claim(mount.nfs) if mount.nfs else "")
    return {"persistentVolumeClaim": {"claimName": claim}}


def nfs_claim(export: NfsExport) -> str:
    """Return the name of the claim that a pool has for an NFS folder."""
    digest = hashlib.sha256(f"{export.server}:{export.path}".encode()).hexdigest()
    return content_name("nfs", export.path.strip("/") or "root", digest)


def _nfs(environment: str, pool: str, export: NfsExport) -> NfsPlan:
    claim = nfs_claim(export)
    # A volume belongs to the whole cluster, so its name says whose it is.
    volume = f"{shared_volume_name(environment, pool)}--{claim}"
    return NfsPlan(claim=claim, volume=volume, server=export.server, path=export.path)
