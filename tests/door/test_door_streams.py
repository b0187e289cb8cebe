"""What stays open: event streams and terminals, who may open one, and what ends it."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from door.control.pages.english import WORDS
from tests.support.door_stack import (
    ALICE,
    BOB,
    DOMAIN,
    FETCH,
    FORM,
    PAGE,
    Browser,
    RunningDoor,
    running_door,
)
from tests.support.door_websocket import frame, handshake, receive

TERMINAL = "/pty/pty_1/connect"


def cookies(browser: Browser, host: str = ALICE) -> dict[str, str]:
    """Return the header with a browser's cookies of a host."""
    return {"Cookie": "; ".join(f"{key}={value}" for key, value in browser.jar[host].items())}


@contextlib.contextmanager
def terminal(door: RunningDoor, headers: dict[str, str]) -> Generator[socket.socket]:
    """Open a terminal of alice."""
    with door.connect() as connection:
        assert handshake(connection, f"{ALICE}:{door.port}", TERMINAL, headers) == 101
        yield connection


@contextlib.contextmanager
def events(door: RunningDoor, headers: dict[str, str]) -> Generator[http.client.HTTPResponse]:
    """Open alice's event stream and read the first event."""
    connection = http.client.HTTPConnection("127.0.0.1", door.port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", "/event", headers={"Host": f"{ALICE}:{door.port}"} | headers)
        answer = connection.getresponse()
        assert answer.status == 200
        assert answer.readline() == b'data: {"number":0}\n'
        yield answer
        answer.close()


def ends(connection: socket.socket) -> bool:
    """Return whether a connection is closed from the other side before its time-out."""
    with contextlib.suppress(ConnectionError):
        while connection.recv(4096):
            pass
    return True


def streams_become(door: RunningDoor, number: int) -> bool:
    """Return whether alice's runtime comes to have so many open streams."""
    end = time.monotonic() + 20
    while len(door.alice.streams) != number and time.monotonic() < end:
        time.sleep(0.05)
    return len(door.alice.streams) == number


def stream_ends(answer: http.client.HTTPResponse) -> bool:
    """Return whether an event stream ends before its time-out."""
    with contextlib.suppress(http.client.IncompleteRead, ConnectionError):
        while answer.read1(4096):
            pass
    return True


def test_a_terminal_works_as_far_as_both_ends_want(door: RunningDoor) -> None:
    browser = door.signed_in()
    own = cookies(browser) | {"Origin": door.origin}
    for headers in (own, door.basic(), door.basic() | {"Origin": door.origin}):
        with terminal(door, headers) as connection:
            for size in (5, 60_000, 0, 125, 126):
                connection.sendall(frame(2, b"x" * size))
                head = 2 if size < 126 else 4
                assert len(receive(connection, head + size)) == head + size


@pytest.mark.parametrize("origin", [f"http://{BOB}:7080", "null", "http://evil.example", None])
def test_a_foreign_page_opens_no_terminal(door: RunningDoor, origin: str | None) -> None:
    browser = door.signed_in()
    headers = cookies(browser) | {"Sec-Fetch-Site": "same-origin"}
    if origin is not None:
        headers["Origin"] = origin
    with door.connect() as connection:
        assert handshake(connection, f"{ALICE}:{door.port}", TERMINAL, headers) == 403
    with door.connect() as connection:
        assert (
            handshake(connection, f"{ALICE}:{door.port}", TERMINAL, {"Origin": door.origin}) == 401
        )


def test_typing_is_use_and_neither_pongs_nor_opening_is(door: RunningDoor) -> None:
    browser = door.signed_in()
    door.forget_asked()
    with (
        events(door, cookies(browser) | FETCH),
        terminal(door, cookies(browser) | {"Origin": door.origin}) as connection,
    ):
        connection.sendall(frame(0xA, b"pong") + frame(9, b"") + frame(2, b""))
        receive(connection, 2)
        assert door.asked() == []
        connection.sendall(frame(2, b"l")[:3])
        connection.sendall(frame(2, b"l")[3:])
        receive(connection, 3)
        assert door.asked() == ["touch alice"]


def test_signing_out_ends_event_streams_and_terminals(door: RunningDoor) -> None:
    browser, other = door.signed_in(), door.signed_in()
    with (
        terminal(door, cookies(browser) | {"Origin": door.origin}) as gone,
        events(door, cookies(browser) | FETCH) as gone_events,
        terminal(door, cookies(other) | {"Origin": door.origin}) as stays,
        terminal(door, door.basic()) as program,
    ):
        before = door.metric("door_ended_streams_total")
        browser.ask(DOMAIN, "/.door/sign-out", "POST", headers=FORM)
        assert ends(gone)
        assert stream_ends(gone_events)
        assert door.metric("door_ended_streams_total") == before + 2
        for connection in (stays, program):
            connection.sendall(frame(1, b"still"))
            assert receive(connection, 7)[2:] == b"still"


@pytest.mark.parametrize("change", [{"wanted": "suspended"}, {"password_version": 2}, None])
def test_suspension_removal_and_a_new_password_end_streams(
    door: RunningDoor, change: dict[str, object] | None
) -> None:
    browser = door.signed_in()
    with (
        terminal(door, cookies(browser) | {"Origin": door.origin}) as person,
        terminal(door, door.basic()) as program,
    ):
        if change is None:
            alice = door.people.pop("alice")
            door.set("bob")
            door.people["alice"] = alice
        else:
            door.set("alice", **change)
        assert ends(person)
        assert ends(program)


def test_a_stream_ends_when_either_side_leaves(door: RunningDoor) -> None:
    browser = door.signed_in()
    assert streams_become(door, 0), "of tests before"
    with (
        events(door, cookies(browser) | FETCH),
        terminal(door, door.basic()) as connection,
    ):
        assert streams_become(door, 2)
        connection.sendall(frame(8, b""))
        assert ends(connection)
        assert streams_become(door, 1)
    assert streams_become(door, 0)


def test_a_stream_to_a_sleeping_runtime_neither_waits_nor_wakes(door: RunningDoor) -> None:
    browser = door.signed_in()
    door.set("alice", phase="asleep", address=None)
    door.forget_asked()
    for path in ("/event", "/global/event", "/global/health", "/config?directory=/app"):
        answer = browser.ask(ALICE, path, headers=FETCH)
        assert answer.status == 503, path
        assert int(answer.header("retry-after") or 0) > 0
    with door.connect() as connection:
        headers = cookies(browser) | {"Origin": door.origin}
        assert handshake(connection, f"{ALICE}:{door.port}", TERMINAL, headers) == 503
    assert door.asked() == []


def test_opening_a_page_wakes_and_shows_so_and_a_call_waits(door: RunningDoor) -> None:
    browser = door.signed_in()
    door.set("alice", phase="asleep", address=None)
    door.forget_asked()
    page = browser.ask(ALICE, "/L2FwcA/session")
    assert page.status == 503
    assert WORDS["waking.title"] in page.page
    assert door.asked() == ["touch alice", "wake alice"]


@pytest.mark.parametrize("program", [True, False])
def test_a_call_is_held_until_the_runtime_is_ready(door: RunningDoor, program: bool) -> None:
    browser = door.signed_in()
    door.set("alice", phase="starting", address=None)

    async def call() -> int:
        headers = door.basic() if program else FETCH
        asking = asyncio.to_thread(
            browser.ask, ALICE, "/session/ses_1/message", "POST", headers=headers, body=b"{}"
        )
        task = asyncio.create_task(asking)
        done, _ = await asyncio.wait({task}, timeout=0.5)
        assert not done
        door.set("alice", phase="ready", address=door.alice.address)
        return (await task).status

    assert asyncio.run(call()) == 200


def test_suspended_and_failing_runtimes_are_told_apart(door: RunningDoor) -> None:
    browser = door.signed_in()
    door.set("alice", wanted="suspended", phase="suspended", address=None)
    assert WORDS["waking.suspended.title"] in browser.ask(ALICE, "/").page
    assert browser.ask(ALICE, "/session", "POST", headers=FETCH).status == 403
    door.set("alice", wanted="active", phase="failing", address=None, reason="the image is gone")
    page = browser.ask(ALICE, "/").page
    assert WORDS["waking.failed.title"] in page
    assert "the image is gone" in page
    call = browser.ask(ALICE, "/session", "POST", headers=FETCH)
    assert call.status == 503
    assert "the image is gone" in call.text


@pytest.mark.door
def test_a_killed_control_is_told_and_all_goes_on_when_it_is_back(tmp_path: Path) -> None:
    with running_door(tmp_path) as door:
        browser = door.signed_in()
        with contextlib.ExitStack() as stack:
            for _ in range(25):
                stack.enter_context(events(door, cookies(browser) | FETCH))
            open_terminals = [
                stack.enter_context(terminal(door, cookies(browser) | {"Origin": door.origin}))
                for _ in range(25)
            ]
            assert door.metric('door_open_streams{kind="terminal"}') == 25
            door.kill_control()
            assert all(ends(connection) for connection in open_terminals)
        page = browser.ask(ALICE, "/", headers=PAGE)
        assert page.status == 503
        assert page.header("content-type") == "text/html; charset=utf-8"
        assert page.header("retry-after") == "3"
        call = browser.ask(ALICE, "/config", headers=FETCH)
        assert (call.status, call.header("content-type")) == (
            503,
            "application/json; charset=utf-8",
        )
        assert browser.ask(DOMAIN, "/.door/sign-in").status == 503
        door.start_control()
        # The cookie outlives the process: nobody has to sign in again.
        assert browser.ask(ALICE, "/").status == 200
        with events(door, cookies(browser) | FETCH):
            assert door.metric('door_open_streams{kind="events"}') == 1
