"""Running short programs for this package: captured, and a failure becomes one readable line."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.cluster.errors import ClusterError

_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")


@dataclass(frozen=True, slots=True)
class Result:
    """How a program ended and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def last_line(self) -> str:
        """The last thing it said, errors first."""
        lines = (self.err.strip() or self.out.strip()).splitlines()
        return lines[-1] if lines else "no output"


def environment(*, proxies: bool = True) -> dict[str, str]:
    """This process's environment with the system folders on PATH.

    Without `proxies` for whatever speaks only to the cluster: a proxy cannot reach this machine's
    own bridge.
    """
    env = {k: v for k, v in os.environ.items() if proxies or k.lower() not in _PROXIES}
    folders = env.get("PATH", "/usr/bin:/bin").split(os.pathsep)
    env["PATH"] = os.pathsep.join([*folders, *(f for f in _SYSTEM_FOLDERS if f not in folders)])
    return env


def attempt(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str | None = None,
    timeout: float | None = None,
) -> Result:
    """Run `argv`; a missing program is code 127, one that overran `timeout` seconds is code 124."""
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words,
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            env=environment() if env is None else env,
            cwd=cwd,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            timeout=timeout,
        )
    except FileNotFoundError:
        return Result(127, "", f"{words[0]} is not installed")
    except subprocess.TimeoutExpired:
        return Result(124, "", f"no answer within {timeout:g} s")
    return Result(done.returncode, done.stdout, done.stderr)


def run(  # noqa: PLR0913 - the keyword arguments of subprocess.run
    step: str,
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str | None = None,
    timeout: float | None = None,
) -> str:
    """Run `argv` and return its standard output; raises ClusterError naming `step` if it fails."""
    result = attempt(argv, env=env, cwd=cwd, stdin=stdin, timeout=timeout)
    if result.code != 0:
        name = Path(argv[0]).name
        message = f"{step}: {name} ended with {result.code}: {result.last_line}"
        raise ClusterError(message)
    return result.out
