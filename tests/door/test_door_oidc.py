"""Signing in by a provider: the way there and back, and everything that proves nothing.

Long because every rule of the answer is one case here. The certified provider has its own tests
(`test_door_oidc_real`).
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx
import pytest
from httpx2 import Response
from joserfc.jwk import OctKey
from starlette.testclient import TestClient

from door.control import oidc
from door.control.app import create_app, make_context
from door.control.pages.refusals import DoorPages
from door.control.provider import Provider
from tests.support.door_world import SEED, FakeWorld, door_settings, runtime_of
from tests.support.fakes.clock import Clock
from tests.support.fakes.oidc_provider import (
    CLIENT,
    CLIENT_SECRET,
    ISSUER,
    FakeProvider,
    new_key,
)
from tests.support.fakes.oidc_provider import answer as answer_of

START, SIGN_IN, SIGN_OUT = "/.door/oidc", "/.door/sign-in", "/.door/sign-out"
NAVIGATION = {
    "Accept": "text/html",
    "User-Agent": "Mozilla/5.0",
    "Sec-Fetch-Site": "cross-site",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
}


class Lobby:
    """A door whose people sign in by a provider, and one browser before it."""

    def __init__(self, world: FakeWorld | None = None, **settings: Any) -> None:
        self.clock = Clock()
        self.provider = FakeProvider(self.clock)
        given = {"issuer": ISSUER, "clientId": CLIENT} | settings
        self.settings = door_settings(signIn="oidc", oidc=given)
        self.world = world or FakeWorld()
        secrets = {"seed": SEED, "oidc-client-secret": CLIENT_SECRET}
        pages = DoorPages(self.settings, self.clock)
        context = make_context(self.settings, secrets, self.world, pages)
        self.context = replace(context, now=self.clock, moment=self.clock.steady)
        assert self.settings.oidc is not None
        asking = Provider(self.settings.oidc, CLIENT_SECRET, self.clock.steady, self.provider)
        app = create_app(self.context, sign_in=oidc.routes(self.context, asking))
        self._client = TestClient(app, base_url=self.settings.front, follow_redirects=False)
        self.jar: dict[str, str] = {}

    def ask(self, path: str, method: str = "GET", **headers: str) -> Response:
        """Ask with the browser's cookies and keep what is set."""
        sent = NAVIGATION | {"Cookie": "; ".join(f"{k}={v}" for k, v in self.jar.items())}
        answer = self._client.request(method, path, headers=sent | headers)
        for line in answer.headers.get_list("set-cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            self.jar.pop(name, None)
            if "Max-Age=0" not in line:
                self.jar[name] = value
        return answer

    def begin(self, path: str = START) -> str:
        """Go to the provider; return where it is."""
        answer = self.ask(path)
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    def sign_in(self, path: str = START) -> Response:
        """Go the whole way."""
        return self.ask(self.provider.sign_in(self.begin(path)))

    @property
    def signed_in(self) -> bool:
        """Whether the browser has a session."""
        return "__Host-fleet" in self.jar


def test_a_person_signs_in_and_comes_to_where_they_wanted() -> None:
    lobby = Lobby()
    page = lobby.ask(SIGN_IN + "?next=/people")
    assert 'href="/.door/oidc?next=%2Fpeople"' in page.text
    assert 'type="password"' not in page.text
    answer = lobby.sign_in(START + "?next=%2Fpeople")
    assert (answer.status_code, answer.headers["location"]) == (303, "/people")
    assert set(lobby.jar) == {"__Host-fleet", "__Host-fleet-known", "__Host-fleet-hint"}
    assert lobby.ask(SIGN_IN).headers["location"] == "/"


def test_what_is_asked_of_the_provider_is_of_this_one_way() -> None:
    lobby = Lobby(scopes=["openid", "groups"])
    first, second = (
        dict(parse_qsl(urlsplit(lobby.begin()).query)),
        dict(parse_qsl(urlsplit(lobby.begin()).query)),
    )
    assert first["client_id"] == "fleet"
    assert first["redirect_uri"] == "http://fleet.localhost:7080/.door/oidc/back"
    assert first["scope"] == "openid groups"
    for name in ("state", "nonce", "code_challenge"):
        assert first[name] != second[name]
        assert len(first[name]) >= 32


def test_two_tabs_sign_in_at_once_and_cookies_do_not_grow() -> None:
    lobby = Lobby()
    first, second = lobby.begin(), lobby.begin()
    assert lobby.ask(lobby.provider.sign_in(first)).status_code == 303
    assert lobby.ask(lobby.provider.sign_in(second)).status_code == 303
    for _ in range(12):
        lobby.begin(START + "?other=1&next=/" + "n" * 3000)
    assert sum(name.startswith("__Host-fleet-oidc-") for name in lobby.jar) <= 4
    assert sum(map(len, lobby.jar.values())) < 8000


def test_cookies_of_the_way_are_for_the_front_and_no_script() -> None:
    answer = Lobby().ask(START)
    line = answer.headers["set-cookie"]
    assert line.startswith("__Host-fleet-oidc-")
    assert {"Path=/", "HttpOnly", "SameSite=Lax", "Secure"} <= set(line.split("; "))
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["//evil.example", "https://evil.example/", "/\\evil.example"])
def test_nobody_is_sent_elsewhere_by_the_way_back(path: str) -> None:
    lobby = Lobby()
    answer = lobby.sign_in(f"{START}?next={path}")
    assert answer.headers["location"] == "/"


