"""What a person sees who may not, or cannot, run the local cluster: one line and an exit code."""

import os
import platform
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tools.cluster import binaries, cli, machine
from tools.cluster.errors import ClusterError


def run(argv: list[str], monkeypatch: pytest.MonkeyPatch) -> int | str | None:
    monkeypatch.setattr("sys.argv", ["tools.cluster", *argv])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code


@pytest.mark.parametrize("command", [["up"], ["stop"], ["delete"], ["status"], ["docker", "up"]])
def test_without_root_every_command_says_so_in_one_line(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert run(command, monkeypatch) == 2
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert "needs root" in said.err


def test_elsewhere_than_on_linux_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    assert run(["up"], monkeypatch) == 2
    assert "Linux only, this is Darwin" in capsys.readouterr().err


def test_delete_without_its_flag_deletes_nothing_and_lists_what_would_be_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    volume = tmp_path / "opencode-fleet/local-cluster/volumes/pvc-1_pool_alice"
    volume.mkdir(parents=True)
    assert run(["delete"], monkeypatch) == 2
    assert "pvc-1_pool_alice" in capsys.readouterr().err
    assert volume.is_dir()


@pytest.mark.parametrize("said", ["echo go1.19.8", "exit 1"])
def test_a_go_that_is_too_old_or_broken_is_named_before_anything_is_built(
    said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = tmp_path / "go"
    go.write_text(f"#!/bin/sh\n{said}\n", encoding="ascii")
    go.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    told: list[str] = []
    with pytest.raises(ClusterError, match=r"install Go 1\.26 or newer"):
        binaries.ensure(tmp_path / "cache", told.append)
    assert told == []
    assert not (tmp_path / "cache").exists()


def test_a_port_of_somebody_else_is_named_with_what_to_change() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ClusterError, match=f"127.0.0.1:{port} is in use.*--port"):
            machine.require_free_ports("front-door", (("127.0.0.1", port),), own=1)
    machine.require_free_ports("front-door", (("127.0.0.1", port),))


LISTENS_BESIDE = """
import socket, sys
one = socket.socket()
one.bind(("127.0.0.2", 0))
one.listen()
print(one.getsockname()[1], flush=True)
sys.stdin.read()
"""


def test_the_same_port_of_another_address_is_not_the_components_own() -> None:
    """An update ends a component only when its own port is its own, whoever has it elsewhere."""
    with (
        socket.socket() as own,
        subprocess.Popen(
            [sys.executable, "-c", LISTENS_BESIDE], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as other,
    ):
        assert other.stdout is not None
        port = int(other.stdout.readline())
        own.bind(("127.0.0.1", port))
        own.listen()
        machine.require_free_ports("kube-apiserver", (("127.0.0.1", port),), own=os.getpid())
        with pytest.raises(ClusterError, match="is in use by"):
            machine.require_free_ports("kube-apiserver", (("127.0.0.2", port),), own=os.getpid())
        other.communicate()
