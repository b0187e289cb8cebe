"""Signing in and out, the way to a user's host, and everything that is forged on the way."""

from __future__ import annotations

import re
import threading
import time
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from door.control.keys import Keys
from door.control.pages.english import WORDS
from tests.support.door_stack import (
    ALICE,
    BOB,
    DOMAIN,
    FETCH,
    FORM,
    PAGE,
    Answer,
    Browser,
    RunningDoor,
    ticket_of,
)
from tests.support.door_world import SEED

SIGN_IN = "/.door/sign-in"


def post(door: RunningDoor, user: str, password: str, headers: dict[str, str] = FORM) -> Answer:
    """Send the sign-in form of a browser without cookies."""
    body = urlencode({"user": user, "password": password, "next": "/"}).encode()
    return door.ask(DOMAIN, SIGN_IN, "POST", headers=headers, body=body)


def test_a_person_signs_in_once_and_comes_to_where_they_wanted(door: RunningDoor) -> None:
    browser = door.browser()
    page = browser.open(ALICE, "/test/headers?a=%2F%26b&c=d")
    assert page.status == 200
    wanted = re.search(r'name="next" value="([^"]*)"', page.page)
    assert wanted is not None
    answer = browser.sign_in("alice", wanted[1].replace("&amp;", "&"))
    assert answer.status == 200
    assert door.alice.seen[-1][1] == "/test/headers?a=%2F%26b&c=d"
    # Only the two cookies of the front and the one of the host are left.
    assert set(browser.jar[ALICE]) == {"__Host-fleet"}
    assert set(browser.jar[DOMAIN]) == {"__Host-fleet", "__Host-fleet-known"}


def test_cookies_are_for_one_host_and_no_script(door: RunningDoor) -> None:
    browser = door.browser()
    browser.sign_in()
    way = browser.ask(ALICE, "/")
    entered = browser.ask(DOMAIN, _path(way))
    ticket = browser.ask(ALICE, _path(entered))
    lines = [*way.all("set-cookie"), *ticket.all("set-cookie")]
    assert len(lines) == 3
    for line in lines:
        assert line.startswith("__Host-fleet")
        attributes = {part.strip() for part in line.split(";")[1:]}
        assert {"Path=/", "HttpOnly", "SameSite=Lax", "Secure"} <= attributes
        assert not any(part.startswith("Domain") for part in attributes)


@pytest.mark.parametrize(
    "given",
    [
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "https://evil.example/",
        "https:evil.example",
        "javascript:alert(1)",
        "/\t/evil.example",
        "/\n/evil.example",
        " //evil.example",
        "/ /evil.example",
        "evil.example",
        "",
    ],
)
def test_nobody_is_sent_elsewhere_after_signing_in(door: RunningDoor, given: str) -> None:
    for answer in _everywhere(door, given):
        assert answer.status == 303
        assert _goes_to(answer) in {f"http://{DOMAIN}:{door.port}/", "/"}


@pytest.mark.parametrize("given", ["/%2F%2Fevil.example", "/%5Cevil.example", "/.//evil.example"])
def test_an_encoded_way_elsewhere_stays_on_the_host(door: RunningDoor, given: str) -> None:
    for answer in _everywhere(door, given):
        assert _goes_to(answer) == given


def _everywhere(door: RunningDoor, given: str) -> list[Answer]:
    """Return what follows a path given to the form, to the page of somebody signed in, a ticket."""
    browser = door.browser()
    form = {"user": "alice", "password": door.password("alice"), "next": given}
    signed = browser.ask(DOMAIN, SIGN_IN, "POST", headers=FORM, body=urlencode(form).encode())
    again = browser.ask(DOMAIN, f"{SIGN_IN}?{urlencode({'next': given})}")
    way = browser.ask(ALICE, "/")
    query = {key: values[0] for key, values in parse_qs(urlsplit(_path(way)).query).items()}
    entered = browser.ask(DOMAIN, "/.door/enter?" + urlencode(query | {"next": given}))
    return [signed, again, browser.ask(ALICE, _path(entered))]


def _goes_to(answer: Answer) -> str:
    return answer.header("location") or ""


def _path(answer: Answer) -> str:
    parts = urlsplit(_goes_to(answer))
    return parts.path + ("?" + parts.query if parts.query else "")


