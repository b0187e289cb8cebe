"""The engine's state read from its own file, and when the engine has to be asked instead."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fleet.engine.command import EngineCommand
from fleet.engine.place import Place
from fleet.engine.settings import EngineSettings
from fleet.engine.stack import EngineStack
from fleet.engine.state import read_state
from fleet.plan.stacks import Part
from tests.support.engine_state import exported, service

_ASKED = {"deployment": exported(service("oc-asked"))}


class _Engine(EngineCommand):
    """An engine that exports one state, whichever stack is asked for."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def run_with(self, args: list[str], cwd: Path, stdin: str | None = None) -> Any:
        del cwd, stdin
        self.asked.append(args)

        class Result:
            stdout = json.dumps(_ASKED)

        return Result()


def stack_in(folder: Path, backend: str | None = None) -> EngineStack:
    settings = EngineSettings(backend=backend or f"file://{folder}", data=folder, variables={})
    place = Place(name="t", file=folder / "Pulumi.t.yaml", project=folder)
    return EngineStack(
        part=Part(environment="t"),
        place=place,
        settings=settings,
        command=_Engine(),
        folder=folder,
        tell=print,
        run_settings={},
    )


def write(folder: Path, content: Mapping[str, Any] | str, name: str = "t.json") -> Path:
    file = folder / ".pulumi/stacks/opencode-fleet" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def checkpoint(latest: Any, version: int = 3) -> dict[str, Any]:
    return {"version": version, "checkpoint": {"stack": "t", "latest": latest}}


def asked(stack: EngineStack) -> int:
    assert isinstance(stack.command, _Engine)
    return len(stack.command.asked)


def test_a_state_in_a_file_is_read_without_the_engine(tmp_path: Path) -> None:
    deployment = exported(service("oc-written"))
    write(tmp_path, checkpoint(deployment))
    stack = stack_in(tmp_path)
    assert stack.state() == read_state(deployment)
    assert stack.exists()
    assert asked(stack) == 0


def test_a_stack_on_which_nothing_was_done_is_there_and_empty(tmp_path: Path) -> None:
    write(tmp_path, checkpoint(None))
    state = stack_in(tmp_path).state()
    assert state is not None
    assert state.empty


@pytest.mark.parametrize(
    "content", ["", "{cut off", json.dumps(checkpoint({}, version=4))], ids=["empty", "cut", "new"]
)
def test_a_file_that_we_cannot_read_is_the_engines_to_read(tmp_path: Path, content: str) -> None:
    write(tmp_path, content)
    stack = stack_in(tmp_path)
    assert stack.state() == read_state(_ASKED["deployment"])
    assert asked(stack) == 1


def test_a_compressed_state_is_read_too(tmp_path: Path) -> None:
    deployment = exported(service("oc-written"))
    file = write(tmp_path, "", "t.json.gz")
    file.write_bytes(gzip.compress(json.dumps(checkpoint(deployment)).encode()))
    stack = stack_in(tmp_path)
    assert stack.state() == read_state(deployment)
    assert asked(stack) == 0


@pytest.mark.parametrize("kind", ["gz", "zst"])
def test_of_two_states_the_engine_knows_which_counts(tmp_path: Path, kind: str) -> None:
    write(tmp_path, checkpoint({}))
    write(tmp_path, "", f"t.json.{kind}")
    assert stack_in(tmp_path).state() == read_state(_ASKED["deployment"])


def test_a_state_that_is_elsewhere_is_the_engines_to_read(tmp_path: Path) -> None:
    write(tmp_path, checkpoint({}))
    stack = stack_in(tmp_path, "s3://states")
    assert stack.state() == read_state(_ASKED["deployment"])
    assert stack.exists()
