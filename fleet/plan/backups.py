"""Where a user's backups are and what encrypts them.

Every user has a repository of their own with a password of its own, derived from one sealed key as
passwords are from the seed: whoever reads one repository's password reads no other. Whoever holds
the key reads all of them, and without it nobody reads any: a copy of it belongs where the stack
file's passphrase is kept. Leaves out: the sealing, and the pods that do it.
"""

from __future__ import annotations

import json

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fleet.errors import HIDDEN, InputError, Problem
from fleet.names import slug
from fleet.stackfile.backup import Backup

REPOSITORY_FOLDER = "/repository"
"""Where a claim or an NFS folder is mounted in the pods that work on repositories."""
SHORTEST = 32
_SALT = b"opencode-fleet backups 1"
_BYTES = 32


def repository_address(backup: Backup, environment: str, user_slug: str) -> str:
    """Return what restic calls the repository of a user; `user_slug` as `names.slug` makes it."""
    place = f"{environment}/{user_slug}"
    if backup.repository.s3 is not None:
        return f"s3:{backup.repository.s3}/{place}"
    return f"{REPOSITORY_FOLDER}/{place}"


def repository_password(key: str, secret: str, environment: str, user_id: str) -> str:
    """Return the password of a user's repository: 64 hex digits, always the same for the same.

    `key` names the secret in the message. Raises InputError when it is too short to be random.
    """
    if len(secret.strip()) < SHORTEST:
        rule = f"a backup password has at least {SHORTEST} random characters: all others come of it"
        change = f"set one: head -c 32 /dev/urandom | base64 | fleet secret {key} -s ENV"
        raise InputError([Problem(key, HIDDEN, rule, change)])
    info = json.dumps(["backup", environment, slug(user_id)]).encode()
    derived = HKDF(algorithm=SHA256(), length=_BYTES, salt=_SALT, info=info)
    return derived.derive(secret.strip().encode()).hex()