def test_a_ticket_is_used_once_by_one_browser_on_one_host(door: RunningDoor) -> None:
    browser, thief = door.browser(), door.browser()
    browser.sign_in()
    way = browser.ask(ALICE, "/")
    ticket = ticket_of(browser.ask(DOMAIN, _path(way)))
    path = "/.door/ticket?" + urlencode({"t": ticket})
    # Another browser, even one with a nonce of its own; another host; a changed ticket.
    thief.ask(ALICE, "/")
    assert thief.ask(ALICE, path).status == 401
    assert door.ask(ALICE, path, headers=PAGE).status == 400
    nonce = dict(browser.jar[ALICE])
    browser.jar[BOB] = dict(nonce)
    assert browser.ask(BOB, path).status == 401
    assert browser.ask(ALICE, path.replace("t=ey", "t=eyA")).status == 401
    good = browser.ask(ALICE, path)
    assert good.status == 303
    # The same again, by a browser that kept its nonce.
    again = Browser(door, {ALICE: nonce})
    assert again.ask(ALICE, path).status == 401
    assert "__Host-fleet" not in again.jar[ALICE]


def test_two_tabs_that_sign_in_at_once_both_get_in(door: RunningDoor) -> None:
    browser = door.browser()
    first, second = browser.ask(ALICE, "/one"), browser.ask(ALICE, "/two")
    browser.sign_in()
    assert browser.open(DOMAIN, _path(first)).status == 200
    assert browser.open(DOMAIN, _path(second)).status == 200


def test_a_session_of_one_user_opens_nothing_of_another(door: RunningDoor) -> None:
    browser = door.signed_in("alice")
    before = len(door.bob.seen)
    query = urlencode({"host": "bob", "mark": "0" * 64, "next": "/"})
    assert browser.ask(DOMAIN, f"/.door/enter?{query}").status == 404
    front = browser.jar[DOMAIN]["__Host-fleet"]
    browser.jar[BOB] = {"__Host-fleet": front}
    assert browser.ask(BOB, "/", headers=FETCH).status == 401
    assert len(door.bob.seen) == before


def test_a_cookie_that_is_forged_is_none(door: RunningDoor) -> None:
    browser = door.signed_in()
    good = browser.jar[ALICE]["__Host-fleet"]
    body, _, mark = good.partition(".")
    values = {"u": "alice", "s": "x", "h": ALICE, "b": 1, "n": 1, "p": 1}
    other = Keys(SEED.replace("s", "t"), "test").signer("session 1").sign(values)
    swapped = Keys(SEED, "test").signer("ticket").sign(values)
    forged = [
        f"{body}.",
        f".{mark}",
        body,
        f"{body}.{mark[:-1]}A",
        f"{body}A.{mark}",
        other,
        swapped,
    ]
    for text in [*forged, "", ".", "é", "a" * 9000]:
        headers = FETCH | {"Cookie": f"__Host-fleet={text}"}
        status = door.ask(ALICE, "/test/headers", headers=_latin(headers)).status
        assert status in {400, 401}, text[:40]
    headers = FETCH | {"Cookie": f"__Host-fleet={good}"}
    assert door.ask(ALICE, "/test/headers", headers=headers).status == 200


def _latin(headers: dict[str, str]) -> dict[str, str]:
    return {key: value.encode().decode("latin-1") for key, value in headers.items()}


def test_a_cookie_that_a_sibling_planted_does_not_take_over(door: RunningDoor) -> None:
    alice, bob = door.signed_in("alice"), door.signed_in("bob")
    own = alice.jar[ALICE]["__Host-fleet"]
    planted = bob.jar[BOB]["__Host-fleet"]
    for line in (
        f"__Host-fleet={planted}; __Host-fleet={own}",
        f"fleet={planted}; __Host-fleet={own}",
    ):
        answer = door.ask(ALICE, "/test/headers", headers=FETCH | {"Cookie": line})
        assert answer.status == 200
    # Two that are both good for the front: nobody can tell whose page it is.
    sessions = [browser.jar[DOMAIN]["__Host-fleet"] for browser in (alice, bob)]
    both = "; ".join(f"__Host-fleet={session}" for session in sessions)
    answer = door.ask(DOMAIN, SIGN_IN, headers=PAGE | {"Cookie": both})
    assert answer.status == 200
    assert WORDS["sign-in.lead"] in answer.page


