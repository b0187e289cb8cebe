"""Running programs for this package: captured, and a failure becomes one readable line.

Short because nothing else is shared by its modules.
"""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


class BaseImageError(Exception):
    """No base image can be provided; the text names the step and what to change."""


def run(
    step: str,
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> str:
    """Run `argv` and return its standard output.

    Raises BaseImageError naming `step` and the last line the program said, when it fails.
    """
    try:
        done = subprocess.run(
            list(argv), check=False, capture_output=True, text=True, env=env, cwd=cwd
        )
    except FileNotFoundError as error:
        message = f"{step}: {argv[0]} is not installed: install it, then run the command again"
        raise BaseImageError(message) from error
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines() or ["no output"]
        message = f"{step}: {argv[0]} ended with {done.returncode}: {said[-1]}"
        raise BaseImageError(message)
    return done.stdout
