"""A project folder for tests of the command line: a stack file, a fake cluster, runs of `fleet`."""

from __future__ import annotations

import json
import os
import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from fleet.cli.main import app
from fleet.cluster.kubectl import Kubectl, Reply
from fleet.plan.environment import Plan, UserPlan, make_plan
from fleet.stackfile.reading import Environment, load
from fleet.stackfile.unsealing import unseal
from tests.support.fakes import kubectl as fake_kubectl

IMAGE = "opencode-fleet/runtime:t1"
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


@dataclass(frozen=True, kw_only=True)
class Project(StackFolder):
    """A folder with `Pulumi.t.yaml` and a cluster that keeps objects in a file."""

    patch: pytest.MonkeyPatch

    @property
    def state(self) -> Path:
        """The fake cluster's folder."""
        return self.folder / "cluster"

    @property
    def kubectl(self) -> Kubectl:
        """kubectl bound to the fake cluster."""
        return Kubectl(program=str(self.folder / "kubectl"), context=CONTEXT)

    def apply(self, *arguments: str) -> Result:
        """Run `fleet apply` and expect it to work."""
        done = self.fleet("apply", "-s", "t", *arguments)
        assert done.code == 0, done.err
        return done

    def objects(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Return what the fake cluster holds."""
        file = self.state / "objects.json"
        items: list[dict[str, Any]] = json.loads(file.read_text()) if file.exists() else []
        return [item for item in items if kind in (None, item["kind"])]

    def object(self, kind: str, name: str) -> dict[str, Any]:
        """Return one object of the fake cluster."""
        return next(item for item in self.objects(kind) if item["metadata"]["name"] == name)

    def put(self, *items: dict[str, Any]) -> None:
        """Place objects in the fake cluster as they are, in the place of former ones."""
        names = [(item["kind"], item["metadata"]["name"]) for item in items]
        left = [i for i in self.objects() if (i["kind"], i["metadata"]["name"]) not in names]
        (self.state / "objects.json").write_text(json.dumps([*left, *items]))

    def calls(self, verb: str | None = None) -> list[dict[str, Any]]:
        """Return the calls made so far, of a verb: each with `argv` and `stdin`."""
        file = self.state / "calls.jsonl"
        lines = file.read_text().splitlines() if file.exists() else []
        found = [json.loads(line) for line in lines]
        return [call for call in found if verb in (None, call["argv"][1])]

    def forget_calls(self) -> None:
        """Empty the record of calls."""
        (self.state / "calls.jsonl").unlink(missing_ok=True)

    def faults(self, *faults: dict[str, Any]) -> None:
        """Make calls fail whose text holds all words of `when`: code, out, err."""
        (self.state / "faults.json").write_text(json.dumps(faults))


def new_project(folder: Path, patch: pytest.MonkeyPatch, *, program: bool = False) -> Project:
    """Make a project with the users alice and bob, and go to its folder.

    With `program` every kubectl call is a process of its own, as outside tests.
    """
    project = Project(folder=folder, patch=patch)
    project.state.mkdir()
    script = folder / "kubectl"
    words = [sys.executable, "-I", "-S", str(fake_kubectl.__file__), str(project.state)]
    script.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
    script.chmod(0o755)
    patch.chdir(folder)
    for name in [name for name in os.environ if name.startswith(("FLEET_", "PULUMI_"))]:
        patch.delenv(name)
    patch.setenv("FLEET_KUBECTL", str(script))
    # What does not go through kubectl finds no cluster, least of all a real one.
    patch.setenv("KUBECONFIG", str(folder / "no-kubeconfig"))

    # The answers of the program without a process a call: that is most of a test's time.
    def run(
        self: Kubectl, *arguments: str, stdin: str | None = None, timeout: float = 600
    ) -> Reply:
        del timeout
        words = self.command(*arguments)[1:]
        code, out, err = fake_kubectl.answer(project.state, words, stdin or "")
        return Reply(code=code, out=out, err=err)

    if not program:
        patch.setattr(Kubectl, "run", run)
    write_small(project)
    return project


def write_small(project: StackFolder) -> None:
    """Write a stack file with the users alice and bob."""
    project.write(
        cluster={"kind": "existing", "context": CONTEXT},
        image={"mode": "local", "reference": IMAGE},
        access={"domain": "fleet.localhost", "tls": "none", "port": 7080},
    )
    project.users("alice", "bob")
