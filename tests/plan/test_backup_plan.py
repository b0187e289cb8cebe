"""Passwords of backup repositories: one a user, out of one sealed key."""

from __future__ import annotations

import pytest

from fleet.errors import InputError
from fleet.plan.backups import repository_address, repository_password
from fleet.stackfile.backup import Backup

SECRET = "0123456789abcdef0123456789abcdef"  # noqa: S105 - of a made-up environment


def password(secret: str = SECRET, environment: str = "test", user: str = "alice") -> str:
    return repository_password("backupPassword", secret, environment, user)


def test_a_repository_password_is_the_same_for_ever() -> None:
    # Another one for the same user would make every backup of before unreadable.
    assert password() == "ea9180baf7eb4289a419fac8693bf1e9764cf6f5b3c53680738237aad508e332"
    assert password(f"{SECRET}\n") == password(), "an editor's newline is no part of it"


def test_nobody_shares_a_repository_password() -> None:
    other = SECRET[::-1]
    found = [password(), password(user="bob"), password(environment="live"), password(other)]
    assert len(set(found)) == len(found)


def test_a_short_backup_password_is_refused_and_not_repeated() -> None:
    with pytest.raises(InputError) as caught:
        password("too short")
    line = str(caught.value)
    assert line.startswith("backupPassword: [hidden]: ")
    assert "too short" not in line


def test_a_repository_is_the_users_alone() -> None:
    store = Backup.model_validate({"repository": {"s3": "https://s3.example.com/bucket/fleet"}})
    disk = Backup.model_validate({"repository": {"claim": {"size": "10Gi"}}})
    assert (
        repository_address(store, "test", "alice")
        == "s3:https://s3.example.com/bucket/fleet/test/alice"
    )
    assert repository_address(disk, "test", "alice") == "/repository/test/alice"
