"""Running the programs that `make up` is made of; a failed one ends it with its step's name."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from fleet.stackfile.config import ExistingCluster
from fleet.stackfile.reading import Environment
from tools.cluster import binaries
from tools.cluster.layout import Layout


class StepError(Exception):
    """A step failed; its program has said why on standard error."""

    def __init__(self, step: str, code: int) -> None:
        super().__init__(
            f"{step}: failed (see above): what was done stays, running it again goes on"
        )
        self.code = 2 if code == 2 else 1  # noqa: PLR2004 - 2 is wrong input everywhere here


def tell(text: str) -> None:
    """Print a progress line."""
    sys.stderr.write(f"==> {text}\n")
    sys.stderr.flush()


def run(step: str, command: Sequence[str], extra: Mapping[str, str] | None = None) -> None:
    """Run a step's program, its output shown as it comes."""
    done = subprocess.run(command, env={**os.environ, **(extra or {})}, check=False)
    if done.returncode != 0:
        raise StepError(step, done.returncode)


def read(step: str, command: Sequence[str], extra: Mapping[str, str] | None = None) -> str:
    """Run a step's program and return the last line it printed; its errors are shown."""
    done = subprocess.run(
        command,
        env={**os.environ, **(extra or {})},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise StepError(step, done.returncode)
    lines = done.stdout.strip().splitlines()
    return lines[-1] if lines else ""


def fleet(*arguments: str) -> list[str]:
    """Return the command line of a fleet command, in this very environment."""
    return [str(Path(sys.executable).with_name("fleet")), *arguments]


def tool(package: str, *arguments: str) -> list[str]:
    """Return the command line of a development program of ours."""
    return [sys.executable, "-m", f"tools.{package}", *arguments]


def kubectl(environment: Environment) -> list[str]:
    """Return the command line of kubectl on an environment's cluster."""
    cluster = environment.config.cluster
    context = cluster.context if isinstance(cluster, ExistingCluster) else ""
    built = binaries.find(Layout.of().programs)
    named = (os.environ.get("FLEET_KUBECTL"), shutil.which("kubectl"), built and built / "kubectl")
    return [next((str(item) for item in named if item), "kubectl"), f"--context={context}"]
