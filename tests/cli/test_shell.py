"""What all commands share: exit codes, one line an error, the passphrase, which cluster."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path

import pytest

from fleet.cli.progress import reporting
from fleet.cli.shell import cluster_of, need_existing, passphrase, reported
from fleet.errors import ClusterError, InputError, Problem
from tests.support.fakes.project import CONTEXT, Project, new_project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return new_project(tmp_path, monkeypatch)


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
    assert passphrase() is None
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


def test_the_stack_files_context_is_used_unless_another_is_given(project: Project) -> None:
    environment = project.environment()
    assert cluster_of(environment, None).context == CONTEXT
    assert cluster_of(environment, "other").context == "other"


@pytest.mark.parametrize("name", ["alicloud-vm", "alicloud-ack"])
@pytest.mark.parametrize("command", [("apply",), ("destroy", "--yes"), ("render", "-o", "out")])
def test_a_cluster_that_pulumi_makes_needs_pulumi(
    project: Project, name: str, command: tuple[str, ...]
) -> None:
    file = Path(__file__).parents[2] / f"Pulumi.{name}.yaml"
    done = project.fleet(*command, "-s", str(file))
    assert done.code == 2
    assert "fleet apply and destroy cover clusters of kind existing only" in done.err
    assert project.calls() == []


def test_an_existing_cluster_is_covered(project: Project) -> None:
    need_existing(project.environment())


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
