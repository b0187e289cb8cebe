"""What a scene folder becomes: files, keys of a ConfigMap, a hash of the content alone."""

from __future__ import annotations

import os
import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from fleet.stackfile.scene_files import GITIGNORE, MAX_PART_BYTES, SceneFiles, read_scene
from fleet.stackfile.scene_names import config_map_key, scene_path
from tests.support.stacks import lay_scene

# The parts of allowed names that could be mistaken for one another once joined.
PART = st.one_of(
    st.sampled_from(["a", "a_", "a_b", "_", "__", "__init__.py", "_.41", "-", ".a", "a.b", "1_-"]),
    st.text(alphabet="a_.4说 -", min_size=1, max_size=4),
)
PATHS = st.lists(PART, min_size=1, max_size=5).map("/".join)


def read(root: Path) -> SceneFiles:
    """Read the scene `coding`, which must be good."""
    files, problems = read_scene("scenes.coding.path", root, "coding")
    assert problems == []
    return files


def test_a_scene_has_its_files_and_the_gitignore_that_opencode_needs(tmp_path: Path) -> None:
    lay_scene(tmp_path / "coding")
    files = dict(read(tmp_path).files)
    assert sorted(files) == [
        GITIGNORE,
        ".opencode/agents/review.md",
        ".opencode/opencode.json",
        "AGENTS.md",
    ]
    assert files[GITIGNORE] == "*\n"


def test_the_hash_is_of_names_and_contents_alone(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    lay_scene(one / "coding")
    lay_scene(two / "coding")
    os.utime(two / "coding" / "AGENTS.md", (1, 1))
    (two / "coding" / "AGENTS.md").chmod(0o600)
    (two / "coding" / "AGENTS.md").write_bytes(b"Work.\r\n")
    assert read(one).digest == read(two).digest
    (two / "coding" / "AGENTS.md").write_bytes(b"Work!\n")
    assert read(one).digest != read(two).digest


def test_a_renamed_file_changes_the_hash(tmp_path: Path) -> None:
    lay_scene(tmp_path / "coding")
    before = read(tmp_path).digest
    agents = tmp_path / "coding" / ".opencode" / "agents"
    (agents / "review.md").rename(agents / "reviewer.md")
    assert read(tmp_path).digest != before


@given(st.lists(PATHS, min_size=2, max_size=2, unique=True))
def test_two_files_never_share_a_key(paths: list[str]) -> None:
    keys = [config_map_key(path) for path in paths]
    assert len(set(keys)) == len(paths)
    assert [scene_path(key) for key in keys] == paths
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", key) for key in keys)


def test_keys_of_plain_names_are_what_they_always_were() -> None:
    assert config_map_key(".opencode/skills/my_skill/SKILL.md") == (
        ".opencode__skills__my_skill__SKILL.md"
    )


def test_names_of_any_script_and_of_python_packages_are_taken(tmp_path: Path) -> None:
    lay_scene(tmp_path / "coding")
    skill = tmp_path / "coding" / ".opencode" / "skills" / "数据"
    skill.mkdir(parents=True)
    (skill / "SKILL.md").write_text("---\nname: 数据\ndescription: d\n---\n", encoding="utf-8")
    names = ["__init__.py", "_util.py", "说明.md", "my notes.txt", "e\u0301.md"]
    for name in names:
        (skill / name).write_text("x", encoding="utf-8")
    found = {path for path, _ in read(tmp_path).files}
    # A Mac splits accents, and its checkout must give the same scene.
    assert {f".opencode/skills/数据/{name}" for name in [*names[:4], "\u00e9.md"]} <= found


def test_a_script_can_be_run_by_its_mode_or_its_first_line(tmp_path: Path) -> None:
    lay_scene(tmp_path / "coding")
    tools = tmp_path / "coding" / ".opencode" / "skills" / "a"
    tools.mkdir(parents=True)
    (tools / "SKILL.md").write_text("---\nname: a\ndescription: d\n---\n", encoding="utf-8")
    before = read(tmp_path)
    assert before.executable == ()
    (tools / "SKILL.md").chmod(0o755)
    assert read(tmp_path).digest == before.digest
    (tools / "run").write_text("x", encoding="utf-8")
    plain = read(tmp_path)
    (tools / "run").chmod(0o755)
    assert read(tmp_path).executable == (".opencode/skills/a/run",)
    assert read(tmp_path).digest != plain.digest
    (tools / "run").chmod(0o644)
    (tools / "run").write_text("#!/bin/sh\n", encoding="utf-8")
    assert read(tmp_path).executable == (".opencode/skills/a/run",)


def test_a_scene_over_a_config_maps_limit_comes_in_parts(tmp_path: Path) -> None:
    lay_scene(tmp_path / "coding")
    assert len(read(tmp_path).parts) == 1
    skill = tmp_path / "coding" / ".opencode" / "skills" / "a"
    skill.mkdir(parents=True)
    (skill / "SKILL.md").write_text("---\nname: a\ndescription: d\n---\n", encoding="utf-8")
    for index in range(4):
        (skill / f"{index}.txt").write_text("x" * (MAX_PART_BYTES // 2), encoding="utf-8")
    scene = read(tmp_path)
    assert len(scene.parts) == 4
    assert [file for part in scene.parts for file in part] == list(scene.files)
    for part in scene.parts:
        held = sum(len(config_map_key(path)) + len(text.encode()) for path, text in part)
        assert held <= MAX_PART_BYTES
    assert len({scene.digest_of(part) for part in scene.parts}) == 4