def refused(lobby: Lobby, answer: Response) -> None:
    assert answer.status_code == 400
    assert "Signing in did not work" in answer.text
    assert not lobby.signed_in


def test_a_state_of_another_browser_is_refused() -> None:
    lobby, other = Lobby(), Lobby()
    back = other.provider.sign_in(other.begin())
    lobby.begin()
    refused(lobby, lobby.ask(back))
    assert lobby.provider.asked.count("token") == 0


@pytest.mark.parametrize("state", ["", "short", "a" * 32, "ü" * 32])
def test_a_state_that_is_none_is_refused(state: str) -> None:
    lobby = Lobby()
    refused(lobby, lobby.ask(lobby.provider.sign_in(lobby.begin(), state=state)))


def test_a_forged_cookie_of_the_way_is_none() -> None:
    lobby = Lobby()
    back = lobby.provider.sign_in(lobby.begin())
    name = next(iter(lobby.jar))
    good = lobby.jar[name]
    lobby.jar[name] = good[:-2] + ("AA" if not good.endswith("AA") else "BB")
    refused(lobby, lobby.ask(back))


def test_a_way_back_is_gone_once() -> None:
    lobby = Lobby()
    back = lobby.provider.sign_in(lobby.begin())
    kept = dict(lobby.jar)
    assert lobby.ask(back).status_code == 303
    # Whoever is in already is not told of a failure when they go back in their history.
    assert lobby.ask(back).headers["location"] == "/"
    # With the cookie kept, the provider knows its code.
    lobby.jar = kept
    refused(lobby, lobby.ask(back))


def test_a_way_that_took_too_long_is_over() -> None:
    lobby = Lobby()
    back = lobby.provider.sign_in(lobby.begin())
    lobby.clock.on(minutes=16)
    refused(lobby, lobby.ask(back))


def change(**claims: Any) -> Callable[[Lobby], None]:
    def do(lobby: Lobby) -> None:
        lobby.provider.claims = claims

    return do


def at(**shift: float) -> Callable[[Lobby], Any]:
    """Return the seconds of a moment that far from now."""
    return lambda lobby: int(Clock(lobby.clock()).on(**shift).timestamp())


