"""Config to plan: who runs where, with what. Everything is decided here, nothing is declared.

A plan is frozen and holds plain values only. No file is read, no clock, no randomness.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from fleet.names import (
    PULL_SECRET,
    content_name,
    host_name,
    namespace_name,
    user_object_name,
)
from fleet.plan.opencode import managed_config
from fleet.stackfile.backup import Backup
from fleet.stackfile.config import (
    Access,
    ExistingCluster,
    Network,
    Profile,
    Quota,
    StackConfig,
    TlsMode,
    User,
    UserState,
)
from fleet.stackfile.reading import Environment
from fleet.stackfile.storage import SharedClaim, StorageMode


@dataclass(frozen=True, kw_only=True, slots=True)
class ScenePlan:
    """A scene as a pool mounts it: an immutable ConfigMap, or a folder on the shared claim."""

    id: str
    config_map: str | None
    files: tuple[tuple[str, str], ...]
    nas_path: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class UserPlan:
    """One user's runtime."""

    id: str
    name: str
    environment: str
    pool: str
    namespace: str
    display_name: str | None
    host: str
    url: str
    active: bool
    profile_name: str
    profile: Profile
    scenes: tuple[ScenePlan, ...]
    app_on_shared_claim: bool
    storage_class: str | None
    managed_config: str
    password_version: int
    api_key: str | None
    """Top-level secret key of the model API key, when this user has one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PoolPlan:
    """A namespace and all its users share."""

    name: str
    environment: str
    namespace: str
    users: tuple[UserPlan, ...]
    scenes: tuple[ScenePlan, ...]
    managed_config: str
    managed_config_text: str
    shared: SharedClaim | None
    quota: Quota
    network: Network
    access: Access
    backup: Backup | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """An environment, decided."""

    environment: str
    pools: tuple[PoolPlan, ...]
    purge: tuple[str, ...]
    access: Access
    pull_secret: str | None

    @property
    def users(self) -> tuple[UserPlan, ...]:
        """All users, pool by pool."""
        return tuple(user for pool in self.pools for user in pool.users)


def make_plan(environment: Environment) -> Plan:
    """Decide everything about an environment."""
    config = environment.config
    used = {user.pool for user in config.users} | set(config.pools)
    return Plan(
        environment=environment.name,
        pools=tuple(_pool(environment, name) for name in sorted(used)),
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
        scene_id: _scene(environment, scene_id)
        for scene_id in sorted({scene for user in members for scene in user.scenes})
    }
    text = managed_config(config.model)
    digest = hashlib.sha256(text.encode()).hexdigest()
    managed = content_name("managed", "config", digest)
    pool = config.pools.get(name)
    return PoolPlan(
        name=name,
        environment=environment.name,
        namespace=namespace_name(environment.name, name),
        users=tuple(
            _user(environment, user, scenes, managed, _api_key(user, environment))
            for user in sorted(members, key=lambda user: user.id)
        ),
        scenes=tuple(scenes.values()),
        managed_config=managed,
        managed_config_text=text,
        shared=config.storage.shared,
        quota=pool.quota if pool else Quota(),
        network=config.network,
        access=config.access,
        backup=config.backup,
    )


def _scene(environment: Environment, scene_id: str) -> ScenePlan:
    scene = environment.config.scenes[scene_id]
    if scene.nas_path is not None:
        return ScenePlan(id=scene_id, config_map=None, files=(), nas_path=scene.nas_path)
    content = environment.scenes[scene_id]
    return ScenePlan(
        id=scene_id,
        config_map=content_name("scene", scene_id, content.digest),
        files=content.files,
        nas_path=None,
    )


def _user(
    environment: Environment,
    user: User,
    scenes: dict[str, ScenePlan],
    managed: str,
    api_key: str | None,
) -> UserPlan:
    config = environment.config
    profile = config.profile(user.profile)
    if profile is None:  # the rules refuse it before a plan is made
        raise LookupError(user.profile)
    host = host_name(user.id, config.access.domain)
    return UserPlan(
        id=user.id,
        name=user_object_name(user.id),
        environment=environment.name,
        pool=user.pool,
        namespace=namespace_name(environment.name, user.pool),
        display_name=user.display_name,
        host=host,
        url=_url(config.access, host),
        active=user.state is UserState.ACTIVE,
        profile_name=user.profile,
        profile=profile,
        scenes=tuple(scenes[scene] for scene in user.scenes),
        app_on_shared_claim=config.storage.mode is StorageMode.SHARED,
        storage_class=config.storage.class_name,
        managed_config=managed,
        password_version=user.password_version,
        api_key=api_key,
    )


def _url(access: Access, host: str) -> str:
    scheme = "http" if access.tls is TlsMode.NONE else "https"
    return f"{scheme}://{host}" + (f":{access.port}" if access.port else "")


def _api_key(user: User, environment: Environment) -> str | None:
    model = environment.config.model
    wanted = user.api_key or (model.api_key if model else None)
    return wanted if wanted in environment.secret_keys else None


def fingerprint(*values: str) -> str:
    """Return a short hash of secret values, so that a pod restarts when one changes."""
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]
