"""What everything is called: objects, labels, annotations, keys of Secrets.

An object name never changes while its id lives: claims are found by it. Names are DNS-safe, at
most 63 characters (RFC 1123 label; Services need a leading letter, RFC 1035) and differ for
different ids.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

NAME_MAX = 63
# Room for the prefix `oc-`, and for what cert-manager and controllers append to a name.
SLUG_MAX = 48
PREFIX = "opencode-fleet"
PROJECT = "opencode-fleet"
FIELD_MANAGER = "opencode-fleet"

# Top-level key of a stack file that holds, sealed, what all passwords are derived from.
SEED_KEY = "passwordSeed"

# Secret with the login at the registry that a cloud cluster's stack file names.
PULL_SECRET = "fleet-registry"  # noqa: S105 - an object's name
# Secret with the certificate of `access.tls: selfSigned`, in the door's namespace.
SELF_SIGNED_SECRET = "fleet-self-signed"  # noqa: S105 - an object's name

# Name of every object of the door but its namespace.
DOOR = "door"

LABEL_ENVIRONMENT = f"{PREFIX}/environment"
LABEL_POOL = f"{PREFIX}/pool"
# Of nodes (`ack`): a group of machines, which has nothing to do with a pool of users.
LABEL_NODE_POOL = f"{PREFIX}/node-pool"
LABEL_USER = f"{PREFIX}/user"
LABEL_ROLE = f"{PREFIX}/role"

# Annotations. Ids and names of people stand here, where any text is allowed.
USER_ID = f"{PREFIX}/user-id"
DISPLAY_NAME = f"{PREFIX}/display-name"
PROFILE = f"{PREFIX}/profile"
RETAIN = f"{PREFIX}/retain"
# Of a runtime's Deployment, for the door, which learns from them who is there
# (`door.control.names` says the values' form). Not of its pods: changing one restarts nobody.
LOGIN = f"{PREFIX}/login"
ADMIN = f"{PREFIX}/admin"
SCENES = f"{PREFIX}/scenes"
STATE = f"{PREFIX}/state"
PASSWORD_VERSION = f"{PREFIX}/password-version"
SUSPEND_AFTER = f"{PREFIX}/suspend-after"
HOURS = f"{PREFIX}/hours"
# Of a namespace: which environment it belongs to, among all of the same name.
IDENTITY = f"{PREFIX}/identity"
# Of a pod: hashes of what its Secret holds, so that it restarts when that changes.
PASSWORD_FINGERPRINT = f"{PREFIX}/password-fingerprint"
# Of all that is secret but the password; the door's pods have it too.
SECRETS_FINGERPRINT = f"{PREFIX}/secrets-fingerprint"
# Of a pod, before a scene's id: its version, which restarts its users.
SCENE_VERSION = f"{PREFIX}/scene-version-"

# Keys of a user's Secret.
PASSWORD_KEY = "password"  # noqa: S105 - a key's name

_HASH = 10
_PLAIN = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_HASHED = re.compile(rf".*-[0-9a-f]{{{_HASH}}}")


def slug(text: str, limit: int = SLUG_MAX) -> str:
    """Return a DNS-safe name for `text`, itself when it is one already.

    Where anything had to change, ten hex digits of SHA-256 follow. A plain text that looks like
    such a result gets its own, so that no two texts share a slug (short of a 40-bit collision).
    """
    if len(text) <= limit and _PLAIN.fullmatch(text) and not _HASHED.fullmatch(text):
        return text
    plain = unicodedata.normalize("NFKD", text).lower()
    plain = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH]
    head = plain[: limit - _HASH - 1].rstrip("-")
    return f"{head}-{digest}" if head else f"x-{digest}"


def namespace_name(environment: str, pool: str) -> str:
    """Return the namespace of a pool; neither part holds a double hyphen, so no two pairs meet."""
    return f"opencode-{environment}--{pool}"


def door_namespace(environment: str) -> str:
    """Return the namespace of an environment's door; a pool's has a double hyphen."""
    return f"opencode-{environment}"


def door_labels(environment: str) -> dict[str, str]:
    """Return the labels of every object of the door; it belongs to no pool."""
    return {
        "app.kubernetes.io/part-of": PREFIX,
        "app.kubernetes.io/managed-by": PREFIX,
        "app.kubernetes.io/name": DOOR,
        LABEL_ENVIRONMENT: environment,
    }


def door_selector() -> dict[str, str]:
    """Return the labels that select the door's pods in its namespace."""
    return {"app.kubernetes.io/name": DOOR}


def user_object_name(user_id: str) -> str:
    """Return the name shared by a user's Secret, claim, Service and Deployment."""
    return f"oc-{slug(user_id)}"


def host_name(user_id: str, domain: str) -> str:
    """Return the DNS name of a user's workspace."""
    return f"{slug(user_id)}.{domain}"


def content_name(kind: str, name: str, digest: str) -> str:
    """Return the name of an immutable object that changes with its content."""
    return f"{kind}-{slug(name, 40)}-{digest[:_HASH]}"


def shared_volume_name(environment: str, pool: str) -> str:
    """Return the name of a pool's static PersistentVolume (cluster-wide, so it names both)."""
    return f"{namespace_name(environment, pool)}--shared"


def backup_volume_name(environment: str, pool: str) -> str:
    """Return the name of the static PersistentVolume that holds a pool's backups."""
    return f"{namespace_name(environment, pool)}--backup"


def pool_labels(environment: str, pool: str) -> dict[str, str]:
    """Return the labels of every object of a pool; the first three say who owns it."""
    return {
        "app.kubernetes.io/part-of": PREFIX,
        "app.kubernetes.io/managed-by": PREFIX,
        LABEL_ENVIRONMENT: environment,
        LABEL_POOL: pool,
    }


def user_labels(environment: str, pool: str, user_id: str) -> dict[str, str]:
    """Return the labels of every object of a user."""
    return {
        **pool_labels(environment, pool),
        "app.kubernetes.io/name": "opencode",
        "app.kubernetes.io/component": "runtime",
        "app.kubernetes.io/instance": user_object_name(user_id),
        LABEL_USER: slug(user_id),
    }


def user_selector(user_id: str) -> dict[str, str]:
    """Return the fixed subset of labels that selects a user's pods; it can never change."""
    return {"app.kubernetes.io/name": "opencode", LABEL_USER: slug(user_id)}


def runtime_selector() -> dict[str, str]:
    """Return the labels that select every runtime pod of a namespace."""
    return {"app.kubernetes.io/name": "opencode", "app.kubernetes.io/component": "runtime"}
