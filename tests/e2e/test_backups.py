"""Lost is not gone: whatever is lost, a backup brings every chat and file back."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness.environment import Environment
from tests.e2e.harness.kube import Live
from tests.e2e.harness.making import Maker
from tests.e2e.harness.memory import Memory, make_work, remember
from tests.e2e.harness.store_pod import StorePod, start_store
from tests.e2e.harness.waiting import until

pytestmark = pytest.mark.drill
USER, ASLEEP = "carol", "dave"


@pytest.fixture(scope="module")
def store(make: Maker) -> StorePod:
    """A store that outlives what is lost."""
    name = f"{make.run_id}-store"
    make.made.append(name)
    return start_store(make.kube, name, make.image)


@pytest.fixture(scope="module")
def kept(make: Maker, store: StorePod) -> Environment:
    """Carol has work, dave is suspended; both are backed up."""
    environment = make("bak", [USER, ASLEEP])
    environment.user(USER)["scenes"] = ["coding"]
    environment.user(ASLEEP)["state"] = "suspended"
    environment.config["pools"] = {"lab": {}}
    store.use(environment)
    environment.up()
    environment.workspace(USER).healthy()
    make_work(environment, USER)
    return environment


def job(environment: Environment, of: str, name: str) -> str:
    """Run a CronJob now, as its time would; return what its pod printed."""
    place = f"--namespace={environment.namespace}"
    environment.kube.ask("create", "job", name, f"--from=cronjob/{of}", place)

    def ended() -> bool:
        found = environment.kube.one("job", name, environment.namespace) or {"status": {}}
        return any(found["status"].get(key) for key in ("succeeded", "failed"))

    until(f"{of} has run", ended, 240, 1)
    text = environment.kube.ask("logs", f"job/{name}", place)
    environment.kube.ask("delete", "job", name, place)
    return text


def holder(environment: Environment) -> Live:
    """Return a pod that holds the lock of carol's claim."""
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container = {
        "name": "work",
        "image": environment.image,
        "command": ["/usr/bin/tini", "sleep", "300"],
        "securityContext": security,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"backup-{USER}", "namespace": environment.namespace},
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
        },
    }


def back_up(environment: Environment) -> None:
    """Back everybody up; it must work."""
    done = environment.fleet("backup", "--json")
    assert done.code == 0, done.said
    assert [row["ok"] for row in done.json["users"]] == [True, True]


def restore(environment: Environment, *arguments: str) -> Any:
    """Restore carol's latest backup; it must work."""
    done = environment.fleet("restore", USER, "--at", "latest", "--yes", "--json", *arguments)
    assert done.code == 0, done.said
    return done.json["users"][0]


def lose(environment: Environment, kind: str, name: str, volumes: list[Live]) -> None:
    """Delete an object and the volumes behind it, as a lost disk would."""
    place = f"--namespace={environment.namespace}"
    change = json.dumps({"spec": {"persistentVolumeReclaimPolicy": "Delete"}})
    for volume in volumes:
        environment.kube.ask("patch", "persistentvolume", volume["metadata"]["name"], "-p", change)
    environment.kube.ask(
        "delete", kind, name, *([place] if kind != "namespace" else []), timeout=180
    )
    for volume in volumes:
        environment.kube.gone("persistentvolume", volume["metadata"]["name"])


def volumes_of(environment: Environment) -> list[Live]:
    """Return the volumes behind the environment's claims."""
    claims = environment.kube.list("persistentvolumeclaims", f"--namespace={environment.namespace}")
    names = {item["spec"].get("volumeName") for item in claims}
    found = environment.kube.list("persistentvolumes")
    return [item for item in found if item["metadata"]["name"] in names]


def lab_of(environment: Environment) -> str:
    """Return the namespace of the other pool, which is empty at first."""
    return environment.namespace.replace("--default", "--lab")


def door_of(environment: Environment) -> str:
    """Return the namespace of the door."""
    return environment.namespace.removesuffix("--default")


def work(environment: Environment) -> Memory:
    """Return carol's chats and files, once her runtime is up again."""
    environment.ready(USER, 300)
    return remember(environment, USER)


def same(environment: Environment, known: Memory) -> None:
    """Compare carol's chats and files with those of before; the next prompt works."""
    assert work(environment) == known
    workspace = environment.workspace(USER)
    workspace.say(sorted(workspace.chats())[0], "[[say it goes on]]")


