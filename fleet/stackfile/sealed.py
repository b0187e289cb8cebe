"""Pulumi's passphrase encryption of stack-file secrets: `fleet` reads and writes the same file.

Source: pulumi/pulumi `sdk/go/common/resource/config/crypt.go`: AES-256-GCM, key by PBKDF2-SHA256
with 1,000,000 rounds; `encryptionsalt` is `v1:<salt>:v1:<nonce>:<text>`, its text `pulumi` sealed.
"""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass, field
from hashlib import pbkdf2_hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_ROUNDS, _KEY_BYTES, _SALT_BYTES, _NONCE_BYTES = 1_000_000, 32, 8, 12
_PROOF = "pulumi"


class SealError(Exception):
    """A secret of the stack file cannot be read; the text says why, never the secret."""


@dataclass(frozen=True)
class Seal:
    """Opens and seals the secrets of one stack file."""

    salt_line: str
    _key: bytes = field(repr=False)

    @classmethod
    def unlock(cls, salt_line: str, passphrase: str) -> Seal:
        """Return the seal of a stack file; raise SealError when the passphrase is another's."""
        parts = salt_line.split(":", 2)
        if len(parts) != 3 or parts[0] != "v1":  # noqa: PLR2004 - version, salt, proof
            raise SealError("encryptionsalt is not of Pulumi's passphrase provider")
        try:
            salt = base64.b64decode(parts[1], validate=True)
        except ValueError:  # no base64, or no ASCII at all
            raise SealError("encryptionsalt is damaged") from None
        seal = cls(salt_line, _derive(passphrase, salt))
        if seal.open(parts[2]) != _PROOF:
            raise SealError("the passphrase is not this stack's")
        return seal

    @classmethod
    def create(cls, passphrase: str) -> Seal:
        """Return a new seal with a salt of its own."""
        salt = os.urandom(_SALT_BYTES)
        draft = cls("", _derive(passphrase, salt))
        proof = draft.close(_PROOF)
        return cls(f"v1:{base64.b64encode(salt).decode()}:{proof}", draft._key)

    def open(self, text: str) -> str:
        """Return the clear text of a `secure:` value."""
        parts = text.split(":")
        if len(parts) != 3 or parts[0] != "v1":  # noqa: PLR2004 - version, nonce, text
            raise SealError("not sealed by Pulumi's passphrase provider")
        try:
            nonce, sealed = (base64.b64decode(part, validate=True) for part in parts[1:])
            return AESGCM(self._key).decrypt(nonce, sealed, None).decode()
        except (InvalidTag, ValueError):
            raise SealError("the passphrase is not this stack's, or the value is damaged") from None

    def close(self, clear: str) -> str:
        """Return `clear` sealed as a `secure:` value."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = AESGCM(self._key).encrypt(nonce, clear.encode(), None)
        return f"v1:{base64.b64encode(nonce).decode()}:{base64.b64encode(sealed).decode()}"


def _derive(passphrase: str, salt: bytes) -> bytes:
    return pbkdf2_hmac(
        "sha256", passphrase.encode("utf-8", "surrogateescape"), salt, _ROUNDS, _KEY_BYTES
    )
