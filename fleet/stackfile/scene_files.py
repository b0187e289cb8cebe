"""Scene folders: read them, and refuse what a runtime could not use.

Owns: what a scene folder may hold, its limit, its content hash, its parts. Leaves out: names
(`scene_names`), what stands in the files (`scene_content`), mounting (`manifests`).
"""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fleet.errors import Problem, shown
from fleet.stackfile.scene_content import CONFIG, content_problems
from fleet.stackfile.scene_names import KEY_MAX, TOO_LONG, composed, config_map_key, name_rule

# etcd's request limit makes Kubernetes refuse a ConfigMap whose keys and values pass 1 MiB
# (k8s.io/api core/v1 MaxSecretSize); some room is left for our own keys.
MAX_PART_BYTES = 1_000_000
# Every user's pod mounts every part, and lists every file.
MAX_SCENE_BYTES = 4 * MAX_PART_BYTES
MAX_SCENE_FILES = 500
GITIGNORE = ".opencode/.gitignore"

_FOLDERS = ("agents", "skills", "tools")
_FORBIDDEN = "a scene holds AGENTS.md and .opencode/ with opencode.json, agents/, skills/, tools/"

ScenePart = tuple[tuple[str, str], ...]
"""Files of a scene, (relative path, text), that one ConfigMap holds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SceneFiles:
    """The content of a scene folder: (relative path, text) pairs, sorted by path."""

    files: tuple[tuple[str, str], ...]
    executable: tuple[str, ...] = ()
    """Paths of those that can be run, sorted."""

    @property
    def digest(self) -> str:
        """SHA-256 over names, contents and what can be run, in hex; file times do not count."""
        return self.digest_of(self.files)

    def digest_of(self, part: ScenePart) -> str:
        """Return the same of some of the files."""
        paths = {path for path, _ in part}
        run = [path for path in self.executable if path in paths]
        # Where a key is no longer what it was before names were escaped, so is the hash: what
        # stands under a name can never change.
        escaped = any(config_map_key(path) != path.replace("/", "__") for path in paths)
        said: object = [part, run, escaped] if run or escaped else part
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()

    @property
    def parts(self) -> tuple[ScenePart, ...]:
        """The files as ConfigMaps can hold them, one where they fit."""
        parts: list[list[tuple[str, str]]] = [[]]
        room = MAX_PART_BYTES
        for path, text in self.files:
            size = len(config_map_key(path)) + len(text.encode())
            if size > room and parts[-1]:
                parts.append([])
                room = MAX_PART_BYTES
            parts[-1].append((path, text))
            room -= size
        return tuple(tuple(part) for part in parts)


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
            reading.whole = reading.read_folder(folder, "")
    except OSError as error:
        reading.problem(path, f"cannot be read ({error.strerror})", "mend its name or permissions")
    if reading.whole:
        reading.problems.extend(_missing(key, path, reading.seen))
        reading.problems.extend(content_problems(key, reading.files))
    scene = SceneFiles(
        files=tuple(sorted([*reading.files, (GITIGNORE, "*\n")])),
        executable=tuple(sorted(reading.executable)),
    )
    return scene, reading.problems


class _Reading:
    """A walk over a scene folder; it stops at the limit, and enters no forbidden folder."""

    def __init__(self, key: str) -> None:
        self.files: list[tuple[str, str]] = []
        self.executable: list[str] = []
        self.problems: list[Problem] = []
        self.seen: set[str] = set()
        """Everything that is there, readable or not."""
        self.whole = False
        """Whether the walk came to its end."""
        self._key = key
        self._entries = 0
        self._bytes = 0

    def problem(self, name: str, rule: str, change: str) -> None:
        self.problems.append(_problem(self._key, name, rule, change))

    def read_folder(self, folder: Path, inside: str) -> bool:
        """Read what `folder` holds; return False when the limit is passed."""
        for path in sorted(folder.iterdir()):
            name = f"{inside}{composed(path.name)}"
            self.seen.add(name)
            mode = path.lstat()
            if stat.S_ISDIR(mode.st_mode):
                if not _folder_allowed(name):
                    self.problem(name, _FORBIDDEN, "remove this folder")
                elif len(_key(name)) > KEY_MAX:
                    self.problem(name, TOO_LONG, "use shorter names or fewer folders")
                elif not self.read_folder(path, f"{name}/"):
                    return False
                continue
            self._entries += 1
            self._bytes += mode.st_size
            if self._entries > MAX_SCENE_FILES or self._bytes > MAX_SCENE_BYTES:
                rule = f"a scene has at most {MAX_SCENE_FILES} files and {MAX_SCENE_BYTES} bytes"
                self.problem(name, rule, "remove files, or use nasPath")
                return False
            self._read_file(path, name, mode.st_mode)
        return True

    def _read_file(self, path: Path, name: str, mode: int) -> None:
        broken = _file_rule(name, regular=stat.S_ISREG(mode))
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
            self._keep(name, text, mode)

    def _keep(self, name: str, text: str, mode: int) -> None:
        if len(_key(name)) + len(text.encode()) > MAX_PART_BYTES:
            rule = f"one file of a scene has at most {MAX_PART_BYTES} bytes"
            self.problem(name, rule, "split it, or use nasPath")
        elif name in dict(self.files):
            rule = "another file has the same name, its accents written in another way"
            self.problem(name, rule, "rename one of them")
        self.files.append((name, text))
        # A checkout can lose the mode, and some give it to every file: a script says what runs it.
        runs = mode & stat.S_IXUSR and not name.endswith((".md", ".json"))
        if runs or text.startswith("#!"):
            self.executable.append(name)


def _key(name: str) -> str:
    """Return a key also for a name that is no text, which is told by its own rule."""
    return config_map_key(name.encode("utf-8", "replace").decode())


def _problem(key: str, name: str, rule: str, change: str) -> Problem:
    return Problem(key, shown(name), rule, change)


def _folder_allowed(name: str) -> bool:
    parts = name.split("/")
    return parts[0] == ".opencode" and (len(parts) == 1 or parts[1] in _FOLDERS)


def _file_rule(name: str, *, regular: bool) -> tuple[str, str] | None:
    """Return (rule, what to change) when a file may not stand where it does."""
    parts = name.split("/")
    in_place = name in ("AGENTS.md", CONFIG) or (
        len(parts) > 2 and parts[0] == ".opencode" and parts[1] in _FOLDERS  # noqa: PLR2004
    )
    if not in_place:
        return _FORBIDDEN, "remove this file"
    if not regular:
        return "a scene holds plain files only", "replace it by a copy"
    broken = name_rule(name)
    if broken is None and len(_key(name)) > KEY_MAX:
        return TOO_LONG, "use shorter names or fewer folders"
    return broken


def _missing(key: str, folder: str, names: set[str]) -> Iterator[Problem]:
    for needed in ("AGENTS.md", CONFIG):
        if needed not in names:
            yield _problem(key, folder, f"a scene has {needed}", "add the file")
