"""A stack and what can be done to it: Pulumi's Automation API with the program in this process.

Owns: where the engine finds the stack file, with which settings it runs, how a failure is told.
Leaves out: the order of a deployment (`deploy`).
"""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pulumi.automation as auto
import yaml
from pulumi.automation._stack import StackInitMode
from pulumi.automation.errors import CommandError, ConcurrentUpdateError, StackNotFoundError
from pulumi.automation.events import EngineEvent

from fleet.engine.command import EngineCommand
from fleet.engine.locks import clear_dead_locks, told_refusal
from fleet.engine.settings import Engine, EngineSettings
from fleet.engine.state import State, read_state
from fleet.errors import EngineError
from fleet.names import PROJECT

Program = Callable[[], None]
OnEvent = Callable[[EngineEvent], None]
# Many requests wait for the cluster at once; beyond it two cores gain nothing.
PARALLEL = 32
_FAST = {
    # One write of the state at the end. A run that is killed before is mended by the next one.
    "PULUMI_SKIP_CHECKPOINTS": "true",
    # What another field manager wrote is ours to write: whose object it is was checked before.
    "PULUMI_K8S_ENABLE_PATCH_FORCE": "true",
}
# Of a state file: https://pkg.go.dev/github.com/pulumi/pulumi/sdk/v3/go/common/apitype
_FILE_VERSION = 3
ADOPT = {"PULUMI_K8S_UPSERT_EXISTING_OBJECTS": "true"}
"""Settings of a run that takes over objects which exist already."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where an environment's stack file and the project are."""

    name: str
    file: Path
    project: Path
    """Folder of the program and of Pulumi.yaml."""


@contextmanager
def work_folder(place: Place) -> Generator[Path]:
    """Yield a folder that the engine takes for the project's, and that leads to the stack file.

    It is the project itself when the stack file is in it. The engine cannot be told to look for
    stack files elsewhere but by a Pulumi.yaml.
    """
    if place.file.parent.resolve() == place.project.resolve():
        yield place.project
        return
    with tempfile.TemporaryDirectory(prefix="opencode-fleet-") as name:
        folder = Path(name).resolve()
        text = (place.project / "Pulumi.yaml").read_text(encoding="utf-8")
        project = cast("dict[str, Any]", yaml.safe_load(text))
        # Relative: the engine puts it behind its own folder whatever it is.
        project["stackConfigDir"] = os.path.relpath(place.file.parent.resolve(), folder)
        draft = yaml.safe_dump(project, sort_keys=False)
        (folder / "Pulumi.yaml").write_text(draft, encoding="utf-8")
        yield folder


class _Workspace(auto.LocalWorkspace):
    """A workspace whose stacks are named at every call: selecting one would change what a plain
    `pulumi` in the same folder works on."""

    def select_stack(self, stack_name: str) -> None:
        """Take the stack's existence as known."""


