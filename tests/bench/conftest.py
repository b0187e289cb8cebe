"""The table of figures, and a control plane for those that need one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.bench.control_plane import Plane, running
from tests.bench.measuring import Figures

_TABLE = pytest.StashKey[Figures]()


def pytest_configure(config: pytest.Config) -> None:
    """Start an empty table."""
    config.stash[_TABLE] = Figures()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the table, and which figures were not measured and why."""
    for line in config.stash[_TABLE].lines():
        terminalreporter.write_line(line)
    load = " ".join(f"{figure:.1f}" for figure in os.getloadavg())
    terminalreporter.write_line(f"waiting for a processor, at the end (1, 5, 15 min): {load}")
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        terminalreporter.write_line(f"not measured: {report.nodeid.rpartition('::')[2]}: {reason}")


@pytest.fixture(scope="session")
def figures(pytestconfig: pytest.Config) -> Figures:
    """Takes what was measured."""
    return pytestconfig.stash[_TABLE]


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """A control plane of the module's own."""
    with running(tmp_path_factory.mktemp("plane")) as found:
        yield found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty project folder."""
    return tmp_path
