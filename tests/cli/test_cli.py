"""The `fleet` command as a person or a script meets it: exit codes, output, no traceback."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fleet.stackfile.schema import schema_text
from tests.support.fakes.project import PASSPHRASE, Project, new_project

ROOT = Path(__file__).parents[2]
FLEET = str(Path(sys.executable).with_name("fleet"))
COMMANDS = ("validate", "plan", "render", "apply", "destroy", "status", "open", "password", "logs")
ON_A_CLUSTER = (
    ("plan",),
    ("apply",),
    ("destroy", "--yes"),
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return new_project(tmp_path, monkeypatch)


def program(*arguments: str, cwd: Path = ROOT, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [FLEET, *arguments],
        cwd=cwd,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_shipped_environment_is_valid() -> None:
    done = program("validate", "-s", "dev")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "dev: 2 users, 2 scenes, no problems\n"


def test_a_wrong_id_exits_with_2_and_names_the_key(project: Project) -> None:
    text = (ROOT / "Pulumi.dev.yaml").read_text()
    shutil.copytree(ROOT / "scenes", project.folder / "scenes")
    (project.folder / "Pulumi.dev.yaml").write_text(text.replace("id: alice", "id: Alice!"))
    done = program("validate", "-s", "dev", cwd=project.folder)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("users[0].id: Alice!: ")


def test_every_command_is_listed_with_what_it_does(project: Project) -> None:
    done = project.fleet("--help")
    assert done.code == 0
    assert all(f"  {name} " in done.out for name in COMMANDS)


def test_no_command_shows_the_help_and_an_unknown_one_is_wrong_input(project: Project) -> None:
    assert project.fleet("nonsense").code == 2
    assert "Usage" in project.fleet().err + project.fleet().out


def test_the_schema_is_json_and_the_committed_one(project: Project) -> None:
    done = project.fleet("schema")
    assert done.json == json.loads(schema_text())


@pytest.mark.parametrize(
    "arguments",
    [
        ("plan", "--json"),
        ("apply", "--json"),
        ("destroy", "--yes", "--json"),
    ],
)
def test_json_output_is_one_document_and_nothing_else(
    project: Project, arguments: tuple[str, ...]
) -> None:
    done = project.fleet(*arguments, "-s", "t")
    assert done.code == 0
    assert isinstance(done.json, dict)


def test_json_of_an_apply_that_failed_is_still_json(project: Project) -> None:
    err = 'Error from server (Invalid): Service "oc-bob" is invalid'
    project.faults({"when": ["object Service oc-bob"], "err": err})
    done = project.fleet("apply", "--json", "-s", "t")
    assert (done.code, len(done.json["failures"])) == (1, 1)


def test_json_of_an_apply_names_everybodys_url(project: Project) -> None:
    project.users("alice", {"id": "bob", "state": "suspended"})
    assert project.apply("--json").json["urls"] == {"alice": "http://alice.fleet.localhost:7080"}


@pytest.mark.parametrize("command", ON_A_CLUSTER)
def test_an_unreachable_cluster_is_one_line(project: Project, command: tuple[str, ...]) -> None:
    err = "The connection to the server 127.0.0.1:6443 was refused: connection refused\n"
    project.faults({"when": ["call"], "err": err})
    done = project.fleet(*command, "-s", "t")
    assert (done.code, done.out) == (1, "")
    (line,) = done.err.splitlines()
    assert "opencode-fleet-local" in line
    assert "does not answer" in line


@pytest.mark.parametrize("command", ON_A_CLUSTER)
def test_a_missing_context_is_one_line(project: Project, command: tuple[str, ...]) -> None:
    err = 'error: context "opencode-fleet-local" does not exist\n'
    project.faults(
        {"when": ["call", "get-contexts"], "code": 0, "out": "kind\nother\n"},
        {"when": ["call"], "err": err},
    )
    done = project.fleet(*command, "-s", "t")
    assert (done.code, done.out) == (1, "")
    (line,) = done.err.splitlines()
    assert "no such context in your kubeconfig: use one of kind, other" in line


@pytest.mark.parametrize("command", ON_A_CLUSTER)
def test_a_missing_kubectl_is_one_line(
    project: Project, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.delenv("FLEET_KUBECTL")
    monkeypatch.setenv("PATH", str(project.folder))
    (project.folder / "kubectl").unlink()
    monkeypatch.setenv("XDG_CACHE_HOME", str(project.folder))
    done = project.fleet(*command, "-s", "t")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("kubectl: not found: ")


def test_a_given_kubectl_that_is_not_there_is_one_line(project: Project) -> None:
    missing = str(project.folder / "nowhere")
    done = program("plan", "-s", "t", cwd=project.folder, FLEET_KUBECTL=missing)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert missing in line


def test_the_whole_program_applies_through_the_kubectl_it_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = new_project(tmp_path, monkeypatch, program=True)
    done = program("apply", "-s", "t", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["applied"]) == len(project.objects())


def test_an_interrupted_apply_gives_the_lease_back_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = new_project(tmp_path, monkeypatch, program=True)
    project.faults({"when": ["ready oc-bob"]})
    running = subprocess.Popen(
        [FLEET, "apply", "-s", "t"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not any("/pods?" in word for call in project.calls("get") for word in call["argv"]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 1
    assert out == ""
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith("interrupted: what was done so far stays")
    assert project.objects("Lease") == []


def test_no_output_of_any_command_holds_a_secret(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "made-up-model-key-of-nobody"
    monkeypatch.setattr("fleet.stackfile.sealed._ROUNDS", 10)
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", PASSPHRASE)
    said = ""
    for command in (
        ("secret", "modelApiKey"),
        ("validate",),
        ("plan",),
        ("apply",),
        ("plan", "--json"),
        ("render", "-o", "out"),
        ("destroy", "--yes", "--json"),
    ):
        done = project.fleet(*command, "-s", "t", given=key)
        assert done.code == 0, done.err
        said += done.out + done.err
        for item in project.objects("Secret"):
            assert item["data"]["password"] not in said
    assert key not in said
    assert not any(key in word for call in project.calls() for word in call["argv"])


def test_destroy_keeps_claims_and_namespaces_and_says_which(project: Project) -> None:
    project.apply()
    done = project.fleet("destroy", "--yes", "--json", "-s", "t")
    kinds = {item["kind"] for item in project.objects()}
    assert kinds == {"Namespace", "PersistentVolumeClaim"}
    assert done.json["retained"] == [
        "Namespace opencode-t--default",
        "PersistentVolumeClaim opencode-t--default/oc-alice",
        "PersistentVolumeClaim opencode-t--default/oc-bob",
    ]
    again = project.fleet("destroy", "--yes", "-s", "t")
    assert again.out.startswith("deleted 0 objects; kept, with everybody's work:")


def test_destroy_without_a_word_from_a_person_deletes_nothing(project: Project) -> None:
    project.apply()
    project.forget_calls()
    done = project.fleet("destroy", "-s", "t")
    assert done.code == 1
    assert "destroy: not confirmed: nothing was deleted: give --yes" in done.err
    assert project.calls() == []


def test_an_environment_that_was_destroyed_comes_back_with_its_claims(project: Project) -> None:
    project.apply()
    project.fleet("destroy", "--yes", "-s", "t")
    done = project.apply("--json")
    assert not any("PersistentVolumeClaim" in name for name in done.json["applied"])
    assert len(project.objects("Deployment")) == 2


def test_plan_changes_nothing(project: Project) -> None:
    done = project.fleet("plan", "-s", "t")
    assert "create    alice" in done.out
    assert {call["argv"][1] for call in project.calls()} == {"get"}


def test_output_into_a_closed_pipe_leaves_no_traceback(project: Project) -> None:
    command = f"{FLEET} schema | head -c 10"
    done = subprocess.run(
        ["/bin/sh", "-c", command], cwd=project.folder, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""


def test_a_full_disk_under_standard_output_is_one_line(project: Project) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [FLEET, "schema"],
            cwd=project.folder,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("No space left on device: ")
    assert len(done.stderr.splitlines()) == 1
