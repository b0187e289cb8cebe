"""`make up` and `make down`: which engine, which steps, in which order, and how a step fails."""

from __future__ import annotations

import stat
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
import yaml

from fleet.errors import ClusterError
from tests.support.fakes.api_server import Fault
from tests.support.fakes.served import Served, served
from tools.deploy import __main__ as deploy
from tools.deploy import bundled, pulumi
from tools.deploy.steps import StepError, fleet, read, run, tool


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Served]:
    with served(tmp_path, monkeypatch) as found:
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
        found.write(cluster={"kind": "existing", "context": "other"})
        config = found.api.kubeconfig()
        config["contexts"][0]["name"] = "other"
        (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
        yield found


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Record steps instead of running them."""
    done: list[list[str]] = []

    def record(step: str, command: list[str], extra: object = None) -> str:
        del step, extra
        done.append([Path(command[0]).name, *command[1:]])
        return "answer"

    for module in (deploy, bundled, pulumi):
        monkeypatch.setattr(module, "run", record)
    monkeypatch.setattr(bundled, "read", record)
    return done


def engine(monkeypatch: pytest.MonkeyPatch, path: str | None) -> None:
    def which(name: str) -> str | None:
        return path if name == "pulumi" else None

    monkeypatch.setattr("tools.deploy.pulumi.shutil.which", which)


def holding(monkeypatch: pytest.MonkeyPatch, *images: str) -> None:
    """Make the bundled cluster hold images."""

    def stored(layout: object) -> set[str]:
        del layout
        return set(images)

    monkeypatch.setattr(bundled, "stored", stored)


def words(steps: list[list[str]]) -> list[str]:
    python = Path(sys.executable).name
    return [" ".join(step[1:] if step[0] == python else step) for step in steps]


def test_without_pulumi_it_is_fleet_apply(
    project: Served, steps: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine(monkeypatch, None)
    deploy.up(project.environment(), "t")
    deploy.down(project.environment(), "t")
    assert words(steps) == ["fleet apply -s t", "fleet destroy -s t --yes"]


def test_with_pulumi_it_is_pulumi_up(
    project: Served, steps: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine(monkeypatch, "/usr/bin/pulumi")
    deploy.up(project.environment(), "t")
    deploy.down(project.environment(), "t")
    found = words(steps)
    assert found[0] == "pulumi stack select --create --stack t"
    assert found[1].startswith("pulumi up --stack t --yes --skip-preview")
    assert found[2].startswith("fleet status -s t")
    assert found[3].startswith("pulumi destroy --stack t --yes")


def test_a_cluster_that_is_away_ends_it_before_any_step(
    project: Served, steps: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine(monkeypatch, "/usr/bin/pulumi")
    project.api.faults.append(Fault(path="/version"))
    with pytest.raises(ClusterError, match="does not answer"):
        deploy.up(project.environment(), "t")
    assert steps == []


def test_pulumi_can_be_told_to_stay_out(monkeypatch: pytest.MonkeyPatch) -> None:
    engine(monkeypatch, "/usr/bin/pulumi")
    assert pulumi.program() == "/usr/bin/pulumi"
    monkeypatch.setenv("FLEET_ENGINE", "kubectl")
    assert pulumi.program() is None


def test_a_named_context_leaves_the_bundled_cluster_alone(
    project: Served, steps: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine(monkeypatch, None)
    deploy.up(project.environment(), "t")
    assert not any("tools.cluster" in word for word in words(steps))


def test_the_bundled_cluster_is_started_before_and_its_image_used(
    project: Served, steps: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine(monkeypatch, None)
    holding(monkeypatch, bundled.full_name("answer"))
    project.write(cluster={"kind": "existing", "context": bundled.CONTEXT})
    deploy.up(project.environment(), "t")
    deploy.down(project.environment(), "t")
    assert words(steps) == [
        "-m tools.cluster up --port 7080",
        "fleet image ref -s t",
        "fleet apply -s t --image answer",
        "-m tools.cluster stop",
    ]


def test_an_image_the_cluster_lacks_is_built_loaded_and_the_engine_stopped(
    project: Served, steps: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine(monkeypatch, None)
    holding(monkeypatch)
    project.write(
        cluster={"kind": "existing", "context": bundled.CONTEXT}, image={"mode": "daemon"}
    )
    deploy.up(project.environment(), "t")
    found = [word.partition(" --docker-host")[0] for word in words(steps)]
    assert found[2] == "-m tools.cluster docker up"
    assert found[3].startswith("-m tools.base_image ensure --base ")
    assert found[4] == "fleet image build -s t"
    assert found[5:7] == ["-m tools.cluster load answer", "-m tools.cluster docker stop"]


def test_the_engine_is_stopped_when_the_build_fails(
    project: Served, steps: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    record = bundled.run

    def failing(step: str, command: list[str]) -> None:
        record(step, command)
        if step == "image":
            raise StepError(step, 1)

    monkeypatch.setattr(bundled, "run", failing)
    holding(monkeypatch)
    project.write(
        cluster={"kind": "existing", "context": bundled.CONTEXT}, image={"mode": "daemon"}
    )
    with pytest.raises(StepError):
        deploy.up(project.environment(), "t")
    assert words(steps)[-1] == "-m tools.cluster docker stop"


def test_state_and_passphrase_are_local_by_default_and_private(
    project: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = pulumi.settings("a:1")
    data = project.folder / "data/opencode-fleet"
    assert found["PULUMI_BACKEND_URL"] == f"file://{data}/pulumi"
    assert found["FLEET_IMAGE"] == "a:1"
    path = Path(found["PULUMI_CONFIG_PASSPHRASE_FILE"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((data / "pulumi").stat().st_mode) == 0o700
    word = path.read_text()
    assert len(word) > 30
    pulumi.settings(None)
    assert path.read_text() == word
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://mine")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "mine")
    assert set(pulumi.settings(None)) == {"PULUMI_SKIP_UPDATE_CHECK"}


@pytest.mark.parametrize(("code", "ends"), [(1, 1), (2, 2), (7, 1), (-9, 1)])
def test_a_step_that_fails_is_named_and_keeps_wrong_input_apart(code: int, ends: int) -> None:
    script = f"import os, sys; os.kill(os.getpid(), 9) if {code} < 0 else sys.exit({code})"
    for step in (run, read):
        with pytest.raises(StepError, match=r"image: failed \(see above\)") as raised:
            step("image", [sys.executable, "-c", script])
        assert raised.value.code == ends


def test_the_last_line_of_a_step_is_its_answer() -> None:
    assert read("x", [sys.executable, "-c", "print('a'); print('b')"]) == "b"
    assert read("x", [sys.executable, "-c", ""]) == ""


def test_steps_run_in_this_very_environment() -> None:
    assert Path(fleet("validate")[0]).parent == Path(sys.executable).parent
    assert tool("cluster", "up") == [sys.executable, "-m", "tools.cluster", "up"]


def test_a_broken_stack_file_ends_it_before_any_step(project: Served) -> None:
    project.users("Alice!")
    done = subprocess.run(
        [sys.executable, "-m", "tools.deploy", "up", "-s", "t"],
        cwd=project.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("users[0].id: Alice!: ")
