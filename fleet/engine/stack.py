"""A stack and what can be done to it: Pulumi's Automation API with the program in this process.

Owns: where the engine finds the stack file, with which settings it runs, how a failure is told.
Leaves out: the order of a deployment (`deploy`).
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, cast

import pulumi.automation as auto
from pulumi.automation._stack import StackInitMode
from pulumi.automation.errors import CommandError, ConcurrentUpdateError, StackNotFoundError
from pulumi.automation.events import EngineEvent

from fleet.alicloud.cloud_assistant import PYTHON
from fleet.cluster.untrusted import one_line
from fleet.engine.command import EngineCommand
from fleet.engine.locks import clear_dead_locks, told_refusal
from fleet.engine.looked import state_path
from fleet.engine.place import Place, link_stack_file, pools_folder, work_folder
from fleet.engine.settings import RATE, Engine, EngineSettings
from fleet.engine.state import State, read_state
from fleet.engine.state_file import (
    mend_state_file,
    read_state_file,
    read_tags,
    stacks_of,
    tidy_state,
)
from fleet.errors import EngineError
from fleet.plan.stacks import Part, split_name

Program = Callable[[], None]
OnEvent = Callable[[EngineEvent], None]
# Many requests wait for the cluster at once; beyond it two cores gain nothing.
PARALLEL = 32
_LEAST_MEMORY = 250
_LONG = 400
_DONE = "opencode-fleet:done"
_FAST = {
    # One write of the state at the end. A run that is killed before is mended by the next one.
    "PULUMI_SKIP_CHECKPOINTS": "true",
    # What another field manager wrote is ours to write: whose object it is was checked before.
    "PULUMI_K8S_ENABLE_PATCH_FORCE": "true",
}
_STOPPING = "stopping: the engine finishes what it has begun and writes its state"
ADOPT = {"PULUMI_K8S_UPSERT_EXISTING_OBJECTS": "true"}
"""Settings of a run that takes over objects which exist already."""


def run_settings(place: Place, settings: EngineSettings) -> dict[str, str]:
    """Return the environment variables of a run that changes things.

    Measured with 100 suspended users, 640 resources, nothing changed: the engine's own CPU time
    from 5.4 to 4.2 s by the diffs, its memory from 550 to 300 MB by the limits.
    """
    variables = dict(_FAST)
    if place.only_kubernetes:
        # Inputs that are equal mean no change there: the provider is not asked. It is of no use
        # for a cloud, whose providers compare with what they have read.
        variables["PULUMI_ENABLE_LEGACY_DIFF"] = "true"
        variables["PULUMI_PARALLEL_DIFF"] = "true"
    if not settings.rate_is_set:
        variables |= RATE
    if not settings.memory_is_set:
        # Half a megabyte a resource is what is really used; below it, collecting never ends. By the
        # limit alone, all processes of a hundred users would have 700 MB, and a tenth less time.
        variables["GOGC"] = "70"
        variables["GOMEMLIMIT"] = f"{max(_LEAST_MEMORY, place.resources // 2)}MiB"
    return variables


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
    """The stack of an environment, or of a part of one."""

    part: Part
    place: Place
    settings: EngineSettings
    command: EngineCommand
    folder: Path
    tell: Callable[[str], None]
    """Takes a line about something that a person should know."""
    run_settings: Mapping[str, str]
    """Settings of runs that change things."""
    pools: Path | None = None
    """The folder for stacks of pools, for an environment that is divided."""

    @property
    def name(self) -> str:
        """What the engine calls it."""
        return self.part.stack

    @property
    def environment(self) -> str:
        """The environment that it belongs to."""
        return self.part.environment

    @property
    def pool(self) -> str | None:
        """The pool that it is of, if of one."""
        return self.part.pool

    @property
    def file(self) -> Path | None:
        """Where its state is, when it is kept in files."""
        folder = self.settings.state_folder
        return state_path(folder, self.name) if folder is not None else None

    def of_pool(self, pool: str, resources: int) -> EngineStack:
        """Return the stack of a pool of this environment, of about so many resources."""
        if self.pools is None:
            raise LookupError(pool)
        part = Part(environment=self.environment, pool=pool, divided=True)
        link_stack_file(self.pools, self.place.file, part.stack)
        place = replace(self.place, resources=resources, only_kubernetes=True)
        settings = run_settings(place, self.settings)
        return replace(
            self, part=part, place=place, folder=self.pools, run_settings=settings, pools=None
        )

    def peer(self, pool: str) -> EngineStack:
        """Return the stack of a pool to look at, of whatever setting this environment is now."""
        return replace(self, part=Part(environment=self.environment, pool=pool, divided=True))

    def pool_stacks(self) -> list[str]:
        """Return the pools of this environment that have stacks."""
        folder = self.settings.state_folder
        if folder is not None:
            names = stacks_of(folder)
        else:
            listed = cast("list[dict[str, Any]]", json.loads(self._must(["stack", "ls", "--json"])))
            names = [str(item["name"]).rpartition("/")[2] for item in listed]
        parts = map(split_name, names)
        return sorted(pool for name, pool in parts if name == self.environment and pool)

    def done(self) -> str:
        """Return what was written down after the last run that worked; empty where nothing was."""
        folder = self.settings.state_folder
        if folder is not None:
            return read_tags(folder, self.name).get(_DONE, "")
        text = self._ask(["stack", "tag", "ls", "--json", "--stack", self.name]) or "{}"
        return str(cast("dict[str, Any]", json.loads(text)).get(_DONE, ""))

    def set_done(self, text: str) -> None:
        """Write down, beside the state and not in it, what a run that worked has made."""
        self._must(["stack", "tag", "set", _DONE, text, "--stack", self.name])

    def remove(self) -> None:
        """Remove a stack that has nothing left."""
        # By default the engine removes the stack file with it, which is the whole environment's.
        self._must(["stack", "rm", "--yes", "--preserve-config", "--stack", self.name])

    def state(self) -> State | None:
        """Return what the state holds; None where there is no such stack yet."""
        written = self._written()
        if written is not None:
            return read_state(written)
        text = self._export()
        if text is None:
            return None
        content = cast("dict[str, Any]", json.loads(text))
        return read_state(content.get("deployment") or {})

    def exists(self) -> bool:
        """Return whether there is such a stack, deployed or not."""
        return self._written() is not None or self.state() is not None

    def _written(self) -> dict[str, Any] | None:
        """Return the state as the engine's file has it; None where only the engine can say.

        Starting the engine for it takes a second.
        """
        folder = self.settings.state_folder
        return read_state_file(folder, self.name) if folder is not None else None

    def _export(self) -> str | None:
        arguments = ["stack", "export", "--stack", self.name]
        try:
            return self._ask(arguments)
        except EngineError:
            folder = self.settings.state_folder
            mended = mend_state_file(folder, self.name) if folder is not None else None
            if mended is None:
                raise
            self.tell(mended)
            return self._ask(arguments)

    def tidy(self) -> None:
        """Delete old copies of a state that is kept in our own folder."""
        folder = self.settings.state_folder
        if folder is not None and folder.is_relative_to(self.settings.data):
            tidy_state(folder, self.name)

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

    def destroy(self, on_event: OnEvent, *, preview: bool = False) -> None:
        """Delete all that is not retained; with `preview`, find out what that is."""
        with self._run():
            self._stack({}).destroy(
                preview_only=preview,
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
            env_vars={**self.run_settings, **extra},
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
    """Return the engine's own last word on a failure."""
    lines = [line.strip().removeprefix("stderr: ") for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error:")]
    return one_line((errors or lines or ["the engine failed without a word"])[-1], _LONG)


@contextmanager
def engine_stack(
    place: Place,
    settings: EngineSettings,
    engine: Engine,
    tell: Callable[[str], None],
    *,
    divided: bool = False,
) -> Generator[EngineStack]:
    """Yield the stack of an environment, or its base stack where it is divided.

    `tell` takes lines that a person should read.
    """
    # Commands of the program's own run where the engine runs, which need not be the checkout.
    variables = {**settings.variables, **engine.variables, PYTHON: sys.executable}
    command = EngineCommand(engine.program, partial(tell, _STOPPING), variables)
    with work_folder(place) as folder, pools_folder(place) as pools:
        yield EngineStack(
            part=Part(environment=place.name, divided=divided),
            place=place,
            settings=settings,
            command=command,
            folder=folder,
            tell=tell,
            run_settings=run_settings(place, settings),
            pools=pools if divided else None,
        )
