"""Operations: what docs/operations.md tells an operator to do by hand, done by hand."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.harness.environment import ROOT, Environment, changes_of
from tests.e2e.harness.kube import Live
from tests.e2e.harness.making import Maker
from tests.e2e.harness.memory import make_work, remember
from tests.e2e.harness.model_pod import API_KEY
from tests.e2e.harness.sweeping import namespace_of
from tests.e2e.harness.waiting import until
from tests.e2e.harness.workspace import answer_text

pytestmark = pytest.mark.e2e
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def ops(make: Maker) -> Environment:
    """ann with work to lose."""
    environment = make("ops", ["ann"])
    environment.user("ann")["scenes"] = ["coding"]
    environment.up()
    environment.workspace("ann").healthy()
    make_work(environment, "ann")
    return environment


def test_status_tells_who_runs_who_is_suspended_and_who_is_retained(ops: Environment) -> None:
    """Lost otherwise: the operator who is called finds out about nothing."""
    ops.config["users"] += [{"id": "ben", "state": "suspended"}, {"id": "gone"}]
    ops.up()
    ops.config["users"] = [user for user in ops.config["users"] if user["id"] != "gone"]
    (retained,) = ops.up()["changes"]["retained"]
    assert retained.endswith(f"{ops.namespace}/oc-gone")
    rows = {row["user"]: row for row in ops.fleet("status", "--json").json["users"]}
    states = {user: row["state"] for user, row in rows.items()}
    assert states == {"ann": "active", "ben": "suspended", "gone": "retained"}
    assert rows["ann"]["url"].startswith("http://ann.")
    table = ops.fleet("status").out
    assert all(user in table for user in states)
    ops.config["users"] = [user for user in ops.config["users"] if user["id"] == "ann"]
    ops.up()


def test_logs_and_restart_reach_one_users_runtime(ops: Environment) -> None:
    """Lost otherwise: a user's broken workspace cannot be looked into or started anew."""
    known, uid = remember(ops, "ann"), ops.uids()["ann"]
    assert ops.fleet("logs", "ann").out.strip()
    done = ops.fleet("restart", "ann")
    assert done.code == 0, done.said
    assert ops.ready("ann", but=uid)["metadata"]["uid"] != uid
    assert remember(ops, "ann") == known


def released(environment: Environment) -> Live:
    """Return the volume of ann, once nothing claims it any more."""

    def check() -> Live | None:
        volumes = environment.kube.list("persistentvolumes")
        mine = [item for item in volumes if namespace_of(item) == environment.namespace]
        found = [item for item in mine if item["spec"]["claimRef"]["name"] == "oc-ann"]
        assert len(found) == 1, [item["metadata"]["name"] for item in mine]
        return found[0] if found[0]["status"]["phase"] == "Released" else None

    return until("ann's volume is released", check, 60)


def test_a_namespace_that_somebody_deleted_is_brought_back_with_all_work(ops: Environment) -> None:
    """Lost otherwise: the worst slip of a hand, a deleted namespace, costs everybody's work."""
    known = remember(ops, "ann")
    volume = ops.kube.list("persistentvolumes")
    kept = {
        item["spec"]["persistentVolumeReclaimPolicy"]
        for item in volume
        if namespace_of(item) == ops.namespace
    }
    if kept != {"Retain"}:
        pytest.skip(f"the cluster's default StorageClass reclaims volumes ({kept}): not run")
    ops.kube.ask("delete", "namespace", ops.namespace, "--wait=false")
    ops.kube.gone("namespace", ops.namespace)
    name = released(ops)["metadata"]["name"]
    patch = re.search(r"kubectl patch pv NAME --type=json -p '([^']+)'", OPERATIONS)
    assert patch is not None, "docs/operations.md says how"
    ops.kube.ask("patch", "pv", name, "--type=json", "-p", patch[1])
    ops.up()
    ops.workspace("ann").healthy()
    assert remember(ops, "ann") == known
    claim = ops.kube.one("pvc", "oc-ann", ops.namespace)
    assert claim is not None
    assert claim["spec"]["volumeName"] == name


def test_rendered_manifests_work_once_their_secrets_are_filled(make: Maker) -> None:
    """Lost otherwise: a team that deploys from git has manifests that never start."""
    environment = make("git", ["ann"])
    environment.save()
    folder = environment.folder / "manifests"
    done = environment.fleet("render", "-o", str(folder), "--image", environment.image)
    assert done.code == 0, done.said
    deploy = ("apply", "--server-side", "--field-manager=gitops", "-k", str(folder))
    environment.kube.ask(*deploy)

    def waits() -> str | None:
        statuses = environment.pod("ann")["status"].get("containerStatuses", [])
        reasons = [item["state"].get("waiting", {}) for item in statuses]
        return next((one["message"] for one in reasons if "Config" in one.get("reason", "")), None)

    assert "password" in until("the pod says which key it misses", waits, 60)
    data = {"password": environment.workspace("ann").password, "FLEET_KEY_OPENAI": API_KEY}
    patch = ("--type=merge", "-p", json.dumps({"stringData": data}))
    environment.kube.ask("patch", "secret", "oc-ann", f"-n={environment.namespace}", *patch)
    before = environment.ready("ann", 120)["metadata"]["uid"]
    ann = environment.workspace("ann")
    ann.healthy()
    assert "from git" in answer_text(ann.say(ann.chat(), "[[say from git]]"))
    environment.kube.ask(*deploy)
    assert environment.uids() == {"ann": before}
    assert environment.kube.one("secret", "oc-ann", environment.namespace) is not None


def test_where_the_engine_cannot_be_had_kubectl_brings_up_what_it_later_takes_over(
    make: Maker, tmp_path: Path
) -> None:
    """Lost otherwise: a registry that refuses Pulumi's modules leaves a team with nothing."""
    environment = make("plain", ["ann"])
    environment.save()
    # Go says which one it is, and has no modules; nothing was built before.
    tools = tmp_path / "bin"
    tools.mkdir()
    go = f'#!/bin/sh\n[ "$1" = env ] && exec "{shutil.which("go")}" "$@"\nexit 1\n'
    (tools / "go").write_text(go, encoding="utf-8")
    (tools / "go").chmod(0o755)
    without = {
        **os.environ,
        **environment.environ,
        "FLEET_ENGINE_CACHE": str(tmp_path / "engines"),
        "PATH": f"{tools}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "FLEET_IMAGE": environment.image,
    }
    # The bundled cluster's own data are where they are.
    del without["XDG_DATA_HOME"]
    command = [sys.executable, "-m", "tools.deploy", "up", "-s", str(environment.file)]
    done = subprocess.run(
        command, cwd=ROOT, env=without, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Pulumi cannot be had here" in done.stderr
    environment.reread()
    environment.workspace("ann").healthy()
    before = environment.uids()
    environment.up()
    assert environment.uids() == before, "taking over restarts nobody"
    again = environment.up()
    assert changes_of(again) == []
    environment.user("ann")["passwordVersion"] = 2
    environment.up()
    environment.workspace("ann").healthy()
    assert environment.uids() != before
