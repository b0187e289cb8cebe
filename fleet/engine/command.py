"""Running Pulumi's command line so that an interrupt lets it write its state.

Pulumi's own `PulumiCommand` starts it in the caller's process group: a Ctrl-C at a terminal reaches
it twice, and it ends at once, without its state (pulumi#9103). Here it has a session of its own and
is told once. Its output goes to files: it would be killed by a pipe whose reader died.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO

import pulumi.automation as auto
from pulumi.automation.errors import create_command_error
from semver import VersionInfo

from fleet.engine.processes import OWNER, end_session
from fleet.errors import EngineError

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StoppedError(EngineError):
    """Somebody stopped the run; the engine has written its state."""

    def __init__(self) -> None:
        super().__init__(
            "interrupted: what was done so far stays and is known; running this again goes on"
            " from there"
        )


class KilledError(EngineError):
    """The engine was killed in the middle of a run; it could not write its state."""

    def __init__(self, number: int) -> None:
        super().__init__(
            f"the engine was killed ({signal.Signals(number).name}): what it had made is in the"
            " cluster and not in its state: run this again, it finds the way back"
        )


@dataclass
class _Stop:
    """Passes the first signal on to the engine, as the one interrupt that it takes kindly."""

    told: Callable[[], None]
    pid: int | None = None
    asked: bool = False
    passed: bool = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.asked = True
        self.pass_on()

    def pass_on(self) -> None:
        if self.asked and not self.passed and self.pid is not None:
            self.passed = True
            os.kill(self.pid, signal.SIGINT)
            self.told()


def _say_nothing() -> None:
    pass


class Interrupts:
    """Engines that run in threads, and an interrupt for all of them.

    Only the main thread hears a signal.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stops: dict[int, _Stop] = {}
        self._asked: tuple[int, FrameType | None] | None = None

    @property
    def asked(self) -> bool:
        """Whether somebody has asked to stop."""
        return self._asked is not None

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Pass a signal on to every engine that runs, and to those that begin later."""
        self._asked = (number, frame)
        for stop in list(self._stops.values()):
            stop.handle(number, frame)

    @contextmanager
    def passed_to(self, stop: _Stop) -> Generator[None]:
        """Have an engine hear of a signal while it runs."""
        with self._lock:
            self._stops[id(stop)] = stop
        try:
            if self._asked is not None:
                stop.handle(*self._asked)
            yield
        finally:
            with self._lock:
                del self._stops[id(stop)]


_THREADS: list[Interrupts] = []


@contextmanager
def heard_by_threads() -> Generator[Interrupts]:
    """Let engines that other threads run hear the signals of this process, in the main thread."""
    interrupts = Interrupts()
    _THREADS.append(interrupts)
    try:
        with _handled(interrupts.handle):
            yield interrupts
    finally:
        _THREADS.remove(interrupts)


@dataclass(eq=False)
class EngineCommand(auto.PulumiCommand):
    """Pulumi's command line; `on_interrupt` is called once it has been asked to stop."""

    program: Path
    on_interrupt: Callable[[], None] = _say_nothing
    extra: Mapping[str, str] = field(default_factory=dict[str, str])
    """Environment variables of every run, stronger than the caller's."""

    def __post_init__(self) -> None:
        # Not the base class's: it looks for `bin/pulumi` below a folder.
        self.command = str(self.program)
        result = self._run(["version"], Path.cwd(), {}, None)
        text = (result.stdout or result.stderr).strip()[:200]
        if result.code != 0:
            said = text or "no reason given"
            raise EngineError(f"{self.program}: it does not start (code {result.code}): {said}")
        try:
            self.version = VersionInfo.parse(text.removeprefix("v"))
        except ValueError:
            raise EngineError(f"{self.program}: its version is no version: {text}") from None

    def run(
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        on_output: Callable[[str], object] | None = None,
        on_error: Callable[[str], object] | None = None,
    ) -> auto.CommandResult:
        """Run a command to its end; its output is handed on when it is over.

        Raises CommandError when it fails, StoppedError when it was asked to stop, KilledError.
        """
        result = self._run(args, Path(cwd), additional_env)
        for text, tell in ((result.stdout, on_output), (result.stderr, on_error)):
            if tell is not None:
                for line in text.splitlines():
                    tell(line)
        if result.code != 0:
            raise create_command_error(result)
        return result

    def run_with(self, args: list[str], cwd: Path, stdin: str | None = None) -> auto.CommandResult:
        """Run a command that reads standard input.

        That is the way for secrets: every process of the machine sees arguments.
        """
        result = self._run(args, cwd, {}, stdin)
        if result.code != 0:
            raise create_command_error(result)
        return result

    def _run(
        self, args: list[str], cwd: Path, variables: Mapping[str, str], stdin: str | None = None
    ) -> auto.CommandResult:
        environment = {
            **os.environ,
            **variables,
            **self.extra,
            "PULUMI_AUTOMATION_API": "true",
            OWNER: str(os.getpid()),
        }
        stop = _Stop(self.on_interrupt)
        with _files() as (given, out, err), _signals(stop):
            if stop.asked:
                raise StoppedError
            if stdin is not None:
                given.write(stdin)
                given.seek(0)
            process = subprocess.Popen(
                [str(self.program), "--non-interactive", *args],
                stdin=given,
                stdout=out,
                stderr=err,
                cwd=cwd,
                env=environment,
                start_new_session=True,
            )
            stop.pid = process.pid
            stop.pass_on()  # a signal may have come in between
            code = process.wait()
            end_session(process.pid)
            result = auto.CommandResult(stdout=_text(out), stderr=_text(err), code=code)
        if stop.asked:
            raise StoppedError
        if code < 0:
            raise KilledError(-code)
        return result


@contextmanager
def _files() -> Generator[tuple[IO[str], IO[str], IO[str]]]:
    """Yield files without a name: they go with the last process that has them open."""
    with _file() as given, _file() as out, _file() as err:
        yield given, out, err


def _file() -> IO[str]:
    return tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")


def _text(file: IO[str]) -> str:
    file.seek(0)
    return file.read()


@contextmanager
def _signals(stop: _Stop) -> Generator[None]:
    """Let `stop` handle the signals that end a program, where Python lets us."""
    if threading.current_thread() is threading.main_thread():
        with _handled(stop.handle):
            yield
    elif _THREADS:
        with _THREADS[-1].passed_to(stop):
            yield
    else:
        yield


@contextmanager
def _handled(handle: Callable[[int, FrameType | None], None]) -> Generator[None]:
    before = {number: signal.signal(number, handle) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
