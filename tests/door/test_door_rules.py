"""The rules that need no process: what is foreign, who asks, what expires."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from door.control.asking import Asked, local_path, read_asked
from door.control.crosssite import from_own_page
from door.control.frames import Frames
from door.control.keys import Keys
from door.control.sessions import CLOCK_LEEWAY, Session, Sessions
from door.control.settings import Settings
from door.control.tickets import LIFETIME, Tickets, new_nonce, nonce_mark
from door.control.tokens import Tokens
from tests.support.door_desk import Desk
from tests.support.door_websocket import frame
from tests.support.door_world import SEED, FakeWorld, door_settings

HOST = "alice.fleet.localhost"
ORIGIN = f"http://{HOST}:7080"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEYS = Keys(SEED, "test")


def asked(method: str = "GET", uri: str = "/", **headers: str) -> Asked:
    """Return a request with headers whose `_` is written `-`."""
    given = Headers({key.replace("_", "-"): value for key, value in headers.items()})
    return Asked(host=HOST, method=method, uri=uri, headers=given, address="10.0.0.1")


# What browsers send: (method, Sec-Fetch-Site, -Mode, -Dest, Origin) and whether it is the host's.
OWN = [
    ("GET", "same-origin", "cors", "empty", None),
    ("POST", "same-origin", "cors", "empty", ORIGIN),
    ("GET", "same-origin", "navigate", "iframe", None),
    ("GET", "none", "navigate", "document", None),
    ("GET", "cross-site", "navigate", "document", None),
    ("GET", "same-site", "navigate", "document", None),
    ("POST", "", "", "", ORIGIN),
    ("GET", "", "", "", None),
    # A page with `no-referrer` sends this to its own host.
    ("POST", "same-origin", "navigate", "document", "null"),
]
FOREIGN = [
    ("GET", "same-site", "no-cors", "image", None),
    ("GET", "same-site", "cors", "empty", "http://bob.fleet.localhost:7080"),
    ("GET", "same-site", "navigate", "iframe", None),
    ("GET", "cross-site", "navigate", "object", None),
    ("HEAD", "cross-site", "navigate", "document", None),
    ("POST", "same-site", "no-cors", "empty", "http://bob.fleet.localhost:7080"),
    ("POST", "cross-site", "navigate", "document", "https://evil.example"),
    ("OPTIONS", "same-site", "cors", "empty", "http://bob.fleet.localhost:7080"),
    ("POST", "", "", "", "http://bob.fleet.localhost:7080"),
    ("POST", "", "", "", "null"),
    ("POST", "", "", "", None),
    ("GET", "", "", "", "https://evil.example"),
    ("DELETE", "", "", "", None),
    ("POST", "made-up", "cors", "empty", None),
]


def browser_request(method: str, site: str, mode: str, dest: str, origin: str | None) -> Asked:
    """Return a request with the marks of a browser."""
    marks = {"sec_fetch_site": site, "sec_fetch_mode": mode, "sec_fetch_dest": dest}
    headers = {key: value for key, value in marks.items() if value}
    return asked(method, **headers, **({"origin": origin} if origin is not None else {}))


@pytest.mark.parametrize("request_of", OWN)
def test_what_comes_from_the_own_page_or_a_person_may_use_the_cookie(request_of: Any) -> None:
    assert from_own_page(browser_request(*request_of), ORIGIN)


@pytest.mark.parametrize("request_of", FOREIGN)
def test_what_a_foreign_page_makes_may_not(request_of: Any) -> None:
    assert not from_own_page(browser_request(*request_of), ORIGIN)


@pytest.mark.parametrize("site", ["same-origin", "same-site", "none", ""])
@pytest.mark.parametrize(
    ("origin", "own"), [(ORIGIN, True), ("http://bob.fleet.localhost:7080", False), (None, False)]
)
def test_a_websocket_is_judged_by_origin_alone(site: str, origin: str | None, own: bool) -> None:
    request = browser_request("GET", site, "websocket", "websocket", origin)
    upgrade = replace(
        request, headers=Headers({**dict(request.headers), "x-door-upgrade": "websocket"})
    )
    assert from_own_page(upgrade, ORIGIN) == own


def test_two_headers_of_one_name_are_as_good_as_none() -> None:
    raw = [(b"sec-fetch-site", b"same-origin"), (b"sec-fetch-site", b"same-site")]
    request = replace(asked("POST"), headers=Headers(raw=raw))
    assert not from_own_page(request, ORIGIN)


@given(st.text(max_size=60))
def test_a_path_after_signing_in_is_of_this_host(text: str) -> None:
    path = local_path(text)
    assert path.startswith("/")
    assert not path.startswith("//")
    assert "\\" not in path
    assert all("!" <= letter <= "~" for letter in path)
    assert path in {text, "/"}


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("10.0.0.5", "", "10.0.0.5"),
        ("10.0.0.5", "1.2.3.4", "1.2.3.4"),
        ("10.0.0.5", "6.6.6.6, 1.2.3.4", "1.2.3.4"),
        ("10.0.0.5", "6.6.6.6, 1.2.3.4, 10.0.0.9", "1.2.3.4"),
        ("10.0.0.5", "6.6.6.6, forged", "10.0.0.5"),
        ("10.0.0.5", "10.0.0.7", "10.0.0.7"),
        ("9.9.9.9", "1.2.3.4", "9.9.9.9"),
        ("fd00::5", "2001:db8::1", "2001:db8::1"),
    ],
)
def test_an_address_is_the_last_that_no_trusted_proxy_has(
    peer: str, forwarded: str, address: str
) -> None:
    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded else []
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "headers": [(b"host", b"x"), (b"x-door-peer", peer.encode()), *headers],
        "client": ("127.0.0.1", 1),
    }
    assert read_asked(scope, ["10.0.0.0/8", "fd00::/8"]).address == address
    assert read_asked(scope, []).address == peer


@dataclass
class Signed:
    """Sessions of one replica, over a World that others share."""

    world: FakeWorld
    sessions: Sessions

    def cookie(self, session: Session, now: datetime = NOW) -> str:
        """Return the header a browser sends for a session."""
        return self.sessions.cookie(session, now).partition(";")[0]


@pytest.fixture
def signed() -> Signed:
    world = FakeWorld()
    return Signed(world, Sessions(door_settings(), KEYS, world))


def alice_on(signed: Signed, host: str = HOST, now: datetime = NOW) -> Session:
    """Return a session of alice on a host."""
    return replace(signed.sessions.begin(signed.world.roster["alice"], now), host=host)


def test_a_session_ends_when_it_is_not_used_and_when_it_is_old(signed: Signed) -> None:
    session = alice_on(signed)
    cookie = signed.cookie(session)
    times = door_settings().sessions
    for later, holds in [
        (timedelta(0), True),
        (times.idle - timedelta(seconds=1), True),
        (times.idle + timedelta(seconds=1), False),
        (-CLOCK_LEEWAY - timedelta(seconds=1), False),
    ]:
        assert (signed.sessions.read([cookie], HOST, NOW + later) == session) == holds
    # Used all the time, it still ends.
    at = NOW
    while at < NOW + times.absolute - times.idle / 2:
        at += times.idle / 2
        anew = signed.sessions.use(session, at)
        assert anew is not None
        cookie = anew.partition(";")[0]
        assert signed.sessions.read([cookie], HOST, at) is not None
    assert signed.sessions.read([cookie], HOST, NOW + times.absolute) is None


def test_a_cookie_is_written_anew_after_a_while_of_use_only(signed: Signed) -> None:
    session = alice_on(signed)
    assert signed.sessions.use(session, NOW + timedelta(seconds=299)) is None
    assert signed.sessions.use(session, NOW + timedelta(seconds=301)) is not None


def test_use_on_one_host_keeps_the_front_awake(signed: Signed) -> None:
    front, own = alice_on(signed, "fleet.localhost"), alice_on(signed)
    own = replace(own, id=front.id)
    idle = door_settings().sessions.idle
    signed.sessions.use(own, NOW + idle - timedelta(minutes=1))
    later = NOW + idle + timedelta(minutes=5)
    assert signed.sessions.read([signed.cookie(front)], "fleet.localhost", later) is not None


@pytest.mark.parametrize("apart", [timedelta(minutes=2), -timedelta(minutes=2)])
def test_two_replicas_whose_clocks_are_two_minutes_apart_agree(
    signed: Signed, apart: timedelta
) -> None:
    other = Sessions(door_settings(), KEYS, signed.world)
    front = signed.sessions.begin(signed.world.roster["alice"], NOW)
    nonce = new_nonce([])
    ticket = Tickets(KEYS).mint(front, HOST, nonce_mark(nonce), "/x", NOW)
    entry = Tickets(KEYS).redeem(ticket, HOST, [nonce], NOW + apart)
    assert entry is not None
    assert other.holds(entry.session, NOW + apart)
    cookie = other.cookie(entry.session, NOW + apart).partition(";")[0]
    assert signed.sessions.read([cookie], HOST, NOW) is not None


def test_a_ticket_is_old_after_half_a_minute_and_what_clocks_differ(signed: Signed) -> None:
    front = alice_on(signed, "fleet.localhost")
    nonce = new_nonce([])
    ticket = Tickets(KEYS).mint(front, HOST, nonce_mark(nonce), "/", NOW)
    limit = LIFETIME + CLOCK_LEEWAY
    assert Tickets(KEYS).redeem(ticket, HOST, [nonce], NOW + limit) is not None
    late = NOW + limit + timedelta(seconds=1)
    assert Tickets(KEYS).redeem(ticket, HOST, [nonce], late) is None
    assert Tickets(KEYS).redeem(ticket, "bob.fleet.localhost", [nonce], NOW) is None
    assert Tickets(KEYS).redeem(ticket, HOST, [new_nonce([])], NOW) is None
    assert Tickets(KEYS).redeem(ticket, HOST, [nonce, new_nonce([])], NOW) is None
    assert Tickets(KEYS).redeem(ticket, HOST, [], NOW) is None
    assert Tickets(KEYS).redeem("no ticket", HOST, [nonce], NOW) is None


def test_a_sign_out_holds_here_even_while_the_cluster_is_away(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Away(FakeWorld):
        async def end_session(self, user_id: str, session_id: str, until: datetime) -> None:
            raise ConnectionError(f"away: {session_id} of {user_id} until {until}")

    desk = Desk(Away())
    client = desk.client("alice")
    assert client.get("/").status_code == 200
    assert client.post("/.door/sign-out").status_code == 303
    assert client.get("/").headers["location"].startswith("/.door/sign-in")
    assert "could not be written" in caplog.text


def test_raising_one_number_signs_everybody_out_and_ends_tokens(signed: Signed) -> None:
    raised = door_settings(sessions={"version": 2})
    cookie = signed.cookie(alice_on(signed))
    assert signed.sessions.read([cookie], HOST, NOW) is not None
    assert Sessions(raised, KEYS, signed.world).read([cookie], HOST, NOW) is None
    token = tokens(signed.world).personal(signed.world.roster["alice"], NOW)
    assert tokens(signed.world).user_of(token) == signed.world.roster["alice"]
    assert tokens(signed.world, raised).user_of(token) is None


def tokens(world: FakeWorld, settings: Settings | None = None) -> Tokens:
    """Return tokens with two services, one of which has two tokens."""
    given = {
        "service-token-portal": "one",
        "service-token-portal-next": "two",
        "service-token-empty": "",
        "seed": SEED,
    }
    return Tokens(settings or door_settings(), KEYS, world, given)


def test_a_personal_token_ends_with_its_password_and_its_user(signed: Signed) -> None:
    token = tokens(signed.world).personal(signed.world.roster["bob"], NOW)
    signed.world.set("bob", password_version=2)
    assert tokens(signed.world).user_of(token) is None
    signed.world.set("bob", password_version=1)
    assert tokens(signed.world).user_of(token) is not None
    signed.world.remove("bob")
    assert tokens(signed.world).user_of(token) is None
    for text in ("", "fleet_", "fleet_a.b", token.removeprefix("fleet_"), SEED):
        assert tokens(signed.world).user_of(text) is None


def test_service_tokens_are_known_by_name_while_they_are_rotated(signed: Signed) -> None:
    known = tokens(signed.world)
    assert known.service_of("one") == "portal"
    assert known.service_of("two") == "portal-next"
    for text in ("", "three", SEED):
        assert known.service_of(text) is None


def test_a_plain_http_host_that_is_not_this_machine_has_no_secure_cookie() -> None:
    def line(**settings: Any) -> str:
        world = FakeWorld()
        sessions = Sessions(door_settings(**settings), KEYS, world)
        return sessions.cookie(sessions.begin(world.roster["alice"], NOW), NOW)

    assert line(domain="a.example").startswith("fleet=")
    assert "Secure" not in line(domain="a.example")
    assert "Secure" in line(domain="a.example", scheme="https")
    assert line(domain="localhost").startswith("__Host-fleet=")
    assert line(domain="notlocalhost").startswith("fleet=")


@given(
    frames=st.lists(
        st.tuples(st.sampled_from([0, 1, 2, 8, 9, 10]), st.sampled_from([0, 1, 125, 126, 300])),
        max_size=12,
    ),
    cuts=st.lists(st.integers(1, 200), min_size=1, max_size=20),
)
def test_frames_are_followed_wherever_the_network_cuts_them(
    frames: list[tuple[int, int]], cuts: list[int]
) -> None:
    data = b"".join(frame(opcode, b"x" * size) for opcode, size in frames)
    follower = Frames()
    seen = False
    at = 0
    for cut in [*cuts, len(data) + 1]:
        seen = follower.feed(data[at : at + cut]) or seen
        at += cut
    assert seen == any(opcode < 8 and size for opcode, size in frames)


def test_a_very_long_frame_is_one_frame() -> None:
    follower = Frames()
    head = bytes([0x82, 0xFF]) + (1 << 20).to_bytes(8, "big") + b"mask"
    assert follower.feed(head)
    assert not follower.feed(b"\x81" * (1 << 20))
    assert follower.feed(frame(1, b"x"))
