"""`make up` and `make down`: which steps, in which order, and how a step fails."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support.fakes.served import Served, served
from tools.deploy import __main__ as deploy
from tools.deploy import bundled, plain
from tools.deploy.steps import StepError, fleet, read, run, tool

Engine = Callable[[bool], None]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Served]:
    with served(tmp_path, monkeypatch) as found:
        found.write(cluster={"kind": "existing", "context": "other"})
        yield found


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Record steps instead of running them."""
    done: list[list[str]] = []

    def record(step: str, command: list[str], extra: object = None) -> str:
        del step, extra
        done.append([Path(command[0]).name, *command[1:]])
        return "answer"

    for module in (deploy, bundled, plain):
        monkeypatch.setattr(module, "run", record)
    monkeypatch.setattr(bundled, "read", record)
    return done


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    """Set whether the engine can be had; it can unless a test says otherwise."""

    def have(there: bool) -> None:
        @contextmanager
        def building() -> Generator[SimpleNamespace]:
            yield SimpleNamespace(succeeds=lambda: there)

        monkeypatch.setattr("tools.deploy.engine.building", building)

    have(True)
    return have


def holding(monkeypatch: pytest.MonkeyPatch, *images: str) -> None:
    """Make the bundled cluster hold images."""

    def stored(layout: object) -> set[str]:
        del layout
        return set(images)

    monkeypatch.setattr(bundled, "stored", stored)


def words(steps: list[list[str]]) -> list[str]:
    python = Path(sys.executable).name
    return [" ".join(step[1:] if step[0] == python else step) for step in steps]


def test_on_a_cluster_of_ones_own_it_is_fleet_up_and_destroy_asks(
    project: Served, steps: list[list[str]]
) -> None:
    deploy.up(project.environment(), "t")
    deploy.down(project.environment(), "t")
    assert words(steps) == ["fleet up -s t", "fleet destroy -s t"]


def test_the_bundled_cluster_is_started_before_and_its_image_used(
    project: Served, steps: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    holding(monkeypatch, bundled.full_name("answer"))
    project.write(cluster={"kind": "existing", "context": bundled.CONTEXT})
    deploy.up(project.environment(), "t")
    deploy.down(project.environment(), "t")
    assert words(steps) == [
        "-m tools.cluster up --port 7080",
        "fleet image ref -s t",
        "fleet image ref --door -s t",
        "fleet up -s t --image answer --door-image answer",
        "-m tools.cluster stop",
    ]


def test_an_image_the_cluster_lacks_is_built_loaded_and_the_daemon_stopped(
    project: Served, steps: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    holding(monkeypatch)
    project.write(
        cluster={"kind": "existing", "context": bundled.CONTEXT},
        image={"mode": "daemon"},
        door=None,
    )
    deploy.up(project.environment(), "t")
    found = [word.partition(" --docker-host")[0] for word in words(steps)]
    assert found[4].startswith("-m tools.base_image ensure --base ")
    assert found[5] == "fleet image build -s t"
    assert found[6:8] == ["-m tools.cluster load answer"] * 2
    assert found[9] == "fleet up -s t --image answer --door-image answer"
    start, stop = found[3], found[8]
    assert start.endswith(" up")
    assert stop == start.removesuffix(" up") + " stop"


def test_the_daemon_is_stopped_when_the_build_fails(
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
        cluster={"kind": "existing", "context": bundled.CONTEXT},
        image={"mode": "daemon"},
        door=None,
    )
    with pytest.raises(StepError):
        deploy.up(project.environment(), "t")
    assert words(steps)[-1].endswith(" stop")


Pipe = Callable[[str, str], None]


@pytest.fixture
def pipe(project: Served, engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Pipe:
    """Bring `project` up without the engine: a Python text renders, a shell one applies."""

    def without_engine(render: str, apply: str) -> None:
        engine(False)
        kubectl = tmp_path / "kubectl"
        kubectl.write_text(f"#!/bin/sh\n{apply}\n", encoding="utf-8")
        kubectl.chmod(0o755)
        monkeypatch.setenv("FLEET_KUBECTL", str(kubectl))

        def program(*arguments: str) -> list[str]:
            return [sys.executable, "-c", render] if "render" in arguments else fleet(*arguments)

        monkeypatch.setattr(plain, "fleet", program)
        deploy.up(project.environment(), "t")

    return without_engine


def test_where_the_engine_cannot_be_had_kubectl_applies_the_rendered_objects(
    pipe: Pipe, steps: list[list[str]], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pipe("print('objects of t')", f'echo "$@" >{tmp_path}/asked; cat >{tmp_path}/objects')
    asked = (tmp_path / "asked").read_text(encoding="utf-8")
    assert "--context=other apply --server-side --force-conflicts" in asked
    assert (tmp_path / "objects").read_text(encoding="utf-8") == "objects of t\n"
    assert words(steps)[0] == "fleet seed -s t"
    assert " rollout status deployment --namespace=opencode-t " in words(steps)[1]
    assert " rollout status deployment --namespace=opencode-t--default" in words(steps)[2]
    assert words(steps)[-1] == "fleet status -s t"
    assert "Pulumi cannot be had here" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("render", "apply", "step"),
    [
        ("raise SystemExit(1)", "cat >/dev/null", "fleet render"),
        ("print()", "cat >/dev/null; exit 1", "kubectl apply"),
    ],
)
def test_a_half_of_that_pipe_that_fails_ends_it(
    pipe: Pipe, steps: list[list[str]], render: str, apply: str, step: str
) -> None:
    with pytest.raises(StepError, match=step):
        pipe(render, apply)
    assert words(steps) == ["fleet seed -s t"]


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
