"""A run that ends badly: what was made is known, or the next `fleet up` finds the way back itself.

No object stays that neither the state nor the stack file knows; no claim is lost. All users are
suspended: what is tried here is the engine, and a run of many objects is long enough to stop.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness.cut import through
from tests.e2e.harness.environment import Done, Environment
from tests.e2e.harness.making import Maker
from tests.e2e.harness.running import Run, left_running, locks, own_state, owned, recorded
from tests.e2e.harness.waiting import until

pytestmark = pytest.mark.e2e
USERS = [f"u{number:02}" for number in range(30)]
RETAINED = ("PersistentVolumeClaim ", "Namespace ")


@pytest.fixture(scope="module")
def crowd(make: Maker) -> Environment:
    """Thirty suspended users, a state of their own, nothing deployed."""
    environment = make("stop", USERS)
    own_state(environment)
    return environment


@pytest.fixture
def fresh(crowd: Environment) -> Environment:
    """The same, destroyed: only claims and the namespace are there."""
    roster(crowd, USERS)
    if (crowd.folder / "data" / "opencode-fleet" / "seeds").exists():
        done = crowd.fleet("destroy", "--yes")
        assert done.code == 0, done.said
    return crowd


@pytest.fixture
def state(crowd: Environment) -> Path:
    """The folder of the state."""
    return crowd.folder / "state"


def roster(environment: Environment, users: list[str]) -> None:
    environment.reread()
    environment.config["users"] = [{"id": user, "state": "suspended"} for user in users]
    environment.save()


def up(environment: Environment, *arguments: str) -> Done:
    return environment.fleet("up", "--image", environment.image, *arguments)


def outcome(environment: Environment) -> Any:
    done = up(environment, "--json")
    assert done.code == 0, done.said
    return done.json


def begun(environment: Environment) -> Run:
    """Return a run that has made some Deployments, and has most of them before it."""
    run = Run.begin(environment, "up", "--image", environment.image)
    run.engine()
    run.until_objects("deployments", 2)
    return run


def mended(environment: Environment, state: Path) -> Any:
    """The next run works, the one after it finds nothing to do, and state and cluster agree."""
    first = outcome(environment)
    assert owned(environment) == recorded(environment, state) - namespaces(environment)
    second = outcome(environment)
    assert second["changes"]["anything"] is False, second
    assert (second["putBack"], second["takenOver"], second["deleted"]) == ([], [], [])
    assert (left_running(state), locks(state)) == ([], [])
    return first


def namespaces(environment: Environment) -> set[str]:
    return {f"Namespace {environment.namespace}", f"Namespace opencode-{environment.name}"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_is_told_to_stop_writes_its_state_and_leaves_nothing_running(
    fresh: Environment, state: Path, number: signal.Signals
) -> None:
    """Lost otherwise: Ctrl-C leaves objects nobody knows, a lock, and providers that run on."""
    run = begun(fresh)
    run.interrupt(number)
    done = run.end()
    assert done.code == 1
    assert "interrupted: what was done so far stays" in done.err
    assert (left_running(state), locks(state)) == ([], [])
    known = recorded(fresh, state)
    assert len([item for item in known if item.startswith("Deployment ")]) >= 2
    # What was in flight when the signal came may be live and unknown: no more than ran at once.
    assert len(owned(fresh) - known) <= 32
    mended(fresh, state)


@pytest.mark.parametrize("killed", ["fleet", "engine", "both"])
def test_what_was_killed_is_found_by_the_next_run_at_once(
    fresh: Environment, state: Path, killed: str
) -> None:
    """Lost otherwise: after a crash the environment is locked, or half of it is nobody's."""
    run = begun(fresh)
    run.kill(fleet=killed != "engine", engine=killed != "fleet")
    done = run.end()
    assert done.code != 0
    if killed == "engine":
        assert "the engine was killed (SIGKILL)" in done.err
    mended(fresh, state)


def test_users_who_left_the_roster_between_a_killed_run_and_the_next_leave_only_their_claims(
    fresh: Environment, state: Path
) -> None:
    """Lost otherwise: their runtimes go on in the cluster, and nothing ever deletes them."""
    run = begun(fresh)
    run.until_objects("deployments", 15)
    run.kill()
    run.end()
    there = {item for item in owned(fresh) if item.startswith("Deployment ")}
    roster(fresh, USERS[:5])
    done = outcome(fresh)
    assert done["deleted"], "nobody of the killed run was left over: nothing was tried"
    left = owned(fresh)
    assert len({item for item in left if item.startswith("Deployment ")}) == 5
    assert len({item for item in left if item.startswith("PersistentVolumeClaim ")}) == 30
    assert len(there) > 5
    assert outcome(fresh)["changes"]["anything"] is False
    del state


