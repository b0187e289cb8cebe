"""Environments for manifest tests: every variant of the design, and what each becomes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleet.manifests.backup import BackupInputs, backup_objects
from fleet.manifests.door import DoorInputs, door_objects
from fleet.manifests.pool import pool_objects
from fleet.manifests.runtime import RuntimeInputs
from fleet.manifests.user import user_objects
from fleet.plan.environment import Plan, PoolPlan, UserPlan, fingerprint, make_plan
from fleet.plan.passwords import user_password
from tests.support.stacks import (
    FULL,
    MODEL,
    SECRETS,
    SMALL,
    Values,
    environment_of,
    secrets_of,
    with_value,
    without,
)

# Made up, and the seed of no environment.
SEED = "0123456789abcdef." + 43 * "A"
IMAGE = "registry.example.com/team/runtime:src-0123456789abcdef"
DOOR_IMAGE = "registry.example.com/team/runtime-door:src-0123456789abcdef"
TLS: dict[str, dict[str, Any]] = {
    "secret": {"tls": "secret", "tlsSecretName": "wildcard"},
    "certManager": {"tls": "certManager", "clusterIssuer": "letsencrypt"},
    "selfSigned": {"tls": "selfSigned"},
    "front": {"tls": "front", "trustedProxies": ["10.0.0.0/24"]},
    "by dns01": {"tls": "certManager", "clusterIssuer": "letsencrypt", "challenge": "dns01"},
}
OIDC = {"issuer": "https://id.example.com:8443/realms/main", "clientId": "fleet"}


def _variants() -> dict[str, Values]:
    scenes = {"coding": {"path": "scenes/coding"}, "research": {"path": "scenes/research"}}
    plain: Values = {**SMALL, "scenes": scenes, **MODEL}
    plain["users"] = [
        {"id": "alice", "displayName": "Alice", "scenes": ["coding", "research"]},
        {"id": "bob.b@example.com", "scenes": ["coding"], "apiKeys": {"openai": "aliceApiKey"}},
    ]
    found = {"small": SMALL, "full": FULL, "plain": plain}
    found["suspended"] = with_value(plain, "users[0].state", "suspended")
    found["sizes"] = with_value(
        with_value(plain, "users[0].profile", "large"),
        "profiles.large",
        {"cpu": {"request": "1500m", "limit": 4}, "memory": {"request": "1Gi", "limit": "8192Mi"}},
    )
    found["shared"] = {**plain, "storage": {"mode": "shared", "className": "fast", "shared": {}}}
    nas = {"server": "10.0.0.9", "path": "/fleet"}
    found["nas by nfs"] = with_value(found["shared"], "storage.shared.nas", nas)
    found["nas by csi"] = with_value(
        found["shared"], "storage.shared.nas", {**nas, "driver": "csi"}
    )
    found["nas scenes on claims"] = {
        **with_value(plain, "scenes.research", {"nasPath": "scenes/research"}),
        "storage": {"shared": {"nas": nas}},
    }
    for name, access in TLS.items():
        found[f"tls {name}"] = {**plain, "access": {"domain": "fleet.example.com", **access}}
    gateway = {"name": "public", "namespace": "gateways"}
    found["httpRoute"] = with_value(
        with_value(plain, "access.route", "httpRoute"), "access.gateway", gateway
    )
    found["pull secret"] = with_value(plain, "image.pullSecret", "registry-login")
    found["no users"] = {**SMALL, "users": [], "pools": {"empty": {}}}
    found["longest names"] = {
        **plain,
        "scenes": {"s" * 40: {"path": "scenes/coding"}},
        "pools": {"p" * 20: {}},
        "users": [
            {"id": "u" * 128, "pool": "p" * 20, "scenes": ["s" * 40]},
            {"id": "u.u" * 42, "pool": "p" * 20, "scenes": ["s" * 40]},
        ],
    }
    found["network"] = {
        **plain,
        "network": {
            "allow": [{"cidr": "10.1.2.3/32", "port": 8000}, {"cidr": "fd00::1/128", "port": 443}],
            "deny": ["47.0.0.0/16", "2a00:1::/32"],
        },
    }
    found["oidc"] = with_value(plain, "access.signIn", {"mode": "oidc", "oidc": OIDC})
    header = {"mode": "header", "header": {"peers": ["10.0.0.0/24"]}}
    named = with_value(plain, "access.signIn", header)
    found["header"] = with_value(named, "access.trustedProxies", ["10.42.0.0/16"])
    tokens = [{"name": "main", "secret": "controlToken"}]
    found["agent-control"] = with_value(plain, "agentControl.tokens", tokens)
    found["two doors"] = with_value(plain, "door.replicas", 2)
    found["no model"] = {
        **without(without(plain, "providers"), "models"),
        "users": [{"id": "alice", "scenes": ["coding"]}],
    }
    return found


VARIANTS = _variants()


@dataclass(frozen=True)
class Deployed:
    """A plan and all its objects."""

    plan: Plan
    objects: list[dict[str, Any]]
    """Of pools and users."""
    door: list[dict[str, Any]]
    """Of the door."""

    def of_door(self, kind: str, name: str = "door") -> dict[str, Any]:
        """Return one object of the door."""
        named = (item for item in self.door if item["metadata"]["name"] == name)
        (found,) = (item for item in named if item["kind"] == kind)
        return found

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return the objects of a kind, of pools and users."""
        return [item for item in self.objects if item["kind"] == kind]

    def named(self, kind: str, name: str) -> dict[str, Any]:
        """Return one object."""
        (found,) = (item for item in self.of(kind) if item["metadata"]["name"] == name)
        return found


def inputs_for(plan: Plan, **changes: Any) -> RuntimeInputs:
    """Return what objects take from outside the plan, without secret data."""
    return RuntimeInputs(image=IMAGE, pull_secret=plan.pull_secret, **changes)


def objects_of_user(plan: Plan, user: UserPlan, **changes: Any) -> list[dict[str, Any]]:
    """Return a user's objects as plain dicts."""
    changes.setdefault("password_fingerprint", fingerprint(user_password(user, SEED)))
    return [dict(item) for item in user_objects(user, inputs_for(plan, **changes))]


def objects_of_door(plan: Plan, **changes: Any) -> list[dict[str, Any]]:
    """Return the door's objects as plain dicts."""
    inputs = DoorInputs(image=DOOR_IMAGE, pull_secret=plan.pull_secret, **changes)
    return [dict(item) for item in door_objects(plan.door, inputs)]


def objects_of_pool(pool: PoolPlan) -> list[dict[str, Any]]:
    """Return a pool's own objects as plain dicts."""
    backup = backup_objects(pool, BackupInputs(image=IMAGE))
    return [dict(item) for item in [*pool_objects(pool), *backup]]


def deploy(values: Values, folder: Path, secrets: frozenset[str] = SECRETS) -> Deployed:
    """Return what a stack file becomes; only secrets that it refers to count as sealed in it."""
    sealed = (secrets | {"oidcClientSecret", "controlToken"}) & secrets_of(values)
    plan = make_plan(environment_of(values, folder, sealed))
    objects = [item for pool in plan.pools for item in objects_of_pool(pool)]
    objects += [item for user in plan.users for item in objects_of_user(plan, user)]
    return Deployed(plan, objects, objects_of_door(plan))
