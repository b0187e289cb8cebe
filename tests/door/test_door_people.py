"""The page of everybody: for administrators, nothing of anybody's content, never elsewhere."""

from __future__ import annotations

import pytest

from door.control.world import Phase
from tests.support.door_desk import Desk
from tests.support.door_world import FakeWorld, runtime_of


def test_administrators_see_everybody_and_nothing_of_their_content() -> None:
    desk = Desk()
    desk.opencode.add("/app/coding", "alices own words")
    desk.world.set("bob", phase=Phase.FAILING, reason="image cannot be pulled")
    page = desk.client("alice").get("/users").text
    assert "Bob" in page
    assert "image cannot be pulled" in page
    assert "2 people" in page
    assert "alices own words" not in page
    assert desk.opencode.asked == []


def test_others_see_and_do_nothing_there() -> None:
    desk = Desk()
    bob = desk.client("bob")
    assert bob.get("/users").status_code == 403
    assert bob.post("/users/suspend", data={"user": "alice"}).status_code == 403
    assert "/users" not in bob.get("/").text
    assert desk.world.asked == []


def test_an_administrator_acts_for_somebody_and_comes_back_to_the_same_list() -> None:
    desk = Desk()
    form = {"user": "bob", "back": "/users?find=b&page=0"}
    answer = desk.client("alice").post("/users/restart", data=form)
    assert answer.headers["location"] == "/users?find=b&page=0&done=restart"
    assert desk.world.asked == [("restart", "bob")]


@pytest.mark.parametrize(
    "back", ["https://evil.example/", "//evil.example", "/\\evil", "", "/open"]
)
def test_the_way_back_never_leads_elsewhere(back: str) -> None:
    form = {"user": "bob", "back": back}
    answer = Desk().client("alice").post("/users/restart", data=form)
    assert answer.headers["location"] == "/users?&done=restart"


def test_a_thousand_people_are_shown_in_pages_and_found_by_name() -> None:
    people = [runtime_of(f"user-{number:04}") for number in range(1000)]
    desk = Desk(FakeWorld(runtime_of("alice", admin=True), *people))
    client = desk.client("alice")
    first = client.get("/users").text
    assert "1001 people" in first
    assert first.count("<tr") == 51
    assert 'rel="next" href="/users?find=&amp;page=1"' in first
    assert client.get("/users?page=20").text.count("<tr") == 2
    assert client.get("/users?page=99999999").status_code == 200
    found = client.get("/users?find=USER-0007").text
    assert "1 person" in found
    assert client.get("/users?find=nobody-there").text.count("<tr") == 0
