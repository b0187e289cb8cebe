"""What nginx and control together let through, change, and keep to themselves."""

from __future__ import annotations

import gzip
import http.client
import json
from typing import Any

import pytest

from door.control.pages.english import WORDS
from tests.support.door_stack import (
    ALICE,
    BOB,
    DOMAIN,
    FETCH,
    PAGE,
    SERVICE_TOKEN,
    Answer,
    RunningDoor,
)

MIB = 1 << 20


def told(answer: Answer) -> dict[str, str]:
    """Return the headers that a runtime says it was sent; none was sent twice."""
    assert answer.status == 200, answer
    pairs = [(key.lower(), value) for key, value in json.loads(answer.body)["headers"]]
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def test_a_signed_in_browser_reaches_its_own_workspace(door: RunningDoor) -> None:
    browser = door.signed_in()
    answer = browser.ask(ALICE, "/L2FwcA/session/ses_1?x=%2F..%2F&y=%00z")
    assert answer.status == 200
    assert "a workspace" in gzip.decompress(answer.body).decode()
    assert door.alice.seen[-1][1] == "/L2FwcA/session/ses_1?x=%2F..%2F&y=%00z"


def test_a_runtime_sees_its_own_credential_and_nothing_of_the_door(door: RunningDoor) -> None:
    browser = door.signed_in()
    sent = FETCH | {
        "X-Door-Host": BOB,
        "X-Door-Grant": "forged",
        "X-Door-Upstream": "127.0.0.1:1",
        "X-User-Id": "bob",
        "Authorization": door.basic("bob")["Authorization"],
        "x-opencode-ticket": "1",
    }
    headers = told(browser.ask(ALICE, "/test/headers", headers=sent))
    assert headers["authorization"] == door.basic("alice")["Authorization"]
    assert headers["host"] == f"{ALICE}:{door.port}"
    assert headers["x-opencode-ticket"] == "1"
    known = {name for name in headers if name.startswith("x-door-")}
    assert known <= {"x-door-upstream"}, "of those that control believes, none passes"
    assert "cookie" not in headers
    assert "x-user-id" not in headers


def test_what_a_runtime_answers_cannot_steer_nginx_or_the_browser(door: RunningDoor) -> None:
    browser = door.signed_in()
    for status in ("200", "401"):
        answer = browser.ask(ALICE, "/test/odd", headers=FETCH | {"X-Test-Status": status})
        assert (answer.status, answer.body) == (int(status), b"odd")
        assert answer.header("set-cookie") is None
        assert answer.header("www-authenticate") is None
        assert not [name for name, _ in answer.headers if name.lower().startswith("x-door")]


def test_pages_may_be_framed_by_their_own_host_only(door: RunningDoor) -> None:
    browser = door.signed_in()
    places = [(ALICE, "/"), (DOMAIN, "/.door/sign-in"), (BOB, "/"), (DOMAIN, "/none")]
    for host, path in places:
        policies = browser.ask(host, path).all("content-security-policy")
        assert "frame-ancestors 'self'" in policies, (host, path)


def test_pages_are_compressed_and_events_are_not(door: RunningDoor) -> None:
    browser = door.signed_in()
    page = browser.ask(ALICE, "/")
    assert page.header("content-encoding") == "gzip"
    assert len(page.body) * 10 < len(gzip.decompress(page.body))
    connection = http.client.HTTPConnection("127.0.0.1", door.port, timeout=5)
    connection.request("GET", "/event", headers=_sent(browser.jar[ALICE], door, FETCH))
    answer = connection.getresponse()
    assert answer.getheader("content-encoding") is None
    assert answer.getheader("content-type") == "text/event-stream"
    assert answer.readline() == b'data: {"number":0}\n'
    connection.close()


def test_what_a_runtime_writes_is_passed_on_at_once(door: RunningDoor) -> None:
    for more in ({}, {"Accept-Encoding": "gzip"}):
        door.alice.go_on.clear()
        connection = http.client.HTTPConnection("127.0.0.1", door.port, timeout=20)
        headers = {"Host": f"{ALICE}:{door.port}"} | door.basic() | more
        connection.request("GET", "/test/slow", headers=headers)
        answer = connection.getresponse()
        first = answer.read1(4096)
        door.alice.go_on.set()
        body = first + answer.read()
        connection.close()
        text = gzip.decompress(body).decode() if more else body.decode()
        assert "[10]" in text
        assert "nobody has read" not in text


