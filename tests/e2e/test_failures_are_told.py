"""Failures are told: who, which step, why, and that running it again finishes the job."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness.cut import Cut, through
from tests.e2e.harness.environment import SMALL, Environment, changes_of
from tests.e2e.harness.kube import Live, notes
from tests.e2e.harness.making import Maker
from tests.e2e.harness.waiting import until

pytestmark = pytest.mark.e2e
NOT_READY = "users? {}: wait until ready: (not ready in time: )?"


@pytest.fixture(scope="module")
def pair(make: Maker) -> Environment:
    """ann and ben, running."""
    environment = make("fails", ["ann", "ben"])
    environment.up()
    return environment


def mended(environment: Environment, *users: str) -> None:
    """Apply again: it must work, everybody must be ready, and a third run finds nothing to do."""
    until("the next up works", lambda: environment.try_up().code == 0, 120, 2)
    for user in users:
        environment.ready(user)
    again = environment.up()
    assert changes_of(again) == []


@pytest.mark.smoke
def test_an_image_that_does_not_exist_is_named_with_user_and_step(pair: Environment) -> None:
    """Lost otherwise: a typo in an image looks like a hang."""
    missing = "opencode-fleet/runtime:no-such-tag"
    done = pair.try_up("--timeout", "90", image=missing)
    assert done.code == 1
    told = f"{NOT_READY.format('.*ann.*')}image {missing} cannot be used: "
    assert re.search(told, done.err), done.err
    assert "run this again" in done.err
    mended(pair, "ann", "ben")


def test_a_claim_that_cannot_bind_is_named_and_the_next_run_completes(make: Maker) -> None:
    """Lost otherwise: a StorageClass that is not there yet looks like a hang."""
    environment = make("claim", ["ann"])
    name = f"{environment.name}-disk"
    environment.config["storage"] = {"className": name}
    done = environment.try_up("--timeout", "8")
    assert done.code == 1
    told = f"{NOT_READY.format('ann')}its claim of class {name} is not bound: "
    assert re.search(told, done.err), done.err
    mark = "storageclass.kubernetes.io/is-default-class"
    classes = environment.kube.list("storageclasses")
    default = next(item for item in classes if notes(item).get(mark) == "true")
    copy = {**default, "metadata": {"name": name}}
    environment.kube.make(copy)
    try:
        mended(environment, "ann")
    finally:
        environment.kube.run("delete", "storageclass", name)


def test_a_quota_that_is_exceeded_is_named_and_the_other_users_are_served(
    pair: Environment,
) -> None:
    """Lost otherwise: one user too many stops everybody, or is silently never started."""
    quota: Live = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "of-the-platform", "namespace": pair.namespace},
        "spec": {"hard": {"limits.memory": "2560Mi"}},
    }
    pair.kube.make(quota)
    before = pair.uids()
    pair.config["users"].append({"id": "zoe"})
    done = pair.try_up("--timeout", "60")
    assert done.code == 1
    told = f"{NOT_READY.format('zoe')}quota of-the-platform is used up: "
    assert re.search(told, done.err), done.err
    assert "user ann" not in done.err
    assert pair.uids() == before
    pair.kube.ask("delete", "resourcequota", "of-the-platform", f"-n={pair.namespace}")
    pair.config["users"] = [{"id": "ann"}, {"id": "ben"}]
    mended(pair, "ann", "ben")


def test_a_crash_loop_is_named_and_ends_when_its_cause_is_gone(pair: Environment) -> None:
    """Lost otherwise: a runtime that dies again and again looks like a slow one.

    The user has a file where the new scene's folder belongs; nothing of theirs is overwritten.
    """
    done = pair.inside("ann", "sh", "-c", "rm -rf /app/coding; echo precious > /app/coding")
    assert done.returncode == 0, done.stderr
    pair.user("ann")["scenes"] = ["coding"]
    bens = pair.uids()["ben"]
    told = pair.try_up("--timeout", "120")
    assert told.code == 1
    words = f"{NOT_READY.format('ann')}init container lay-skeleton ended with exit code "
    assert re.search(words, told.err), told.err
    logs = pair.fleet("logs", "ann")
    assert "/app/coding: a file: a scene needs this name for its folder: rename it" in logs.out
    assert pair.uids()["ben"] == bens
    del pair.user("ann")["scenes"]
    mended(pair, "ann", "ben")
    assert pair.inside("ann", "cat", "/app/coding").stdout == "precious\n"
    pair.inside("ann", "rm", "/app/coding")


@pytest.fixture
def cut(pair: Environment, tmp_path: Path) -> Iterator[Cut]:
    """The cluster behind a connection that can be cut."""
    with through(pair.kube, tmp_path) as found:
        yield found


def test_a_cluster_that_goes_away_while_runtimes_start_is_told_and_the_next_run_completes(
    pair: Environment, cut: Cut
) -> None:
    """Lost otherwise: a broken connection leaves users half-made, and nobody knows."""
    pair.config["users"] = [{"id": "ann"}, {"id": "ben"}, {"id": "cut"}]
    pair.save()
    process = subprocess.Popen(
        pair.command("up", "--yes", "--image", "opencode-fleet/runtime:no-such-tag"),
        cwd=pair.folder,
        env={**os.environ, **pair.environ, "KUBECONFIG": str(cut.kubeconfig)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        locks = pair.folder / "state" / ".pulumi" / "locks"
        there = lambda: pair.kube.one("deployment", "oc-cut", pair.namespace) is not None  # noqa: E731
        until("the runtime is made", there, 60, 0.05)
        until("the engine is done", lambda: not list(locks.rglob("*.json")), 60, 0.05)
        cut.now()
        _, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 1, err
    assert "Traceback" not in err
    assert "does not answer" in err
    mended(pair, "ann", "ben", "cut")
    pair.config["users"] = [{"id": "ann"}, {"id": "ben"}]
    pair.up()


def test_a_full_disk_of_the_operator_is_told(pair: Environment, tmp_path: Path) -> None:
    """Lost otherwise: render leaves half a folder and a traceback, and GitOps applies it."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["/bin/mount", "-t", "tmpfs", "-o", "size=12k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("needs root to make a disk that is full: not run")
    try:
        done = pair.fleet("render", "-o", str(folder / "out"), "--image", pair.image)
        assert done.code == 1
        assert "No space left on device" in done.err
        assert str(folder) in done.err
        assert "run this again" in done.err
    finally:
        subprocess.run(["/bin/umount", str(folder)], check=True)
    done = pair.fleet("render", "-o", str(folder / "out"), "--image", pair.image)
    assert done.code == 0, done.said


