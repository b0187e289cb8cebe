"""Derived passwords: fixed by vectors, different for whatever differs, never made from little."""

from __future__ import annotations

import hashlib
import hmac
import json
import string
from pathlib import Path

import pytest

from fleet.errors import InputError
from fleet.names import SEED_KEY
from fleet.plan.environment import make_plan
from fleet.plan.passwords import (
    derive_password,
    identity_of,
    new_seed,
    user_password,
)
from fleet.values.secrecy import names_secret
from tests.support.stacks import SMALL, Values, environment_of

# Made up for these tests, and in no environment.
MADE = "0123456789abcdef." + 43 * "A"
OTHER = "correct horse battery staple, and then some more"

# Who changes one of these changes the password of everybody in every deployed environment.
VECTORS = [
    (MADE, "dev", "alice", 1, "VlEMOp6PZ6qgz0JHUz2rJRaSSrXBfq0Q"),
    (MADE, "dev", "alice", 2, "OJe2HIQb7Jjtq2ys2vAlEsI33J3wTURv"),
    (MADE, "dev", "bob", 1, "8nWQGUNSpDUiFhsjn8LV2FaUp8jTldEc"),
    (MADE, "prod", "alice", 1, "FQTj0cJkho1D0oVIMEnsz599zqoYjLRD"),
    (MADE, "dev", "a+b@example.org", 1, "F3dprCuMHo5NFkBc0mrmPK6o7A4AlgPG"),
    (OTHER, "dev", "alice", 1, "TGUEshkRA48pO3VvFG7mmo6Znw0y4QxM"),
]


@pytest.mark.parametrize(("seed", "environment", "user", "version", "password"), VECTORS)
def test_the_derivation_never_changes(
    seed: str, environment: str, user: str, version: int, password: str
) -> None:
    assert derive_password(seed, environment, user, version) == password


def test_the_identities_never_change() -> None:
    assert identity_of(MADE) == "0123456789abcdef"
    assert identity_of(OTHER) == "90aac6a76b36dcd5"


def test_the_derivation_is_plain_hkdf() -> None:
    """HKDF of RFC 5869 in six lines, so that any other program can compute a password."""
    secret = hmac.digest(b"opencode-fleet passwords 1", OTHER.encode(), hashlib.sha256)
    info = json.dumps(["password", "dev", "alice", 1]).encode()
    first = hmac.digest(secret, info + b"\1", hashlib.sha256)
    second = hmac.digest(secret, first + info + b"\2", hashlib.sha256)
    number, letters = int.from_bytes((first + second)[:48]), ""
    for _ in range(32):
        number, index = divmod(number, 62)
        letters += (string.ascii_letters + string.digits)[index]
    assert derive_password(OTHER, "dev", "alice", 1) == letters


def test_a_password_passes_urls_and_shells_unquoted() -> None:
    passwords = [derive_password(MADE, "dev", "alice", version) for version in range(1, 200)]
    assert len(set(passwords)) == len(passwords)
    assert {len(password) for password in passwords} == {32}
    assert set("".join(passwords)) == set(string.ascii_letters + string.digits)


def test_no_two_users_share_a_password_by_how_their_names_join() -> None:
    pairs = [("dev", "a1", 1), ("deva", "1", 1), ("dev", "a", 11), ("dev-a", "1", 1)]
    assert len({derive_password(MADE, *pair) for pair in pairs}) == len(pairs)


def test_a_user_of_a_plan_has_the_password_of_their_version(shared_folder: Path) -> None:
    values: Values = {**SMALL, "users": [{"id": "alice", "passwordVersion": 2}]}
    user = make_plan(environment_of(values, shared_folder, frozenset())).users[0]
    assert user_password(user, MADE) == derive_password(MADE, user.environment, "alice", 2)


@pytest.mark.parametrize("seed", ["", "short", 31 * "x", 40 * " ", " " + 31 * "x" + "\n"])
def test_a_seed_of_less_than_32_characters_is_refused_and_not_repeated(seed: str) -> None:
    with pytest.raises(InputError) as by_identity:
        identity_of(seed)
    with pytest.raises(InputError) as by_password:
        derive_password(seed, "dev", "alice", 1)
    line = str(by_identity.value)
    assert line == str(by_password.value)
    assert line.startswith(f"{SEED_KEY}: [hidden]: a seed has at least 32 random characters")
    assert "fleet seed" in line
    assert not seed.strip() or seed.strip() not in line


def test_a_seed_of_32_characters_is_accepted() -> None:
    assert len(derive_password(32 * "x", "dev", "alice", 1)) == 32


def test_a_new_seed_is_another_one_each_time() -> None:
    first, second = new_seed(), new_seed()
    assert first != second
    assert identity_of(first) != identity_of(second)
    assert first.startswith(f"{identity_of(first)}.")


@pytest.mark.parametrize("old", [MADE, OTHER])
def test_a_rotated_seed_gives_new_passwords_to_the_same_environment(old: str) -> None:
    new = new_seed(identity_of(old))
    assert identity_of(new) == identity_of(old)
    assert derive_password(new, "dev", "alice", 1) != derive_password(old, "dev", "alice", 1)


@pytest.mark.parametrize("identity", ["0123", "0123456789ABCDEF", "0123456789abcdef0", "x" * 16])
def test_no_seed_is_made_of_what_is_no_identity(identity: str) -> None:
    with pytest.raises(ValueError, match="not an identity"):
        new_seed(identity)


def test_the_seed_in_clear_text_is_known_as_a_secret_by_its_name() -> None:
    assert names_secret(SEED_KEY)
