"""Process identity, records, and the lock: nothing but our own is ever ended."""

import dataclasses
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from tools.cluster import lock
from tools.cluster.errors import ClusterError
from tools.cluster.processes import (
    Record,
    Records,
    alive,
    boot_id,
    children,
    end,
    identify,
    last_lines,
    start,
    started_at,
    with_argument,
)


@pytest.fixture
def sleeper() -> Generator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["/bin/sleep", "60"]) as process:
        yield process
        process.kill()


def test_a_process_is_known_by_number_start_and_boot(sleeper: subprocess.Popen[bytes]) -> None:
    identity = identify(sleeper.pid)
    assert identity is not None
    assert identity.boot == boot_id()
    assert alive(identity)
    assert abs(started_at(identity) - time.time()) < 10


@pytest.mark.parametrize("change", [{"start": 1}, {"boot": "another"}])
def test_a_reused_number_is_not_our_process_and_is_not_ended(
    sleeper: subprocess.Popen[bytes], change: dict[str, int | str]
) -> None:
    identity = identify(sleeper.pid)
    assert identity is not None
    stranger = dataclasses.replace(identity, **change)  # pyright: ignore[reportArgumentType] - test data
    assert not alive(stranger)
    end([stranger], grace=0.1)
    assert sleeper.poll() is None


def test_an_ended_process_is_not_alive_although_nobody_waited_for_it(
    sleeper: subprocess.Popen[bytes],
) -> None:
    identity = identify(sleeper.pid)
    assert identity is not None
    end([identity], grace=5)
    assert not alive(identity)


def test_a_process_that_ignores_the_request_is_killed(tmp_path: Path) -> None:
    code = "trap '' TERM; echo ready; while :; do sleep 1; done"
    identity = start(["/bin/sh", "-c", code], tmp_path / "log")
    while not (tmp_path / "log").read_text(encoding="ascii"):
        time.sleep(0.02)
    end([identity], grace=0.2)
    assert not alive(identity)
    os.waitpid(identity.pid, 0)


def test_a_started_process_has_a_session_of_its_own_and_its_output_in_the_log(
    tmp_path: Path,
) -> None:
    log = tmp_path / "deep/log"
    identity = start(["sh", "-c", "echo hello; exec sleep 60"], log)
    assert os.getsid(identity.pid) == identity.pid
    while not log.read_text(encoding="ascii"):
        time.sleep(0.02)
    assert last_lines(log, 5) == "hello"
    assert identity in children([os.getpid()])
    deadline = time.monotonic() + 20
    # The shell has written; it becomes `sleep` a moment later.
    while identity not in with_argument("sleep", "60") and time.monotonic() < deadline:
        time.sleep(0.02)
    assert identity in with_argument("sleep", "60")
    end([identity], grace=5)
    os.waitpid(identity.pid, 0)


def test_starting_a_missing_program_names_it(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="no-such-program"):
        start(["/no-such-program"], tmp_path / "log")


def test_a_record_is_read_while_its_process_runs_and_only_then(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    identity = identify(sleeper.pid)
    assert identity is not None
    records = Records(tmp_path / "records")
    records.write("etcd", Record(identity, "abc"))
    assert records.read("etcd") == Record(identity, "abc")
    assert records.names() == ["etcd"]
    end([identity], grace=5)
    assert records.read("etcd") is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"identity": {"pid": 1}}', "null"])
def test_a_broken_record_is_no_record(tmp_path: Path, text: str) -> None:
    (tmp_path / "etcd.json").write_text(text, encoding="ascii")
    assert Records(tmp_path).read("etcd") is None


def test_the_lock_keeps_a_second_process_out_and_names_the_first(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = textwrap.dedent(
        """
        import sys, time
        from pathlib import Path
        from tools.cluster import lock
        with lock.held(Path(sys.argv[1]), tell=print):
            print("held", flush=True)
            time.sleep(60)
        """
    )
    argv = [sys.executable, "-c", holder, str(path)]
    told: list[str] = []
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(ClusterError, match=str(process.pid)):  # noqa: SIM117 - one step
            with lock.held(path, tell=told.append, timeout=0.3):
                pytest.fail("two processes hold the lock")
        process.kill()
    assert str(process.pid) in told[0]
    # A killed holder leaves its file, not its lock.
    with lock.held(path, tell=told.append, timeout=1):
        assert len(told) == 1
