"""The same environments through `pulumi up`: the repository's own program, a state of its own.

Leaves out: any state or passphrase of whoever runs the suite.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import Any, cast

from tests.e2e.harness.environment import ROOT, Environment

_PROGRAM = ("__main__.py", "Pulumi.yaml", "pyproject.toml", "uv.lock", "README.md")
_FOLDERS = ("components", "fleet", "image")


def find_pulumi() -> str | None:
    """Return the Pulumi CLI, if there is one."""
    return shutil.which("pulumi")


@dataclass(frozen=True, kw_only=True)
class PulumiRun:
    """Pulumi bound to one environment."""

    environment: Environment

    def prepare(self) -> None:
        """Lay the program beside the stack file and make the stack."""
        folder = self.environment.folder
        for name in (*_PROGRAM, *_FOLDERS):
            (folder / name).symlink_to(ROOT / name)
        (folder / "state").mkdir()
        self.run("stack", "init", self.environment.name)

    def run(self, *arguments: str, code: int = 0) -> str:
        """Run a pulumi command, which must end with `code`; return what it printed."""
        environment = self.environment
        done = subprocess.run(
            [find_pulumi() or "pulumi", *arguments, "--non-interactive"],
            cwd=environment.folder,
            env={
                **os.environ,
                **environment.environ,
                "PULUMI_BACKEND_URL": f"file://{environment.folder}/state",
                "PULUMI_SKIP_UPDATE_CHECK": "true",
                "FLEET_IMAGE": environment.image,
            },
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == code, f"pulumi {arguments[0]}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def up(self, *arguments: str) -> None:
        """Write the stack file and bring the cluster to it."""
        self.environment.save()
        stack = ("--stack", self.environment.name)
        self.run("up", "--yes", "--skip-preview", *stack, *arguments)

    def destroy(self) -> None:
        """Destroy the stack's resources."""
        self.run("destroy", "--yes", "--skip-preview", "--stack", self.environment.name)

    def outputs(self) -> dict[str, Any]:
        """Return the stack's outputs, secrets in clear."""
        stack = ("--stack", self.environment.name)
        text = self.run("stack", "output", "--json", "--show-secrets", *stack)
        return cast("dict[str, Any]", json.loads(text))
