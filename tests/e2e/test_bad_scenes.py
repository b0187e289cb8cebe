"""Bad scenes: a folder that a runtime could not use is refused file by file, before a rollout."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from fleet.cli import app

pytestmark = pytest.mark.e2e
KEY = "scenes.coding.path"
AGENT = "---\ndescription: helps\n---\nHelp.\n"


def put(name: str, content: str | bytes) -> Callable[[Path], object]:
    """Return an edit that writes a file of the scene."""

    def edit(scene: Path) -> None:
        file = scene / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)

    return edit


def many(scene: Path) -> None:
    """Write more files than a scene may have."""
    for number in range(501):
        put(f".opencode/agents/a{number}.md", AGENT)(scene)


def fifo(scene: Path) -> None:
    """Put a named pipe among the agents; reading one would hang for ever."""
    (scene / ".opencode" / "agents").mkdir()
    os.mkfifo(scene / ".opencode" / "agents" / "pipe.md")


def link(scene: Path) -> None:
    """Put a symbolic link to a file of the operator's machine among the agents."""
    (scene / ".opencode" / "agents").mkdir()
    (scene / ".opencode" / "agents" / "passwd.md").symlink_to("/etc/passwd")


CASES: list[tuple[str, Callable[[Path], object], str]] = [
    ("no AGENTS.md", lambda s: (s / "AGENTS.md").unlink(), "a scene has AGENTS.md: add the file"),
    (
        "no opencode.json",
        lambda s: (s / ".opencode/opencode.json").unlink(),
        "a scene has .opencode/opencode.json: add the file",
    ),
    ("file beside", put("README.md", "x"), "README.md: a scene holds AGENTS.md and .opencode/"),
    ("env file", put(".env", "TOKEN=x"), ".env: a scene holds AGENTS.md and .opencode/"),
    ("plugin", put(".opencode/plugins/x.ts", "x"), ".opencode/plugins: a scene holds AGENTS.md"),
    ("command", put(".opencode/commands/x.md", "x"), ".opencode/commands: a scene holds"),
    ("package", put(".opencode/package.json", "{}"), ".opencode/package.json: a scene holds"),
    ("modules", put(".opencode/node_modules/x/i.js", "x"), ".opencode/node_modules: a scene"),
    ("folder beside", put("src/main.py", "x"), "src: a scene holds AGENTS.md and .opencode/"),
    ("space", put(".opencode/agents/a b.md", AGENT), "a b.md: file names have A-Z a-z 0-9 . - and"),
    ("umlaut", put(".opencode/agents/ä.md", AGENT), "file names have A-Z a-z 0-9"),
    ("two underscores", put(".opencode/agents/a__b.md", AGENT), "a__b.md: file names have"),
    ("binary", put(".opencode/agents/x.md", b"\xff\xfe\x00"), "scene files are UTF-8 text"),
    ("link", link, "passwd.md: a scene holds plain files only: replace it by a copy"),
    ("pipe", fifo, "pipe.md: a scene holds plain files only: replace it by a copy"),
    ("broken json", put(".opencode/opencode.json", "{,}"), ".opencode/opencode.json: not JSON"),
    ("json list", put(".opencode/opencode.json", "[]"), "opencode.json is a JSON object"),
    ("agent without head", put(".opencode/agents/x.md", "x"), "x.md: no YAML front matter"),
    (
        "agent without description",
        put(".opencode/agents/x.md", "---\nmode: all\n---\n"),
        "x.md: its front matter lacks description",
    ),
    (
        "skill without name",
        put(".opencode/skills/x/SKILL.md", AGENT),
        "SKILL.md: its front matter lacks name",
    ),
    (
        "broken head",
        put(".opencode/agents/x.md", "---\na: [\n---\n"),
        "front matter: not valid YAML",
    ),
    ("head is a list", put(".opencode/agents/x.md", "---\n- a\n---\n"), "not a YAML mapping"),
    ("too many", many, "a scene has at most 500 files"),
    ("too large", put(".opencode/agents/x.md", AGENT + "x" * 1_000_001), "and 1000000 bytes"),
]


def write(folder: Path) -> Path:
    """Write a small scene that is right, and a stack file that has it; return the stack file."""
    scene = folder / "scenes" / "coding"
    put("AGENTS.md", "# Coding\n")(scene)
    put(".opencode/opencode.json", "{}")(scene)
    keys = {
        "cluster": {"kind": "existing", "context": "somewhere"},
        "access": {"domain": "fleet.localhost", "tls": "none"},
        "scenes": {"coding": {"path": "scenes/coding"}},
        "users": [{"id": "ann", "scenes": ["coding"]}],
    }
    file = folder / "Pulumi.test.yaml"
    config = {f"opencode-fleet:{key}": value for key, value in keys.items()}
    file.write_text(yaml.safe_dump({"config": config}), encoding="utf-8")
    return file


def validate(file: Path, capsys: pytest.CaptureFixture[str]) -> tuple[object, list[str]]:
    """Run `fleet validate` and return its exit code and what it said."""
    with pytest.raises(SystemExit) as ended:
        app(["validate", "-s", str(file)])
    return ended.value.code or 0, capsys.readouterr().err.splitlines()


def test_a_scene_that_is_right_is_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Lost otherwise: every case below could fail for another reason than its own."""
    assert validate(write(tmp_path), capsys) == (0, [])


@pytest.mark.parametrize(("edit", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_a_scene_that_a_runtime_could_not_use_is_refused_by_file(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    edit: Callable[[Path], object],
    expected: str,
) -> None:
    """Lost otherwise: OpenCode skips it silently, or answers every request with an error."""
    file = write(tmp_path)
    edit(tmp_path / "scenes" / "coding")
    code, lines = validate(file, capsys)
    assert code == 2
    assert all(line.startswith(f"{KEY}: ") for line in lines), lines
    assert any(expected in line for line in lines), lines


def test_a_scene_folder_that_is_a_link_out_of_the_project_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lost otherwise: a stack file from elsewhere publishes a folder of the operator's machine."""
    file = write(tmp_path)
    scene = tmp_path / "scenes" / "coding"
    subprocess.run(["/bin/mv", scene, tmp_path / "elsewhere"], check=True)
    scene.symlink_to(tmp_path / "elsewhere")
    code, lines = validate(file, capsys)
    assert code == 2
    assert lines[0].startswith(f"{KEY}: "), lines
