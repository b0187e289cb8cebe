"""Requests that are written so that two readers of them may see two different ones."""

from __future__ import annotations

import pytest

from tests.support.door_stack import ALICE, BOB, FETCH, RunningDoor


def cookie(door: RunningDoor) -> str:
    """Return the line that a signed-in browser of alice sends."""
    return f"Cookie: __Host-fleet={door.signed_in().jar[ALICE]['__Host-fleet']}"


def status(answer: bytes) -> int:
    """Return the status of the first answer of a connection; 0 where it just ended."""
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0


def lines(door: RunningDoor, *more: str, host: str = ALICE, start: str = "") -> list[str]:
    """Return a request of a browser on a host, closed after one answer."""
    marks = [f"{key}: {value}" for key, value in FETCH.items()]
    first = start or "GET /test/headers HTTP/1.1"
    return [first, f"Host: {host}:{door.port}", "Connection: close", *marks, *more]


def test_headers_of_the_door_do_not_count_when_a_client_sends_them(door: RunningDoor) -> None:
    good = cookie(door)
    grant = "eyJ1IjoiYm9iIn0.AAAA"
    for name, value in [
        ("X-Door-Host", ALICE),
        ("X-Door-Gate", "carried"),
        ("X-Door-Gate", "decide"),
        ("X-Door-Method", "GET"),
        ("X-Door-Uri", "/site.webmanifest"),
        ("X-Door-Peer", "10.0.0.1"),
        ("X-Door-Grant", grant),
        ("X-Door-Upgrade", "websocket"),
        ("X-Door-Refusal", "waking"),
        ("X_Door_Host", ALICE),
        ("x-door-HOST", ALICE),
    ]:
        extra = f"{name}: {value}"
        alone = door.raw(*lines(door, extra))
        assert status(alone) == 401, extra
        other = door.raw(*lines(door, extra, good, host=BOB))
        assert status(other) == 401, extra
        own = door.raw(*lines(door, good, f"{name}: {BOB}"))
        assert status(own) == 200, extra
        assert f"{ALICE}:{door.port}".encode() in own
        foreign = ["GET", "/pty", "POST"]
        post = door.raw(
            f"POST {foreign[1]} HTTP/1.1",
            f"Host: {ALICE}:{door.port}",
            "Connection: close",
            "Sec-Fetch-Site: same-site",
            "Content-Length: 0",
            extra,
            good,
        )
        assert status(post) == 403, extra


def test_a_grant_that_a_client_sends_opens_no_stream(door: RunningDoor) -> None:
    for host in (ALICE, BOB):
        answer = door.raw(*lines(door, "X-Door-Grant: a.b", host=host, start="GET /event HTTP/1.1"))
        assert status(answer) == 401


def test_two_hosts_in_one_request_are_never_two_users(door: RunningDoor) -> None:
    good = cookie(door)
    before = len(door.bob.seen)
    double = door.raw(*lines(door, f"Host: {BOB}:{door.port}", good))
    assert status(double) in {200, 400}
    target = f"http://{BOB}:{door.port}/test/headers"
    absolute = door.raw(*lines(door, good, start=f"GET {target} HTTP/1.1"))
    assert status(absolute) == 401
    back = f"http://{ALICE}:{door.port}/test/headers"
    own = door.raw(*lines(door, good, host=BOB, start=f"GET {back} HTTP/1.1"))
    assert status(own) == 200
    assert f'"Host", "{ALICE}:{door.port}"'.encode() in own
    for odd in (
        f"{ALICE}/{BOB}",
        f"{ALICE}%00.{BOB}",
        f"{ALICE} {BOB}",
    ):
        answer = door.raw(*lines(door, good, host=odd))
        assert status(answer) in {0, 400, 401, 404}, odd
    # nginx and control read it in one way, and the runtime is told only what they read.
    credential = door.raw(*lines(door, good, host=f"{ALICE}:{door.port}@{BOB}"))
    assert f'"Host", "{ALICE}:{door.port}"'.encode() in credential
    assert len(door.bob.seen) == before


def test_a_host_is_the_same_in_other_letters(door: RunningDoor) -> None:
    answer = door.raw(*lines(door, cookie(door), host=ALICE.upper()))
    assert status(answer) == 200
    assert f'"Host", "{ALICE}:{door.port}"'.encode() in answer


def test_two_cookie_headers_and_two_credentials(door: RunningDoor) -> None:
    good = cookie(door)
    assert status(door.raw(*lines(door, "Cookie: a=b", good))) == 200
    assert status(door.raw(*lines(door, "Cookie: __Host-fleet=forged", good))) == 200
    basic = f"Authorization: {door.basic()['Authorization']}"
    program = [
        "GET /test/headers HTTP/1.1",
        f"Host: {ALICE}:{door.port}",
        "Connection: close",
        basic,
    ]
    assert status(door.raw(*program)) == 200
    assert status(door.raw(*program, "Authorization: Bearer x")) in {400, 401}


@pytest.mark.parametrize(
    "more",
    [
        ["Content-Length: 5", "Transfer-Encoding: chunked"],
        ["Content-Length: 5", "Content-Length: 6"],
        ["Transfer-Encoding: chunked, identity"],
        ["Transfer-Encoding: xchunked"],
        ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding : chunked", "Content-Length: 5"],
        ["Content-Length: +5"],
        ["Content-Length: 5, 5"],
    ],
)
def test_a_second_request_hidden_in_a_body_reaches_nobody(
    door: RunningDoor, more: list[str]
) -> None:
    hidden = f"POST /pty HTTP/1.1\r\nHost: {BOB}\r\nContent-Length: 2\r\n\r\n{{}}"
    before = len(door.alice.commands), len(door.bob.seen)
    answer = door.raw(
        "POST /test/headers HTTP/1.1",
        f"Host: {ALICE}:{door.port}",
        f"Authorization: {door.basic()['Authorization']}",
        *more,
        rest=b"0\r\n\r\n" + hidden.encode(),
        wait=1,
    )
    assert status(answer) in {200, 400, 501}
    # What follows on the connection is a request of its own: it shows nothing, so it is refused.
    assert (len(door.alice.commands), len(door.bob.seen)) == before


def test_a_line_end_in_a_value_makes_no_header(door: RunningDoor) -> None:
    for text in (f"/test/headers?a=%0d%0aX-Door-Host:%20{BOB}", "/test/headers%0d%0aCookie:a"):
        answer = door.ask(ALICE, text, headers=door.basic())
        assert answer.status == 200
        names = {name.lower() for name in door.alice.seen[-1][2]}
        assert not names & {"x-door-host", "cookie"}


def test_paths_that_are_read_in_two_ways_stay_on_the_same_side(door: RunningDoor) -> None:
    inner = ["/x/../.door/sign-in", "/%2e%64oor/sign-in", "/.door/../test/headers", "/.DOOR/decide"]
    for path in inner:
        answer = door.raw(*lines(door, start=f"GET {path} HTTP/1.1"))
        assert status(answer) in {401, 404}, path
    own = door.raw(*lines(door, cookie(door), start="GET /.door/../test/headers HTTP/1.1"))
    assert status(own) == 200
    assert door.alice.seen[-1][1] == "/.door/../test/headers"