def test_the_night_backs_up_who_works_and_who_is_suspended(kept: Environment) -> None:
    """Lost otherwise: nobody notices for months that nothing is backed up."""
    pod = kept.pod(USER)["metadata"]["uid"]
    text = job(kept, "backup", "night")
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    assert {line["user"]: line["ok"] for line in lines} == {USER: True, ASLEEP: True}, text
    assert next(line["databases"] for line in lines if line["user"] == USER) >= 1
    assert kept.pod(USER)["metadata"]["uid"] == pod, "the runtime goes on"
    rows = kept.fleet("status", "--json").json["users"]
    assert all(row["backup"]["at"] and not row["backup"]["error"] for row in rows)
    found = kept.fleet("backups", USER, "--json").json["backups"]
    assert [item["tag"] for item in found] == ["scheduled"]


def test_the_failure_of_one_user_does_not_stop_the_others(kept: Environment) -> None:
    """Lost otherwise: one broken volume, and nobody behind it in the list is backed up."""
    place = f"--namespace={kept.namespace}"
    kept.kube.make(holder(kept))
    try:
        text = job(kept, "backup", "busy")
        done = kept.fleet("backup", USER, "--json")
    finally:
        kept.kube.ask("delete", "pod", f"backup-{USER}", place)
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    assert {line["user"]: line["ok"] for line in lines} == {USER: False, ASLEEP: True}
    assert "another backup or restore of this claim is under way" in text
    assert done.code == 1
    assert "under way" in done.json["users"][0]["error"]
    row = next(row for row in kept.fleet("status", "--json").json["users"] if row["user"] == USER)
    assert row["backup"]["error"], "a failure is told"
    assert row["backup"]["at"], "beside the last good one"


def test_the_drill_restores_and_compares_every_user(kept: Environment) -> None:
    """Lost otherwise: a backup that nobody can restore is found out on the day it is needed."""
    back_up(kept)
    text = job(kept, "backup-drill", "drill")
    assert "drill: 2 of 2 users" in text
    row = next(row for row in kept.fleet("status", "--json").json["users"] if row["user"] == USER)
    assert row["backup"]["drillAt"]


def test_a_restore_keeps_newer_work_aside(kept: Environment) -> None:
    """Lost otherwise: who restores yesterday loses today."""
    known = work(kept)
    back_up(kept)
    kept.inside(USER, "sh", "-c", "echo newer > /app/thesis.txt; echo new > /app/new.txt")
    asked = kept.fleet("restore", USER, "--at", "latest")
    assert asked.code == 1
    assert "not confirmed: nothing was changed" in asked.err
    name = restore(kept)["kept"]
    same(kept, known)
    assert kept.inside(USER, "test", "-e", "/app/new.txt").returncode == 1
    assert kept.fleet("kept", USER).out.split() == [name]
    restore(kept, "--path", "/app/coding/program.py")
    assert kept.fleet("kept", USER, "--drop", name).code == 0
    same(kept, work(kept))


def test_an_export_has_the_chats_and_the_files(kept: Environment, tmp_path: Path) -> None:
    """Lost otherwise: who leaves cannot take their work along."""
    known = work(kept)
    target = tmp_path / "carol.tar"
    done = kept.fleet("export", USER, "-o", str(target), "--json")
    assert done.code == 0, done.said
    assert done.json["whole"]
    with tarfile.open(target) as archive:
        names = set(archive.getnames())
        assert {"app/thesis.txt", "data/keep.bin", "data/opencode/opencode.db"} <= names
        for chat, messages in known.chats.items():
            file = archive.extractfile(f"chats/{chat}.json")
            assert file is not None
            exported = json.load(file)
            assert [item["info"]["role"] for item in exported["messages"]] == [
                role for role, _ in messages
            ]


def test_a_lost_claim_comes_back(kept: Environment) -> None:
    """Lost otherwise: everything of a user whose disk died. What is lost: work since the backup."""
    known = work(kept)
    back_up(kept)
    claim = kept.kube.one("persistentvolumeclaim", f"oc-{USER}", kept.namespace)
    assert claim is not None
    volumes = [
        item for item in volumes_of(kept) if item["metadata"]["name"] == claim["spec"]["volumeName"]
    ]
    place = f"--namespace={kept.namespace}"
    kept.kube.ask("scale", "deployment", f"oc-{USER}", "--replicas=0", place)
    lose(kept, "persistentvolumeclaim", f"oc-{USER}", volumes)
    kept.up()
    restore(kept)
    same(kept, known)


