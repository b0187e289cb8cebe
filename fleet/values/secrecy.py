"""Which keys are credentials by their name, how a reference to one is told, what a seed is.

Short because these are asked by every room, before the values themselves are judged.
"""

from __future__ import annotations

import re

from fleet.errors import HIDDEN, Problem
from fleet.names import SEED_KEY

_KEY_ENDS = ("credential", "key", "passphrase", "password", "secret", "seed", "token")
SHORTEST_SEED = 32
_REFERENCE = re.compile(r"[A-Za-z]{1,40}[0-9]{0,3}")


def names_secret(key: str) -> bool:
    """Return whether a key's name says that its value is a credential."""
    return key.lower().endswith(_KEY_ENDS)


def secret_reference(text: str) -> str:
    """Return the name of a secret key, or `[hidden]` when it may be the secret itself."""
    return text if _REFERENCE.fullmatch(text) else HIDDEN


def seed_problem(seed: str) -> Problem | None:
    """Return what is wrong with a seed of passwords; its text is in no message."""
    if len(seed.strip()) >= SHORTEST_SEED:
        return None
    rule = f"a seed has at least {SHORTEST_SEED} random characters: every password is made from it"
    return Problem(SEED_KEY, HIDDEN, rule, "let `fleet seed -s ENV` make one")


def missing_seed() -> Problem:
    """Return the problem of an environment whose passwords cannot be derived."""
    rule = "the passwords of all users are derived from this sealed key"
    return Problem(SEED_KEY, "missing", rule, "make one: fleet seed -s ENV")
