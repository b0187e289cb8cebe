"""The front page, its buttons, and the way from a click on a scene to its chat."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from starlette.responses import JSONResponse

from door.control.world import Phase, Scene, Wanted
from tests.support.door_desk import SERVICE_TOKEN, Desk
from tests.support.door_world import FakeWorld, runtime_of

NASTY = "<script>alert(1)</script>\"'&{{7*7}}"


def asleep() -> Desk:
    """Return a desk where alice's runtime is asleep and takes its time to wake."""
    world = FakeWorld(runtime_of("alice", phase=Phase.ASLEEP, address=None, replicas=0))
    world.wakes_by_itself = False
    return Desk(world)


def test_somebody_who_is_not_signed_in_is_sent_to_sign_in_and_comes_back() -> None:
    answer = Desk().client().get("/users?find=bob")
    assert answer.status_code == 303
    address = urlsplit(answer.headers["location"])
    assert address.path == "/.door/sign-in"
    assert parse_qs(address.query) == {"next": ["/users?find=bob"]}


def test_the_front_page_shows_scenes_chats_and_the_state() -> None:
    desk = Desk()
    desk.opencode.add("/app/coding", "A flaky test")
    page = desk.client("alice").get("/").text
    assert "Hello, Alice" in page
    assert "Write and run code." in page
    assert "A flaky test" in page
    assert "http://alice.fleet.localhost:7080/L2FwcC9jb2Rpbmc/session/ses_0001" in page
    assert "Awake" in page


def test_the_front_page_speaks_chinese_to_who_reads_it() -> None:
    answer = Desk().client("alice", **{"Accept-Language": "zh-CN"}).get("/")
    assert '<html lang="zh-CN">' in answer.text
    assert "选一个场景" in answer.text
    assert "Accept-Language" in answer.headers["vary"]


def test_what_people_scenes_chats_and_pods_are_called_is_never_markup() -> None:
    scene = Scene(id="coding", title=NASTY, description=NASTY)
    world = FakeWorld(
        runtime_of("alice", admin=True, display_name=NASTY, scenes=(scene,)),
        runtime_of("mallory", display_name=NASTY, phase=Phase.FAILING, reason=NASTY),
    )
    desk = Desk(world, notice=NASTY)
    desk.opencode.add("/app/coding", NASTY)
    client = desk.client("alice")
    for path in ("/", "/users", f"/shown/nobody?login={NASTY}", "/shown/waking"):
        page = client.get(path).text
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
        assert "{{7*7}}" in page


def test_every_page_forbids_frames_foreign_scripts_and_being_kept() -> None:
    headers = Desk().client("alice").get("/").headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "style-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"


def test_what_pages_load_is_kept_by_browsers_for_ever() -> None:
    client = Desk().client()
    page = client.get("/.door/sign-in").text
    paths = re.findall(r'(?:href|src)="(/\.door/static/[^"]+)"', page)
    assert {path.rsplit(".", 1)[1] for path in paths} == {"css", "js", "svg"}
    for path in paths:
        answer = client.get(path)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    assert client.get("/.door/static/door.000000000000.css").status_code == 404


def test_no_page_loads_anything_from_elsewhere() -> None:
    desk = Desk()
    client = desk.client("alice")
    pages = [client.get(path).text for path in ("/", "/users", "/api/v1/", "/shown/waking")]
    loaded = re.findall(r'<(?:link|script|img|iframe)\b[^>]*(?:href|src)="([^"]*)"', "".join(pages))
    assert len(loaded) == 12
    assert {path for path in loaded if not path.startswith("/.door/static/")} == set()


# Opening a scene.


def test_a_click_on_a_scene_opens_a_new_chat_in_it() -> None:
    desk = Desk()
    answer = desk.client("alice").post("/open", data={"scene": "research"})
    assert answer.status_code == 303
    link = "http://alice.fleet.localhost:7080/L2FwcC9yZXNlYXJjaA/session/ses_0001"
    assert answer.headers["location"] == link
    assert desk.world.touched == ["alice"]


@pytest.mark.parametrize("site", ["same-site", "cross-site"])
def test_a_click_made_by_a_page_of_another_host_opens_nothing(site: str) -> None:
    desk = Desk()
    client = desk.client(
        "alice", **{"Sec-Fetch-Site": site, "Origin": "http://bob.fleet.localhost"}
    )
    for path in ("/open", "/runtime/restart", "/token", "/users/suspend", "/api/v1/sessions"):
        assert client.post(path, data={"scene": "coding", "user": "bob"}).status_code == 403
    assert desk.opencode.asked == []
    assert desk.world.asked == []


