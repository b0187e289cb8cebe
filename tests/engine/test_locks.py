"""One run at a time: who holds a stack, and whose lock is taken over."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fleet.engine.locks import (
    Lock,
    clear_dead_locks,
    find_locks,
    held,
    is_dead,
    told_refusal,
)
from fleet.engine.processes import Process, end_session, find_process
from fleet.errors import EngineError

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
HERE = "here"


def lock(host: str = HERE, pid: int = 77) -> Lock:
    return Lock(path=Path("x.json"), pid=pid, user="ann", host=host, since=NOW)


def process(started: datetime) -> Process:
    return Process(pid=77, session=77, started=started.timestamp())


@pytest.mark.parametrize(
    ("held", "found", "dead"),
    [
        pytest.param(lock(), None, True, id="its process is gone"),
        pytest.param(lock(), process(NOW - timedelta(seconds=1)), False, id="it lives"),
        pytest.param(lock(), process(NOW + timedelta(seconds=2)), False, id="clocks are coarse"),
        pytest.param(lock(), process(NOW + timedelta(hours=1)), True, id="its number is another's"),
        pytest.param(lock(host="elsewhere"), None, False, id="another machine's"),
        pytest.param(lock(pid=0), process(NOW), True, id="it was cut off while written"),
    ],
)
def test_a_lock_is_dead_only_when_that_is_certain(
    held: Lock, found: Process | None, *, dead: bool
) -> None:
    assert is_dead(held, HERE, lambda _: found) is dead


def write(state: Path, pid: int, host: str | None = None, name: str = "a") -> Path:
    folder = state / ".pulumi/locks/organization/opencode-fleet/t"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.json"
    content = {
        "pid": pid,
        "username": "ann",
        "hostname": host or socket.gethostname(),
        "timestamp": "2026-11-26T09:42:01.123456789Z",
    }
    file.write_text(json.dumps(content))
    file.with_name(f"{file.name}.attrs").write_text("{}")
    return file


def ended_process() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    return ended.pid


def test_the_lock_of_a_dead_run_is_removed_with_what_belongs_to_it(tmp_path: Path) -> None:
    write(tmp_path, ended_process())
    (cleared,) = clear_dead_locks("t", tmp_path)
    assert cleared.user == "ann"
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert clear_dead_locks("t", tmp_path) == []


def test_the_lock_of_a_live_run_is_refused_in_one_line_that_names_it(tmp_path: Path) -> None:
    file = write(tmp_path, 1, host="elsewhere")
    with pytest.raises(EngineError) as raised:
        clear_dead_locks("t", tmp_path)
    text = str(raised.value)
    assert text.startswith("environment t: another run is under way: ann@elsewhere (process 1)")
    assert "since 2026-11-26" in text
    assert "\n" not in text
    assert file.exists()


def test_a_live_process_of_this_machine_holds_its_lock(tmp_path: Path) -> None:
    file = write(tmp_path, os.getpid())
    content = json.loads(file.read_text())
    found = find_process(os.getpid())
    assert found is not None
    since = datetime.fromtimestamp(found.started, UTC) + timedelta(seconds=5)
    file.write_text(json.dumps({**content, "timestamp": since.isoformat()}))
    with pytest.raises(EngineError, match=rf"process {os.getpid()}"):
        clear_dead_locks("t", tmp_path)


def test_a_lock_whose_writing_was_cut_off_is_removed(tmp_path: Path) -> None:
    file = write(tmp_path, 1)
    file.write_text('{"pid": 1')
    assert len(clear_dead_locks("t", tmp_path)) == 1
    assert not file.exists()


def test_another_stacks_lock_is_left(tmp_path: Path) -> None:
    file = write(tmp_path, ended_process())
    assert find_locks(tmp_path, "other") == []
    assert clear_dead_locks("other", tmp_path) == []
    assert file.exists()


def test_an_engine_whose_fleet_is_gone_is_waited_for(tmp_path: Path) -> None:
    """`fleet` was killed: its engine writes the state and ends; the lock is then nobody's."""
    environ = {**os.environ, "FLEET_ENGINE_OWNER": str(ended_process())}
    with subprocess.Popen(["/bin/sleep", "1"], env=environ, start_new_session=True) as engine:
        file = write(tmp_path, engine.pid)
        content = json.loads(file.read_text())
        now = datetime.now(UTC).isoformat()
        file.write_text(json.dumps({**content, "timestamp": now}))
        (cleared,) = clear_dead_locks("t", tmp_path)
        assert cleared.pid == engine.pid
        assert find_process(engine.pid) is None


