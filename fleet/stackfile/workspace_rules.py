"""Rules of what workspaces get beside their size: variables, mounts, settings, placement, git."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import cast

from fleet.errors import HIDDEN, Problem, looks_secret, shown
from fleet.stackfile.config import StackConfig
from fleet.stackfile.git import GitAccess
from fleet.stackfile.network import Network
from fleet.stackfile.opencode_schema import config_faults
from fleet.stackfile.provider_rules import reach_problems
from fleet.stackfile.storage import StorageMode
from fleet.stackfile.workspace import Mount, Placement, Workspace
from fleet.values.secrecy import names_secret

_SOURCES = ("claim", "configMap", "secret", "nfs", "csi")
# Objects of ours: a user's claim and Secret, the shared claim, copies of logins and certificates.
_OURS = ("oc-", "fleet-", "scene-", "managed-", "trust-", "nfs-")
# The product's own keys of OpenCode's configuration, and where they are set instead.
_OWNED = {
    "$schema": "nothing",
    "autoshare": "nothing",
    "autoupdate": "nothing",
    "disabled_providers": "providers",
    "enabled_providers": "providers",
    "model": "models.default",
    "provider": "providers",
    "server": "nothing",
    "share": "nothing",
    "small_model": "models.small",
}
_OWNED_PERMISSIONS = ("external_directory", "doom_loop", "read")


def workspace_problems(config: StackConfig) -> Iterator[Problem]:
    """Yield the broken rules of what all, profiles, scenes and users get."""
    yield from _given("", config)
    for name, profile in config.profiles.items():
        yield from _given(f"profiles.{name}.", profile)
        yield from _placement(f"profiles.{name}", profile)
    for name, scene in config.scenes.items():
        yield from _mounts(f"scenes.{name}.mounts", scene.mounts)
        if scene.version > 1 and scene.nas_path is None:
            rule = "the files of a folder beside the stack file are their own version"
            yield Problem(f"scenes.{name}.version", str(scene.version), rule, "remove it")
    for index, user in enumerate(config.users):
        yield from _given(f"users[{index}].", user)
        yield from _git(f"users[{index}].git.hosts", user.git.hosts)
    yield from _git("git.hosts", config.git.hosts)
    yield from _managed(config.managed_config)
    yield from _proxy(config.network)
    yield from _scenes_and_users(config)


def _given(key: str, given: Workspace) -> Iterator[Problem]:
    for name, text in given.env.items():
        if name in given.secret_env:
            rule = "this variable stands under env and under secretEnv"
            yield Problem(f"{key}env.{name}", HIDDEN, rule, "remove one of the two")
        elif names_secret(name) or looks_secret(text):
            rule = "a secret stands in the file in clear text"
            change = f"seal it (fleet secret KEY -s ENV), write secretEnv: {{{name}: KEY}}"
            yield Problem(f"{key}env.{name}", HIDDEN, rule, change)
    yield from _mounts(f"{key}mounts", given.mounts)


def _mounts(key: str, mounts: tuple[Mount, ...]) -> Iterator[Problem]:
    for index, mount in enumerate(mounts):
        yield from _mount(f"{key}[{index}]", mount)
        for other in mounts[:index]:
            if f"{mount.path}/".startswith(f"{other.path}/") or f"{other.path}/".startswith(
                f"{mount.path}/"
            ):
                rule = f"it lies over or inside of {other.path}"
                yield Problem(f"{key}[{index}].path", mount.path, rule, "use another path")


def _mount(key: str, mount: Mount) -> Iterator[Problem]:
    sources = {
        word: value
        for word, value in zip(
            _SOURCES,
            (mount.claim, mount.config_map, mount.secret, mount.nfs, mount.csi),
            strict=True,
        )
        if value is not None
    }
    if len(sources) != 1:
        given = " and ".join(sources) or "none"
        rule = "a mount comes from exactly one of claim, configMap, secret, nfs and csi"
        yield Problem(key, given, rule, "write one, e.g. claim: papers")
    for word, value in sources.items():
        if isinstance(value, str) and (value.startswith(_OURS) or value == "workspaces"):
            rule = "this object is the product's or a user's own"
            yield Problem(f"{key}.{word}", value, rule, "name one of your own")
        if word in ("configMap", "secret") and not mount.read_only:
            rule = f"nobody can write into a {word}"
            yield Problem(f"{key}.readOnly", "false", rule, "remove it")


def _placement(key: str, placement: Placement) -> Iterator[Problem]:
    for name, count in placement.resources.items():
        domain, slash, _ = name.partition("/")
        if not slash or domain == "kubernetes.io" or domain.endswith(".kubernetes.io"):
            rule = "an extended resource is domain/name; cpu and memory have keys of their own"
            yield Problem(f"{key}.resources.{name}", str(count), rule, "write nvidia.com/gpu: 1")
        elif count < 1:
            rule = "an extended resource is counted from 1"
            yield Problem(f"{key}.resources.{name}", str(count), rule, "raise or remove it")


def _git(key: str, hosts: Mapping[str, GitAccess]) -> Iterator[Problem]:
    for host, access in hosts.items():
        if access.token is None and access.ssh_key is None:
            rule = "a forge is opened by a token or an SSH key"
            yield Problem(f"{key}.{host}", "neither", rule, "add token: or sshKey:")


def _managed(config: Mapping[str, object]) -> Iterator[Problem]:
    for name, instead in _OWNED.items():
        if name in config:
            rule = "the product itself sets it"
            change = "remove it" if instead == "nothing" else f"remove it; see {instead}"
            yield Problem(f"managedConfig.{name}", shown(config[name]), rule, change)
    permission = config.get("permission")
    if isinstance(permission, Mapping):
        for name in _OWNED_PERMISSIONS:
            if name in permission:
                value = cast("Mapping[str, object]", permission)[name]
                rule = "the product itself sets it: no program could answer a question"
                yield Problem(f"managedConfig.permission.{name}", shown(value), rule, "remove it")
    for place, rule, change in config_faults(config):
        if place.partition(".")[0] not in _OWNED:
            yield Problem(f"managedConfig.{place}", "as written", rule, change)
    if looks_secret(json.dumps(config, default=str)):
        rule = "a secret stands in the file in clear text"
        change = "seal it, name it under secretEnv, and write {env:NAME} here"
        yield Problem("managedConfig", HIDDEN, rule, change)


def _proxy(network: Network) -> Iterator[Problem]:
    proxy = network.proxy
    if proxy is None:
        return
    if proxy.http is None and proxy.https is None:
        rule = "a proxy has an address"
        yield Problem("network.proxy", "neither", rule, "add http: or https:")
    for word, url in (("http", proxy.http), ("https", proxy.https)):
        if url is not None:
            yield from reach_problems(f"network.proxy.{word}", url, network)


def _scenes_and_users(config: StackConfig) -> Iterator[Problem]:
    """Yield scenes whose folder on the shared claim is a user's /app."""
    if config.storage.mode is not StorageMode.SHARED:
        return
    folders = {*(user.id for user in config.users), *config.purge}
    for name, scene in config.scenes.items():
        if scene.nas_path is not None and scene.nas_path.partition("/")[0] in folders:
            rule = "on the shared claim this folder is a user's own /app"
            yield Problem(f"scenes.{name}.nasPath", scene.nas_path, rule, "use another folder")
