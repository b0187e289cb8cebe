"""An environment through `pulumi up`: the repository's own program, a state of its own.

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
_GONE = frozenset({"delete", "delete-replaced", "discard"})


def find_pulumi() -> str | None:
    """Return the Pulumi CLI, if there is one."""
    return shutil.which("pulumi")


@dataclass(kw_only=True)
class PulumiEnvironment(Environment):
    """A stack file brought into the cluster by Pulumi."""

    def apply(self, *arguments: str, image: str | None = None) -> Any:
        """Write the stack file and run `pulumi up`; it must work.

        Returns the kinds of steps it took: `applied` and `deleted`, empty when nothing changed.
        """
        self.save()
        if not (self.folder / "state").exists():
            self._prepare()
        self._pulumi("up", "--yes", "--skip-preview", *arguments, image=image)
        last = json.loads(self._pulumi("stack", "history", "--json", "--page-size", "1"))[0]
        steps = {kind for kind, count in last["resourceChanges"].items() if count} - {"same"}
        return {"applied": sorted(steps - _GONE), "deleted": sorted(steps & _GONE)}

    def destroy(self) -> None:
        """Destroy the stack's resources."""
        self._pulumi("destroy", "--yes", "--skip-preview")

    def outputs(self) -> dict[str, Any]:
        """Return the stack's outputs, secrets in clear."""
        text = self._pulumi("stack", "output", "--json", "--show-secrets")
        return cast("dict[str, Any]", json.loads(text))

    def _prepare(self) -> None:
        """Lay the program beside the stack file and make the stack."""
        for name in (*_PROGRAM, *_FOLDERS):
            (self.folder / name).symlink_to(ROOT / name)
        (self.folder / "state").mkdir()
        self._pulumi("stack", "init", self.name, stack=False)

    def _pulumi(self, *arguments: str, image: str | None = None, stack: bool = True) -> str:
        """Run a pulumi command, which must succeed; return what it printed."""
        which = ("--stack", self.name) if stack else ()
        done = subprocess.run(
            [find_pulumi() or "pulumi", *arguments, *which, "--non-interactive"],
            cwd=self.folder,
            env={
                **os.environ,
                **self.environ,
                "PULUMI_BACKEND_URL": f"file://{self.folder}/state",
                "PULUMI_SKIP_UPDATE_CHECK": "true",
                "FLEET_IMAGE": image or self.image,
            },
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, f"pulumi {arguments[0]}:\n{done.stdout}\n{done.stderr}"
        return done.stdout