def test_a_pool_beyond_its_own_quota_is_refused_before_anything_is_touched(make: Maker) -> None:
    """Lost otherwise: the file's own contradiction is found by the last user, at night."""
    environment = make("quota", ["ann", "ben"])
    environment.config["pools"] = {"default": {"quota": {"cpu": "30m"}}}
    done = environment.try_up()
    assert done.code == 2
    assert done.err.startswith("pools.default.quota.cpu: 30m: ")
    assert environment.kube.one("namespace", environment.namespace) is None


def test_a_namespace_of_somebody_else_is_not_taken_over(make: Maker) -> None:
    """Lost otherwise: an environment named like another deletes that one's objects."""
    environment = make("foreign", ["ann"])
    meta = {"name": environment.namespace}
    environment.kube.make({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
    try:
        done = environment.try_up()
        assert done.code == 1
        assert f"namespace {environment.namespace}: it exists and belongs to" in done.err
        where = f"--namespace={environment.namespace}"
        assert environment.kube.list("deployments,pvc", where) == []
    finally:
        environment.kube.ask("delete", "namespace", environment.namespace, "--wait=false")


def test_a_claim_that_would_shrink_is_refused_before_anything_is_touched(
    pair: Environment,
) -> None:
    """Lost otherwise: a smaller profile fails in Kubernetes' words, or costs the data."""
    roster = pair.config["users"]
    pair.config["profiles"]["roomy"] = {**SMALL, "storage": "2Gi"}
    pair.config["users"] = [*roster, {"id": "fay", "profile": "roomy", "state": "suspended"}]
    pair.up()
    pair.user("fay")["profile"] = "standard"
    done = pair.try_up()
    assert done.code == 2
    assert "profiles.standard.storage: 1Gi: the claim of user fay already has 2Gi" in done.err
    pair.config["users"] = roster
    mended(pair, "ann", "ben")
