"""Scene folders that a runtime could not use are refused, each with the file and the rule."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from fleet.stackfile.scene_files import (
    MAX_PART_BYTES,
    MAX_SCENE_BYTES,
    MAX_SCENE_FILES,
    read_scene,
)
from tests.support.broken import SCENE, lay
from tests.support.stacks import corpus, unclear

CASES = corpus("scenes.yaml")
KEY, PATH = "scenes.coding.path", SCENE


def lines_of_scene(root: Path, path: str = PATH) -> list[str]:
    """Return the problem lines of a scene folder."""
    _, problems = read_scene(KEY, root, path)
    return [str(problem) for problem in problems]


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_broken_scene_names_the_file_and_the_rule(case: dict[str, Any], tmp_path: Path) -> None:
    lay(case, tmp_path)
    lines = lines_of_scene(tmp_path)
    assert lines == case["say"]
    assert [unclear(line) for line in lines] == [[] for _ in lines]


def test_the_scene_that_cases_start_from_is_good(tmp_path: Path) -> None:
    lay({}, tmp_path)
    assert lines_of_scene(tmp_path) == []


def test_a_scene_path_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    mend = "create it, or mend the path"
    assert lines_of_scene(tmp_path) == [
        f"{KEY}: {PATH}: the scene folder does not exist: {mend}",
    ]
    (tmp_path / "scenes").mkdir()
    (tmp_path / PATH).write_text("x", encoding="utf-8")
    assert lines_of_scene(tmp_path) == [f"{KEY}: {PATH}: not a folder: {mend}"]


def test_a_scene_folder_reached_by_a_link_is_refused(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    lay({}, outside)
    root = tmp_path / "project"
    (root / "scenes").mkdir(parents=True)
    (root / PATH).symlink_to(outside / PATH)
    assert lines_of_scene(root) == [f"{KEY}: {PATH}: not a folder: create it, or mend the path"]
    (root / "linked").symlink_to(outside / "scenes")
    rule = "a scene folder stands below the stack file's, links followed"
    assert lines_of_scene(root, "linked/coding") == [
        f"{KEY}: linked/coding: {rule}: copy it there",
    ]


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_a_special_file_is_refused_and_never_opened(tmp_path: Path, kind: str) -> None:
    special = lay({"folders": [".opencode/tools"]}, tmp_path) / ".opencode" / "tools" / "a.ts"
    if kind == "pipe":
        os.mkfifo(special)
    else:
        here = Path.cwd()
        os.chdir(special.parent)  # a socket's path has at most 107 characters
        try:
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(special.name)
        finally:
            os.chdir(here)
    assert lines_of_scene(tmp_path) == [
        f"{KEY}: .opencode/tools/a.ts: a scene holds plain files only: replace it by a copy",
    ]


def test_a_scene_may_have_as_many_files_as_the_limit_and_no_more(tmp_path: Path) -> None:
    tools = lay({"folders": [".opencode/tools"]}, tmp_path) / ".opencode" / "tools"
    for index in range(MAX_SCENE_FILES - 3):
        (tools / f"t{index:03}.ts").write_text("", encoding="utf-8")
    assert lines_of_scene(tmp_path) == []
    (tools / "t999.ts").write_text("", encoding="utf-8")
    rule = "a scene has at most 500 files and 4000000 bytes"
    assert lines_of_scene(tmp_path) == [
        f"{KEY}: AGENTS.md: {rule}: remove files, or use nasPath",
    ]


def test_a_scene_may_have_as_many_bytes_as_the_limit_and_no_more(tmp_path: Path) -> None:
    scene = lay({}, tmp_path)
    used = sum(path.stat().st_size for path in scene.rglob("*") if path.is_file())
    tools = scene / ".opencode" / "tools"
    tools.mkdir()
    for index in range(4):
        (tools / f"big{index}.txt").write_bytes(b"x" * (MAX_SCENE_BYTES // 4 - used))
    assert lines_of_scene(tmp_path) == []
    (tools / "more.txt").write_bytes(b"x" * (3 * used + 1))
    rule = "a scene has at most 500 files and 4000000 bytes"
    assert lines_of_scene(tmp_path) == [
        f"{KEY}: AGENTS.md: {rule}: remove files, or use nasPath",
    ]


def test_a_file_that_no_config_map_holds_is_told(tmp_path: Path) -> None:
    tools = lay({"folders": [".opencode/tools"]}, tmp_path) / ".opencode" / "tools"
    (tools / "big.txt").write_bytes(b"x" * MAX_PART_BYTES)
    rule = "one file of a scene has at most 1000000 bytes"
    assert lines_of_scene(tmp_path) == [
        f"{KEY}: .opencode/tools/big.txt: {rule}: split it, or use nasPath",
    ]


def test_a_folder_of_thousands_of_forbidden_files_stops_at_the_limit(tmp_path: Path) -> None:
    scene = lay({}, tmp_path)
    for index in range(MAX_SCENE_FILES + 200):
        (scene / f"f{index}").write_text("", encoding="utf-8")
    assert len(lines_of_scene(tmp_path)) <= MAX_SCENE_FILES + 1


def test_names_that_are_no_text_are_refused(tmp_path: Path) -> None:
    scene = lay({}, tmp_path)
    os.mkdir(os.fsencode(scene) + b"/.opencode/tools")  # noqa: PTH102 - bytes name no Path
    with open(os.fsencode(scene) + b"/.opencode/tools/a\xff.ts", "wb"):  # noqa: PTH123 - same
        pass
    (line,) = lines_of_scene(tmp_path)
    assert unclear(line) == []
    assert "file names have printable characters" in line
