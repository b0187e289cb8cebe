"""Where an environment's stack file is, and the folders that lead the engine to it.

The engine takes a folder with a Pulumi.yaml, and in it one file a stack. Leaves out: running it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

_FILES = "stacks"


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where an environment's stack file and the project are."""

    name: str
    file: Path
    project: Path
    """Folder of the program and of Pulumi.yaml."""
    resources: int = 0
    """About how many there are to be."""
    only_kubernetes: bool = False
    """Whether nothing else is made: no cloud, no image."""


@contextmanager
def work_folder(place: Place) -> Generator[Path]:
    """Yield a folder that the engine takes for the project's, and that leads to the stack file.

    It is the project itself when the stack file is in it. The engine cannot be told to look for
    stack files elsewhere but by a Pulumi.yaml.
    """
    if place.file.parent.resolve() == place.project.resolve():
        yield place.project
        return
    with _temporary_folder() as folder:
        # Relative: the engine puts it behind its own folder whatever it is.
        _write_project(place, folder, os.path.relpath(place.file.parent.resolve(), folder))
        yield folder


@contextmanager
def pools_folder(place: Place) -> Generator[Path]:
    """Yield a folder for the stacks of pools, each of which is to have a link to the stack file."""
    with _temporary_folder() as folder:
        (folder / _FILES).mkdir()
        _write_project(place, folder, _FILES)
        yield folder


def link_stack_file(folder: Path, file: Path, stack: str) -> None:
    """Have a stack of a folder of `pools_folder` use a stack file."""
    link = folder / _FILES / f"Pulumi.{stack}.yaml"
    if not link.is_symlink():
        link.symlink_to(file.resolve())


@contextmanager
def _temporary_folder() -> Generator[Path]:
    with tempfile.TemporaryDirectory(prefix="opencode-fleet-") as name:
        yield Path(name).resolve()


def _write_project(place: Place, folder: Path, stack_files: str) -> None:
    text = (place.project / "Pulumi.yaml").read_text(encoding="utf-8")
    project = cast("dict[str, Any]", yaml.safe_load(text))
    project["stackConfigDir"] = stack_files
    draft = yaml.safe_dump(project, sort_keys=False)
    (folder / "Pulumi.yaml").write_text(draft, encoding="utf-8")
