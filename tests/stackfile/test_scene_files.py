"""What a scene folder becomes: files, keys of a ConfigMap, a hash of the content alone."""

from __future__ import annotations

import os
import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from fleet.stackfile.scene_files import GITIGNORE, SceneFiles, config_map_key, read_scene
from tests.support.stacks import lay_scene

# The parts of allowed names that could be mistaken for one another once joined.
PART = st.sampled_from(["a", "a_", "a_b", "b", "b_", "-", ".", ".a", "a.b", "1_-"])
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
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", key) for key in keys)