WRONG: dict[str, dict[str, Any]] = {
    "another sign-in": {"nonce": "another"},
    "no nonce": {"nonce": None},
    "a nonce that is no text": {"nonce": ["x"]},
    "another issuer": {"iss": "https://id.example.com/realms/other"},
    "another client": {"aud": "other"},
    "another client too": {"aud": [CLIENT, "other"]},
    "made for another client": {"aud": [CLIENT, "other"], "azp": "other"},
    "handed on": {"azp": {"a": 1}},
    "no audience": {"aud": None},
    "nobody": {"sub": None},
    "an empty subject": {"sub": ""},
    "expired": {"exp": at(minutes=-2, seconds=-1)},
    "no expiry": {"exp": None},
    "an expiry that is no number": {"exp": "tomorrow"},
    "made in time to come": {"iat": at(minutes=2, seconds=5)},
    "of no time": {"iat": None},
    "not yet": {"nbf": at(minutes=2, seconds=5)},
    "no login": {"preferred_username": None},
    "a login that is no text": {"preferred_username": ["bob"]},
    "an empty login": {"preferred_username": ""},
    "an endless login": {"preferred_username": "b" * 257},
}


@pytest.mark.parametrize("claims", WRONG.values(), ids=WRONG)
def test_a_token_that_is_not_right_proves_nothing(claims: dict[str, Any]) -> None:
    lobby = Lobby()
    lobby.provider.claims = {
        name: value(lobby) if callable(value) else value for name, value in claims.items()
    }
    refused(lobby, lobby.sign_in())


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": at(seconds=-119)},
        {"iat": at(seconds=119), "nbf": at(seconds=119)},
        {"aud": [CLIENT]},
        {"aud": [CLIENT, "other"], "azp": CLIENT},
    ],
)
def test_clocks_two_minutes_apart_and_lists_of_clients_are_right(claims: dict[str, Any]) -> None:
    lobby = Lobby()
    lobby.provider.claims = {
        name: value(lobby) if callable(value) else value for name, value in claims.items()
    }
    assert lobby.sign_in().status_code == 303
    assert lobby.signed_in


def test_a_token_signed_by_another_key_proves_nothing() -> None:
    lobby = Lobby()
    lobby.provider.shown = [new_key("one").as_dict(private=False)]
    refused(lobby, lobby.sign_in())


def test_a_token_signed_with_the_shared_secret_proves_nothing() -> None:
    lobby = Lobby()
    public = json.dumps(lobby.provider.key.as_dict(private=False))
    lobby.provider.shown = [lobby.provider.key.as_dict(private=False)]
    lobby.provider.key = OctKey.import_key(public, {"kid": "one"})
    lobby.provider.algorithm = "HS256"
    refused(lobby, lobby.sign_in())


@pytest.mark.parametrize("token", ["", "a.b.c", "e30.e30.", "eyJhbGciOiJub25lIn0.e30.", "ü" * 9])
def test_a_token_that_is_none_proves_nothing(token: str) -> None:
    lobby = Lobby()
    body = json.dumps({"id_token": token, "access_token": "access"}).encode()
    lobby.provider.answers["token"] = lambda: answer_of(200, body)
    refused(lobby, lobby.sign_in())


def test_a_provider_that_signs_in_another_way_than_it_says_proves_nothing() -> None:
    lobby = Lobby()
    lobby.provider.document = {"id_token_signing_alg_values_supported": ["RS256"]}
    refused(lobby, lobby.sign_in())


@pytest.mark.parametrize("iss", ["https://evil.example", ""])
def test_an_answer_of_another_issuer_is_refused(iss: str) -> None:
    lobby = Lobby()
    refused(lobby, lobby.ask(lobby.provider.sign_in(lobby.begin(), iss=iss)))
    assert lobby.provider.asked.count("token") == 0


def test_somebody_without_a_workspace_is_told_whom_to_ask_and_may_be_another() -> None:
    lobby = Lobby()
    lobby.provider.login = "<mallory>"
    answer = lobby.sign_in()
    assert answer.status_code == 403
    assert "You have no workspace here yet" in answer.text
    assert "&lt;mallory&gt;" in answer.text
    assert not lobby.signed_in
    assert "/.door/oidc?other=1" in answer.text
    query = parse_qs(urlsplit(lobby.begin(START + "?other=1")).query)
    assert query["prompt"] == ["login"]


