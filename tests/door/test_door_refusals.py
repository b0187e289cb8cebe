"""Pages that say no, or wait: which words, which status, and nothing told to strangers."""

from __future__ import annotations

import pytest

from door.control.context import Refusal
from door.control.world import Phase
from tests.support.door_desk import Desk
from tests.support.door_world import FakeWorld, runtime_of


def asleep() -> Desk:
    """Return a desk where alice's runtime is asleep and takes its time to wake."""
    world = FakeWorld(runtime_of("alice", phase=Phase.ASLEEP, address=None, replicas=0))
    world.wakes_by_itself = False
    return Desk(world)


REFUSALS = [
    (Refusal.SIGNED_OUT, 401, "Please sign in"),
    (Refusal.WRONG_CREDENTIAL, 401, "Please sign in"),
    (Refusal.SLOWED, 429, "A moment, please"),
    (Refusal.UNKNOWN, 404, "There is nothing here"),
    (Refusal.CROSS_SITE, 403, "This was not allowed"),
    (Refusal.WAKING, 503, "Waking your workspace"),
    (Refusal.SUSPENDED, 403, "Your workspace is paused"),
    (Refusal.FAILING, 503, "Waking your workspace"),
    (Refusal.UNREACHABLE, 502, "Not reachable at the moment"),
    (Refusal.TOO_LARGE, 413, "At most 100 MB can be sent at once."),
    (Refusal.NO_COOKIES, 400, "Your browser keeps no cookies"),
    (Refusal.NOT_NAMED, 403, "Nothing says who you are"),
    (Refusal.NOT_PROVEN, 400, "Signing in did not work"),
    (Refusal.NO_PROVIDER, 503, "Your organisation&#39;s sign-in does not answer"),
]


@pytest.mark.parametrize(("refusal", "status", "text"), REFUSALS)
def test_every_refusal_has_a_page(refusal: Refusal, status: int, text: str) -> None:
    answer = Desk().client().get(f"/shown/refused/{refusal.value}")
    assert answer.status_code == status
    assert text in answer.text


def test_no_kind_of_refusal_is_without_a_page() -> None:
    assert {refusal for refusal, _, _ in REFUSALS} == set(Refusal)


def test_a_page_that_is_not_there_says_the_same_to_everybody() -> None:
    desk = Desk()
    stranger = desk.client().get("/shown/refused/unknown").text
    assert stranger == desk.client("alice").get("/shown/refused/unknown").text
    assert "alice" not in stranger


def test_the_waiting_page_of_a_workspace_goes_back_to_what_was_asked() -> None:
    desk = asleep()
    headers = {
        "X-Door-Gate": "refused",
        "X-Door-Refusal": "waking 0",
        "X-Door-Uri": "/L2FwcA/session/ses_1?a=b",
        "X-Door-Host": "alice.fleet.localhost",
        "X-Door-Method": "GET",
    }
    answer = desk.client("alice", **headers).get("/.door/refused")
    assert answer.status_code == 503
    assert 'data-then="/L2FwcA/session/ses_1?a=b"' in answer.text


def test_an_address_of_the_front_that_is_nothing_says_so_to_people_and_programs() -> None:
    desk = Desk()
    for path in ("/nothing", "/open", "/users/suspend/bob"):
        page = desk.client().get(path)
        assert (page.status_code, "There is nothing here" in page.text) == (404, True)
    told = desk.program().get("/nothing")
    assert told.json()["error"]["code"] == "not-found"


def test_somebody_nobody_added_reads_whom_to_ask() -> None:
    page = Desk().client().get("/shown/nobody?login=carol@example.com")
    assert page.status_code == 403
    assert "Ask whoever runs this service to add you, and name them carol@example.com." in page.text


def test_the_sign_in_page_keeps_the_name_and_never_the_password() -> None:
    desk = Desk()
    form = {"user": "alice", "password": "wrong-secret", "next": "/users"}
    answer = desk.client().post("/.door/sign-in", data=form)
    assert answer.status_code == 401
    assert 'value="alice"' in answer.text
    assert "wrong-secret" not in answer.text
    assert 'name="next" value="/users"' in answer.text
