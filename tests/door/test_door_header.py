"""Signing in by the word of a proxy in front: whose word counts, and nobody else's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from httpx2 import Response

from door.control.app import create_app
from door.control.settings import SignInMode
from tests.support.door_desk import Desk
from tests.support.door_stack import ALICE, DOMAIN, PAGE, RunningDoor, running_door
from tests.support.door_world import FakeWorld, runtime_of

PROXY, INGRESS, CLIENT = "10.1.2.3", "10.42.0.9", "203.0.113.7"
MODE: dict[str, Any] = {
    "signIn": "header",
    "header": {"peers": ["10.1.2.0/24"]},
    "trustedProxies": ["10.42.0.0/16"],
}


def ask(
    named: str | list[str] | None,
    *,
    via: tuple[str, str | None] = (INGRESS, f"{CLIENT}, {PROXY}"),
    path: str = "/.door/sign-in?next=/people",
    user: str | None = None,
    desk: Desk | None = None,
) -> Response:
    """Ask as nginx passes it on, `via` who connected and what they say of the way before."""
    peer, forwarded = via
    names = [named] if isinstance(named, str) else named or []
    headers = [(b"X-Door-Peer", peer.encode())]
    headers += [(b"X-Forwarded-User", name.encode()) for name in names]
    if forwarded is not None:
        headers.append((b"X-Forwarded-For", forwarded.encode()))
    return (desk or Desk(**MODE)).client(user).get(path, headers=headers)


@pytest.mark.parametrize(
    ("peer", "forwarded"),
    [
        (PROXY, None),
        (PROXY, CLIENT),
        (INGRESS, PROXY),
        (INGRESS, f"{CLIENT}, {PROXY}"),
        (INGRESS, f"{CLIENT}, {PROXY}, 10.42.3.3"),
    ],
)
def test_the_header_of_a_named_proxy_signs_in(peer: str, forwarded: str | None) -> None:
    answer = ask("bob", via=(peer, forwarded))
    assert answer.status_code == 303
    assert answer.headers["location"] == "/people"
    assert "__Host-fleet=" in answer.headers["set-cookie"]


@pytest.mark.parametrize(
    ("peer", "forwarded"),
    [
        (CLIENT, None),
        (CLIENT, PROXY),
        (INGRESS, None),
        (INGRESS, CLIENT),
        (INGRESS, f"{PROXY}, {CLIENT}"),
        (INGRESS, f"{PROXY}, 10.9.9.9"),
        (INGRESS, f"{PROXY}, unknown"),
        (INGRESS, "not an address"),
        ("", PROXY),
    ],
)
def test_the_header_of_anybody_else_is_ignored_and_told(
    peer: str, forwarded: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    answer = ask("bob", via=(peer, forwarded))
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert "Nothing says who you are" in answer.text
    assert "X-Forwarded-User does not count" in caplog.text


@pytest.mark.parametrize("named", [None, "", "  ", ["bob", "bob"], ["bob", "alice"], "b" * 257])
def test_a_header_that_is_missing_empty_double_or_endless_names_nobody(
    named: str | list[str] | None,
) -> None:
    answer = ask(named)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_people_are_found_by_login_and_not_by_id() -> None:
    desk = Desk(FakeWorld(runtime_of("alice", login="a.smith@example.com")), **MODE)
    assert ask("a.smith@example.com", desk=desk).status_code == 303
    assert ask("alice", desk=desk).status_code == 403


def test_a_login_may_be_any_text() -> None:
    desk = Desk(FakeWorld(runtime_of("alice", login="王芳")), **MODE)
    assert ask("王芳", desk=desk).status_code == 303


def test_somebody_without_a_workspace_is_told_whom_to_ask(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answer = ask("<mallory>")
    assert answer.status_code == 403
    assert "You have no workspace here yet" in answer.text
    assert "&lt;mallory&gt;" in answer.text
    assert "'<mallory>' has no workspace" in caplog.text


def test_who_is_signed_in_goes_on() -> None:
    answer = ask("alice", user="alice")
    assert (answer.status_code, answer.headers["location"]) == (303, "/people")
    assert "set-cookie" not in answer.headers


def test_a_session_ends_where_the_proxy_names_somebody_else() -> None:
    desk = Desk(**MODE)
    answer = ask("bob", user="alice", path="/", desk=desk)
    assert answer.headers["location"] == "/.door/sign-in"
    # A stranger's header changes nothing of it.
    assert ask("bob", user="alice", path="/", via=(INGRESS, CLIENT), desk=desk).status_code == 200
    assert ask(None, user="alice", path="/", desk=desk).status_code == 200


def test_signing_out_stays_signed_out_until_asked() -> None:
    desk = Desk(**MODE)
    out = desk.client("alice").post("/.door/sign-out")
    answer = ask("alice", path=out.headers["location"], desk=desk)
    assert answer.status_code == 200
    assert "You are signed out" in answer.text
    assert "set-cookie" not in answer.headers


def test_the_mode_takes_no_password() -> None:
    form = {"user": "alice", "password": Desk().password("alice"), "next": "/"}
    answer = Desk(**MODE).client().post("/.door/sign-in", data=form)
    assert answer.status_code == 404
    assert "set-cookie" not in answer.headers


def test_other_modes_read_no_header() -> None:
    answer = ask("alice", desk=Desk(trustedProxies=["10.42.0.0/16"], header=MODE["header"]))
    assert answer.status_code == 200
    assert 'type="password"' in answer.text


def test_a_mode_without_its_settings_does_not_start() -> None:
    desk = Desk()
    settings = desk.settings.model_copy(update={"sign_in": SignInMode.HEADER})
    with pytest.raises(ValueError, match="header: missing"):
        create_app(replace(desk.context, settings=settings))


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDoor]:
    """A door behind a proxy at 10.1.2.3, this machine being its ingress controller."""
    settings = MODE | {"trustedProxies": ["127.0.0.1/32"]}
    with running_door(tmp_path_factory.mktemp("header"), settings=settings) as door:
        yield door


def test_the_whole_way_through_nginx_to_the_own_workspace(behind: RunningDoor) -> None:
    proxied = PAGE | {"X-Forwarded-User": "alice", "X-Forwarded-For": PROXY}
    browser = behind.browser()
    answer = browser.ask(DOMAIN, "/.door/sign-in", headers=proxied)
    assert (answer.status, answer.header("location")) == (303, "/")
    page = browser.open(ALICE, "/")
    assert page.status == 200
    assert behind.alice.seen[-1][1] == "/"


@pytest.mark.parametrize(
    "claimed",
    [
        {"X-Forwarded-For": CLIENT},
        {"X-Door-Peer": PROXY},
        {"X-Door-Peer": PROXY, "X-Forwarded-For": CLIENT},
        {"X-Door-Gate": "open", "X-Real-IP": PROXY, "Forwarded": f"for={PROXY}"},
    ],
)
def test_nobody_passes_for_the_proxy_in_nginx(behind: RunningDoor, claimed: dict[str, str]) -> None:
    headers = PAGE | {"X-Forwarded-User": "alice"} | claimed
    answer = behind.ask(DOMAIN, "/.door/sign-in", headers=headers)
    assert answer.status == 403
    assert answer.all("set-cookie") == []