def test_what_the_engine_says_of_a_lock_becomes_our_line() -> None:
    text = (
        "error: the stack is currently locked by 1 lock(s). Either wait …\n"
        "  s3://states/.pulumi/locks/organization/opencode-fleet/t/9.json: created by ann@there"
        " (pid 77) at 2026-11-26T09:42:01Z"
    )
    line = str(told_refusal("t", text))
    assert "another run is under way: ann@there (process 77) since 2026-11-26T09:42:01Z" in line
    assert "somebody since a moment ago" in str(told_refusal("t", "[409] Conflict"))


class TestSessions:
    SCRIPT = "import subprocess; print(subprocess.Popen(['/bin/sleep', '60']).pid)"

    def left(self, **more: str) -> tuple[int, int]:
        """Return a session whose leader has ended, and the process it has left."""
        with subprocess.Popen(
            [sys.executable, "-c", self.SCRIPT],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, **more},
        ) as leader:
            assert leader.stdout is not None
            child = int(leader.stdout.readline())
        assert find_process(child) is not None
        return leader.pid, child

    def test_what_an_engine_has_left_running_is_ended(self) -> None:
        session, child = self.left(FLEET_ENGINE_OWNER="1")
        assert end_session(session) == [child]
        assert find_process(child) is None

    def test_what_is_not_of_an_engine_is_left_whatever_its_session(self) -> None:
        session, child = self.left()
        try:
            assert end_session(session) == []
            assert find_process(child) is not None
        finally:
            os.kill(child, 9)

    @pytest.mark.parametrize("session", [0, 1])
    def test_the_systems_own_sessions_are_never_touched(self, session: int) -> None:
        assert end_session(session) == []

    def test_a_session_whose_leader_lives_is_left(self) -> None:
        environ = {**os.environ, "FLEET_ENGINE_OWNER": "1"}
        with subprocess.Popen(["/bin/sleep", "60"], start_new_session=True, env=environ) as leader:
            assert end_session(leader.pid) == []
            assert leader.poll() is None
            leader.kill()

    def test_a_process_that_is_not_there_is_none(self) -> None:
        assert find_process(ended_process()) is None
        mine = find_process(os.getpid())
        assert mine is not None
        assert mine.session == os.getsid(0)


class TestHeld:
    def test_an_environment_of_several_stacks_is_held_by_one_run(self, tmp_path: Path) -> None:
        here = f"process {os.getpid()}"
        with held("t", tmp_path):
            refused = pytest.raises(EngineError, match=f"environment t: another run .*{here}")
            with refused, held("t", tmp_path):
                pytest.fail("held twice")
            with held("other", tmp_path):
                assert len(list((tmp_path / ".pulumi/locks/opencode-fleet").iterdir())) == 2
        assert list((tmp_path / ".pulumi/locks/opencode-fleet").iterdir()) == []

    def test_what_a_dead_run_held_is_taken_over(self, tmp_path: Path) -> None:
        process = subprocess.Popen([sys.executable, "-c", ""])
        process.wait()
        file = tmp_path / ".pulumi/locks/opencode-fleet/t.json"
        file.parent.mkdir(parents=True)
        file.write_text(write(tmp_path, process.pid).read_text())
        with held("t", tmp_path):
            assert json.loads(file.read_text())["pid"] == os.getpid()
        assert not file.exists()

    def test_a_state_that_is_no_folder_has_the_engines_locks_alone(self) -> None:
        with held("t", None), held("t", None):
            assert find_locks(Path("absent"), "t") == []
