"""The import contract of pyproject.toml covers every room, and refuses what breaks it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support.programs import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LAYERS, ALONE, PULUMI = PROJECT["tool"]["importlinter"]["contracts"]


def _rooms() -> set[str]:
    inside = (ROOT / "fleet").iterdir()
    return {
        f"fleet.{path.stem}"
        for path in inside
        if path.stem != "__init__" and (path.suffix == ".py" or (path / "__init__.py").exists())
    }


def test_every_room_has_its_place_among_the_layers() -> None:
    placed = {name.strip() for line in LAYERS["layers"] for name in line.split("|")}
    assert placed - {"components", "tools"} == _rooms()


def test_every_room_but_the_engine_is_kept_free_of_pulumi() -> None:
    assert {*PULUMI["source_modules"], "fleet.engine"} == _rooms()


def test_door_and_policies_know_nothing_of_the_rest_and_the_rest_nothing_of_them() -> None:
    assert {"door", "fleet", "policy"} <= set(ALONE["modules"])


def test_every_pulumi_package_that_is_installed_is_forbidden() -> None:
    pinned = PROJECT["dependency-groups"]["pulumi"]
    packages = {line.partition("==")[0].replace("-", "_") for line in pinned}
    assert set(PULUMI["forbidden_modules"]) == packages


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("fleet/values/scalars.py", "from fleet.stackfile import config"),
        ("fleet/cluster/pods.py", "import components.bridge"),
        ("fleet/engine/events.py", "import tools.cluster.pki"),
        ("fleet/plan/passwords.py", "import pulumi_kubernetes"),
        ("door/control/names.py", "import fleet.names"),
        ("fleet/names.py", "import door.control.names"),
    ],
)
def test_an_import_upwards_or_of_pulumi_is_refused(tmp_path: Path, module: str, line: str) -> None:
    for name in ("fleet", "components", "door", "policy", "tools"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / module).open("a", encoding="utf-8") as file:
        file.write(f"\n{line}\n")
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [program, "--no-logo", "--no-cache"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout
    importer = module.removesuffix(".py").replace("/", ".")
    assert f"{importer} -> {line.split()[1]}" in done.stdout
