"""The Pulumi program, run in this process by the engine's call."""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The checkout: the program of the environments that it deploys, wherever their files are."""


def inline_program(folder: Path, image: str | None) -> Callable[[], None]:
    """Return the program for an environment whose scenes are relative to `folder`."""

    def program() -> None:
        if image is not None:
            os.environ["FLEET_IMAGE"] = image
        os.chdir(folder)
        sys.path.insert(0, str(ROOT))
        runpy.run_path(str(ROOT / "__main__.py"), run_name="__main__")

    return program
