"""Reading a stack file: YAML to `Environment`, or every problem at once.

Owns: file and YAML errors, which keys are secrets. Leaves out: the rules themselves. The Pulumi
program enters at `parse_values`, with values its engine has read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from pydantic import TypeAdapter, ValidationError

from fleet.errors import HIDDEN, InputError, Problem, shown
from fleet.names import PROJECT
from fleet.stackfile.config import StackConfig
from fleet.stackfile.problems import from_pydantic
from fleet.stackfile.remainder import remainder
from fleet.stackfile.rules import cross_problems
from fleet.stackfile.scene_files import SceneFiles, read_scene
from fleet.stackfile.sealed import Seal, SealError
from fleet.stackfile.yaml_text import YamlError, parse_yaml
from fleet.values.scalars import EnvironmentName
from fleet.values.secrecy import names_secret

# 1,000 users are about 100 kB; a file beyond this is something else.
MAX_BYTES = 4 * 2**20
STRUCTURED_KEYS = tuple(field.alias or name for name, field in StackConfig.model_fields.items())


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
        told = {problem.key for problem in problems}
        config_problems = [problem for problem in error.problems if problem.key not in told]
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
        # By name, `base_url` would pass for `baseUrl`.
        config = StackConfig.model_validate(values, by_alias=True, by_name=False)
    except ValidationError as error:
        problems.extend(from_pydantic(error))
        left = remainder(values, error)
        if left is not None:
            _, more = _read_scenes(left.config, folder)
            problems.extend(left.sound([*cross_problems(left.config, secrets), *more]))
        raise InputError(problems) from None
    problems.extend(cross_problems(config, secrets))
    scenes, more = _read_scenes(config, folder)
    problems.extend(more)
    if problems:
        raise InputError(problems)
    return Environment(name=name, folder=folder, config=config, scenes=scenes, secrets={})


def _read_scenes(config: StackConfig, folder: Path) -> tuple[dict[str, SceneFiles], list[Problem]]:
    scenes: dict[str, SceneFiles] = {}
    problems: list[Problem] = []
    for scene_id, scene in config.scenes.items():
        if scene.path is not None:
            key = f"scenes.{scene_id}.path"
            scenes[scene_id], more = read_scene(key, folder, scene.path)
            problems.extend(more)
    return scenes, problems


def locate(stack: str, folder: Path) -> tuple[Path, str]:
    """Return the path of a stack file and the name of its environment; raise InputError."""
    try:
        return _locate(stack, folder)
    except (OSError, ValueError) as error:  # too long a name, a folder that may not be read
        raise _unreadable(stack, error) from None


def _locate(stack: str, folder: Path) -> tuple[Path, str]:
    if "/" in stack or stack.endswith((".yaml", ".yml")):
        path = Path(stack)
        name = path.name.removeprefix("Pulumi.").removesuffix(".yaml")
        if path.is_file() and path.name != f"Pulumi.{name}.yaml":
            rule = "a stack file is named Pulumi.<environment>.yaml"
            raise _file_error(stack, rule, "rename it, or give the right file")
    else:
        name, path = stack, folder / f"Pulumi.{stack}.yaml"
    if path.is_dir():
        raise _file_error(stack, "this is a folder", "give an environment's name, e.g. dev")
    if not path.exists():
        there = ", ".join(sorted(item.name[7:-5] for item in path.parent.glob("Pulumi.*.yaml")))
        rule = f"there is no {shown(path.name)} here"
        raise _file_error(stack, rule, f"use one of {there}" if there else "cd to the project")
    return path, name


def _unreadable(name: str, error: OSError | ValueError) -> InputError:
    why = error.strerror if isinstance(error, OSError) else None
    return _file_error(name, f"cannot be read ({why or 'no such name'})", "mend its name or rights")


def _file_error(value: str, rule: str, change: str) -> InputError:
    return InputError([Problem("stack file", shown(value), rule, change)])


def _read(path: Path) -> Mapping[str, object]:
    try:
        if not path.is_file():
            raise _file_error(path.name, "this is no plain file", "give a stack file")
        if path.stat().st_size > MAX_BYTES:
            rule = f"a stack file has at most {MAX_BYTES // 2**20} MiB"
            raise _file_error(path.name, rule, "check that it is the right file")
        content = parse_yaml(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise _file_error(path.name, "not UTF-8 text", "save it as UTF-8") from None
    except OSError as error:
        raise _unreadable(path.name, error) from None
    except YamlError as error:
        raise _file_error(path.name, error.rule, error.change) from None
    if not isinstance(content, dict):
        raise _file_error(path.name, "not a stack file", "begin it with `config:`")
    return cast("dict[str, object]", content)


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
        held = mapping(value)
        secure = held.get("secure")
        if key not in STRUCTURED_KEYS and isinstance(secure, str) and len(held) == 1:
            sealed[key] = secure
        elif (key in STRUCTURED_KEYS and "secure" in held and len(held) == 1) or (
            key not in STRUCTURED_KEYS and names_secret(key) and value is not None
        ):
            problems.append(misplaced(key))
        else:
            values[key] = value
    return values, sealed, problems


def misplaced(key: str) -> Problem:
    """Return the problem of a secret in a structured key, or in clear under a key of its own."""
    if key in STRUCTURED_KEYS:
        rule = "a secret stands inside a structured key"
        change = "give it a top-level key of its own and refer to it by that name"
        return Problem(key, HIDDEN, rule, change)
    rule = "a secret stands in the file in clear text"
    change = f"seal it: fleet secret {key} -s ENV; and change it where it was issued"
    return Problem(shown(key), HIDDEN, rule, change)


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
    change = "check PULUMI_CONFIG_PASSPHRASE, or set the secret anew"
    try:
        seal = Seal.unlock(salt, word)
    except SealError as error:
        return {}, [Problem(key, "[secret]", str(error), change)]
    secrets: dict[str, str] = {}
    problems: list[Problem] = []
    for name, text in sealed.items():
        try:
            secrets[name] = seal.open(text)
        except SealError as error:
            problems.append(Problem(name, "[secret]", str(error), change))
            continue
        if "\0" in secrets[name] or not secrets[name].strip():
            rule = "a secret is a text without NUL, and not empty"
            problems.append(Problem(name, "[secret]", rule, "set it anew"))
    return secrets, problems