class _Stack(auto.Stack):
    """A stack of which a run reads nothing afterwards: each reading starts the engine anew."""

    def outputs(self) -> auto.OutputMap:
        """Return nothing."""
        return {}

    def info(self, show_secrets: bool = True) -> auto.UpdateSummary:
        """Return nothing of worth."""
        del show_secrets
        return auto.UpdateSummary("", datetime.now(UTC), "", {}, {}, "")


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineStack:
    """One environment's stack."""

    name: str
    settings: EngineSettings
    command: EngineCommand
    folder: Path

    def state(self) -> State | None:
        """Return what the state holds; None where there is no such stack yet."""
        written = self._written()
        if written is not None:
            return read_state(written)
        text = self._ask(["stack", "export", "--stack", self.name])
        if text is None:
            return None
        content = cast("dict[str, Any]", json.loads(text))
        return read_state(content.get("deployment") or {})

    def exists(self) -> bool:
        """Return whether there is such a stack, deployed or not."""
        return self._file() is not None or self.state() is not None

    def _written(self) -> dict[str, Any] | None:
        """Return the state as the engine's file has it; None where only the engine can read it.

        Starting the engine for it takes a second.
        """
        file = self._file()
        if file is None:
            return None
        try:
            content = cast("dict[str, Any]", json.loads(file.read_bytes()))
        except (OSError, ValueError):
            return None
        if content.get("version") != _FILE_VERSION:
            return None
        checkpoint = cast("dict[str, Any]", content.get("checkpoint") or {})
        return cast("dict[str, Any]", checkpoint.get("latest") or {})

    def _file(self) -> Path | None:
        """Return the file of the state; None where it is elsewhere, or compressed."""
        folder = self.settings.state_folder
        if folder is None:
            return None
        file = folder / ".pulumi" / "stacks" / PROJECT / f"{self.name}.json"
        compressed = (file.with_name(f"{file.name}.{kind}") for kind in ("gz", "zst"))
        return file if file.exists() and not any(other.exists() for other in compressed) else None

    def create(self, secrets_provider: str | None) -> None:
        """Make an empty stack, its secrets sealed as the stack file says."""
        arguments = ["stack", "init", self.name, "--no-select"]
        if secrets_provider is not None:
            arguments += ["--secrets-provider", secrets_provider]
        self._must(arguments)

    def outputs(self) -> dict[str, Any]:
        """Return the stack's outputs, secrets included."""
        text = self._must(["stack", "output", "--json", "--show-secrets", "--stack", self.name])
        return cast("dict[str, Any]", json.loads(text))

    def secret(self, key: str) -> str:
        """Return a secret of the stack file in clear, by whatever provider it names."""
        return self._must(["config", "get", key, "--stack", self.name]).rstrip("\n")

    def set_secret(self, key: str, value: str) -> None:
        """Seal a secret into the stack file, by whatever provider it names."""
        arguments = ["config", "set", key, "--secret", "--stack", self.name]
        self._must(arguments, stdin=value)

    def up(self, program: Program, on_event: OnEvent, extra: Mapping[str, str]) -> None:
        """Bring the stack to what the program declares."""
        with self._run():
            self._stack(extra).up(
                program=program,
                on_event=on_event,
                parallel=PARALLEL,
                color="never",
                suppress_outputs=True,
                suppress_progress=True,
                continue_on_error=True,
            )

    def preview(self, program: Program, on_event: OnEvent) -> None:
        """Find out what `up` would do."""
        with self._run():
            self._stack({}).preview(
                program=program,
                on_event=on_event,
                parallel=PARALLEL,
                color="never",
                suppress_outputs=True,
                suppress_progress=True,
            )

    def refresh(self, on_event: OnEvent, targets: Sequence[str] | None = None) -> None:
        """Read from the cluster what became of the stack's objects, or of some of them."""
        with self._run():
            self._stack({}).refresh(
                target=list(targets) if targets is not None else None,
                on_event=on_event,
                parallel=PARALLEL,
                color="never",
                suppress_outputs=True,
                suppress_progress=True,
                clear_pending_creates=True,
            )

    def destroy(self, on_event: OnEvent) -> None:
        """Delete all that is not retained."""
        with self._run():
            self._stack({}).destroy(
                on_event=on_event,
                parallel=PARALLEL,
                color="never",
                suppress_outputs=True,
                suppress_progress=True,
                continue_on_error=True,
            )

    def clear_dead_locks(self) -> int:
        """Take the lock over from runs that are certainly dead; return of how many.

        Raises EngineError when a live run holds it.
        """
        state = self.settings.state_folder
        return len(clear_dead_locks(self.name, state)) if state is not None else 0

    def _stack(self, extra: Mapping[str, str]) -> auto.Stack:
        workspace = _Workspace(
            work_dir=str(self.folder),
            env_vars={**_FAST, **extra},
            pulumi_command=self.command,
        )
        # Not `select`: it makes a stack of the library's own class.
        return _Stack(self.name, workspace, StackInitMode.SELECT)

    @contextmanager
    def _run(self) -> Generator[None]:
        # An engine that is killed breaks its stream of events; what follows is told better.
        warnings.filterwarnings("ignore", message="Error in event stream")
        try:
            yield
        except ConcurrentUpdateError as error:
            raise told_refusal(self.name, str(error)) from None
        except CommandError as error:
            raise RunFailedError(_last_line(str(error))) from None

    def _must(self, arguments: list[str], stdin: str | None = None) -> str:
        text = self._ask(arguments, stdin)
        if text is None:
            raise EngineError(f"environment {self.name}: there is no such stack: run fleet up")
        return text

    def _ask(self, arguments: list[str], stdin: str | None = None) -> str | None:
        """Return what a command prints; None when the stack does not exist."""
        try:
            return self.command.run_with(arguments, self.folder, stdin=stdin).stdout
        except StackNotFoundError:
            return None
        except ConcurrentUpdateError as error:
            raise told_refusal(self.name, str(error)) from None
        except CommandError as error:
            raise EngineError(_last_line(str(error))) from None


class RunFailedError(EngineError):
    """A run of the engine ended with errors; its events say which."""


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error:")]
    return (errors or lines or ["the engine failed without a word"])[-1][:400]


@contextmanager
def engine_stack(
    place: Place, settings: EngineSettings, engine: Engine, on_interrupt: Callable[[], None]
) -> Generator[EngineStack]:
    """Yield the stack of an environment."""
    variables = {**settings.variables, **engine.variables}
    command = EngineCommand(engine.program, on_interrupt, variables)
    with work_folder(place) as folder:
        yield EngineStack(name=place.name, settings=settings, command=command, folder=folder)
