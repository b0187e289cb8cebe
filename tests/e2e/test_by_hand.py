"""`fleet up` and plain `pulumi` are one engine: the same program, stack, state and settings."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.e2e.harness.environment import ROOT, Environment
from tests.e2e.harness.making import Maker
from tests.e2e.harness.running import own_state

pytestmark = pytest.mark.e2e
# Plain `pulumi` runs the program of the folder that it finds the stack file in.
PROJECT = ("Pulumi.yaml", "__main__.py", "components", "fleet", "image")


@pytest.fixture(scope="module")
def stack(make: Maker) -> Environment:
    """Two suspended users, deployed by `fleet up`."""
    environment = make("plain", ["ann", "ben"])
    own_state(environment)
    for name in PROJECT:
        (environment.folder / name).symlink_to(ROOT / name)
    for user in environment.config["users"]:
        user["state"] = "suspended"
    environment.save()
    done = environment.fleet("up", "--image", environment.image)
    assert done.code == 0, done.said
    environment.reread()
    return environment


@pytest.fixture(scope="module")
def shell(stack: Environment) -> Mapping[str, str]:
    """What `fleet env` tells a shell."""
    done = stack.fleet("env", "--image", stack.image)
    assert done.code == 0, done.said
    lines = [shlex.split(line) for line in done.out.splitlines()]
    assert all(word == "export" and len(rest) == 1 for word, *rest in lines)
    return dict(rest[0].split("=", 1) for _, *rest in lines)


def pulumi(stack: Environment, shell: Mapping[str, str], *arguments: str) -> str:
    done = subprocess.run(
        ["/usr/bin/env", "pulumi", "--non-interactive", *arguments, "--stack", stack.name],
        cwd=stack.folder,
        env={"HOME": str(stack.folder), **stack.environ, **shell, **_kubeconfig()},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def _kubeconfig() -> dict[str, str]:
    return {"KUBECONFIG": os.environ.get("KUBECONFIG") or str(Path.home() / ".kube/config")}


def test_plain_pulumi_finds_nothing_to_do_after_fleet_up(
    stack: Environment, shell: Mapping[str, str]
) -> None:
    """Lost otherwise: two ways of deploying that undo each other."""
    assert "unchanged" in pulumi(stack, shell, "preview", "--expect-no-changes")


def test_fleet_finds_nothing_to_do_after_plain_pulumi(
    stack: Environment, shell: Mapping[str, str]
) -> None:
    """Lost otherwise: whoever knows Pulumi cannot work on the environment."""
    stack.user("ann")["displayName"] = "Ann"
    stack.save()
    said = pulumi(stack, shell, "up", "--yes", "--skip-preview", "--suppress-outputs")
    assert "updated" in said
    done = stack.fleet("preview", "--image", stack.image)
    assert (done.code, done.out) == (0, "nothing to do\n"), done.said


def test_the_outputs_are_the_users_addresses_and_sealed_passwords(
    stack: Environment, shell: Mapping[str, str]
) -> None:
    """Lost otherwise: scripts that read outputs, or a password on somebody's screen."""
    said = pulumi(stack, shell, "stack", "output")
    assert f"http://ann.{stack.config['access']['domain']}" in said
    password = stack.fleet("password", "ann").out.strip()
    assert password
    assert password not in said
    assert password in pulumi(stack, shell, "stack", "output", "passwords", "--show-secrets")


def test_plain_pulumi_without_a_seed_says_the_command_that_makes_one(
    stack: Environment, shell: Mapping[str, str]
) -> None:
    """Lost otherwise: a stack trace where one line would do."""
    seed = stack.config.pop("passwordSeed")
    stack.save()
    try:
        with pytest.raises(AssertionError, match="make one: fleet seed -s ENV"):
            pulumi(stack, shell, "preview")
    finally:
        stack.config["passwordSeed"] = seed
        stack.save()