def test_a_lost_namespace_comes_back(kept: Environment) -> None:
    """Lost otherwise: everybody of a pool. What is lost: work since the backup."""
    known = work(kept)
    back_up(kept)
    lose(kept, "namespace", kept.namespace, volumes_of(kept))
    kept.up()
    restore(kept)
    same(kept, known)


def test_state_passphrase_and_cluster_lost_at_once_come_back(
    kept: Environment, store: StorePod
) -> None:
    """Lost otherwise: all work of all users. What is lost: work since the backup, the passwords.

    What must have been kept elsewhere: the stack file, the backup password, the store's keys.
    """
    known = work(kept)
    old = kept.workspace(USER).password
    back_up(kept)
    lose(kept, "namespace", kept.namespace, volumes_of(kept))
    lose(kept, "namespace", lab_of(kept), [])
    lose(kept, "namespace", door_of(kept), [])
    shutil.rmtree(kept.folder / "state")
    shutil.rmtree(kept.folder / "data", ignore_errors=True)
    (kept.folder / "state").mkdir()
    kept.environ["PULUMI_CONFIG_PASSPHRASE"] = "another one"  # noqa: S105 - seals made-up keys
    kept.top = {}
    sealed = [key for key, value in kept.config.items() if "secure" in value]
    for key in sealed:
        del kept.config[key]
    kept.save()
    done = kept.fleet("secret", "modelApiKey", stdin="e2e-model-key")
    assert done.code == 0, done.said
    kept.reread()
    store.use(kept)
    kept.up()
    kept.reread()
    restore(kept)
    same(kept, known)
    assert kept.workspace(USER).password != old


def test_state_and_passphrase_lost_alone_cost_no_work(kept: Environment, store: StorePod) -> None:
    """Lost otherwise: an operator's laptop takes the environment along. Lost is the passwords."""
    known = work(kept)
    shutil.rmtree(kept.folder / "state")
    shutil.rmtree(kept.folder / "data", ignore_errors=True)
    (kept.folder / "state").mkdir()
    kept.environ["PULUMI_CONFIG_PASSPHRASE"] = "a third one"  # noqa: S105 - seals made-up keys
    kept.top = {}
    for key in [key for key, value in kept.config.items() if "secure" in value]:
        del kept.config[key]
    kept.save()
    done = kept.fleet("secret", "modelApiKey", stdin="e2e-model-key")
    assert done.code == 0, done.said
    kept.reread()
    store.use(kept)
    refused = kept.try_up()
    assert refused.code == 1, "a new seed is somebody else's until the operator says otherwise"
    assert "identity" in refused.err
    kept.reread()
    for namespace in (door_of(kept), kept.namespace, lab_of(kept)):
        kept.kube.ask("annotate", "namespace", namespace, "opencode-fleet/identity-")
    kept.up()
    kept.reread()
    same(kept, known)
    assert kept.fleet("backups", USER, "--json").json["backups"], "old backups are readable"


def test_a_user_moves_to_another_pool_with_their_work(kept: Environment) -> None:
    """Lost otherwise: a fuller cluster means an empty workspace."""
    known = work(kept)
    kept.save()
    done = kept.fleet("move", USER, "--pool", "lab", "--yes", "--image", kept.image, timeout=500)
    assert done.code == 0, done.said
    kept.reread()
    assert kept.user(USER)["pool"] == "lab"
    old = kept.kube.one("persistentvolumeclaim", f"oc-{USER}", kept.namespace)
    assert old is not None, "the old claim is retained"
    lab = lab_of(kept)
    pod = kept.ready(USER, 300)
    assert pod["metadata"]["namespace"] == lab
    workspace = kept.workspace(USER)
    workspace.healthy()
    assert set(workspace.chats("/app")) <= set(known.chats)
    text = kept.kube.exec(lab, pod["metadata"]["name"], "sha256sum", "/app/thesis.txt").stdout
    assert text.split()[0] == known.files["/app/thesis.txt"]
