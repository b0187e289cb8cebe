"""A project folder for tests of the command line: a stack file, and runs of `fleet`."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from fleet.cli.main import app
from fleet.plan.environment import Plan, UserPlan, make_plan
from fleet.stackfile.reading import Environment, load
from fleet.stackfile.unsealing import unseal

IMAGE = "opencode-fleet/runtime:t1"
DOOR_IMAGE = "opencode-fleet/runtime-door:test"
CONTEXT = "opencode-fleet-local"
PASSPHRASE = "of the tests"  # noqa: S105 - seals made-up keys only


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a run of `fleet` printed and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """Standard output, which must be one JSON document and nothing else."""
        return json.loads(self.out)


@dataclass(frozen=True, kw_only=True)
class StackFolder:
    """A folder with `Pulumi.t.yaml`, in which `fleet` runs."""

    folder: Path
    config: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def file(self) -> Path:
        """The stack file."""
        return self.folder / "Pulumi.t.yaml"

    def write(self, **changes: Any) -> None:
        """Write the stack file, with keys changed; a key set to None goes."""
        self.config.update(changes)
        keys = {f"opencode-fleet:{k}": v for k, v in self.config.items() if v is not None}
        self.file.write_text(yaml.safe_dump({"config": keys}, sort_keys=False))

    def users(self, *users: str | dict[str, Any]) -> None:
        """Write the roster."""
        self.write(users=[{"id": user} if isinstance(user, str) else user for user in users])

    def fleet(self, *arguments: str, given: str | None = None) -> Result:
        """Run a `fleet` command in the folder; a traceback fails the test."""
        done = CliRunner().invoke(app, [*arguments], input=given)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert "Traceback" not in done.stderr
        return Result(code=done.exit_code, out=done.stdout, err=done.stderr)

    def environment(self) -> Environment:
        """Read the stack file."""
        return load("t", self.folder)

    def secrets(self) -> dict[str, str]:
        """Open the stack file's secrets."""
        return unseal("t", self.folder, lambda: PASSPHRASE)

    def plan(self) -> Plan:
        """Plan the environment."""
        return make_plan(self.environment())

    def user(self, user_id: str) -> UserPlan:
        """Return a user's plan."""
        return next(user for user in self.plan().users if user.id == user_id)


def new_project(folder: Path, patch: pytest.MonkeyPatch) -> StackFolder:
    """Make a project with the users alice and bob, and go to its folder.

    It finds no cluster, no settings and no data of whoever runs the tests.
    """
    project = StackFolder(folder=folder)
    patch.chdir(folder)
    for name in [name for name in os.environ if name.startswith(("FLEET_", "PULUMI_"))]:
        patch.delenv(name)
    patch.setenv("KUBECONFIG", str(folder / "no-kubeconfig"))
    patch.setenv("HOME", str(folder / "home"))
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME"):
        patch.delenv(name, raising=False)
    write_small(project)
    return project


def write_small(project: StackFolder) -> None:
    """Write a stack file with the users alice and bob."""
    project.write(
        cluster={"kind": "existing", "context": CONTEXT},
        image={"mode": "local", "reference": IMAGE},
        door={"reference": DOOR_IMAGE},
        access={"domain": "fleet.localhost", "tls": "none", "port": 7080},
    )
    project.users("alice", "bob")