def test_a_click_without_any_mark_of_where_it_came_from_opens_nothing() -> None:
    desk = Desk()
    client = desk.client("alice")
    del client.headers["sec-fetch-site"]
    assert client.post("/open", data={"scene": "coding"}).status_code == 403
    assert desk.opencode.asked == []


@pytest.mark.parametrize("scene", ["", "finance", "../etc", "coding/../research", "x" * 70_000])
def test_a_scene_that_is_not_the_users_opens_nothing(scene: str) -> None:
    desk = Desk()
    assert desk.client("alice").post("/open", data={"scene": scene}).status_code == 404
    assert desk.opencode.asked == []


def test_a_scene_of_a_sleeping_workspace_wakes_it_and_then_opens_the_chat() -> None:
    desk = asleep()
    client = desk.client("alice")
    clicked = client.post("/open", data={"scene": "coding"})
    way = clicked.headers["location"]
    assert way.startswith("/opening?o=")
    waiting = client.get(way)
    assert waiting.status_code == 503
    assert waiting.headers["retry-after"] == "3"
    assert "Opening Coding" in waiting.text
    assert '<noscript><meta http-equiv="refresh" content="3"></noscript>' in waiting.text
    assert ("wake", "alice") in desk.world.asked
    desk.world.set("alice", phase=Phase.READY, address="127.0.0.1")
    opened = client.get(way)
    assert opened.status_code == 303
    assert opened.headers["location"].endswith("/L2FwcC9jb2Rpbmc/session/ses_0001")


def test_the_waiting_page_loaded_twice_opens_one_chat() -> None:
    desk = asleep()
    client = desk.client("alice")
    way = client.post("/open", data={"scene": "coding"}).headers["location"]
    desk.world.set("alice", phase=Phase.READY, address="127.0.0.1")
    first, second = client.get(way), client.get(way)
    assert first.headers["location"] == second.headers["location"]
    assert len(desk.opencode.sessions) == 1


def test_a_click_of_somebody_else_or_a_forged_or_old_one_opens_nothing() -> None:
    desk = asleep()
    way = desk.client("alice").post("/open", data={"scene": "coding"}).headers["location"]
    desk.world.set("alice", phase=Phase.READY, address="127.0.0.1")
    desk.world.roster["bob"] = runtime_of("bob")
    later = Desk(desk.world, now=lambda: desk.context.now() + timedelta(minutes=16))
    tries = [
        desk.client("bob").get(way),
        desk.client("alice").get(way[:-2] + "xx"),
        desk.client("alice").get("/opening"),
        desk.client("alice").get("/opening?o=" + "x" * 9000),
        later.client("alice").get(way),
    ]
    assert [(one.status_code, one.headers["location"]) for one in tries] == [(303, "/")] * 5
    assert desk.opencode.sessions == []


def test_a_scene_that_was_taken_away_meanwhile_opens_nothing() -> None:
    desk = asleep()
    client = desk.client("alice")
    way = client.post("/open", data={"scene": "coding"}).headers["location"]
    desk.world.set("alice", phase=Phase.READY, address="127.0.0.1", scenes=())
    assert client.get(way).headers["location"] == "/"


def test_a_workspace_that_cannot_be_woken_says_why() -> None:
    desk = asleep()
    desk.world.refusal = "0/1 nodes are available: 1 Insufficient memory."
    client = desk.client("alice")
    page = client.get(client.post("/open", data={"scene": "coding"}).headers["location"])
    assert page.status_code == 503
    assert "Your workspace cannot be woken now" in page.text
    assert "0/1 nodes are available: 1 Insufficient memory." in page.text


def test_a_paused_workspace_opens_no_scene_and_says_so() -> None:
    desk = Desk()
    desk.world.set("alice", wanted=Wanted.SUSPENDED, phase=Phase.SUSPENDED, address=None)
    client = desk.client("alice")
    answer = client.post("/open", data={"scene": "coding"})
    assert answer.status_code == 403
    assert "Your workspace is paused" in answer.text
    assert "disabled" in client.get("/").text
    assert desk.world.asked == []


def test_a_workspace_that_fails_to_make_a_chat_says_what_it_said() -> None:
    desk = Desk()
    error = {"name": "ConfigInvalidError", "data": {"message": "/app/.opencode/opencode.json: x"}}
    desk.opencode.instead = JSONResponse(error, 400)
    answer = desk.client("alice").post("/open", data={"scene": "coding"})
    assert answer.status_code == 502
    assert "/app/.opencode/opencode.json: x" in answer.text


