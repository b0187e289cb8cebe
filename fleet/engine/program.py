"""The Pulumi program, run in this process when the engine calls for it.

Short because the program itself is `components.program`, which plain Pulumi runs too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pulumi
from pulumi.runtime.config import CONFIG, is_config_secret

from components.program import declare_stack

ROOT = Path(__file__).parents[2]
"""The checkout: the program of the environments that it deploys, wherever their files are."""


def inline_program(folder: Path, variables: Mapping[str, str]) -> Callable[[], None]:
    """Return the program for an environment whose scenes are relative to `folder`."""

    def program() -> None:
        # Paths in the program are relative to it: a state must not hold a machine's own.
        os.chdir(ROOT)
        known = CONFIG.get()
        sealed = set(filter(is_config_secret, known))
        declare_stack(pulumi.get_stack(), folder, known, sealed, variables)

    return program
