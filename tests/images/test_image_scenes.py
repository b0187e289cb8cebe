"""The example scenes: allowed files only, valid definitions, no secrets, no model settings."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.images.test_image_context import SECRET

SCENES = Path(__file__).parents[2] / "scenes"
NAMES = ["coding", "research"]
ALLOWED = re.compile(
    r"AGENTS\.md|\.opencode/opencode\.json|\.opencode/agents/[a-z0-9-]+\.md"
    r"|\.opencode/skills/[a-z0-9-]+/[A-Za-z0-9.-]+|\.opencode/tools/[a-z0-9_]+\.(ts|js)"
)
# Settings that belong to the platform's managed config, and to nobody's scene.
MANAGED = {"provider", "model", "small_model", "enabled_providers", "share", "autoupdate", "mcp"}


def files_of(scene: str) -> dict[str, str]:
    """Relative path to text of every file of a scene."""
    root = SCENES / scene
    paths = sorted(path for path in root.rglob("*") if not path.is_dir())
    return {path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in paths}


def frontmatter(text: str) -> dict[str, Any]:
    """The YAML head of a Markdown definition."""
    match = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    assert match, "no frontmatter"
    return yaml.safe_load(match.group(1))


def test_the_examples_are_the_two_of_the_design() -> None:
    assert sorted(path.name for path in SCENES.iterdir() if path.is_dir()) == NAMES


@pytest.mark.parametrize("scene", NAMES)
def test_a_scene_holds_only_allowed_plain_files_and_is_small(scene: str) -> None:
    files = files_of(scene)
    assert {"AGENTS.md", ".opencode/opencode.json"} <= set(files)
    assert not [name for name in files if not ALLOWED.fullmatch(name)]
    assert not [path for path in (SCENES / scene).rglob("*") if path.is_symlink()]
    assert sum(len(text.encode()) for text in files.values()) < 200_000


@pytest.mark.parametrize("scene", NAMES)
def test_a_scene_has_an_agent_a_skill_and_a_tool(scene: str) -> None:
    names = set(files_of(scene))
    for folder in ("agents", "skills", "tools"):
        assert any(name.startswith(f".opencode/{folder}/") for name in names), folder


@pytest.mark.parametrize("scene", NAMES)
def test_agents_have_a_description_a_known_mode_and_no_model(scene: str) -> None:
    for name, text in files_of(scene).items():
        if name.startswith(".opencode/agents/"):
            head = frontmatter(text)
            assert head["description"]
            assert head["mode"] in {"primary", "subagent", "all"}
            assert set(head) <= {"description", "mode", "permission", "temperature"}
            assert text.split("---\n", 2)[2].strip()


@pytest.mark.parametrize("scene", NAMES)
def test_skills_are_named_like_their_folder(scene: str) -> None:
    for name, text in files_of(scene).items():
        if name.endswith("/SKILL.md"):
            head = frontmatter(text)
            assert head["name"] == Path(name).parent.name
            assert 20 <= len(head["description"]) <= 1024


@pytest.mark.parametrize("scene", NAMES)
def test_opencode_json_leaves_managed_settings_alone(scene: str) -> None:
    config = json.loads(files_of(scene)[".opencode/opencode.json"])
    assert not MANAGED & set(config)
    for name, command in config.get("command", {}).items():
        # The built-in commands of these names would be shadowed without a word.
        assert name not in {"init", "review"}
        agent = command["agent"]
        assert f".opencode/agents/{agent}.md" in files_of(scene)


@pytest.mark.parametrize("scene", NAMES)
def test_tools_need_nothing_from_a_registry(scene: str) -> None:
    for name, text in files_of(scene).items():
        if name.startswith(".opencode/tools/"):
            imported = set(re.findall(r'\bfrom "([^"]+)"', text))
            assert all(one.startswith("node:") for one in imported - {"@opencode-ai/plugin"}), name
            # Every further export would become a tool of its own.
            assert re.findall(r"^export\b.*", text, re.MULTILINE) == ["export default tool({"]
            assert "fetch(" not in text


@pytest.mark.parametrize("scene", NAMES)
def test_no_scene_file_holds_a_secret(scene: str) -> None:
    for name, text in files_of(scene).items():
        assert not SECRET.search(text), name
