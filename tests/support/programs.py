"""Running the real `__main__.py` in process, with configuration as the engine hands it over."""

from __future__ import annotations

import json
import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fleet.names import SEED_KEY
from tests.support.deployed import SEED
from tests.support.recording import Engine, run
from tests.support.stacks import Values, lay_scene

ROOT = Path(__file__).parents[2]


def lay_project(folder: Path) -> None:
    """Lay what the program reads beside the stack file: a scene and a build context."""
    lay_scene(folder / "scenes" / "coding")
    (folder / "image").mkdir()
    (folder / "image" / "Dockerfile").write_text("FROM scratch\n", encoding="utf-8")


def keys_of_engine(values: Values, secrets: Mapping[str, str]) -> dict[str, str]:
    """Return a stack file's keys as the engine gives them: every one as text."""
    texts = {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()
    }
    return {f"opencode-fleet:{key}": text for key, text in {**texts, **secrets}.items()}


def run_program(  # noqa: PLR0913
    values: Values,
    secrets: Mapping[str, str] | None = None,
    *,
    preview: bool = False,
    seed: str | None = SEED,
    stack: str = "dev",
    reads: Mapping[str, Mapping[str, Any]] | None = None,
) -> Engine:
    """Run the program in the current folder; the environment is named `dev`."""
    given = {**({SEED_KEY: seed} if seed else {}), **(secrets or {})}
    made = Engine(
        stack=stack,
        reads=reads or {},
        preview=preview,
        config={**keys_of_engine(values, given), "pulumi:disable-default-providers": "[]"},
        secret_keys=tuple(f"opencode-fleet:{key}" for key in given),
    )

    def program() -> None:
        runpy.run_path(str(ROOT / "__main__.py"), run_name="__main__")

    return run(program, made)
