"""Config to plan: who runs where, with what. Everything is decided here, nothing is declared.

A plan is frozen and holds plain values only. No file is read, no clock, no randomness.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from fleet.names import (
    PULL_SECRET,
    host_name,
    namespace_name,
    user_object_name,
)
from fleet.plan.door import DoorPlan, door_plan, origin
from fleet.plan.opencode import choice_of, managed_config
from fleet.plan.people import sleeps
from fleet.plan.runtime_spec import (
    AUTHORITIES_FILE,
    KNOWN_HOSTS_FILE,
    FilesPlan,
    NfsPlan,
    RuntimeSpec,
    SpecInputs,
    files_plan,
    runtime_spec,
)
from fleet.plan.scenes import ScenePlan, scene_plan
from fleet.stackfile.backup import Backup
from fleet.stackfile.config import (
    Access,
    ExistingCluster,
    Network,
    Profile,
    Quota,
    StackConfig,
    User,
    UserState,
)
from fleet.stackfile.reading import Environment
from fleet.stackfile.storage import SharedClaim

MANAGED_CONFIG_FILE = "opencode.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class UserPlan:
    """One user's runtime."""

    id: str
    name: str
    environment: str
    pool: str
    namespace: str
    display_name: str | None
    login: str | None
    """What a provider calls the user, where that is not the id."""
    admin: bool
    host: str
    url: str
    active: bool
    profile_name: str
    storage_class: str | None
    password_version: int
    suspend_after: int | None
    """Seconds without use after which the runtime sleeps."""
    hours: str | None
    """Working hours, as JSON."""
    runtime: RuntimeSpec
    """Everything that can be set of the runtime."""

    @property
    def scenes(self) -> tuple[ScenePlan, ...]:
        """Scenes the user has, in their order."""
        return self.runtime.scenes

    @property
    def profile(self) -> Profile:
        """Size and place of the runtime."""
        return self.runtime.profile


@dataclass(frozen=True, kw_only=True, slots=True)
class PoolPlan:
    """A namespace and all its users share."""

    name: str
    environment: str
    namespace: str
    users: tuple[UserPlan, ...]
    scenes: tuple[ScenePlan, ...]
    files: tuple[FilesPlan, ...]
    """What users' runtimes mount besides scenes: managed configurations, trust."""
    nfs: tuple[NfsPlan, ...]
    shared: SharedClaim | None
    quota: Quota
    network: Network
    backup: Backup | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """An environment, decided."""

    environment: str
    pools: tuple[PoolPlan, ...]
    door: DoorPlan
    purge: tuple[str, ...]
    access: Access
    pull_secret: str | None
    has_door: bool = True
    """Whether the door's objects are part of it: a pool's stack has none of them."""

    @property
    def users(self) -> tuple[UserPlan, ...]:
        """All users, pool by pool."""
        return tuple(user for pool in self.pools for user in pool.users)


def make_plan(environment: Environment) -> Plan:
    """Decide everything about an environment."""
    config = environment.config
    used = {user.pool for user in config.users} | set(config.pools)
    pools = tuple(_pool(environment, name) for name in sorted(used))
    hosts = {pool.namespace: tuple(user.host for user in pool.users) for pool in pools}
    return Plan(
        environment=environment.name,
        pools=pools,
        door=door_plan(environment.name, config, hosts),
        purge=config.purge,
        access=config.access,
        pull_secret=_pull_secret(config),
    )


def _pull_secret(config: StackConfig) -> str | None:
    if config.image.pull_secret is None and not isinstance(config.cluster, ExistingCluster):
        return PULL_SECRET if config.cluster.registry else None
    return config.image.pull_secret


def _pool(environment: Environment, name: str) -> PoolPlan:
    config = environment.config
    members = [user for user in config.users if user.pool == name]
    scenes = {
        scene_id: scene_plan(environment, scene_id)
        for scene_id in sorted({scene for user in members for scene in user.scenes})
    }
    pool = config.pools.get(name)
    trust = _trust(environment)
    members.sort(key=lambda user: user.id)
    users = tuple(_user(environment, user, scenes, trust) for user in members)
    specs = [user.runtime for user in users]
    files = [held for spec in specs for held in (spec.managed_config, spec.trust) if held]
    return PoolPlan(
        name=name,
        environment=environment.name,
        namespace=namespace_name(environment.name, name),
        users=users,
        scenes=tuple(scenes.values()),
        files=tuple(dict.fromkeys(files)),
        nfs=tuple(dict.fromkeys(export for spec in specs for export in spec.nfs)),
        shared=config.storage.shared,
        quota=pool.quota if pool else Quota(),
        network=config.network,
        backup=config.backup,
    )


def _trust(environment: Environment) -> FilesPlan | None:
    files: dict[str, str] = {}
    if environment.ca_bundle is not None:
        files[AUTHORITIES_FILE] = environment.ca_bundle
    if environment.config.git.known_hosts:
        files[KNOWN_HOSTS_FILE] = "\n".join(environment.config.git.known_hosts) + "\n"
    return files_plan("trust", "files", files) if files else None


def _user(
    environment: Environment,
    user: User,
    scenes: dict[str, ScenePlan],
    trust: FilesPlan | None,
) -> UserPlan:
    config = environment.config
    choice = choice_of(config, user)
    managed = {MANAGED_CONFIG_FILE: managed_config(config, choice)}
    inputs = SpecInputs(
        managed_config=files_plan("managed", "config", managed),
        trust=trust,
        scenes=tuple(scenes[scene] for scene in user.scenes),
        choice=choice,
    )
    host = host_name(user.id, config.access.domain)
    suspend_after, hours = sleeps(config, user)
    return UserPlan(
        id=user.id,
        name=user_object_name(user.id),
        environment=environment.name,
        pool=user.pool,
        namespace=namespace_name(environment.name, user.pool),
        display_name=user.display_name,
        login=user.login,
        admin=user.admin,
        host=host,
        url=origin(config.access, host),
        active=user.state is UserState.ACTIVE,
        profile_name=user.profile,
        storage_class=config.storage.class_name,
        password_version=user.password_version,
        suspend_after=suspend_after,
        hours=hours,
        runtime=runtime_spec(environment, user, inputs),
    )


def fingerprint(*values: str) -> str:
    """Return a short hash of secret values, so that a pod restarts when one changes."""
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]


def secrets_fingerprint(texts: Mapping[str, str]) -> str:
    """Return a short hash of a user's secrets by their keys, whatever their order."""
    return fingerprint(*(part for item in sorted(texts.items()) for part in item))
