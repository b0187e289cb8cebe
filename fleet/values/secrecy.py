"""Which keys are credentials by their name, and how a reference to one is told."""

from __future__ import annotations

import re

from fleet.errors import HIDDEN

_KEY_ENDS = ("credential", "key", "passphrase", "password", "secret", "seed", "token")
_REFERENCE = re.compile(r"[A-Za-z]{1,40}[0-9]{0,3}")


def names_secret(key: str) -> bool:
    """Return whether a key's name says that its value is a credential."""
    return key.lower().endswith(_KEY_ENDS)


def secret_reference(text: str) -> str:
    """Return the name of a secret key, or `[hidden]` when it may be the secret itself."""
    return text if _REFERENCE.fullmatch(text) else HIDDEN
