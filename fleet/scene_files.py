"""Scene folders: read them, and refuse what a runtime could not use.

Owns: what a scene folder may hold, its limit, its content hash. Leaves out: mounting (`manifests`).
"""

from __future__ import annotations

import hashlib
import json
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from fleet.model import Problem, shown

# etcd's request limit makes Kubernetes refuse a ConfigMap whose keys and values pass 1 MiB
# (k8s.io/api core/v1 MaxSecretSize); some room is left for our own keys.
MAX_SCENE_BYTES = 1_000_000
MAX_SCENE_FILES = 500
GITIGNORE = ".opencode/.gitignore"

_FILE_NAME = re.compile(r"[A-Za-z0-9.-][A-Za-z0-9._-]*")
_FOLDERS = ("agents", "skills", "tools")
_FORBIDDEN = "a scene holds AGENTS.md and .opencode/ with opencode.json, agents/, skills/, tools/"


@dataclass(frozen=True, kw_only=True, slots=True)
class SceneFiles:
    """The content of a scene folder: (relative path, text) pairs, sorted by path."""

    files: tuple[tuple[str, str], ...]

    @property
    def digest(self) -> str:
        """SHA-256 over names and contents, in hex; file times and folder order do not count."""
        return hashlib.sha256(json.dumps(self.files).encode()).hexdigest()


def read_scene(key: str, folder: Path) -> tuple[SceneFiles, list[Problem]]:
    """Return a scene folder's content and its problems, each under the stack-file key `key`."""
    if not folder.is_dir() or folder.is_symlink():
        rule = "the scene folder does not exist" if not folder.exists() else "not a folder"
        return SceneFiles(files=()), [
            Problem(key, shown(folder.name), rule, "create it, or mend the path")
        ]
    problems: list[Problem] = []
    files: list[tuple[str, str]] = []
    size = 0
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_dir() and not path.is_symlink():
            if not _folder_allowed(name):
                problems.append(_problem(key, name, _FORBIDDEN, "remove this folder"))
            continue
        if any(name.startswith(f"{problem.value}/") for problem in problems):
            continue
        size += path.lstat().st_size
        if len(files) > MAX_SCENE_FILES or size > MAX_SCENE_BYTES:
            rule = f"a scene has at most {MAX_SCENE_FILES} files and {MAX_SCENE_BYTES} bytes"
            problems.append(_problem(key, name, rule, "remove files, or use nasPath"))
            break
        problem = _file_problem(key, name, path)
        if problem is None:
            files.append((name, path.read_text(encoding="utf-8")))
        else:
            problems.append(problem)
    if not problems:
        problems.extend(_missing(key, folder.name, {name for name, _ in files}))
        problems.extend(_content(key, files))
    scene = SceneFiles(files=tuple(sorted([*files, (GITIGNORE, "*\n")])))
    return scene, problems


def config_map_key(path: str) -> str:
    """Return the ConfigMap key of a scene file: keys have no slash, file names no `__`."""
    return path.replace("/", "__")


def _problem(key: str, name: str, rule: str, change: str) -> Problem:
    return Problem(key, shown(name), rule, change)


def _folder_allowed(name: str) -> bool:
    parts = name.split("/")
    return parts[0] == ".opencode" and (len(parts) == 1 or parts[1] in _FOLDERS)


def _file_problem(key: str, name: str, path: Path) -> Problem | None:
    parts = name.split("/")
    in_place = name in ("AGENTS.md", ".opencode/opencode.json") or (
        len(parts) > 2 and parts[0] == ".opencode" and parts[1] in _FOLDERS  # noqa: PLR2004
    )
    if not in_place:
        return _problem(key, name, _FORBIDDEN, "remove this file")
    if not stat.S_ISREG(path.lstat().st_mode):
        return _problem(key, name, "a scene holds plain files only", "replace it by a copy")
    if not all(_FILE_NAME.fullmatch(part) and "__" not in part for part in parts):
        rule = "file names have A-Z a-z 0-9 . - and single _ only"
        return _problem(key, name, rule, "rename it")
    try:
        path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        rule = "scene files are UTF-8 text"
        return _problem(key, name, rule, "save it as UTF-8, or use nasPath")
    except OSError as error:
        rule = f"not readable ({error.strerror})"
        return _problem(key, name, rule, "mend its permissions")
    return None


def _missing(key: str, folder: str, names: set[str]) -> Iterator[Problem]:
    for needed in ("AGENTS.md", ".opencode/opencode.json"):
        if needed not in names:
            yield _problem(key, folder, f"a scene has {needed}", "add the file")


def _content(key: str, files: list[tuple[str, str]]) -> Iterator[Problem]:
    for name, text in files:
        if name.endswith("opencode.json"):
            try:
                value = json.loads(text)
            except (ValueError, RecursionError) as error:
                yield _problem(key, name, f"not JSON ({shown(error)})", "mend the file")
                continue
            if not isinstance(value, dict):
                yield _problem(key, name, "opencode.json is a JSON object", "write {…}")
        elif name.startswith(".opencode/agents/") or name.endswith("/SKILL.md"):
            rule = _front_matter_rule(text, skill=name.endswith("/SKILL.md"))
            if rule:
                yield _problem(key, name, rule, "begin the file with ---, description: …, ---")


def _front_matter_rule(text: str, *, skill: bool) -> str | None:
    """Return what is wrong with a file's YAML front matter, which OpenCode skips silently."""
    match = re.match(r"---\r?\n(.*?)\r?\n---(\r?\n|$)", text, re.DOTALL)
    if match is None:
        return "no YAML front matter"
    try:
        value: object = yaml.safe_load(match[1])
    except (yaml.YAMLError, ValueError, RecursionError):
        return "its front matter is not YAML"
    needed = ("name", "description") if skill else ("description",)
    if not isinstance(value, dict):
        return "its front matter is not a YAML mapping"
    absent = [word for word in needed if word not in value]
    return f"its front matter lacks {absent[0]}" if absent else None