def test_signing_out_ends_the_session_on_every_host(door: RunningDoor) -> None:
    browser = door.signed_in()
    other = door.signed_in()
    kept = Browser(door, {host: dict(jar) for host, jar in browser.jar.items()})
    answer = browser.ask(DOMAIN, "/.door/sign-out", "POST", headers=FORM)
    assert answer.status == 303
    assert "__Host-fleet" not in browser.jar[DOMAIN]
    for host in (ALICE, DOMAIN):
        assert kept.ask(host, SIGN_IN if host == DOMAIN else "/").status in {200, 303}
    assert kept.ask(ALICE, "/test/headers", headers=FETCH).status == 401
    assert "end alice" in door.asked()
    # Another browser of the same person stays.
    assert other.ask(ALICE, "/test/headers", headers=FETCH).status == 200


def test_a_foreign_page_signs_nobody_in_or_out(door: RunningDoor) -> None:
    browser = door.signed_in()
    foreign = FORM | {"Sec-Fetch-Site": "same-site", "Origin": f"http://{BOB}:{door.port}"}
    assert browser.ask(DOMAIN, "/.door/sign-out", "POST", headers=foreign).status == 403
    assert post(door, "bob", door.password("bob"), foreign).status == 403
    no_marks = {"Content-Type": FORM["Content-Type"], "Accept": "text/html"}
    assert post(door, "bob", door.password("bob"), no_marks).status == 403
    assert browser.ask(ALICE, "/test/headers", headers=FETCH).status == 200


def test_a_raised_password_version_and_a_removed_user_end_sessions(door: RunningDoor) -> None:
    browser = door.signed_in("bob")
    assert browser.ask(BOB, "/test/headers", headers=FETCH).status == 200
    door.set("bob", password_version=2)
    assert browser.ask(BOB, "/test/headers", headers=FETCH).status == 401
    door.set("bob", password_version=1)
    gone = door.people.pop("bob")
    door.set("alice")
    assert browser.ask(BOB, "/test/headers", headers=FETCH).status == 401
    assert post(door, "bob", door.basic.__name__).status == 401
    door.people["bob"] = gone
    door.set("bob")


def test_a_wrong_password_says_the_same_for_everybody(door: RunningDoor) -> None:
    answers = [post(door, user, "wrong") for user in ("alice", "nobody", "", "é" * 50)]
    texts = {re.sub('value="[^"]*"| autofocus', "", answer.page) for answer in answers}
    assert {answer.status for answer in answers} == {401}
    assert len(texts) == 1


def test_guessing_is_slowed_and_told_and_others_get_in(door: RunningDoor) -> None:
    known = door.browser()
    known.sign_in("carol")
    failed = 'door_failed_sign_ins_total{slowed="no",way="form"}'
    slowed = 'door_failed_sign_ins_total{slowed="yes",way="form"}'
    before = door.metric(failed), door.metric(slowed)
    stop = threading.Event()
    statuses: list[int] = []

    def guess(number: int) -> None:
        while not stop.is_set():
            statuses.append(post(door, "carol", f"guess {number} {len(statuses)}").status)

    threads = [threading.Thread(target=guess, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    try:
        while len(statuses) < 200:
            time.sleep(0.02)
        # Others from the same address, and the user from a browser that is known.
        assert door.signed_in("alice").jar[ALICE]
        again = Browser(
            door, {DOMAIN: {"__Host-fleet-known": known.jar[DOMAIN]["__Host-fleet-known"]}}
        )
        assert "__Host-fleet" in _jar_after(again, "carol")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert set(statuses) == {401, 429}
    assert statuses.count(401) < 30
    assert door.metric(failed) - before[0] == statuses.count(401)
    assert door.metric(slowed) - before[1] == statuses.count(429)
    lines = [
        line for line in door.log().splitlines() if "sign-in failed (form): user 'carol'" in line
    ]
    assert 1 <= len(lines) < 20
    late = post(door, "carol", door.password("carol"))
    assert late.status == 429
    assert int(late.header("retry-after") or 0) > 0


def _jar_after(browser: Browser, user: str) -> dict[str, str]:
    browser.sign_in(user)
    return browser.jar[DOMAIN]
