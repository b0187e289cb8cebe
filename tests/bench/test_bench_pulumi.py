"""What Pulumi makes of a user, and `pulumi up` that adds one user to many.

`FLEET_BENCH_PULUMI_USERS` sets how many users the stack has (1,000), in pools of a hundred.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from tests.bench import roster
from tests.bench.control_plane import Plane
from tests.bench.measuring import Figures, Run, measure
from tests.support.small_fleet import deploy, plan_of
from tests.support.stacks import SMALL

pytestmark = pytest.mark.bench
_USERS = int(os.environ.get("FLEET_BENCH_PULUMI_USERS", "1000"))
_LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".*_cache", "__pycache__", "Pulumi.*.yaml")


def test_resources(folder: Path, figures: Figures) -> None:
    users = [{"id": "alice"}, {"id": "bob"}]
    one = deploy(plan_of({**SMALL, "users": users[:1]}, folder))
    two = deploy(plan_of({**SMALL, "users": users}, folder))
    count = len(two.resources) - len(one.resources)
    figures.note("Pulumi resources a user, component included", "7", str(count))


def test_up_adds_one_user(plane: Plane, folder: Path, figures: Figures) -> None:
    pulumi = shutil.which("pulumi")
    if pulumi is None:
        pytest.skip("no Pulumi CLI on PATH")
    project = folder / "project"
    shutil.copytree(roster.ROOT, project, ignore=_LEFT_OUT)
    (folder / "state").mkdir()
    # The copy gets a Python environment of its own: this one must not come to point at the copy.
    mine = {"VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT"}
    environ = {
        **{key: value for key, value in plane.environ.items() if key not in mine},
        "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE": "of the benchmark",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_K8S_CLIENT_QPS": "500",
        "PULUMI_K8S_CLIENT_BURST": "1000",
    }
    plane.volumes(0, _USERS + 10)
    file = roster.write(project, "bench", _USERS)
    measure([pulumi, "stack", "init", "bench", "--non-interactive"], project, environ)
    flags = ["--yes", "--skip-preview", "--skip-plugin-pre-install", "--suppress-outputs"]
    command = [pulumi, "up", "--stack", "bench", "--non-interactive", *flags]
    first = measure(command, project, environ)
    salt = next(line for line in file.read_text().splitlines() if "encryptionsalt" in line)
    roster.write(project, "bench", _USERS + 1)
    file.write_text(f"{file.read_text()}{salt}\n")
    with _Memory({process.pid for process in plane.processes}) as memory:
        again = measure(command, project, environ)
    assert " created" in again.out
    figures.note(f"pulumi up, first time, {_USERS:,} users", "", _said(first))
    measured = f"{_said(again)}, {memory.megabytes:.0f} MB"
    figures.note(f"pulumi up that adds one user to {_USERS:,}", "15 s, 600 MB", measured)


def _said(run: Run) -> str:
    return f"{run.seconds:.1f} s"


class _Memory:
    """The largest sum of the resident sizes of all programs started meanwhile, but `others`."""

    def __init__(self, others: set[int]) -> None:
        self.megabytes = 0.0
        self._others = others
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> _Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.3):
            self.megabytes = max(self.megabytes, _of_children(os.getpid(), self._others))


def _of_children(pid: int, others: set[int]) -> float:
    """Return the resident megabytes of all descendants of a process, without `others`."""
    command = ["ps", "-e", "-o", "pid=,ppid=,rss="]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    rows = [tuple(map(int, line.split())) for line in lines]
    family = {pid}
    for _ in range(20):
        family |= {child for child, parent, _ in rows if parent in family}
    return sum(size for child, _, size in rows if child in family - others - {pid}) / 1024
