"""Load on two cores: many starts at once, and one workspace with many open streams."""

from __future__ import annotations

import http.client
import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from tests.e2e.harness.environment import Environment
from tests.e2e.harness.kube import restarts
from tests.e2e.harness.making import Maker
from tests.e2e.harness.workspace import Workspace

pytestmark = pytest.mark.e2e
RUNTIMES = 20
STREAMS = 50
TALKERS = 4
SECONDS = float(os.environ.get("FLEET_E2E_STREAM_SECONDS") or 300)
# Every 10 s OpenCode sends a heartbeat; a stream that says nothing for so long is dead.
LONGEST_SILENCE = 30.0
BUDGET = 300.0
USAGE = (
    "cat /sys/fs/cgroup/memory/memory.usage_in_bytes 2>/dev/null"
    " || cat /sys/fs/cgroup/memory.current"
)
INACTIVE = (
    "awk '$1 ~ /^(total_)?inactive_file$/ {print $2}' /sys/fs/cgroup/memory/memory.stat"
    " /sys/fs/cgroup/memory.stat 2>/dev/null | tail -1"
)


def memory_mib(environment: Environment, user: str) -> float:
    """Return the memory of a runtime's cgroup without reclaimable file pages, as kubelet counts."""
    done = environment.inside(user, "sh", "-c", f"{USAGE}; {INACTIVE}")
    used, inactive = (int(word) for word in done.stdout.split())
    return (used - inactive) / 2**20


def test_twenty_runtimes_start_at_once_from_cold(
    make: Maker, figure: Callable[[str], None]
) -> None:
    """Lost otherwise: Monday morning, or a new node, ends in restarts that end in restarts."""
    users = [f"user-{number:02}" for number in range(RUNTIMES)]
    environment = make("cold", users)
    began = time.monotonic()
    environment.up("--timeout", str(BUDGET))
    took = time.monotonic() - began
    pods = environment.pods()
    assert len(pods) == RUNTIMES
    assert {user: restarts(pod) for user, pod in pods.items() if restarts(pod)} == {}
    sizes = [memory_mib(environment, user) for user in users[:5]]
    figure(
        f"{RUNTIMES} runtimes cold to ready: {took:.0f} s;"
        f" memory each {min(sizes):.0f} to {max(sizes):.0f} MiB"
    )
    assert max(sizes) < 512
    environment.destroy()


@dataclass
class Tally:
    """What the streams and the talkers saw."""

    events: int = 0
    prompts: int = 0
    longest: float = 0.0
    wrong: list[str] = field(default_factory=list[str])
    lock: threading.Lock = field(default_factory=threading.Lock)

    def problem(self, text: str) -> None:
        """Note something that must not happen."""
        with self.lock:
            self.wrong.append(text)


def listen(workspace: Workspace, end: float, tally: Tally) -> None:
    """Hold an event stream open until `end`, noting its longest silence."""
    try:
        connection = workspace.open(LONGEST_SILENCE)
        connection.request("GET", "/event?directory=/app", headers=workspace.headers())
        stream = connection.getresponse()
        if stream.status != 200:
            tally.problem(f"stream: {stream.status}")
            return
        last = time.monotonic()
        while time.monotonic() < end:
            line = stream.readline()
            if not line:
                tally.problem(f"stream ended {end - time.monotonic():.0f} s early")
                return
            if line.startswith(b"data:"):
                now = time.monotonic()
                with tally.lock:
                    tally.events += 1
                    tally.longest = max(tally.longest, now - last)
                last = now
        connection.close()
    except (OSError, AssertionError, http.client.HTTPException) as error:
        tally.problem(f"stream: {type(error).__name__}: {error}")


def talk(workspace: Workspace, end: float, tally: Tally, number: int) -> None:
    """Send prompts in a chat of its own until `end`."""
    try:
        chat = workspace.chat()
        while time.monotonic() < end:
            workspace.say(chat, f"[[slow 1]] [[say answer of {number}]]", timeout=90)
            with tally.lock:
                tally.prompts += 1
    except (OSError, AssertionError, json.JSONDecodeError) as error:
        tally.problem(f"prompt: {error}")


def test_fifty_streams_stay_open_for_five_minutes_while_chats_go_on(
    make: Maker, figure: Callable[[str], None]
) -> None:
    """Lost otherwise: a workspace with a few open tabs and agents grows until it dies."""
    environment = make("streams", ["ann"])
    environment.up()
    ann = environment.workspace("ann")
    ann.healthy()
    ann.say(ann.chat(), "[[say warm]]")
    tally, sizes = Tally(), [memory_mib(environment, "ann")]
    end = time.monotonic() + SECONDS
    threads = [threading.Thread(target=listen, args=(ann, end, tally)) for _ in range(STREAMS)]
    threads += [threading.Thread(target=talk, args=(ann, end, tally, n)) for n in range(TALKERS)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        threads = [thread for thread in threads if thread.is_alive()]
        threads[0].join(15)
        sizes.append(memory_mib(environment, "ann"))
    pod = environment.pod("ann")
    figure(
        f"{STREAMS} streams for {SECONDS:.0f} s: {tally.events} events, {tally.prompts} answers,"
        f" longest silence {tally.longest:.1f} s, memory {sizes[0]:.0f} MiB at first,"
        f" {max(sizes):.0f} at most, {sizes[-1]:.0f} at the end"
    )
    assert not tally.wrong, tally.wrong[:10]
    assert restarts(pod) == 0
    assert tally.events > STREAMS
    assert tally.prompts >= TALKERS
    assert max(sizes) < 900, "the limit is 1 GiB"
