"""The engine's part of `make up`: Pulumi built beside the image, where the machine has none.

Short because the build itself is tools/engine_build, which is a command of its own.
"""

from __future__ import annotations

import subprocess
from collections.abc import Generator
from contextlib import contextmanager

from tools.deploy.steps import tool


class Build:
    """A build of the engine that is under way."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def succeeds(self) -> bool:
        """Wait for the end; its program has said on standard error why it failed."""
        return self._process.wait() == 0


@contextmanager
def building() -> Generator[Build]:
    """Build what is missing while something else is done, such as the image: both wait a lot.

    Nothing is built where `pulumi` is on PATH, or where it was built before.
    """
    process = subprocess.Popen(tool("engine_build", "build"), stdout=subprocess.DEVNULL)
    try:
        yield Build(process)
    finally:
        # Only after a failure of the other work: `succeeds` has waited otherwise.
        if process.poll() is None:
            process.terminate()
            process.wait()