def test_programs_use_basic_a_token_or_a_service_token(door: RunningDoor) -> None:
    service = {"Authorization": f"Bearer {SERVICE_TOKEN}"}
    good = [door.basic(), service | {"X-User-Id": "alice"}]
    for headers in good:
        assert told(door.ask(ALICE, "/test/headers", headers=headers))["host"].startswith(ALICE)
    bad: list[tuple[dict[str, str], int]] = [
        ({}, 401),
        ({"Authorization": "Basic YWxpY2U6eA=="}, 401),
        ({"Authorization": "Basic ???"}, 401),
        ({"Authorization": "Digest username=alice"}, 401),
        ({"Authorization": "Bearer nothing"}, 401),
        (service, 404),
        (service | {"X-User-Id": "nobody"}, 404),
        (service | {"X-User-Id": "bob"}, 404),
        (door.basic("bob"), 404),
    ]
    for headers, status in bad:
        answer = door.ask(ALICE, "/test/headers", headers=headers)
        assert answer.status == status, headers
        assert json.loads(answer.body)["error"]["code"]
        challenge = answer.header("www-authenticate") or ""
        assert challenge.startswith("Basic ") == (status == 401)


def test_a_browser_is_never_asked_for_basic_and_its_basic_is_not_believed(
    door: RunningDoor,
) -> None:
    for headers in (PAGE, FETCH, {"User-Agent": "Mozilla/5.0", "Accept": "*/*"}):
        answer = door.ask(ALICE, "/test/headers", headers=headers)
        assert answer.header("www-authenticate") is None
        assert answer.status in {303, 401}
    marked: list[dict[str, str]] = [
        FETCH,
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Dest": "empty"},
        {"User-Agent": "Mozilla/5.0 (an old one, or plain http)"},
    ]
    for marks in marked:
        answer = door.ask(ALICE, "/test/headers", headers=marks | door.basic())
        assert answer.status == 401


def test_what_node_marks_is_no_browser(door: RunningDoor) -> None:
    node = {"Sec-Fetch-Mode": "cors", "User-Agent": "node"}
    assert door.ask(ALICE, "/test/headers", headers=door.basic() | node).status == 200


@pytest.mark.parametrize(
    "marks",
    [
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate"},
        {"Origin": "http://bob.fleet.localhost:7080"},
        {"Origin": "null"},
        {},
    ],
)
def test_a_foreign_page_changes_nothing_with_a_cookie(
    door: RunningDoor, marks: dict[str, str]
) -> None:
    browser = door.signed_in()
    before = len(door.alice.seen)
    plain = {"User-Agent": "Mozilla/5.0", "Accept": "*/*"}
    answer = browser.ask(ALICE, "/pty", "POST", headers=plain | marks, body=b'{"command":"id"}')
    assert answer.status == 403
    assert json.loads(answer.body)["error"]["code"] == "cross-site"
    assert len(door.alice.seen) == before


