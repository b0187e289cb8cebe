"""The cluster, the images, the model server and the environments of the end-to-end tests.

`FLEET_E2E_CONTEXT` names a kubeconfig context, `FLEET_E2E_IMAGE` and `FLEET_E2E_DOOR_IMAGE` images
it holds, `FLEET_E2E_DOOR` the host:port that carries the environments' hosts to the cluster.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness.environment import ROOT, Environment
from tests.e2e.harness.kube import Kube
from tests.e2e.harness.making import Maker
from tests.e2e.harness.model_pod import ModelPod, start_model
from tests.e2e.harness.reports import report_folder, write_report
from tests.e2e.harness.sweeping import MARK, sweep

CONTEXT = os.environ.get("FLEET_E2E_CONTEXT") or "opencode-fleet-local"
KUBECTL = os.environ.get("FLEET_KUBECTL") or "kubectl"
DOOR = os.environ.get("FLEET_E2E_DOOR") or "127.0.0.1:7080"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the suite's own options."""
    text = "leave environments of failed tests in the cluster; the next run removes them"
    parser.addoption("--keep-failed", action="store_true", help=text)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Write pods, events and logs of the test environments when a test failed."""
    report = yield
    if report.failed and "kube" in getattr(item, "fixturenames", ()):
        kube = Kube(program=KUBECTL, context=CONTEXT)
        try:
            folder = write_report(kube, item.nodeid, report.longreprtext)
            report.sections.append(("what the cluster looked like", str(folder)))
        except (AssertionError, OSError, subprocess.SubprocessError) as error:
            report.sections.append(("no report", str(error)))
    return report


FIGURES: list[str] = []


@pytest.fixture(scope="session")
def figure() -> Callable[[str], None]:
    """Note a figure of the run; all of them are printed at its end."""
    return FIGURES.append


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the figures, and say where the reports are."""
    for line in FIGURES:
        terminalreporter.write_line(line)
    if terminalreporter.stats.get("failed") or terminalreporter.stats.get("error"):
        terminalreporter.write_line(f"reports of failed tests: {report_folder()}")


@pytest.fixture(scope="session")
def kube(pytestconfig: pytest.Config, request: pytest.FixtureRequest) -> Iterator[Kube]:
    """The cluster under test; it must answer, and no other run of this suite may use it."""
    found = Kube(program=KUBECTL, context=CONTEXT)
    try:
        done = found.run("get", "--raw", "/readyz", "--request-timeout=10s")
        why = done.stderr.strip()
    except (OSError, subprocess.SubprocessError) as error:
        done, why = None, str(error)
    if done is None or done.returncode != 0:
        change = "start the bundled one (make up), or name another by FLEET_E2E_CONTEXT"
        pytest.fail(f"cluster {CONTEXT} does not answer: {why}: {change}", pytrace=False)
    lock = Path(tempfile.gettempdir()) / f"opencode-fleet-{MARK}{CONTEXT.replace('/', '-')}.lock"
    # An ended run cleans up as an interrupted one does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pytest.fail(f"another run of this suite uses {CONTEXT} ({lock})", pytrace=False)
        sweep(found)
        yield found
        if not (
            pytestconfig.getoption("--keep-failed", default=False) and request.session.testsfailed
        ):
            sweep(found)


@pytest.fixture(scope="session")
def image() -> str:
    """The image that runtimes run; without FLEET_E2E_IMAGE the one `Pulumi.dev.yaml` names."""
    return _reference("FLEET_E2E_IMAGE")


@pytest.fixture(scope="session")
def door_image() -> str:
    """The image that doors run; without FLEET_E2E_DOOR_IMAGE the one `Pulumi.dev.yaml` names."""
    return _reference("FLEET_E2E_DOOR_IMAGE", "--door")


def _reference(variable: str, *options: str) -> str:
    given = os.environ.get(variable)
    if given:
        return given
    program = str(Path(sys.executable).with_name("fleet"))
    stack = os.environ.get("FLEET_STACK") or "dev"
    command = [program, "image", "ref", *options, "-s", stack]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"name the image by {variable}: {done.stderr}"
    return done.stdout.strip()


@pytest.fixture(scope="session")
def door() -> tuple[str, int]:
    """Where the front door listens."""
    host, _, port = DOOR.rpartition(":")
    return host, int(port)


@pytest.fixture(scope="session")
def run_id() -> str:
    """What tells this run's environments from those of another."""
    return MARK + secrets.token_hex(2)


@pytest.fixture(scope="session")
def model(kube: Kube, image: str, run_id: str) -> ModelPod:
    """The model server of the whole run."""
    name = f"{run_id}-model"
    return start_model(kube, name, image)


@pytest.fixture(scope="session")
def maker(  # noqa: PLR0913, PLR0917 - fixtures
    kube: Kube,
    image: str,
    door_image: str,
    door: tuple[str, int],
    run_id: str,
    model: ModelPod,
    tmp_path_factory: pytest.TempPathFactory,
) -> Maker:
    """Makes environments on this cluster."""
    return Maker(
        kube=kube,
        image=image,
        door_image=door_image,
        door=door,
        run_id=run_id,
        model=model,
        folder=tmp_path_factory.mktemp(run_id),
    )


@pytest.fixture(scope="module")
def make(
    maker: Maker, pytestconfig: pytest.Config, request: pytest.FixtureRequest
) -> Iterator[Maker]:
    """Makes environments that end with the module."""
    failed = request.session.testsfailed
    mine = maker.copy()
    yield mine
    if (
        pytestconfig.getoption("--keep-failed", default=False)
        and request.session.testsfailed > failed
    ):
        return
    for name in mine.made:
        sweep(mine.kube, name, wait=False)


@pytest.fixture(scope="session")
def shared(maker: Maker) -> Environment:
    """An environment with alice and bob, brought up once, for tests that leave it as it was."""
    environment = maker("main", ["alice", "bob"])
    environment.user("alice")["scenes"] = ["coding", "research"]
    environment.user("bob")["scenes"] = ["coding"]
    environment.up()
    for user in ("alice", "bob"):
        environment.workspace(user).healthy()
    return environment
