"""Where `pulumi` comes from: the machine's own, else one built here; nothing is compiled here."""

import re
from pathlib import Path

import pytest

from tools.engine_build import __main__ as command_line
from tools.engine_build import engine
from tools.go_build.errors import ModulesError, ToolchainError
from tools.go_build.programs import ProgramSet


def _program(folder: Path, name: str = "pulumi") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("#!/bin/sh\n", encoding="ascii")
    (folder / name).chmod(0o755)
    return folder / name


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, on a machine without pulumi."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    return engine.default_cache()


def _finished(cache: Path) -> Path:
    folder = cache / f"{engine.PROGRAMS.sources_hash()}-go1.26.8"
    for name in engine.PROGRAMS.programs:
        _program(folder, name)
    return folder


def _never(*_: object) -> Path:
    message = "nothing is to be built"
    raise AssertionError(message)


def test_a_machine_with_pulumi_builds_nothing(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own = _program(tmp_path / "own")
    monkeypatch.setenv("PATH", str(own.parent))
    monkeypatch.setattr(ProgramSet, "ensure", _never)
    assert engine.ensure_engine(cache, print) is None
    assert command_line.main(["build"]) == 0
    said = capsys.readouterr()
    assert said.out == f"{own.parent}\n"
    assert "this machine's own" in said.err


def test_our_own_pulumi_on_path_is_not_taken_for_the_machines(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _finished(cache)
    monkeypatch.setenv("PATH", str(folder))
    assert engine.machines_own(cache) is None
    assert engine.find_engine(cache) == folder


def test_an_engine_is_found_only_when_both_programs_are_there(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line.main(["find"]) == 1
    assert "make engine" in capsys.readouterr().err
    folder = _finished(cache)
    (folder / "pulumi-resource-kubernetes").unlink()
    assert engine.find_engine(cache) is None
    _program(folder, "pulumi-resource-kubernetes")
    assert command_line.main(["find"]) == 0
    assert capsys.readouterr().out == f"{folder}\n"


def test_ours_is_built_besides_the_machines_when_that_is_asked_for(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(_program(tmp_path / "own").parent))
    folder = _finished(cache)
    assert command_line.main(["find", "--always"]) == 0
    assert capsys.readouterr().out == f"{folder}\n"


@pytest.mark.parametrize("error", [ToolchainError, ModulesError])
def test_what_is_missing_is_told_in_one_line(
    error: type[Exception],
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def ensure(*_: object) -> Path:
        raise error("Pulumi: not to be had")

    monkeypatch.setattr(ProgramSet, "ensure", ensure)
    with pytest.raises(error):
        engine.ensure_engine(cache, print)
    assert command_line.main(["build"]) == 1
    assert capsys.readouterr() == ("", "error: Pulumi: not to be had\n")


def test_an_interrupt_says_that_nothing_is_lost(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ensure(*_: object) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(ProgramSet, "ensure", ensure)
    assert not cache.exists()
    assert command_line.main(["build"]) == command_line.INTERRUPTED
    assert "what is compiled stays" in capsys.readouterr().err


def test_the_stamped_version_is_the_one_that_the_module_has() -> None:
    text = (engine.PROGRAMS.module / "go.mod").read_text(encoding="utf-8")
    found = re.search(r"github\.com/pulumi/pulumi/pkg/v3 (\S+)", text)
    assert found is not None
    assert found[1] == engine.VERSION
