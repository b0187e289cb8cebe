"""Reading a stack file: YAML to `Environment`, or every problem at once.

Owns: file and YAML errors, which keys are secrets. Leaves out: the rules themselves. The Pulumi
program enters at `parse_values`, with values its engine has read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import yaml
from pydantic import TypeAdapter, ValidationError

from fleet.config import StackConfig
from fleet.model import Problem, shown
from fleet.problems import from_pydantic
from fleet.rules import cross_problems
from fleet.scalars import EnvironmentName
from fleet.scene_files import SceneFiles, read_scene
from fleet.sealed import Seal, SealError

PROJECT = "opencode-fleet"
# 1,000 users are about 100 kB; a file beyond this is something else.
MAX_BYTES = 4 * 2**20
STRUCTURED_KEYS = tuple(field.alias or name for name, field in StackConfig.model_fields.items())


class InputError(Exception):
    """Wrong input; the problems say what to change. The command exits with 2."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


@dataclass(frozen=True, kw_only=True, slots=True)
class Environment:
    """A valid stack file with all it refers to."""

    name: str
    folder: Path
    config: StackConfig
    scenes: Mapping[str, SceneFiles]
    secrets: Mapping[str, str] = field(repr=False)
    """Secret values in clear, by top-level key. Empty in the Pulumi program, which has Outputs."""


def load(stack: str, folder: Path, passphrase: Callable[[], str | None]) -> Environment:
    """Read `Pulumi.<stack>.yaml` of `folder`; raise InputError with every problem found.

    `passphrase` is asked for only when the file holds a secret.
    """
    path, name = locate(stack, folder)
    content = _read(path)
    values, sealed, problems = _split(content)
    config_problems: list[Problem] = []
    environment: Environment | None = None
    try:
        environment = parse_values(name, path.parent, values, frozenset(sealed))
    except InputError as error:
        config_problems = error.problems
    secrets: dict[str, str] = {}
    if sealed:
        secrets, more = _open(content, sealed, passphrase)
        problems.extend(more)
    problems.extend(config_problems)
    if problems or environment is None:
        raise InputError(problems)
    return Environment(
        name=environment.name,
        folder=environment.folder,
        config=environment.config,
        scenes=environment.scenes,
        secrets=secrets,
    )


def parse_values(
    name: str, folder: Path, values: Mapping[str, object], secrets: frozenset[str]
) -> Environment:
    """Validate the structured keys of a stack file; raise InputError with every problem found."""
    problems: list[Problem] = []
    try:
        TypeAdapter(EnvironmentName).validate_python(name)
    except ValidationError as error:
        problems.extend(from_pydantic(error, "stack"))
    try:
        config = StackConfig.model_validate(values)
    except ValidationError as error:
        raise InputError([*problems, *from_pydantic(error)]) from None
    problems.extend(cross_problems(config, secrets))
    scenes: dict[str, SceneFiles] = {}
    for scene_id, scene in config.scenes.items():
        if scene.path is not None:
            key = f"scenes.{scene_id}.path"
            scenes[scene_id], more = read_scene(key, folder / scene.path)
            problems.extend(more)
    if problems:
        raise InputError(problems)
    return Environment(name=name, folder=folder, config=config, scenes=scenes, secrets={})


def locate(stack: str, folder: Path) -> tuple[Path, str]:
    """Return the path of a stack file and the name of its environment; raise InputError."""
    if "/" in stack or stack.endswith((".yaml", ".yml")):
        path = Path(stack)
        name = path.name.removeprefix("Pulumi.").removesuffix(".yaml")
        if path.exists() and path.name != f"Pulumi.{name}.yaml":
            rule = "a stack file is named Pulumi.<environment>.yaml"
            raise _file_error(stack, rule, "rename it, or give the right file")
    else:
        name, path = stack, folder / f"Pulumi.{stack}.yaml"
    if path.is_dir():
        raise _file_error(stack, "this is a folder", "give an environment's name, e.g. dev")
    if not path.exists():
        there = ", ".join(sorted(item.name[7:-5] for item in folder.glob("Pulumi.*.yaml")))
        rule = f"there is no {path.name} here"
        raise _file_error(stack, rule, f"use one of {there}" if there else "cd to the project")
    return path, name


def _file_error(value: str, rule: str, change: str) -> InputError:
    return InputError([Problem("stack file", shown(value), rule, change)])


