"""Where a stack file is and what Pulumi.yaml adds to it, as Pulumi itself finds both.

Source: pulumi/pulumi `sdk/go/common/workspace` (`paths.go`, `project.go`, `config.go`): the nearest
Pulumi.yaml upwards is the project's, `stackConfigDir` holds its stack files, and a key that a stack
file does not have takes the project's `default` or `value`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import cast

from fleet.errors import InputError, Problem, shown
from fleet.names import PROJECT
from fleet.stackfile.yaml_text import YamlError, parse_yaml

# 1,000 users are about 100 kB; a file beyond this is something else.
MAX_BYTES = 4 * 2**20
PROJECT_FILE = "Pulumi.yaml"
# `org/stack`, `org/project/stack`.
_QUALIFIED = re.compile(r"[\w.-]+(/[\w.-]+){1,2}")


@dataclass(frozen=True, kw_only=True, slots=True)
class ProjectFolder:
    """The folder that Pulumi.yaml is in, and what of it matters to stack files."""

    folder: Path
    name: str = PROJECT
    stack_folder: Path
    """Where the stack files are."""
    defaults: Mapping[str, object] = field(default_factory=dict[str, object])
    """Values of our own keys that a stack file may leave out."""

    @classmethod
    def above(cls, start: Path) -> ProjectFolder:
        """Return the project of a folder; one without Pulumi.yaml is its own.

        Raises InputError when Pulumi.yaml cannot be read.
        """
        for folder in (start, *start.absolute().parents):
            if (folder / PROJECT_FILE).is_file():
                return cls._read(folder)
        return cls(folder=start, stack_folder=start)

    @classmethod
    def _read(cls, folder: Path) -> ProjectFolder:
        content = read_yaml(folder / PROJECT_FILE)
        name, config = str(content.get("name")), content.get("config")
        # Before `stackConfigDir` there was `config: FOLDER`.
        inside = config if isinstance(config, str) else content.get("stackConfigDir") or "."
        return cls(
            folder=folder,
            name=name,
            stack_folder=folder / str(inside),
            defaults=_defaults(mapping(config), name),
        )


def _defaults(config: Mapping[str, object], project: str) -> dict[str, object]:
    values: dict[str, object] = {}
    for key, declared in config.items():
        full = key if ":" in key else f"{project}:{key}"
        # A plain value or a list is short for `default:`.
        value = declared
        if isinstance(declared, dict):
            described = mapping(cast("object", declared))
            value = described.get("default")
            value = described.get("value") if value is None else value
        if value is not None:
            values[full] = value
    return values


def locate(stack: str, folder: Path) -> tuple[Path, str]:
    """Return the path of a stack file and the name of its environment; raise InputError."""
    try:
        return _locate(stack, folder)
    except (OSError, ValueError) as error:  # too long a name, a folder that may not be read
        raise _unreadable(stack, error) from None


def _locate(stack: str, folder: Path) -> tuple[Path, str]:
    if stack.endswith((".yaml", ".yml")) or ("/" in stack and not _is_qualified(stack)):
        path = Path(stack)
        name = path.name.removeprefix("Pulumi.").removesuffix(".yaml")
        if path.is_file() and path.name != f"Pulumi.{name}.yaml":
            rule = "a stack file is named Pulumi.<environment>.yaml"
            raise file_error(stack, rule, "rename it, or give the right file")
    else:
        project = ProjectFolder.above(folder)
        name = _own_name(stack, project)
        path = project.stack_folder / f"Pulumi.{name}.yaml"
    if path.is_dir():
        raise file_error(stack, "this is a folder", "give an environment's name, e.g. dev")
    if not path.exists():
        there = ", ".join(sorted(item.name[7:-5] for item in path.parent.glob("Pulumi.*.yaml")))
        rule = f"there is no {shown(path.name)} here"
        raise file_error(stack, rule, f"use one of {there}" if there else "cd to the project")
    return path, name


def _is_qualified(stack: str) -> bool:
    return _QUALIFIED.fullmatch(stack) is not None and not Path(stack).exists()


def _own_name(stack: str, project: ProjectFolder) -> str:
    """Return the environment's name of `stack`, `org/stack` or `org/project/stack`."""
    parts = stack.split("/")
    if len(parts) == len(("org", "project", "stack")) and parts[1] != project.name:
        rule = f"this stack is of the project {shown(parts[1])}, and here is {shown(project.name)}"
        raise file_error(stack, rule, "cd to that project")
    return parts[-1]


def read_yaml(path: Path) -> dict[str, object]:
    """Return the content of a YAML file that is a mapping; raise InputError."""
    try:
        if not path.is_file():
            raise file_error(path.name, "this is no plain file", "give a stack file")
        if path.stat().st_size > MAX_BYTES:
            rule = f"a stack file has at most {MAX_BYTES // 2**20} MiB"
            raise file_error(path.name, rule, "check that it is the right file")
        content = _parsed(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise file_error(path.name, "not UTF-8 text", "save it as UTF-8") from None
    except OSError as error:
        raise _unreadable(path.name, error) from None
    except YamlError as error:
        raise file_error(path.name, error.rule, error.change) from None
    if not isinstance(content, dict):
        raise file_error(path.name, "not a stack file", "begin it with `config:`")
    return cast("dict[str, object]", content)


@lru_cache(maxsize=4)
def _parsed(text: str) -> object:
    """Return a file's content, which nobody changes: a command reads its stack file several times.

    A thousand users take a third of a second.
    """
    return parse_yaml(text)


def mapping(value: object) -> dict[str, object]:
    """Return `value` when it is a mapping, else an empty one."""
    if not isinstance(value, dict):
        return {}
    return {str(key): item for key, item in cast("dict[object, object]", value).items()}


def file_error(value: str, rule: str, change: str) -> InputError:
    """Return the error of a file that is no stack file."""
    return InputError([Problem("stack file", shown(value), rule, change)])


def _unreadable(name: str, error: OSError | ValueError) -> InputError:
    why = error.strerror if isinstance(error, OSError) else None
    return file_error(name, f"cannot be read ({why or 'no such name'})", "mend its name or rights")
