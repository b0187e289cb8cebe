"""The `fleet` command as a person or a script meets it: exit codes, output, no traceback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from fleet.stackfile.schema import schema_text
from tests.support.fakes.api_server import CONTEXT, Fault
from tests.support.fakes.project import PASSPHRASE, StackFolder, new_project
from tests.support.fakes.served import Served, served

ROOT = Path(__file__).parents[2]
FLEET = str(Path(sys.executable).with_name("fleet"))
COMMANDS = (
    "validate",
    "preview",
    "render",
    "up",
    "destroy",
    "refresh",
    "wait",
    "seed",
    "env",
    "status",
    "open",
    "password",
    "logs",
)
ON_A_CLUSTER = (("preview",), ("up",), ("destroy", "--yes"), ("refresh",), ("wait",))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StackFolder:
    return new_project(tmp_path, monkeypatch)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Served]:
    """A cluster that answers, on a machine without Pulumi."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    with served(tmp_path, monkeypatch) as found:
        monkeypatch.setenv("PATH", str(tmp_path))
        yield found


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
    assert done.returncode == 0
    # The key is the reader's own, and sealed by them.
    assert done.stderr.startswith("providers.openai.apiKey: modelApiKey: not sealed yet, ")
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == "dev: 2 users, 2 scenes, no problems\n"


def test_a_wrong_id_exits_with_2_and_names_the_key(project: StackFolder) -> None:
    text = (ROOT / "Pulumi.dev.yaml").read_text()
    shutil.copytree(ROOT / "scenes", project.folder / "scenes")
    (project.folder / "Pulumi.dev.yaml").write_text(text.replace("id: alice", "id: Alice!"))
    done = program("validate", "-s", "dev", cwd=project.folder)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("users[0].id: Alice!: ")


def test_every_command_is_listed_with_what_it_does(project: StackFolder) -> None:
    done = project.fleet("--help")
    assert done.code == 0
    assert all(f"  {name} " in done.out for name in COMMANDS)


def test_no_command_shows_the_help_and_an_unknown_one_is_wrong_input(project: StackFolder) -> None:
    assert project.fleet("nonsense").code == 2
    assert "Usage" in project.fleet().err + project.fleet().out


def test_the_schema_is_json_and_the_committed_one(project: StackFolder) -> None:
    done = project.fleet("schema")
    assert done.json == json.loads(schema_text())


@pytest.mark.parametrize("command", ON_A_CLUSTER)
def test_every_problem_of_a_stack_file_is_told_before_a_cluster_is_asked(
    cluster: Served, command: tuple[str, ...]
) -> None:
    cluster.users({"id": "Alice!"}, {"id": "bob", "profile": "huge"})
    done = cluster.fleet(*command, "-s", "t")
    assert (done.code, done.out) == (2, "")
    assert [line.partition(":")[0] for line in done.err.splitlines()] == [
        "users[0].id",
        "users[1].profile",
    ]
    assert cluster.api.requests == []


@pytest.mark.parametrize("command", ON_A_CLUSTER)
def test_an_unreachable_cluster_is_one_line(cluster: Served, command: tuple[str, ...]) -> None:
    cluster.api.faults.append(Fault(path="/version"))
    done = cluster.fleet(*command, "-s", "t")
    assert (done.code, done.out) == (1, "")
    (line,) = done.err.splitlines()
    assert line.startswith(f"cluster.context: {CONTEXT}: does not answer")


@pytest.mark.parametrize("command", ON_A_CLUSTER)
def test_a_missing_context_is_one_line(cluster: Served, command: tuple[str, ...]) -> None:
    done = cluster.fleet(*command, "-s", "t", "--context", "elsewhere")
    assert (done.code, done.out) == (2, "")
    (line,) = done.err.splitlines()
    assert line.startswith("cluster.context: elsewhere: no such context")
    assert CONTEXT in line


@pytest.mark.parametrize("command", [*ON_A_CLUSTER[:-1], ("env",)])
def test_a_missing_engine_is_one_line_and_nothing_is_touched(
    cluster: Served, command: tuple[str, ...]
) -> None:
    before = cluster.file.read_text()
    done = cluster.fleet(*command, "-s", "t")
    assert (done.code, done.out) == (1, "")
    (line,) = done.err.splitlines()
    assert line.startswith("pulumi: not found on PATH, and none was built here: ")
    assert cluster.file.read_text() == before
    assert all(request.method == "GET" for request in cluster.api.requests)


def test_no_output_of_any_command_holds_a_secret(
    project: StackFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "made-up-model-key-of-nobody"
    monkeypatch.setattr("fleet.stackfile.sealed._ROUNDS", 10)
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", PASSPHRASE)
    said = ""
    for command in (("secret", "modelApiKey"), ("seed",), ("validate",), ("render", "-o", "out")):
        done = project.fleet(*command, "-s", "t", given=key)
        assert done.code == 0, done.err
        said += done.out + done.err
    assert key not in said
    assert project.secrets()["passwordSeed"] not in said


def test_output_into_a_closed_pipe_leaves_no_traceback(project: StackFolder) -> None:
    command = f"{FLEET} schema | head -c 10"
    done = subprocess.run(
        ["/bin/sh", "-c", command], cwd=project.folder, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""


def test_a_full_disk_under_standard_output_is_one_line(project: StackFolder) -> None:
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


class TestJson:
    def test_validate_tells_a_script_every_problem(self, project: StackFolder) -> None:
        good = project.fleet("validate", "-s", "t", "--json")
        told = good.json
        (warning,) = told.pop("warnings")
        assert warning.startswith("providers: none: ")
        assert told == {"environment": "t", "users": 2, "scenes": 0, "problems": []}
        project.users("alice", "Not OK!")
        bad = project.fleet("validate", "-s", "t", "--json")
        assert bad.code == 2
        (problem,) = bad.json["problems"]
        assert set(problem) == {"key", "value", "rule", "change"}
        assert (problem["key"], problem["value"]) == ("users[1].id", "Not OK!")

    def test_render_tells_a_script_what_it_wrote(self, project: StackFolder) -> None:
        out = str(project.folder / "out")
        told = project.fleet("render", "-o", out, "-s", "t", "--json").json
        written = {path.relative_to(out).as_posix() for path in Path(out).rglob("*.yaml")}
        assert set(told["files"]) == written - {"kustomization.yaml"}
        assert told["secretData"] is False

    def test_the_image_of_an_environment_is_told_to_a_script(self, project: StackFolder) -> None:
        reference = project.fleet("image", "ref", "-s", "t").out.strip()
        told = project.fleet("image", "ref", "-s", "t", "--json").json
        assert told == {"reference": reference}
