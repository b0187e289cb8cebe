"""Everything an environment should have in its cluster, given what is there: passwords, claims.

Owns: which password holds, what an existing claim forces. Leaves out: fetching and applying.
"""

from __future__ import annotations

import base64
import secrets as random_source
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from fleet.cluster.kubectl import Live, part
from fleet.cluster.live import Key, key_of, stamped
from fleet.errors import InputError, Problem
from fleet.manifests.pool import pool_objects
from fleet.manifests.runtime import RuntimeInputs
from fleet.manifests.user import secret_text, user_objects
from fleet.names import API_KEY_KEY, LABEL_USER, PASSWORD_KEY, slug
from fleet.plan.environment import Plan, PoolPlan, UserPlan, fingerprint
from fleet.values.quantity import parse_quantity

PASSWORD_LENGTH = 32
PASSWORD_VERSION = "opencode-fleet/password-version"  # noqa: S105 - an annotation's name
_ALPHABET = string.ascii_letters + string.digits


@dataclass(frozen=True, kw_only=True, slots=True)
class Desired:
    """An object to have, and the user it belongs to (None: the pool)."""

    manifest: Live
    user: UserPlan | None

    @property
    def key(self) -> Key:
        """The object's identity."""
        return key_of(self.manifest)


def new_password() -> str:
    """Return a password of 32 letters and digits (190 bits)."""
    return "".join(random_source.choice(_ALPHABET) for _ in range(PASSWORD_LENGTH))


def desired_objects(
    secrets: Mapping[str, str], plan: Plan, image: str, live: Mapping[Key, Live]
) -> list[Desired]:
    """Return every object of an environment in the order it must be made.

    Raises InputError when an existing claim forbids what the stack file asks for.
    """
    found: list[Desired] = []
    problems: list[Problem] = []
    for pool in plan.pools:
        found.extend(_of_pool(pool))
        for user in pool.users:
            texts = _secret_data(user, secrets, live)
            inputs = RuntimeInputs(
                image=image,
                pull_secret=plan.pull_secret,
                secret_data={key: secret_text(text) for key, text in texts.items()},
                password_fingerprint=fingerprint(texts[PASSWORD_KEY]),
                api_key_fingerprint=key_fingerprint(user, secrets),
            )
            for manifest in user_objects(user, plan.access, inputs):
                item = cast("Live", manifest)
                if item["kind"] == "Secret":
                    item["metadata"]["annotations"][PASSWORD_VERSION] = str(user.password_version)
                if item["kind"] == "PersistentVolumeClaim":
                    # Hashed as rendered: that the cluster has bound it since is no change of ours.
                    item = stamped(item)
                    problems.extend(_keep_claim(user, item, live.get(key_of(item))))
                else:
                    item = stamped(item)
                found.append(Desired(manifest=item, user=user))
    problems.extend(_left_behind(plan, live))
    if problems:
        raise InputError(problems)
    return found


def _left_behind(plan: Plan, live: Mapping[Key, Live]) -> Iterator[Problem]:
    """Yield users whose claim stands in another pool: a claim cannot follow to a new namespace."""
    claims = {
        item["metadata"]["labels"].get(LABEL_USER): key
        for key, item in live.items()
        if key.kind == "PersistentVolumeClaim"
    }
    for user in plan.users:
        key = claims.get(slug(user.id))
        if key is None or Key(key.kind, user.namespace, user.name) in live:
            continue
        yield Problem(
            f"users.{user.id}.pool",
            user.pool,
            f"the data of user {user.id} is on claim {key.namespace}/{key.name}, and a claim"
            " cannot move to another namespace",
            "keep the pool, or copy the data to a claim of the same name in the new namespace",
        )


def key_fingerprint(user: UserPlan, secrets: Mapping[str, str]) -> str:
    """Return what changes in a user's pod when their model API key does; empty without a key."""
    return fingerprint(secrets[user.api_key]) if user.api_key else ""


def password_of(secret: Live) -> str | None:
    """Return the password in a live Secret."""
    text = part(secret, "data").get(PASSWORD_KEY)
    return base64.b64decode(text).decode() if text else None


def _of_pool(pool: PoolPlan) -> list[Desired]:
    return [Desired(manifest=stamped(cast("Live", item)), user=None) for item in pool_objects(pool)]


def _secret_data(
    user: UserPlan, secrets: Mapping[str, str], live: Mapping[Key, Live]
) -> dict[str, Any]:
    """Return a user's secret data; a password in the cluster stays until its version changes."""
    secret = live.get(Key("Secret", user.namespace, user.name))
    password = None
    if secret is not None:
        annotations = part(secret["metadata"], "annotations")
        if annotations.get(PASSWORD_VERSION) == str(user.password_version):
            password = password_of(secret)
    data = {PASSWORD_KEY: password or new_password()}
    if user.api_key is not None:
        data[API_KEY_KEY] = secrets[user.api_key]
    return data


def _keep_claim(user: UserPlan, claim: Live, live: Live | None) -> list[Problem]:
    """Fit a claim to the one that exists: what cannot change is kept, shrinking is refused."""
    if live is None:
        return []
    spec, there = claim["spec"], live["spec"]
    waits = "volumeName" not in there and part(live, "status").get("phase") == "Pending"
    wanted, has_class = spec.get("storageClassName"), there.get("storageClassName")
    if waits and wanted is not None and wanted != has_class:
        name = f"{user.name} -n {user.namespace}"
        return [
            Problem(
                "storage.className",
                wanted,
                f"the claim of user {user.id} still waits for class {has_class}, and a claim's"
                " class never changes",
                f"delete the claim, which holds nothing yet: kubectl delete pvc {name}",
            )
        ]
    for field in ("accessModes", "storageClassName", "volumeName"):
        if field in there:
            spec[field] = there[field]
        else:
            spec.pop(field, None)
    size = spec["resources"]["requests"]["storage"]
    has = there["resources"]["requests"]["storage"]
    if parse_quantity(size) < parse_quantity(has):
        return [
            Problem(
                f"profiles.{user.profile_name}.storage",
                size,
                f"the claim of user {user.id} already has {has}, and claims never shrink",
                f"write {has} or more, or give the user another profile",
            )
        ]
    return []
