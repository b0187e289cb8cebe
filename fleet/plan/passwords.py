"""Passwords of users, all derived from one seed: same seed, same passwords, whoever deploys.

Owns: what a seed looks like, the identity in it, the derivation. Leaves out: where the seed is
kept (sealed in the stack file, `stackfile`) and who may see a password.

The risk of the one seed: whoever holds it can compute the password of every user of its
environment, past and future, and nothing in the cluster shows that they did. It is never in the
cluster, in Pulumi's state only encrypted; after a leak the way back is a new one
(`fleet seed --rotate`), which changes every password at once. One user's password tells nothing of
the seed or of other users' passwords, as long as the seed is random: hence none is invented by
people here, and one that is too short to be random is refused.
"""

from __future__ import annotations

import json
import re
import secrets
import string

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fleet.errors import InputError
from fleet.plan.environment import UserPlan
from fleet.values.secrecy import seed_problem

PASSWORD_LENGTH = 32
# Letters and digits pass URLs, shells and basic auth unquoted; 32 of them hold 190 bits.
_ALPHABET = string.ascii_letters + string.digits
_IDENTITY_BYTES, _SECRET_BYTES = 8, 32
# 384 bits, twice what 32 characters of 62 hold: the remainder favours no character noticeably.
_DERIVED_BYTES = 48
_SALT = b"opencode-fleet passwords 1"
_MADE = re.compile(r"(?P<identity>[0-9a-f]{16})\.[0-9A-Za-z_-]{43}")


def derive_password(seed: str, environment: str, user_id: str, version: int) -> str:
    """Return a user's password: 32 letters and digits, always the same for the same four values.

    Raises InputError when the seed is too short to be one.
    """
    derived = _derived(seed, _DERIVED_BYTES, "password", environment, user_id, version)
    number = int.from_bytes(derived)
    letters: list[str] = []
    for _ in range(PASSWORD_LENGTH):
        number, index = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[index])
    return "".join(letters)


def user_password(user: UserPlan, seed: str) -> str:
    """Return the password of a user of a plan."""
    return derive_password(seed, user.environment, user.id, user.password_version)


def identity_of(seed: str) -> str:
    """Return the 16 hex digits that tell this environment from another of the same name.

    They are no secret, and outlive the rotation of the seed. Raises InputError when the seed is
    too short to be one.
    """
    made = _MADE.fullmatch(seed)
    return made["identity"] if made else _derived(seed, _IDENTITY_BYTES, "identity").hex()


def new_seed(identity: str | None = None) -> str:
    """Return a new random seed, of the given identity when it takes the place of an older one."""
    first = identity or secrets.token_hex(_IDENTITY_BYTES)
    seed = f"{first}.{secrets.token_urlsafe(_SECRET_BYTES)}"
    if not _MADE.fullmatch(seed):
        raise ValueError(f"not an identity: {first}")
    return seed


def _derived(seed: str, length: int, *purpose: str | int) -> bytes:
    """Return bytes for one purpose; as JSON, no two purposes are written the same way."""
    problem = seed_problem(seed)
    if problem is not None:
        raise InputError([problem])
    info = json.dumps(purpose).encode()
    return HKDF(algorithm=SHA256(), length=length, salt=_SALT, info=info).derive(seed.encode())
