"""On what it depends whether a stack changed: the stack file, its secrets, the image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from fleet.cli.conditions import Conditions
from fleet.cli.deployment import Deployment
from fleet.images.tags import given_images
from fleet.plan.stacks import BASE_OUTPUT
from tests.support.fakes.engine_stacks import fake, share
from tests.support.fakes.project import PASSPHRASE, StackFolder, new_project
from tests.support.stacks import MODEL

USERS = [{"id": "ann", "pool": "a", "apiKeys": {"openai": "annKey"}}, {"id": "bob", "pool": "b"}]
TAG = "registry.example.com/runtime:1"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StackFolder:
    """Two pools with a stack each, and sealed keys."""
    monkeypatch.setattr("fleet.stackfile.sealed._ROUNDS", 10)
    found = new_project(tmp_path, monkeypatch)
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", PASSPHRASE)
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{tmp_path}")
    pools: dict[str, Any] = {"a": {}, "b": {}}
    found.write(stacks={"per": "pool"}, pools=pools, users=USERS, **MODEL)
    for key in ("annKey", "modelApiKey"):
        secret(found, key, "first")
    assert found.fleet("seed", "-s", "t").code == 0
    return found


def secret(project: StackFolder, key: str, value: str) -> None:
    done = project.fleet("secret", key, "-s", "t", given=value)
    assert done.code == 0, done.err


def digests(
    project: StackFolder, image: str | None = None, taken: object = None
) -> dict[str | None, str]:
    """Return the digest of the base stack and of each pool's, as a run has them now."""
    door = "registry.example.com/door:1" if image else None
    deployment = Deployment.of(str(project.file), given=given_images(image, door))
    first = share([], deployment.plan)
    fake(first).gives = {BASE_OUTPUT: taken}
    conditions = Conditions(deployment, first.stack, None)
    shares = [first, *(share([], deployment.plan, pool) for pool in ("a", "b"))]
    return {one.pool: conditions.digest(one) for one in shares}


def differing(before: dict[str | None, str], after: dict[str | None, str]) -> set[str | None]:
    return {pool for pool in before if before[pool] != after[pool]}


def test_nothing_changed_is_the_same_digest(project: StackFolder) -> None:
    assert digests(project) == digests(project)
    assert len(set(digests(project).values())) == 3


@pytest.mark.parametrize(
    ("key", "concerned"),
    [("annKey", {"a"}), ("modelApiKey", {"b"}), ("passwordSeed", {None, "a", "b"})],
)
def test_a_secret_set_anew_changes_the_stacks_that_it_concerns(
    project: StackFolder, key: str, concerned: set[str | None]
) -> None:
    before = digests(project)
    secret(project, key, "0123456789abcdef." + 43 * "B")
    assert differing(before, digests(project)) == concerned


def test_another_image_changes_every_stack(project: StackFolder) -> None:
    before = digests(project, image="opencode-fleet/runtime:one")
    after = digests(project, image="opencode-fleet/runtime:two")
    assert differing(before, after) == {None, "a", "b"}


def edit(project: StackFolder, **changes: Any) -> None:
    """Change keys of the stack file, and leave what is sealed in it."""
    content = yaml.safe_load(project.file.read_text())
    content["config"] |= {f"opencode-fleet:{key}": value for key, value in changes.items()}
    project.file.write_text(yaml.safe_dump(content, sort_keys=False))


def test_another_user_changes_the_stack_of_their_pool_alone(project: StackFolder) -> None:
    before = digests(project)
    edit(project, users=[*USERS, {"id": "cho", "pool": "b"}])
    assert differing(before, digests(project)) == {"b"}


def test_what_a_known_image_is_needs_nothing_of_the_base_stack(project: StackFolder) -> None:
    assert digests(project, taken={"image": "one"}) == digests(project, taken={"image": "two"})


def test_a_tag_is_looked_up_at_every_run_and_pools_follow_what_was_found(
    project: StackFolder,
) -> None:
    edit(project, image={"mode": "prebuilt", "reference": TAG})
    before = digests(project, taken={"image": "one"})
    assert before[None] == ""
    assert digests(project, taken={"image": "one"}) == before
    assert differing(before, digests(project, taken={"image": "two"})) == {"a", "b"}
