"""Which Go compiles, and with which settings; nothing here compiles anything."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.go_build.errors import ToolchainError

# The `go` line of the newest of the modules: an older toolchain refuses them.
OLDEST_GO = (1, 26)
# A compiler process is short-lived, so most of its collecting of garbage is for nothing: with these
# two the same code took a fifth less CPU time. The limit makes the few large packages collect after
# all, so that the compilers of all cores fit into a small machine.
_SPENDING = {"GOGC": "800", "GOMEMLIMIT": "640MiB"}
# Debug information would be thrown away by the linker: not making it saves an eighth.
COMPILE_FLAGS = ("-trimpath", "-buildvcs=false", "-gcflags=all=-dwarf=false")


def parse_go_version(text: str) -> tuple[int, int] | None:
    """(1, 25) from `go env GOVERSION` (`go1.25.3`, `go1.26-rc1`); None if unreadable."""
    major, _, rest = text.strip().removeprefix("go").partition(".")
    minor = ""
    for sign in rest:
        if not sign.isdigit():
            break
        minor += sign
    return (int(major), int(minor)) if major.isdigit() and minor else None


def go_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Environment variables for Go: the caller's, without what would change the programs."""
    env = dict(os.environ if environ is None else environ)
    folders = env.get("PATH", "/usr/bin:/bin").split(os.pathsep)
    # Where Go's own instructions install it; not on PATH in a fresh shell.
    if "/usr/local/go/bin" not in folders:
        folders.append("/usr/local/go/bin")
    env["PATH"] = os.pathsep.join(folders)
    return {**env, **_SPENDING, "CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": ""}


def low_priority(command: Sequence[str]) -> list[str]:
    """The command, made to let everything else on the machine go first where that is possible."""
    return ["nice", *command] if shutil.which("nice") else [*command]


def go_version(title: str, module: Path) -> str:
    """The Go toolchain's own name of its version; raises ToolchainError if missing or too old."""
    wanted = ".".join(map(str, OLDEST_GO))
    env = go_environment()
    how = f"install Go {wanted} or newer (https://go.dev/doc/install), then run this again"
    go = shutil.which("go", path=env["PATH"])
    if go is None:
        message = f"go: not installed, and needed to build {title}: {how}"
        raise ToolchainError(message)
    asked = subprocess.run(
        [go, "env", "GOVERSION"], env=env, cwd=module, capture_output=True, text=True, check=False
    )
    version = parse_go_version(asked.stdout)
    if asked.returncode != 0 or version is None or version < OLDEST_GO:
        said = (asked.stdout.strip() or asked.stderr.strip() or "says nothing").splitlines()[-1]
        message = f"go: {said} is too old to build {title}: {how}"
        raise ToolchainError(message)
    return asked.stdout.strip()
