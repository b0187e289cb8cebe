"""What all commands share: exit codes, one line an error, the passphrase, which cluster."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Generator
from pathlib import Path

import pytest
import yaml

from fleet.cli.progress import reporting
from fleet.cli.shell import cluster_of, ensured_passphrase, passphrase, reported
from fleet.errors import AwayError, ClusterError, InputError, Problem
from fleet.stackfile.reading import load
from tests.support.fakes.api_server import CONTEXT, Fault
from tests.support.fakes.project import StackFolder, new_project
from tests.support.fakes.served import Served, served

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StackFolder:
    return new_project(tmp_path, monkeypatch)


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Served]:
    with served(tmp_path, monkeypatch) as found:
        yield found


def ended(error: BaseException) -> int:
    with pytest.raises(SystemExit) as raised, reported():
        raise error
    assert isinstance(raised.value.code, int)
    return raised.value.code


def test_every_problem_of_an_input_is_a_line_and_the_code_is_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    problems = [Problem("a", "1", "no", "mend"), Problem("b", "2", "no", "mend")]
    assert ended(InputError(problems)) == 2
    assert capsys.readouterr().err == "a: 1: no: mend\nb: 2: no: mend\n"


def test_a_cluster_that_refuses_is_a_line_and_the_code_is_1(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert ended(ClusterError("no")) == 1
    assert capsys.readouterr().err == "no\n"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/out/a"), "/out/a: No space left on"),
        (PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/x"), "/x: Permission denied:"),
        (OSError("odd"), "odd: what was done so far stays"),
    ],
)
def test_what_the_machine_refuses_is_a_line_and_the_code_is_1(
    capsys: pytest.CaptureFixture[str], error: OSError, line: str
) -> None:
    assert ended(error) == 1
    err = capsys.readouterr().err
    assert err.startswith(line)
    assert len(err.splitlines()) == 1


def test_an_interrupt_is_a_line_and_the_code_is_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(KeyboardInterrupt()) == 1
    assert "interrupted: what was done so far stays" in capsys.readouterr().err


def test_a_defect_of_ours_keeps_its_trace() -> None:
    with pytest.raises(ZeroDivisionError), reported():
        raise ZeroDivisionError


def test_the_passphrase_is_taken_from_where_pulumi_looks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE", raising=False)
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE_FILE", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert passphrase() is None
    made = ensured_passphrase()
    assert passphrase() == ensured_passphrase() == made
    assert (tmp_path / "opencode-fleet" / "passphrase").stat().st_mode & 0o777 == 0o600
    (tmp_path / "word").write_text("of the file\n")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE_FILE", str(tmp_path / "word"))
    assert passphrase() == "of the file"
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "")
    assert passphrase() == ""


def test_a_passphrase_file_that_is_not_there_is_wrong_input(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE", raising=False)
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE_FILE", str(tmp_path / "word"))
    with pytest.raises(InputError, match=r"PULUMI_CONFIG_PASSPHRASE_FILE: .*cannot be read"):
        passphrase()


def test_a_passphrase_file_that_is_no_text_is_wrong_input(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE", raising=False)
    (tmp_path / "word").write_bytes(b"\xff\xfe\x00")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE_FILE", str(tmp_path / "word"))
    with pytest.raises(InputError, match=r"PULUMI_CONFIG_PASSPHRASE_FILE: .*not UTF-8"):
        passphrase()


def test_the_stack_files_context_is_used_unless_another_is_given(fleet: Served) -> None:
    environment = fleet.environment()
    assert cluster_of(environment, None).context == CONTEXT
    config = fleet.api.kubeconfig()
    config["contexts"].append({**config["contexts"][0], "name": "other"})
    (fleet.folder / "kubeconfig").write_text(yaml.safe_dump(config))
    assert cluster_of(environment, "other").context == "other"


def test_a_cluster_is_returned_only_when_it_answers(fleet: Served) -> None:
    fleet.api.faults.append(Fault(path="/version"))
    with pytest.raises(AwayError, match="does not answer"):
        cluster_of(fleet.environment(), None)


@pytest.mark.parametrize("name", ["alicloud-vm", "alicloud-ack"])
def test_a_cluster_the_stack_made_is_reached_by_the_kubeconfig_it_exported(
    fleet: Served, name: str
) -> None:
    made = load(name, ROOT)
    with pytest.raises(InputError, match=r"cluster.kind: .* kubeconfig is not at hand"):
        cluster_of(made, None)
    with pytest.raises(InputError, match="give --context"):
        cluster_of(made, None, lambda: None)
    content = yaml.safe_dump({**fleet.api.kubeconfig(), "current-context": CONTEXT})
    assert cluster_of(made, None, lambda: content).list("pods") == []
    # A context that is given is the operator's own.
    assert cluster_of(made, CONTEXT, lambda: "").list("pods") == []


@pytest.mark.parametrize("name", ["alicloud-vm", "alicloud-ack"])
def test_a_cluster_that_the_engine_makes_is_not_rendered(project: StackFolder, name: str) -> None:
    done = project.fleet("render", "-o", "out", "-s", str(ROOT / f"Pulumi.{name}.yaml"))
    assert done.code == 2
    assert "cluster.kind: " in done.err
    assert "deploy it with fleet up" in done.err
    assert not (project.folder / "out").exists()


def test_progress_for_a_log_is_plain_lines_without_repeats(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with reporting() as report:
        report("apply", 0, 10)
        report("apply", 0, 10)
        report("ready", 1, 6, ["a", "b", "c", "d", "e"])
        report("nothing", 0, 0)
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["apply: 0/10", "ready: 1/6 (waiting for a, b, c and 2 more)"]


def test_progress_for_a_person_leaves_nothing_on_standard_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    screen = io.StringIO()
    monkeypatch.setattr("fleet.cli.progress.interactive", lambda: True)
    monkeypatch.setattr("sys.stderr", screen)
    with reporting() as report:
        report("apply", 1, 2)
        report("apply", 2, 2, ["a"])
    assert capsys.readouterr().out == ""
