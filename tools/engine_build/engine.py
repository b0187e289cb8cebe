"""Pulumi's command line and its Kubernetes provider: the machine's own, or built from Go modules.

Both come from one module graph (go/go.mod). What a set lacks against the released programs is said
in docs/local-cluster.md.
"""

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from tools.go_build.programs import ProgramSet

Tell = Callable[[str], None]
# The release whose modules are in go/go.mod: the command line calls itself so.
VERSION = "v3.215.0"
PROGRAMS = ProgramSet(
    title=f"Pulumi {VERSION}",
    module=Path(__file__).parent / "go",
    groups=(("github.com/pulumi/pulumi/pkg/v3/cmd/pulumi", "./pulumi-resource-kubernetes"),),
    programs=("pulumi", "pulumi-resource-kubernetes"),
    stamps={"github.com/pulumi/pulumi/sdk/v3/go/common/version.Version": VERSION},
)


def default_cache(environ: Mapping[str, str] | None = None) -> Path:
    """The folder for built engines: FLEET_ENGINE_CACHE, else the calling user's cache folder."""
    env = os.environ if environ is None else environ
    if env.get("FLEET_ENGINE_CACHE"):
        return Path(env["FLEET_ENGINE_CACHE"])
    base = env.get("XDG_CACHE_HOME", "")
    # The XDG rules: a relative value is to be ignored.
    root = Path(base) if base.startswith("/") else Path(env.get("HOME") or Path.home()) / ".cache"
    return root / "opencode-fleet/engine"


def machines_own(cache: Path, path: str | None = None) -> Path | None:
    """The `pulumi` that somebody installed; one of ours that was put on PATH does not count."""
    folders = (os.environ.get("PATH", "") if path is None else path).split(os.pathsep)
    others = [f for f in folders if f and not Path(f).absolute().is_relative_to(cache.absolute())]
    # An empty search path would make `which` look where the system thinks best.
    program = shutil.which("pulumi", path=os.pathsep.join(others)) if others else None
    return Path(program) if program else None


def find_engine(cache: Path) -> Path | None:
    """The folder of an engine that was built before; None when the next use has to build it."""
    return PROGRAMS.find(cache)


def ensure_engine(cache: Path, tell: Tell) -> Path | None:
    """The folder to put first on PATH; None where the machine has a `pulumi` of its own.

    That one is used with its own plugins, and nothing is built. Raises BuildError otherwise, by
    class: ToolchainError (no Go), ModulesError (no modules), CompileError.
    """
    if machines_own(cache) is not None:
        return None
    return PROGRAMS.ensure(cache, tell)