def test_people_are_found_by_login_and_not_by_id() -> None:
    lobby = Lobby(FakeWorld(runtime_of("alice", login="bob"), runtime_of("bob", login="b")))
    lobby.sign_in()
    visitor = lobby.context.sessions.read(
        [f"__Host-fleet={lobby.jar['__Host-fleet']}"], "fleet.localhost", lobby.clock()
    )
    assert visitor is not None
    assert visitor.user == "alice"


def test_a_claim_that_the_token_does_not_have_is_asked_for() -> None:
    lobby = Lobby(claim="email")
    lobby.world.set("bob", login="b@example.com")
    lobby.provider.person = {"sub": "subject-1", "email": "b@example.com"}
    assert lobby.sign_in().status_code == 303
    assert lobby.signed_in


@pytest.mark.parametrize(
    "person",
    [
        {"sub": "subject-2", "email": "b@example.com"},
        {"email": "b@example.com"},
        {"sub": "subject-1", "email": "b@example.com", "email_verified": False},
        {"sub": "subject-1"},
    ],
)
def test_what_is_said_of_somebody_else_or_unchecked_is_refused(person: dict[str, Any]) -> None:
    lobby = Lobby(claim="email")
    lobby.world.set("bob", login="b@example.com")
    lobby.provider.person = person
    refused(lobby, lobby.sign_in())


def test_a_new_key_of_the_provider_is_fetched_and_not_at_every_try() -> None:
    lobby = Lobby()
    assert lobby.sign_in().status_code == 303
    lobby.provider.key = new_key("two")
    lobby.clock.on(seconds=6)
    lobby.jar.clear()
    assert lobby.sign_in().status_code == 303
    assert lobby.signed_in
    assert lobby.provider.asked.count("keys") == 2
    lobby.jar.clear()
    lobby.provider.shown = [lobby.provider.key.as_dict(private=False)]
    lobby.provider.key = new_key("three")
    for _ in range(5):
        refused(lobby, lobby.sign_in())
    assert lobby.provider.asked.count("keys") == 2


def away(lobby: Lobby, answer: Response) -> None:
    assert answer.status_code == 503
    assert "does not answer" in answer.text
    assert "/.door/sign-in" in answer.text
    assert not lobby.signed_in


def test_a_provider_that_is_down_is_told_and_asked_again() -> None:
    lobby = Lobby()
    lobby.provider.down = True
    for _ in range(5):
        away(lobby, lobby.ask(START))
    assert len(lobby.provider.asked) == 1
    lobby.provider.down = False
    lobby.clock.on(seconds=6)
    assert lobby.sign_in().status_code == 303


def test_a_provider_that_goes_down_on_the_way_is_told() -> None:
    lobby = Lobby()
    back = lobby.provider.sign_in(lobby.begin())
    lobby.provider.down = True
    away(lobby, lobby.ask(back))


def test_who_is_in_works_on_while_the_provider_is_down() -> None:
    lobby = Lobby()
    lobby.sign_in()
    lobby.provider.asked.clear()
    lobby.provider.down = True
    lobby.clock.on(hours=2)
    assert lobby.ask(SIGN_IN).headers["location"] == "/"
    assert lobby.provider.asked == []
    # The old document counts, so the way there is open as soon as it is back.
    assert lobby.begin(START + "?other=1").startswith(ISSUER)


def endless() -> httpx.Response:
    async def pieces() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 65536

    return httpx.Response(200, content=pieces())


BAD: dict[str, Callable[[], httpx.Response]] = {
    "an error": lambda: answer_of(500, b"{}"),
    "a redirect": lambda: answer_of(302, b"", Location="https://evil.example"),
    "no JSON": lambda: answer_of(200, b"<html>"),
    "a list": lambda: answer_of(200, b"[]"),
    "deep": lambda: answer_of(200, b"[" * 200_000),
    "without an end": endless,
}