def test_the_front_page_comes_although_the_workspace_is_silent() -> None:
    desk = Desk()
    desk.opencode.instead = JSONResponse({}, 500)
    answer = desk.client("alice").get("/")
    assert answer.status_code == 200
    assert "did not tell its chats" in answer.text


def test_the_front_page_asks_nothing_of_a_sleeping_workspace_and_wakes_nothing() -> None:
    desk = asleep()
    page = desk.client("alice").get("/").text
    assert "Your chats are kept." in page
    assert desk.world.asked == []
    assert desk.world.touched == []


def test_looking_at_the_state_is_no_use_and_tells_a_stranger_nothing() -> None:
    desk = asleep()
    state = desk.client("alice").get("/.door/state").json()
    assert (state["phase"], state["ready"], state["signedIn"]) == ("asleep", False, True)
    stranger = desk.client().get("/.door/state")
    assert stranger.status_code == 200
    assert stranger.json()["signedIn"] is False
    assert stranger.json()["phase"] is None
    assert desk.world.touched == []
    assert desk.world.asked == []


# The runtime's buttons.


@pytest.mark.parametrize(
    ("button", "asked"), [("restart", "restart"), ("suspend", "sleep"), ("resume", "wake")]
)
def test_a_button_of_the_workspace_does_it_and_says_so(button: str, asked: str) -> None:
    desk = Desk()
    client = desk.client("alice")
    answer = client.post(f"/runtime/{button}")
    assert answer.headers["location"] == f"/?done={button}"
    assert desk.world.asked == [(asked, "alice")]
    assert 'role="status"' in client.get(f"/?done={button}").text


def test_an_action_nobody_offers_is_not_found() -> None:
    desk = Desk()
    assert desk.client("alice").post("/runtime/purge").status_code == 404
    assert desk.world.asked == []


def test_words_in_the_address_show_nothing_of_their_own() -> None:
    page = Desk().client("alice").get("/?done=transfer%20money").text
    assert 'role="status"' not in page
    assert "transfer" not in page


def test_a_paused_workspace_cannot_be_woken_by_its_user() -> None:
    desk = Desk()
    desk.world.set("alice", wanted=Wanted.SUSPENDED, phase=Phase.SUSPENDED)
    answer = desk.client("alice").post("/runtime/resume")
    assert answer.status_code == 409
    assert "suspended in the stack file" in answer.text
    assert desk.world.asked == []


def test_a_wake_that_the_cluster_refuses_is_told_with_its_reason() -> None:
    desk = asleep()
    desk.world.refusal = "exceeded quota: pods"
    answer = desk.client("alice").post("/runtime/resume")
    assert answer.status_code == 409
    assert "It could not be woken: exceeded quota: pods" in answer.text


# Tokens.


def test_a_personal_token_is_shown_once_and_works() -> None:
    desk = Desk()
    page = desk.client("alice").post("/token").text
    token = re.search(r'value="(fleet_[^"]+)"', page)
    assert token is not None
    assert desk.program(token[1]).get("/api/v1/me").json()["id"] == "alice"
    assert token[1] not in desk.client("alice").get("/").text


def test_no_token_comes_from_another_credential_than_a_session() -> None:
    desk = Desk()
    service = desk.program(SERVICE_TOKEN, **{"X-User-Id": "alice"})
    answer = service.post("/token")
    assert answer.status_code == 403
    assert "fleet_" not in answer.text


def test_the_token_page_shows_how_to_attach_programs() -> None:
    page = Desk().client("alice").post("/token").text
    assert "opencode attach http://alice.fleet.localhost:7080 --dir /app/coding" in page
    assert "OPENCODE_SERVER_USERNAME=alice" in page


def test_an_id_of_odd_letters_is_quoted_for_the_shell() -> None:
    world = FakeWorld(runtime_of("alice"), runtime_of("a b'c", slug="x-1"))
    page = Desk(world).client("a b'c").post("/token").text
    assert "OPENCODE_SERVER_USERNAME=&#39;a b&#39;&#34;&#39;&#34;&#39;c&#39;" in page


def test_signing_in_leads_to_the_front_page() -> None:
    desk = Desk()
    form = {"user": "alice", "password": desk.password("alice"), "next": "/"}
    answer = desk.client().post("/.door/sign-in", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_a_user_without_scenes_reads_what_to_do() -> None:
    desk = Desk()
    desk.world.roster["alice"] = replace(desk.world.roster["alice"], scenes=())
    page = desk.client("alice").get("/").text
    assert "You have no scenes yet." in page
    assert "Choose a scene" not in page
