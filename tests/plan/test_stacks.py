"""Which stacks an environment has, and on what each of them depends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fleet.errors import InputError
from fleet.plan.environment import Plan, make_plan
from fleet.plan.stacks import Part, digest, part_named, split_name, takes_from_base
from fleet.stackfile.config import StackConfig
from tests.support.stacks import SMALL, Values, environment_of, lay_scene, with_value

VALUES: Values = {
    **SMALL,
    "stacks": {"per": "pool"},
    "scenes": {"coding": {"path": "scenes/coding"}},
    "pools": {"a": {}, "b": {}},
    "users": [{"id": "ann", "pool": "a", "scenes": ["coding"]}, {"id": "bob", "pool": "b"}],
}
POOLS = ("a", "b")


def made(values: Values, folder: Path) -> tuple[StackConfig, Plan]:
    if not (folder / "scenes/coding").exists():
        lay_scene(folder / "scenes/coding")
    environment = environment_of(values, folder)
    return environment.config, make_plan(environment)


def digests(values: Values, folder: Path) -> dict[str, str]:
    """Return the digest of each pool's stack."""
    _, plan = made(values, folder)
    parts = {pool: Part(environment="t", pool=pool, divided=True) for pool in POOLS}
    return {pool: digest(part.of(plan), ["fact"]) for pool, part in parts.items()}


@pytest.mark.parametrize(
    ("stack", "environment", "pool"), [("dev", "dev", None), ("dev.a", "dev", "a")]
)
def test_a_stacks_name_says_what_it_is_of(stack: str, environment: str, pool: str | None) -> None:
    assert split_name(stack) == (environment, pool)


def test_every_user_is_in_exactly_one_stack(tmp_path: Path) -> None:
    config, plan = made(VALUES, tmp_path)
    names = ("test", "test.a", "test.b", "test.default")
    parts = [part_named(name, config, plan).of(plan) for name in names[:3]]
    assert [user.id for part in parts for user in part.users] == ["ann", "bob"]
    assert parts[0].pools == ()
    with pytest.raises(InputError, match="the stack file has no pool default"):
        part_named(names[3], config, plan)


def test_an_undivided_environment_is_one_stack(tmp_path: Path) -> None:
    config, plan = made({**VALUES, "stacks": {}}, tmp_path)
    assert part_named("test", config, plan).of(plan) == plan
    with pytest.raises(InputError, match="this stack is of one pool"):
        part_named("test.a", config, plan)


def test_a_digest_is_the_same_for_the_same_plan(tmp_path: Path) -> None:
    turned = {**VALUES, "users": list(reversed(VALUES["users"]))}
    assert digests(VALUES, tmp_path) == digests(turned, tmp_path)


EDITS: dict[str, tuple[Callable[[Values], Values], set[str]]] = {
    "a user added": (
        lambda values: with_value(values, "users[2]", {"id": "cho", "pool": "a"}),
        {"a"},
    ),
    "a user suspended": (lambda values: with_value(values, "users[1].state", "suspended"), {"b"}),
    "a display name": (lambda values: with_value(values, "users[0].displayName", "Ann"), {"a"}),
    "a new password": (lambda values: with_value(values, "users[1].passwordVersion", 2), {"b"}),
    "a scene taken": (lambda values: with_value(values, "users[0].scenes", []), {"a"}),
    "a quota": (lambda values: with_value(values, "pools.b", {"quota": {"cpu": 9}}), {"b"}),
    "another domain": (
        lambda values: with_value(values, "access.domain", "other.localhost"),
        {"a", "b"},
    ),
    "a network rule": (
        lambda values: with_value(values, "network", {"deny": ["47.0.0.0/16"]}),
        {"a", "b"},
    ),
    "a pool more": (lambda values: with_value(values, "pools.c", {}), set()),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_changes_the_stacks_that_it_concerns(edit: str, tmp_path: Path) -> None:
    change, concerned = EDITS[edit]
    before, after = digests(VALUES, tmp_path), digests(change(VALUES), tmp_path)
    assert {pool for pool in POOLS if before[pool] != after[pool]} == concerned


def test_a_scenes_content_changes_the_stack_of_who_has_it(tmp_path: Path) -> None:
    before = digests(VALUES, tmp_path)
    (tmp_path / "scenes/coding/AGENTS.md").write_text("another", encoding="utf-8")
    after = digests(VALUES, tmp_path)
    assert before["a"] != after["a"]
    assert before["b"] == after["b"]


def test_every_other_fact_changes_every_digest(tmp_path: Path) -> None:
    _, plan = made(VALUES, tmp_path)
    facts = (["one"], ["other"], ["one", ""], ["on", "e"])
    assert len({digest(plan, fact) for fact in facts}) == len(facts)


@pytest.mark.parametrize(
    ("change", "takes"),
    [
        ({}, False),
        ({"access": {"domain": "fleet.localhost", "tls": "selfSigned"}}, False),
        (
            {
                "image": {"mode": "prebuilt", "reference": "registry.example.com/a:1"},
                "door": {"reference": "registry.example.com/d:1"},
            },
            True,
        ),
        (
            {
                "image": {
                    "mode": "prebuilt",
                    "reference": "registry.example.com/a@sha256:" + 64 * "a",
                },
                "door": {"reference": "registry.example.com/d:1"},
            },
            False,
        ),
    ],
)
def test_pools_take_from_the_base_stack_what_only_it_knows(
    change: Values, takes: bool, tmp_path: Path
) -> None:
    config, _ = made({**VALUES, **change}, tmp_path)
    assert takes_from_base(config, config.image) is takes