@pytest.mark.parametrize("make", BAD.values(), ids=BAD)
@pytest.mark.parametrize("name", ["openid-configuration", "keys", "token"])
def test_an_answer_that_is_none_is_told(name: str, make: Callable[[], httpx.Response]) -> None:
    lobby = Lobby()
    lobby.provider.answers[name] = make
    answer = lobby.ask(START)
    if name != "openid-configuration":
        answer = lobby.ask(lobby.provider.sign_in(answer.headers["location"]))
    away(lobby, answer)


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "https://id.example.com/realms/other"},
        {"issuer": None},
        {"token_endpoint": "http://id.example.com/token"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"jwks_uri": None},
    ],
)
def test_a_document_that_is_not_right_is_none(document: dict[str, Any]) -> None:
    lobby = Lobby()
    lobby.provider.document = document
    away(lobby, lobby.ask(START))


def test_an_issuer_may_end_with_a_slash() -> None:
    lobby = Lobby()
    lobby.provider.document = {"issuer": ISSUER + "/"}
    lobby.provider.claims = {"iss": ISSUER + "/"}
    back = lobby.provider.sign_in(lobby.begin(), iss=ISSUER + "/")
    assert lobby.ask(back).status_code == 303


@pytest.mark.parametrize("ways", [["client_secret_post"], ["client_secret_basic"], None])
def test_the_secret_is_shown_as_the_provider_takes_it(ways: list[str] | None) -> None:
    lobby = Lobby()
    lobby.provider.document = {"token_endpoint_auth_methods_supported": ways}
    assert lobby.sign_in().status_code == 303


@pytest.mark.parametrize(
    ("error", "status"), [("access_denied", 400), ("temporarily_unavailable", 503)]
)
def test_an_error_of_the_provider_is_told(error: str, status: int) -> None:
    lobby = Lobby()
    answer = lobby.ask(lobby.provider.sign_in(lobby.begin(), error=error))
    assert answer.status_code == status
    assert not lobby.signed_in


def test_signing_out_signs_out_at_the_provider_too() -> None:
    lobby = Lobby()
    lobby.sign_in()
    hint = lobby.jar["__Host-fleet-hint"]
    answer = lobby.ask(SIGN_OUT, "POST", **{"Sec-Fetch-Site": "same-origin"})
    assert answer.status_code == 200
    assert "You are signed out" in answer.text
    wait, _, url = answer.headers["refresh"].partition("; url=")
    query = dict(parse_qsl(urlsplit(url).query))
    assert wait == "0"
    assert url.startswith(f"{ISSUER}/end?a=b&")
    assert query["id_token_hint"] == hint
    assert query["post_logout_redirect_uri"] == "http://fleet.localhost:7080/.door/signed-out"
    assert not lobby.signed_in
    assert "__Host-fleet-hint" not in lobby.jar
    assert len(lobby.world.ended) == 1
    assert "You are signed out" in lobby.ask("/.door/signed-out").text


@pytest.mark.parametrize("down", [True, False])
def test_signing_out_needs_no_provider(down: bool) -> None:
    lobby = Lobby()
    lobby.sign_in()
    lobby.provider.down = down
    lobby.provider.document = {"end_session_endpoint": None}
    lobby.clock.on(hours=2)
    answer = lobby.ask(SIGN_OUT, "POST", **{"Sec-Fetch-Site": "same-origin"})
    assert answer.status_code == 200
    assert not lobby.signed_in
    assert len(lobby.world.ended) == 1


def test_the_mode_takes_no_password() -> None:
    lobby = Lobby()
    assert lobby.ask(SIGN_IN, "POST", **{"Sec-Fetch-Site": "same-origin"}).status_code == 405
    assert not lobby.signed_in


def test_a_mode_without_its_secret_does_not_start() -> None:
    lobby = Lobby()
    with pytest.raises(ValueError, match="oidc-client-secret: missing"):
        create_app(replace(lobby.context, secrets={"seed": SEED}))


def test_no_secret_of_the_way_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    lobby = Lobby()
    lobby.provider.claims = {"nonce": "another"}
    back = lobby.provider.sign_in(lobby.begin())
    lobby.ask(back)
    assert "the identity token is of another sign-in" in caplog.text
    query = dict(parse_qsl(urlsplit(back).query))
    for secret in (CLIENT_SECRET, query["code"], query["state"]):
        assert secret not in caplog.text
