"""What a stack file is decided to mean: pools, hosts, keys, and nothing that is not plain."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from fleet.plan.environment import Plan, fingerprint, make_plan
from tests.support.deployed import VARIANTS, named_secrets
from tests.support.stacks import FULL, SECRETS, SMALL, Values, environment_of, with_value

MODEL = {"provider": "openai", "baseUrl": "https://api.openai.com/v1", "name": "gpt-5"}


def plan_of(values: Values, folder: Path, secrets: frozenset[str] = frozenset()) -> Plan:
    """Return the plan of valid values."""
    return make_plan(environment_of(values, folder, secrets))


def test_pools_and_users_come_in_one_order_whatever_the_files(shared_folder: Path) -> None:
    users = [{"id": name, "pool": pool} for name, pool in (("b", "z"), ("c", "a"), ("a", "z"))]
    values: Values = {**SMALL, "users": users, "pools": {"z": {}, "a": {}, "m": {}}}
    plan = plan_of(values, shared_folder)
    assert [pool.name for pool in plan.pools] == ["a", "m", "z"]
    assert [user.id for user in plan.users] == ["c", "a", "b"]


def test_a_pool_has_the_scenes_of_its_own_users_alone(shared_folder: Path) -> None:
    plan = plan_of(FULL, shared_folder, SECRETS)
    scenes = {pool.name: [scene.id for scene in pool.scenes] for pool in plan.pools}
    assert scenes == {"default": ["coding"], "lab": ["coding", "papers"]}


@pytest.mark.parametrize(
    ("changes", "url"),
    [
        ({}, "http://alice.fleet.localhost"),
        ({"access.port": 7080}, "http://alice.fleet.localhost:7080"),
        ({"access.tls": "selfSigned"}, "https://alice.fleet.localhost"),
        ({"access.tls": "selfSigned", "access.port": 8443}, "https://alice.fleet.localhost:8443"),
    ],
)
def test_a_user_has_one_url(changes: dict[str, object], url: str, shared_folder: Path) -> None:
    values = SMALL
    for path, value in changes.items():
        values = with_value(values, path, value)
    assert plan_of(values, shared_folder).users[0].url == url


@pytest.mark.parametrize(
    ("model", "own", "sealed", "key"),
    [
        (True, None, set[str](), None),
        (True, None, {"modelApiKey"}, "modelApiKey"),
        (True, "aKey", {"aKey", "modelApiKey"}, "aKey"),
        (False, None, {"modelApiKey"}, None),
        (False, "aKey", {"aKey"}, "aKey"),
    ],
)
def test_a_user_has_an_own_key_or_the_shared_one_or_none(
    model: bool, own: str | None, sealed: set[str], key: str | None, shared_folder: Path
) -> None:
    values: Values = {**SMALL, "users": [{"id": "alice"} | ({"apiKey": own} if own else {})]}
    if model:
        values["model"] = MODEL
    assert plan_of(values, shared_folder, frozenset(sealed)).users[0].api_key == key


def test_a_plan_is_frozen_and_plain(shared_folder: Path) -> None:
    plan = plan_of(FULL, shared_folder, SECRETS)
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan.environment = "other"  # pyright: ignore[reportAttributeAccessIssue] - the point
    assert plan == plan_of(FULL, shared_folder, SECRETS)


def test_a_fingerprint_changes_with_each_value_and_their_borders() -> None:
    assert fingerprint("a", "b") == fingerprint("a", "b")
    different = [("a", "b"), ("ab",), ("", "ab"), ("b", "a"), ("a", "c")]
    assert len({fingerprint(*values) for values in different}) == len(different)
    assert "secret" not in fingerprint("secret")
    # Another text for the same value would restart everybody.
    assert fingerprint("a", "b") == "3554d2b8a1e34099"


def test_every_variant_has_a_plan(shared_folder: Path) -> None:
    for values in VARIANTS.values():
        plan = plan_of(values, shared_folder, named_secrets(values))
        assert len(plan.users) == len(values["users"])


def test_the_core_loads_no_pulumi() -> None:
    modules = "fleet.cli.main, fleet.manifests.user, fleet.stackfile.schema"
    code = f"import sys, {modules}; print([name for name in sys.modules if 'pulumi' in name])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
