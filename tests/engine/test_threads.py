"""Engines that run side by side and the interrupt of a terminal, which only one thread hears."""

from __future__ import annotations

import os
import signal
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from fleet.engine.command import EngineCommand, StoppedError, heard_by_threads

PROGRAM = """\
#!{python}
import pathlib, signal, sys, time
if "version" in sys.argv:
    print("v3.215.0")
    sys.exit()
place = pathlib.Path(sys.argv[-1])
def end(*_):
    place.with_suffix(".ended").touch()
    sys.exit(0)
signal.signal(signal.SIGINT, end)
place.touch()
time.sleep(60)
"""


@pytest.fixture
def command(tmp_path: Path) -> EngineCommand:
    """An engine that runs until it is interrupted, and then writes its state."""
    program = tmp_path / "pulumi"
    program.write_text(PROGRAM.format(python=sys.executable))
    program.chmod(0o755)
    return EngineCommand(program)


def until(path: Path) -> None:
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, path
        time.sleep(0.02)


def test_an_interrupt_reaches_every_engine_and_none_begins_after_it(
    command: EngineCommand, tmp_path: Path
) -> None:
    places = [tmp_path / name for name in ("one", "two", "late")]
    with heard_by_threads() as interrupts, ThreadPoolExecutor(2) as pool:
        runs: list[Future[object]] = [
            pool.submit(command.run_with, [str(place)], tmp_path) for place in places
        ]
        for place in places[:2]:
            until(place)
        os.kill(os.getpid(), signal.SIGINT)
        wait(runs)
    assert interrupts.asked
    for run in runs:
        assert isinstance(run.exception(), StoppedError)
    assert [place.with_suffix(".ended").exists() for place in places] == [True, True, False]
    assert not places[2].exists()


def test_afterwards_signals_are_heard_as_before() -> None:
    before = signal.getsignal(signal.SIGINT)
    with heard_by_threads():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before