def test_a_foreign_page_reads_and_frames_nothing_and_may_be_a_link(door: RunningDoor) -> None:
    browser = door.signed_in()
    for dest in ("iframe", "image", "empty"):
        marks = PAGE | {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Dest": dest}
        assert browser.ask(ALICE, "/", headers=marks).status == 403
    link = PAGE | {"Sec-Fetch-Site": "cross-site"}
    assert browser.ask(ALICE, "/", headers=link).status == 200
    assert browser.ask(ALICE, "/", "POST", headers=link).status == 403


def test_hosts_of_others_and_of_nobody_look_the_same(door: RunningDoor) -> None:
    before = len(door.bob.seen)
    alice = door.signed_in()
    nobody = f"nobody.{DOMAIN}"
    for browser in (alice, door.browser()):
        pages: list[tuple[int, bytes]] = []
        for host in (BOB, nobody):
            answer = browser.open(host, "/test/headers")
            pages.append((answer.status, answer.body.replace(host.encode(), b"HOST")))
        same = [
            (status, body.replace(b"nobody.", b"").replace(b"bob.", b"")) for status, body in pages
        ]
        statuses = {status for status, _ in same}
        assert len(statuses) == 1
    assert alice.open(BOB, "/").status == 404
    # The cookie of one host is worth nothing at another.
    planted = {"Cookie": "; ".join(f"{k}={v}" for k, v in alice.jar[ALICE].items())}
    assert door.ask(BOB, "/test/headers", headers=FETCH | planted).status == 401
    assert len(door.bob.seen) == before


def test_hosts_outside_the_domain_are_nobodys(door: RunningDoor) -> None:
    for host in (
        "evil.example",
        "a.b.fleet.localhost",
        "127.0.0.1",
        "fleet.localhost.evil.example",
    ):
        answer = door.ask(host, "/", headers=PAGE)
        assert answer.status == 404, host
        assert answer.header("location") is None
        assert answer.header("set-cookie") is None


@pytest.mark.parametrize(
    "path", ["/.door/decide", "/%2edoor/decide", "//.door//./decide", "/.door/refused"]
)
def test_what_nginx_asks_control_nobody_else_can_ask(door: RunningDoor, path: str) -> None:
    headers = door.basic() | {"X-Door-Gate": "decide", "X-Door-Host": ALICE, "X-Door-Uri": "/"}
    for host in (ALICE, DOMAIN):
        answer = door.ask(host, path, headers=headers)
        assert answer.status == 404
        assert not [name for name, _ in answer.headers if name.lower().startswith("x-door")]
        assert b"Basic" not in answer.body


def test_a_body_of_100_mb_streams_through(door: RunningDoor) -> None:
    size = 100 * MIB
    piece = b"x" * MIB
    answer = door.ask(
        ALICE,
        "/test/upload",
        "POST",
        headers=door.basic() | {"Content-Length": str(size)},
        body=(piece for _ in range(100)),
    )
    assert (answer.status, answer.body) == (200, str(size).encode())
    left = [file for file in door.folder.glob("nginx-body/**/*") if file.is_file()]
    assert left == []


def test_a_body_over_100_mb_is_refused_before_it_is_sent(door: RunningDoor) -> None:
    length = {"Content-Length": str(101 * MIB), "Expect": "100-continue"}
    told_page = door.raw(
        "POST /test/upload HTTP/1.1",
        f"Host: {ALICE}:{door.port}",
        *(f"{key}: {value}" for key, value in (PAGE | length).items()),
        "Connection: close",
        wait=2,
    )
    assert told_page.startswith(b"HTTP/1.1 413 ")
    assert WORDS["too-large.title"].encode() in told_page
    answer = door.raw(
        "POST /test/upload HTTP/1.1",
        f"Host: {ALICE}:{door.port}",
        *(f"{key}: {value}" for key, value in (door.basic() | length).items()),
        "Connection: close",
        wait=2,
    )
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"too-large"' in answer


def test_a_body_without_a_length_has_the_same_limit(door: RunningDoor) -> None:
    answer = door.raw(
        "POST /test/headers HTTP/1.1",
        f"Host: {ALICE}:{door.port}",
        *(f"{key}: {value}" for key, value in door.basic().items()),
        "Transfer-Encoding: chunked",
        "Connection: close",
        rest=f"{101 * MIB:x}\r\nx".encode(),
        wait=2,
    )
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"too-large"' in answer


def test_a_runtime_that_dies_in_a_request_gets_the_error_page(door: RunningDoor) -> None:
    browser = door.signed_in()
    page = browser.ask(ALICE, "/test/dies")
    assert page.status == 502
    assert WORDS["unavailable.title"] in page.page
    call = browser.ask(ALICE, "/test/dies", headers=FETCH)
    assert json.loads(call.body)["error"]["code"] == "unreachable"
    door.set("alice", address="127.0.0.1")
    assert browser.ask(ALICE, "/").status == 502
    stream = browser.ask(ALICE, "/event", headers=FETCH)
    assert (stream.status, json.loads(stream.body)["error"]["code"]) == (502, "unreachable")


def _sent(cookies: dict[str, str], door: RunningDoor, headers: dict[str, str]) -> dict[str, Any]:
    together = "; ".join(f"{key}={value}" for key, value in cookies.items())
    return headers | {"Cookie": together, "Host": f"{ALICE}:{door.port}"}
