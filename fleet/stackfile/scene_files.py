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
from typing import cast

from fleet.errors import Problem, shown
from fleet.stackfile.yaml_text import YamlError, parse_yaml

# etcd's request limit makes Kubernetes refuse a ConfigMap whose keys and values pass 1 MiB
# (k8s.io/api core/v1 MaxSecretSize); some room is left for our own keys.
MAX_SCENE_BYTES = 1_000_000
MAX_SCENE_FILES = 500
GITIGNORE = ".opencode/.gitignore"
# k8s.io/apimachinery validation: IsConfigMapKey.
_KEY_MAX = 253
_TOO_LONG = f"a path in a scene has at most {_KEY_MAX} characters (/ counts twice)"
_CONFIG = ".opencode/opencode.json"

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


def read_scene(key: str, root: Path, path: str) -> tuple[SceneFiles, list[Problem]]:
    """Return the content of the scene folder `path` below `root`, and its problems.

    Line ends become `\\n`, so that a checkout on Windows gives the same content. Each problem is
    told under the stack-file key `key`.
    """
    folder = root / path
    reading = _Reading(key)
    try:
        if not folder.is_dir() or folder.is_symlink():
            rule = "not a folder" if folder.exists() else "the scene folder does not exist"
            reading.problem(path, rule, "create it, or mend the path")
        elif not folder.resolve().is_relative_to(root.resolve()):
            rule = "a scene folder stands below the stack file's, links followed"
            reading.problem(path, rule, "copy it there")
        else:
            reading.read_folder(folder, "")
    except OSError as error:
        reading.problem(path, f"cannot be read ({error.strerror})", "mend its name or permissions")
    if not reading.problems:
        reading.problems.extend(_missing(key, path, {name for name, _ in reading.files}))
        reading.problems.extend(_content(key, reading.files))
    scene = SceneFiles(files=tuple(sorted([*reading.files, (GITIGNORE, "*\n")])))
    return scene, reading.problems


class _Reading:
    """A walk over a scene folder; it stops at the limit, and enters no forbidden folder."""

    def __init__(self, key: str) -> None:
        self.files: list[tuple[str, str]] = []
        self.problems: list[Problem] = []
        self._key = key
        self._entries = 0
        self._bytes = 0

    def problem(self, name: str, rule: str, change: str) -> None:
        self.problems.append(_problem(self._key, name, rule, change))

    def read_folder(self, folder: Path, inside: str) -> bool:
        """Read what `folder` holds; return False when the limit is passed."""
        for path in sorted(folder.iterdir()):
            name = f"{inside}{path.name}"
            mode = path.lstat()
            if stat.S_ISDIR(mode.st_mode):
                if not _folder_allowed(name):
                    self.problem(name, _FORBIDDEN, "remove this folder")
                elif len(config_map_key(name)) > _KEY_MAX:
                    self.problem(name, _TOO_LONG, "use shorter names or fewer folders")
                elif not self.read_folder(path, f"{name}/"):
                    return False
                continue
            self._entries += 1
            self._bytes += mode.st_size
            if self._entries > MAX_SCENE_FILES or self._bytes > MAX_SCENE_BYTES:
                rule = f"a scene has at most {MAX_SCENE_FILES} files and {MAX_SCENE_BYTES} bytes"
                self.problem(name, rule, "remove files, or use nasPath")
                return False
            self._read_file(path, name, regular=stat.S_ISREG(mode.st_mode))
        return True

    def _read_file(self, path: Path, name: str, *, regular: bool) -> None:
        broken = _name_rule(name, regular=regular)
        if broken is not None:
            self.problem(name, *broken)
            return
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            text = "\0"
        except OSError as error:
            self.problem(name, f"not readable ({error.strerror})", "mend its permissions")
            return
        if "\0" in text:
            self.problem(name, "scene files are UTF-8 text", "save it as UTF-8, or use nasPath")
        else:
            self.files.append((name, text))


def config_map_key(path: str) -> str:
    """Return the ConfigMap key of a scene file: keys have no slash, file names no `__`."""
    return path.replace("/", "__")


def _problem(key: str, name: str, rule: str, change: str) -> Problem:
    return Problem(key, shown(name), rule, change)


def _folder_allowed(name: str) -> bool:
    parts = name.split("/")
    return parts[0] == ".opencode" and (len(parts) == 1 or parts[1] in _FOLDERS)


def _name_rule(name: str, *, regular: bool) -> tuple[str, str] | None:
    """Return (rule, what to change) when a file may not stand where it does."""
    parts = name.split("/")
    in_place = name in ("AGENTS.md", _CONFIG) or (
        len(parts) > 2 and parts[0] == ".opencode" and parts[1] in _FOLDERS  # noqa: PLR2004
    )
    if not in_place:
        return _FORBIDDEN, "remove this file"
    if not regular:
        return "a scene holds plain files only", "replace it by a copy"
    if not all(_FILE_NAME.fullmatch(part) and "__" not in part for part in parts):
        return "file names have A-Z a-z 0-9 . - and, not first, single _", "rename it"
    if len(config_map_key(name)) > _KEY_MAX:
        return _TOO_LONG, "use shorter names or fewer folders"
    return None


def _missing(key: str, folder: str, names: set[str]) -> Iterator[Problem]:
    for needed in ("AGENTS.md", _CONFIG):
        if needed not in names:
            yield _problem(key, folder, f"a scene has {needed}", "add the file")


def _content(key: str, files: list[tuple[str, str]]) -> Iterator[Problem]:
    for name, text in files:
        if name == _CONFIG:
            rule = _json_rule(text)
            if rule:
                yield _problem(key, name, rule, "write {…} without comments or a last comma")
        elif name.startswith(".opencode/agents/") or name.endswith("/SKILL.md"):
            rule = _front_matter_rule(text, skill=name.endswith("/SKILL.md"))
            if rule:
                yield _problem(key, name, rule, "begin the file with ---, description: …, ---")


def _json_rule(text: str) -> str | None:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        return f"not JSON, from line {error.lineno} on"
    except (ValueError, RecursionError):
        return "not JSON that is read here (huge numbers, endless nesting)"
    return None if isinstance(value, dict) else "opencode.json is a JSON object"


def _front_matter_rule(text: str, *, skill: bool) -> str | None:
    """Return what is wrong with a file's YAML front matter, which OpenCode skips silently."""
    match = re.match(r"---\r?\n(.*?)\r?\n---(\r?\n|$)", text, re.DOTALL)
    if match is None:
        return "no YAML front matter"
    try:
        # The empty line stands for the `---` above, so that line numbers are those of the file.
        value = parse_yaml(f"\n{match[1]}")
    except YamlError as error:
        return f"its front matter: {error.rule}"
    if not isinstance(value, dict):
        return "its front matter is not a YAML mapping"
    given = cast("dict[str, object]", value)
    for word in ("name", "description") if skill else ("description",):
        if word not in given:
            return f"its front matter lacks {word}"
        if not isinstance(given[word], str) or not str(given[word]).strip():
            return f"its front matter's {word} is no text"
    return None
