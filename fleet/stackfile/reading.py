"""Reading a stack file: what was written to a checked `Environment`, or every problem at once.

There is one way, `read`, with two doors: `load` for the file itself, `program_input` for what the
Pulumi engine made of it. Secret values take neither: the program has them as Outputs, and `unseal`
opens them for the few commands that use one. Leaves out: the rules (`rules`), finding and parsing
files (`project_file`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from fleet.errors import HIDDEN, InputError, Problem, shown
from fleet.names import PROJECT
from fleet.stackfile.ca_bundle import read_ca_bundle
from fleet.stackfile.config import StackConfig
from fleet.stackfile.problems import from_pydantic
from fleet.stackfile.project_file import (
    ProjectFolder,
    file_error,
    locate,
    mapping,
    read_yaml,
)
from fleet.stackfile.remainder import remainder
from fleet.stackfile.rules import cross_problems
from fleet.stackfile.scene_files import SceneFiles, read_scene
from fleet.values.scalars import EnvironmentName
from fleet.values.secrecy import names_secret

STRUCTURED_KEYS = tuple(field.alias or name for name, field in StackConfig.model_fields.items())
_OPTIONAL = frozenset(
    field.alias or name
    for name, field in StackConfig.model_fields.items()
    if not field.is_required()
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """A stack file's own keys as they were written, unchecked."""

    name: str
    folder: Path
    values: Mapping[str, object]
    """What stands there in clear."""
    sealed: frozenset[str] = frozenset()
    """Keys whose values are sealed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Environment:
    """A valid stack file with all it refers to."""

    name: str
    folder: Path
    """The project's, where scenes and the image's context are."""
    config: StackConfig
    scenes: Mapping[str, SceneFiles]
    secret_keys: frozenset[str]
    """Top-level keys that hold a secret; their values are nowhere in here."""
    ca_bundle: str | None = None
    """Text of `network.caBundle`."""


def load(stack: str, folder: Path, file: Path | None = None) -> Environment:
    """Read the stack file of an environment, named as for `pulumi -s`, or by its path.

    `file` is read in its place: an older or a drafted one. Raises InputError with every problem
    found. No passphrase is needed.
    """
    return read(written_in(stack, folder, file))


def written_in(stack: str, folder: Path, file: Path | None = None) -> Written:
    """Return what stands in the stack file of an environment; raise InputError."""
    path, name = locate(stack, folder)
    project = ProjectFolder.above(path.parent)
    content = read_yaml(file or path)
    if content.get("environment"):
        rule = "values of a Pulumi ESC environment are known to `pulumi` alone"
        change = "write them into this file, or deploy with `pulumi up`"
        raise InputError([Problem("environment", shown(content["environment"]), rule, change)])
    own = own_keys(mapping(content.get("config")))
    if not own:
        rule = f"it holds no {PROJECT}: key under `config:`, so it belongs to another program"
        raise file_error("config", rule, f"write the keys as {PROJECT}:users, {PROJECT}:cluster, …")
    sealed = frozenset(key for key, value in own.items() if sealed_text(value) is not None)
    values = {key: value for key, value in own.items() if key not in sealed}
    return Written(
        name=name,
        folder=project.folder,
        values={**own_keys(project.defaults), **values},
        sealed=sealed,
    )


def own_keys(config: Mapping[str, object]) -> dict[str, object]:
    """Return this project's keys of a `config:`; one without a namespace is the project's."""
    prefix = f"{PROJECT}:"
    return {
        key.removeprefix(prefix): value
        for key, value in config.items()
        if key.startswith(prefix) or ":" not in key
    }


def sealed_text(value: object) -> str | None:
    """Return the sealed text of a `secure:` value, None for any other."""
    held = mapping(value)
    text = held.get("secure")
    return text if isinstance(text, str) and len(held) == 1 else None


def read(written: Written) -> Environment:
    """Check what a stack file holds; raise InputError with every problem found."""
    problems = _misplaced(written)
    hidden = {problem.key for problem in problems}
    values = {
        key: value
        for key, value in written.values.items()
        # The engine fills in what Pulumi.yaml gives as default: an optional key, empty.
        if key not in hidden and not (key in _OPTIONAL and value in ({}, []))
    }
    secrets = written.sealed - set(STRUCTURED_KEYS)
    try:
        environment = _checked(written.name, written.folder, values, secrets)
    except InputError as error:
        more = [problem for problem in error.problems if problem.key not in hidden]
        raise InputError([*problems, *more]) from None
    if problems:
        raise InputError(problems)
    return environment


def _misplaced(written: Written) -> list[Problem]:
    """Return the secrets inside of structured keys, and those in clear under keys of their own."""
    inside = written.sealed & set(STRUCTURED_KEYS)
    clear = {
        key
        for key, value in written.values.items()
        if key not in STRUCTURED_KEYS and names_secret(key) and value is not None
    }
    return [_misplaced_problem(key) for key in sorted(inside | clear)]


def _misplaced_problem(key: str) -> Problem:
    if key in STRUCTURED_KEYS:
        rule = "a secret stands inside a structured key"
        change = "give it a top-level key of its own and refer to it by that name"
        return Problem(key, HIDDEN, rule, change)
    rule = "a secret stands in the file in clear text"
    change = f"seal it: fleet secret {key} -s ENV; and change it where it was issued"
    return Problem(shown(key), HIDDEN, rule, change)


def _checked(
    name: str, folder: Path, values: Mapping[str, object], secrets: frozenset[str]
) -> Environment:
    problems: list[Problem] = []
    try:
        TypeAdapter(EnvironmentName).validate_python(name)
    except ValidationError as error:
        problems.extend(from_pydantic(error, "stack"))
    try:
        # Keys are the aliases only: with `by_name`, `base_url` would be taken for `baseUrl`.
        config = StackConfig.model_validate(values, by_alias=True, by_name=False)
    except ValidationError as error:
        problems.extend(from_pydantic(error))
        left = remainder(values, error)
        if left is not None:
            _, more = _read_scenes(left.config, folder)
            _, broken = read_ca_bundle(left.config.network.ca_bundle, folder)
            told = [*cross_problems(left.config, secrets), *more, *broken]
            problems.extend(left.sound(told))
        raise InputError(problems) from None
    problems.extend(cross_problems(config, secrets))
    scenes, more = _read_scenes(config, folder)
    problems.extend(more)
    ca_bundle, more = read_ca_bundle(config.network.ca_bundle, folder)
    problems.extend(more)
    if problems:
        raise InputError(problems)
    return Environment(
        name=name,
        folder=folder,
        config=config,
        scenes=scenes,
        secret_keys=secrets,
        ca_bundle=ca_bundle,
    )


def _read_scenes(config: StackConfig, folder: Path) -> tuple[dict[str, SceneFiles], list[Problem]]:
    scenes: dict[str, SceneFiles] = {}
    problems: list[Problem] = []
    for scene_id, scene in config.scenes.items():
        if scene.path is not None:
            key = f"scenes.{scene_id}.path"
            scenes[scene_id], more = read_scene(key, folder, scene.path)
            problems.extend(more)
    return scenes, problems