class _Loader(yaml.CSafeLoader):
    """YAML 1.1 safe loader that refuses a key written twice: one of the two would be lost."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = cast("object", self.construct_object(key_node, deep=True))  # pyright: ignore[reportUnknownMemberType] - no stub
            if isinstance(key, str) and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {shown(key)} is written twice", key_node.start_mark
                )
            if isinstance(key, str):
                seen.add(key)
        return super().construct_mapping(node, deep)


def _read(path: Path) -> Mapping[str, object]:
    try:
        if path.stat().st_size > MAX_BYTES:
            rule = f"a stack file has at most {MAX_BYTES // 2**20} MiB"
            raise _file_error(path.name, rule, "check that it is the right file")
        text = path.read_text(encoding="utf-8")
        if any(isinstance(item, yaml.AliasEvent) for item in _aliases(text)):
            rule = "YAML aliases (*name) are not read"
            raise _file_error(path.name, rule, "write the value out")
        content: object = yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader's subclass
    except UnicodeDecodeError:
        raise _file_error(path.name, "not UTF-8 text", "save it as UTF-8") from None
    except OSError as error:
        rule = f"cannot be read ({error.strerror})"
        raise _file_error(path.name, rule, "mend its permissions") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        detail = getattr(error, "problem", None) or error
        rule = f"not valid YAML ({place}{shown(detail)})"
        raise _file_error(path.name, rule, "mend that line") from None
    if not isinstance(content, dict):
        raise _file_error(path.name, "not a stack file", "begin it with `config:`")
    return cast("dict[str, object]", content)


def _aliases(text: str) -> list[yaml.Event]:
    """Return the alias events of a text; without a star there is nothing to look for."""
    if "*" not in text:
        return []
    return [
        item
        for item in yaml.parse(text, Loader=yaml.CSafeLoader)
        if isinstance(item, yaml.AliasEvent)
    ]


def _split(
    content: Mapping[str, object],
) -> tuple[dict[str, object], dict[str, str], list[Problem]]:
    """Return (structured values, sealed secrets, problems) of a parsed stack file."""
    prefix = f"{PROJECT}:"
    keys = mapping(content.get("config"))
    own = {key.removeprefix(prefix): item for key, item in keys.items() if key.startswith(prefix)}
    if not own:
        rule = f"it holds no {prefix} key under `config:`, so it belongs to another program"
        raise _file_error("config", rule, f"write the keys as {prefix}users, {prefix}cluster, …")
    values: dict[str, object] = {}
    sealed: dict[str, str] = {}
    problems: list[Problem] = []
    for key, value in own.items():
        secure = mapping(value).get("secure")
        if key in STRUCTURED_KEYS and secure is None:
            values[key] = value
        elif isinstance(secure, str) and key not in STRUCTURED_KEYS:
            sealed[key] = secure
        elif isinstance(value, str) and key.lower().endswith(
            ("key", "token", "password", "secret")
        ):
            rule = "a secret stands in the file in clear text"
            change = f"seal it: fleet secret {key} -s ENV; and change it where it was issued"
            problems.append(Problem(key, "[hidden]", rule, change))
        else:
            values[key] = value
    return values, sealed, problems


def mapping(value: object) -> dict[str, object]:
    """Return `value` when it is a mapping, else an empty one."""
    if not isinstance(value, dict):
        return {}
    return {str(key): item for key, item in cast("dict[object, object]", value).items()}


def _open(
    content: Mapping[str, object], sealed: Mapping[str, str], passphrase: Callable[[], str | None]
) -> tuple[dict[str, str], list[Problem]]:
    key = next(iter(sealed))
    salt = content.get("encryptionsalt")
    if not isinstance(salt, str):
        rule = "the file's secrets are not sealed with a passphrase (no encryptionsalt)"
        change = "deploy with `pulumi up`, which knows its secrets provider"
        return {}, [Problem(key, "[secret]", rule, change)]
    word = passphrase()
    if word is None:
        rule = "it cannot be read without the stack's passphrase"
        change = "set PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE"
        return {}, [Problem(key, "[secret]", rule, change)]
    try:
        seal = Seal.unlock(salt, word)
        return {name: seal.open(text) for name, text in sealed.items()}, []
    except SealError as error:
        change = "check PULUMI_CONFIG_PASSPHRASE, or set the secret anew"
        return {}, [Problem(key, "[secret]", str(error), change)]
