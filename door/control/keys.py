"""What is derived from the seed: passwords of users, and keys that sign what the door hands out.

Owns: the derivation, a copy of `fleet.plan.passwords` (the image holds nothing of `fleet`; a test
compares the two), and signed texts. Leaves out: what the signed texts say.
"""

from __future__ import annotations

import base64
import binascii
import functools
import hmac
import json
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, cast

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

PASSWORD_LENGTH = 32
_ALPHABET = string.ascii_letters + string.digits
_PASSWORD_BYTES, _KEY_BYTES = 48, 32
_SALT = b"opencode-fleet passwords 1"
_SHORTEST_SEED = 32
# Longer than anything that is signed here; the longest holds a path of 4,000 characters.
_LONGEST = 8000


@dataclass(frozen=True, slots=True)
class Keys:
    """The seed of one environment, and what is made from it."""

    seed: str = field(repr=False)
    environment: str

    def __post_init__(self) -> None:
        """Raise ValueError when the seed is too short to be one; its text is in no message."""
        if len(self.seed.strip()) < _SHORTEST_SEED:
            raise ValueError(f"seed: too short: a seed has at least {_SHORTEST_SEED} characters")

    def password(self, user_id: str, version: int) -> str:
        """Return a user's password: to sign in, and of the runtime itself."""
        return _password(self.seed, self.environment, user_id, version)

    def signer(self, purpose: str) -> Signer:
        """Return what signs for one purpose; no text of one purpose passes for another."""
        return Signer(_derived(self.seed, _KEY_BYTES, purpose, self.environment))


@dataclass(frozen=True, slots=True)
class Signer:
    """Makes texts of letters, digits, `-`, `_` and one `.`, and reads only its own."""

    key: bytes = field(repr=False)

    def sign(self, values: Mapping[str, Any]) -> str:
        """Return the values as one signed text."""
        body = _encode(json.dumps(values, separators=(",", ":")).encode())
        return f"{body}.{self._mark(body)}"

    def read(self, text: str) -> dict[str, Any] | None:
        """Return the values of a text signed by the same key, None for anything else."""
        body, dot, mark = text.partition(".")
        if not dot or len(text) > _LONGEST or not text.isascii():
            return None
        if not hmac.compare_digest(mark, self._mark(body)):
            return None
        try:
            values = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        except (binascii.Error, ValueError):
            return None
        return cast("dict[str, Any]", values) if isinstance(values, dict) else None

    def _mark(self, body: str) -> str:
        return _encode(hmac.digest(self.key, body.encode(), sha256))


@functools.lru_cache(maxsize=4096)
def _password(seed: str, environment: str, user_id: str, version: int) -> str:
    number = int.from_bytes(
        _derived(seed, _PASSWORD_BYTES, "password", environment, user_id, version), "big"
    )
    letters: list[str] = []
    for _ in range(PASSWORD_LENGTH):
        number, index = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[index])
    return "".join(letters)


def _derived(seed: str, length: int, *purpose: str | int) -> bytes:
    info = json.dumps(purpose).encode()
    return HKDF(algorithm=SHA256(), length=length, salt=_SALT, info=info).derive(seed.encode())


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