def test_a_destroy_that_is_killed_is_finished_by_the_next_one(
    fresh: Environment, state: Path
) -> None:
    """Lost otherwise: an environment that should be gone goes on, in part."""
    assert up(fresh).code == 0
    run = Run.begin(fresh, "destroy", "--yes")
    selector = f"--selector=opencode-fleet/environment={fresh.name}"
    services = ("services", "--all-namespaces", selector)
    until("services go", lambda: len(fresh.kube.list(*services)) < 25, 60, 0.02)
    run.kill()
    run.end()
    done = fresh.fleet("destroy", "--yes")
    assert done.code == 0, done.said
    assert {item.partition(" ")[0] for item in owned(fresh)} == {"PersistentVolumeClaim"}
    assert (left_running(state), locks(state)) == ([], [])
    mended(fresh, state)


def test_a_lost_state_is_found_again_in_the_cluster(fresh: Environment, state: Path) -> None:
    """Lost otherwise: whoever loses a file loses the environment, or gets a second one."""
    assert up(fresh).code == 0
    before = {item["metadata"]["uid"] for item in deployments(fresh)}
    shutil.rmtree(state / ".pulumi")
    preview = fresh.fleet("preview", "--image", fresh.image)
    assert preview.code == 3, preview.said
    assert "ours, but unknown to the engine" in preview.out
    first = mended(fresh, state)
    assert len(first["takenOver"]) > 100
    assert {item["metadata"]["uid"] for item in deployments(fresh)} == before


def deployments(environment: Environment) -> list[Any]:
    return environment.kube.list("deployments", f"--namespace={environment.namespace}")


def test_a_second_run_at_the_same_time_is_refused_in_one_line_and_the_first_ends_well(
    fresh: Environment, state: Path
) -> None:
    """Lost otherwise: two operators undo each other's work, object by object."""
    run = begun(fresh)
    os.kill(run.engine(), signal.SIGSTOP)  # however slow the second one is
    try:
        second = up(fresh)
    finally:
        os.kill(run.engine(), signal.SIGCONT)
    assert second.code == 1
    (line,) = [text for text in second.err.splitlines() if "another run is under way" in text]
    assert line.startswith(f"environment {fresh.name}: another run is under way: ")
    assert f"(process {run.engine()}) since 20" in line
    done = run.end()
    assert done.code == 0, done.said
    mended(fresh, state)


def test_a_cluster_that_goes_away_in_mid_run_is_told_and_the_next_run_completes(
    fresh: Environment, state: Path, tmp_path: Path
) -> None:
    """Lost otherwise: a broken connection leaves users half-made, and nobody knows."""
    with through(fresh.kube, tmp_path) as cut:
        run = Run.begin(
            fresh, "up", "--image", fresh.image, environ={"KUBECONFIG": str(cut.kubeconfig)}
        )
        run.engine()
        run.until_objects("deployments", 2)
        cut.now()
        done = run.end(180)
    assert done.code == 1
    assert "does not answer" in done.err, done.err
    assert (left_running(state), locks(state)) == ([], [])
    mended(fresh, state)


@pytest.fixture
def small_disk(crowd: Environment, tmp_path: Path) -> Iterator[Path]:
    """A disk that can be filled, with the environment's state on it."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["/bin/mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("needs root to make a disk that is full: not run")
    state = crowd.environ["PULUMI_BACKEND_URL"]
    no_more = shutil.ignore_patterns("backups", "history")
    shutil.copytree(crowd.folder / "state", disk / "state", ignore=no_more)
    crowd.environ["PULUMI_BACKEND_URL"] = f"file://{disk}/state"
    try:
        yield disk
    finally:
        # Back to the state of the other tests, with what this one has made.
        shutil.rmtree(crowd.folder / "state")
        shutil.copytree(disk / "state", crowd.folder / "state")
        crowd.environ["PULUMI_BACKEND_URL"] = state
        subprocess.run(["/bin/umount", str(disk)], check=True)


def test_a_disk_that_is_full_when_the_state_is_written_is_told_and_the_next_run_completes(
    fresh: Environment, small_disk: Path
) -> None:
    """Lost otherwise: everything the run made is in the cluster, and nobody knows of it."""
    state = small_disk / "state"
    run = begun(fresh)
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    done = run.end()
    assert done.code == 1
    assert "no space left on device" in done.err, done.err
    filler.unlink()
    mended(fresh, state)


def test_another_environment_of_the_same_name_is_refused_before_anything_is_touched(
    fresh: Environment, tmp_path: Path
) -> None:
    """Lost otherwise: whoever has the same idea for a name takes over somebody's users."""
    assert up(fresh).code == 0
    before = owned(fresh)
    fresh.reread()
    config = {key: value for key, value in fresh.config.items() if key != "passwordSeed"}
    other = replace(fresh, folder=tmp_path, config=config, environ=dict(fresh.environ))
    own_state(other)
    other.copy_scenes()
    other.save()
    for command in (("up",), ("preview",), ("destroy", "--yes")):
        done = other.fleet(*command)
        assert done.code == 1, done.said
        (line,) = done.err.splitlines()
        assert f"it belongs to another environment named {fresh.name}" in line
    assert owned(fresh) == before
    assert "passwordSeed" not in other.file.read_text(encoding="utf-8")
