"""Rules that span several keys of a stack file; each returns the problems it finds.

Leaves out: rules of one value (`scalars`), of access, network and secrets (`access_rules`), of the
image (`image_rules`), of scene folders (`scene_files`), of cloud keys (`alicloud.rules`).
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from fleet.alicloud.rules import cloud_problems
from fleet.errors import Problem, shown
from fleet.names import user_object_name
from fleet.stackfile.access_rules import (
    access_problems,
    network_problems,
    secret_problems,
)
from fleet.stackfile.backup_rules import backup_problems
from fleet.stackfile.config import (
    MAX_USERS_A_POOL,
    ExistingCluster,
    Profile,
    StackConfig,
    User,
    UserState,
)
from fleet.stackfile.door_rules import door_problems
from fleet.stackfile.image_rules import door_image_problems, image_problems
from fleet.stackfile.made_cluster_rules import made_cluster_problems
from fleet.stackfile.provider_rules import provider_problems
from fleet.stackfile.storage import StorageMode
from fleet.stackfile.workspace_rules import workspace_problems
from fleet.values.quantity import parse_quantity

# OpenCode is killed for memory at its first prompt below this, and takes 23 s to start at 250m.
MIN_MEMORY, MIN_CPU, MIN_STORAGE, MIN_EPHEMERAL = "512Mi", "250m", "1Gi", "512Mi"


def cross_problems(config: StackConfig, secrets: frozenset[str]) -> list[Problem]:
    """Return every broken rule that spans keys; `secrets` names the secret keys the file holds."""
    checks: tuple[Callable[[StackConfig], Iterable[Problem]], ...] = (
        _identity,
        _references,
        _sizes,
        _pools,
        _purge,
        _scenes,
        _cluster,
    )
    problems = [problem for check in checks for problem in check(config)]
    return [
        *problems,
        *access_problems(config),
        *network_problems(config.network),
        *door_problems(config),
        *image_problems(config.image),
        *door_image_problems(config.image, config.door.reference),
        *provider_problems(config),
        *workspace_problems(config),
        *backup_problems(config.backup),
        *secret_problems(config, secrets),
    ]


def _identity(config: StackConfig) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    names: dict[str, int] = {}
    for index, user in enumerate(config.users):
        key = f"users[{index}].id"
        if user.id in seen:
            yield Problem(
                key,
                user.id,
                f"this id is taken by users[{seen[user.id]}]",
                "give one of them another id, or remove the second entry",
            )
        elif (name := user_object_name(user.id)) in names:
            yield Problem(
                key,
                user.id,
                f"its object name {name} equals that of users[{names[name]}]",
                "give one of them another id",
            )
        else:
            names[name] = index
        seen.setdefault(user.id, index)


def _unknown(key: str, value: str, what: str, known: Iterable[str]) -> Problem:
    names = sorted(known)
    close = difflib.get_close_matches(value, names, n=1)
    if close:
        change = f"did you mean {close[0]}?"
    elif names:
        change = f"use one of {shown(', '.join(names))}, or add {shown(value)} under {what}s"
    else:
        change = f"add {shown(value)} under {what}s"
    return Problem(key, value, f"no such {what}", change)


def _references(config: StackConfig) -> Iterator[Problem]:
    pools = set(config.pools) | {"default"}
    profiles = set(config.profiles) | {"standard"}
    for index, user in enumerate(config.users):
        key = f"users[{index}]"
        for place, scene in enumerate(user.scenes):
            if scene not in config.scenes:
                yield _unknown(f"{key}.scenes[{place}]", scene, "scene", config.scenes)
            elif scene in user.scenes[:place]:
                rule = "this scene is listed twice"
                yield Problem(f"{key}.scenes[{place}]", scene, rule, "remove one of the two")
        if user.profile not in profiles:
            yield _unknown(f"{key}.profile", user.profile, "profile", profiles)
        if user.pool not in pools:
            yield _unknown(f"{key}.pool", user.pool, "pool", pools)


def _sizes(config: StackConfig) -> Iterator[Problem]:
    for name, profile in config.profiles.items():
        key = f"profiles.{name}"
        for part, size in (("cpu", profile.cpu), ("memory", profile.memory)):
            if parse_quantity(size.request) > parse_quantity(size.limit):
                yield Problem(
                    f"{key}.{part}.request",
                    size.request,
                    f"a request is at most its limit, here {size.limit}",
                    "lower the request or raise the limit",
                )
        for part, value, least in (
            ("cpu.limit", profile.cpu.limit, MIN_CPU),
            ("memory.limit", profile.memory.limit, MIN_MEMORY),
            ("storage", profile.storage, MIN_STORAGE),
            ("ephemeralStorage", profile.ephemeral_storage, MIN_EPHEMERAL),
        ):
            if parse_quantity(value) < parse_quantity(least):
                rule = f"OpenCode needs at least {least} here"
                yield Problem(f"{key}.{part}", value, rule, f"write {least} or more")


def _pools(config: StackConfig) -> Iterator[Problem]:
    counts = Counter(user.pool for user in config.users)
    for name, count in counts.items():
        if count > MAX_USERS_A_POOL:
            yield Problem(
                f"pools.{name}",
                f"{count} users",
                f"a pool has at most {MAX_USERS_A_POOL} users",
                "give some of them another `pool:`",
            )
    for name, pool in config.pools.items():
        members = [user for user in config.users if user.pool == name]
        active = [user for user in members if user.state is UserState.ACTIVE]
        totals: tuple[tuple[str, str | None, list[User], Callable[[Profile], str]], ...] = (
            ("cpu", pool.quota.cpu, active, lambda size: size.cpu.request),
            ("memory", pool.quota.memory, active, lambda size: size.memory.request),
            ("storage", pool.quota.storage, members, lambda size: size.storage),
        )
        for part, limit, users, pick in totals:
            sizes = [size for user in users if (size := config.profile(user.profile))]
            total = sum(parse_quantity(pick(size)) for size in sizes)
            if part == "storage" and config.storage.shared is not None:
                total += parse_quantity(config.storage.shared.size)
            if limit is not None and total > parse_quantity(limit):
                asked = f"{float(total):g}" if part == "cpu" else f"{float(total) / 2**30:g}Gi"
                yield Problem(
                    f"pools.{name}.quota.{part}",
                    limit,
                    f"the pool's {len(users)} users request {asked} in all",
                    "raise the quota, or move or suspend users",
                )


def _purge(config: StackConfig) -> Iterator[Problem]:
    present = {user.id for user in config.users}
    seen: set[str] = set()
    for index, user_id in enumerate(config.purge):
        if user_id in present:
            yield Problem(
                f"purge[{index}]",
                user_id,
                "this user is still in the roster",
                "remove the user from `users:` first, or the id from `purge:`",
            )
        elif user_id in seen:
            yield Problem(f"purge[{index}]", user_id, "this id is listed twice", "remove one")
        seen.add(user_id)


def _scenes(config: StackConfig) -> Iterator[Problem]:
    for name, scene in config.scenes.items():
        if (scene.path is None) == (scene.nas_path is None):
            given = "both" if scene.path else "neither"
            yield Problem(
                f"scenes.{name}",
                given,
                "a scene comes from exactly one of path and nasPath",
                "write one, e.g. path: scenes/coding",
            )
        elif scene.nas_path and config.storage.shared is None:
            yield Problem(
                f"scenes.{name}.nasPath",
                scene.nas_path,
                "a NAS scene stands on the shared claim",
                "add storage.shared",
            )
    if config.storage.mode is StorageMode.SHARED and config.storage.shared is None:
        rule = "mode shared keeps every /app on one shared claim"
        yield Problem("storage.mode", "shared", rule, "add storage.shared, or use mode: claim")


def _cluster(config: StackConfig) -> Iterator[Problem]:
    if not isinstance(config.cluster, ExistingCluster):
        yield from cloud_problems(config.cluster, config.access.domain)
        yield from made_cluster_problems(config, config.cluster)
