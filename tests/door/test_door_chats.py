"""Chats of a runtime: made in a scene, told newest first, and nothing believed without a look."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import anyio
import httpx
import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from door.control.bounded import MIB, one_line
from door.control.chats import Chat, ChatError, Chats, page_path
from door.control.world import Runtime
from tests.support.door_desk import Desk
from tests.support.door_world import SCENES

CODING, RESEARCH = SCENES
HOUR = 3_600_000


def milliseconds(moment: datetime) -> int:
    """Return a moment as OpenCode writes it."""
    return int(moment.timestamp() * 1000)


def alice(desk: Desk) -> Runtime:
    """Return alice's runtime as of now."""
    return desk.world.roster["alice"]


def recent(desk: Desk) -> list[Chat] | None:
    """Ask for alice's recent chats."""
    return anyio.run(desk.chats.recent, alice(desk))


def make(desk: Desk, key: str | None = None) -> Chat:
    """Make a chat for alice in the scene coding."""
    return anyio.run(desk.chats.create, alice(desk), CODING, key)


def test_the_page_of_a_chat_is_where_opencode_has_it() -> None:
    assert page_path("/app", "ses_1") == "/L2FwcA/session/ses_1"


def test_a_chat_is_made_in_the_folder_of_its_scene() -> None:
    desk = Desk()
    chat = make(desk)
    assert desk.opencode.asked == [("POST", {"directory": "/app/coding"}, b"{}")]
    assert chat.link == f"http://alice.fleet.localhost:7080{page_path('/app/coding', chat.id)}"


def test_a_chat_is_asked_for_with_the_users_own_password() -> None:
    desk = Desk()
    desk.world.set("alice", password_version=2)
    with pytest.raises(ChatError, match="401"):
        make(desk)


def test_a_chat_that_was_made_with_a_key_is_found_by_it() -> None:
    desk = Desk()
    chat = make(desk, "one")
    assert anyio.run(desk.chats.made_for, alice(desk), CODING, "one") == chat
    assert anyio.run(desk.chats.made_for, alice(desk), CODING, "two") is None
    assert anyio.run(desk.chats.made_for, alice(desk), RESEARCH, "one") is None


def test_recent_chats_are_of_all_scenes_and_newest_first() -> None:
    desk = Desk()
    now = milliseconds(desk.context.now())
    desk.opencode.add("/app/coding", "old", now - 3 * HOUR)
    desk.opencode.add("/app/research", "new", now - HOUR)
    desk.opencode.add("/app/elsewhere", "not in a scene", now)
    told = recent(desk)
    assert told is not None
    assert [(chat.title, chat.scene.id) for chat in told] == [
        ("new", "research"),
        ("old", "coding"),
    ]


def test_a_chat_in_which_nothing_was_said_has_no_title() -> None:
    desk = Desk()
    desk.opencode.add("/app/coding", "New session - 2026-11-26T11:22:00.258Z")
    told = recent(desk)
    assert told is not None
    assert told[0].title is None


def test_at_most_eight_chats_are_told() -> None:
    desk = Desk()
    for number in range(30):
        desk.opencode.add("/app/coding", f"chat {number}", 1_795_000_000_000 + number)
        desk.opencode.add("/app/research", f"note {number}", 1_795_000_000_000 + number)
    told = recent(desk)
    assert told is not None
    assert len(told) == 8
    assert {chat.title for chat in told} == {
        f"{word} {number}" for word in ("chat", "note") for number in range(26, 30)
    }


@pytest.mark.parametrize(
    "session",
    [
        {"id": "../../etc", "title": "a path"},
        {"id": 7, "title": "a number"},
        {"id": "ses_1?x=<script>", "title": "a page"},
        {"title": "no id"},
        {"id": "ses_child", "parentID": "ses_1", "title": "of a tool"},
        "text",
        None,
    ],
)
def test_what_is_no_chat_is_left_out(session: Any) -> None:
    desk = Desk()
    good = {"id": "ses_good", "title": "good", "time": {"updated": 1}}
    desk.opencode.instead = JSONResponse([session, good])
    told = recent(desk)
    assert told is not None
    assert {chat.id for chat in told} == {"ses_good"}


@pytest.mark.parametrize(
    "updated", [None, "noon", True, float("1e300"), -(10**20), {"at": 1}, 4_000_000_000_000_000]
)
def test_a_time_that_is_none_counts_as_now_and_never_as_later(updated: Any) -> None:
    desk = Desk()
    body = json.dumps([{"id": "ses_1", "title": "x", "time": {"updated": updated}}])
    desk.opencode.instead = Response(body, media_type="application/json")
    told = recent(desk)
    assert told is not None
    assert desk.context.now() - told[0].updated < timedelta(minutes=1)


@pytest.mark.parametrize(
    "answer",
    [
        PlainTextResponse("<html>"),
        JSONResponse({"error": "x"}, 500),
        PlainTextResponse("[" * 200_000),
        Response(b"\xff\xfe\x00", media_type="application/json"),
    ],
)
def test_a_runtime_that_answers_nonsense_is_told_as_silent(answer: Response) -> None:
    desk = Desk()
    desk.opencode.instead = answer
    assert recent(desk) is None


def test_a_runtime_that_answers_without_end_is_not_read_to_the_end() -> None:
    desk = Desk()
    sent: list[int] = []

    async def endless() -> AsyncIterator[bytes]:
        while True:
            sent.append(1)
            yield b" " * (MIB // 4)

    class Endless(httpx.AsyncByteStream):
        def __aiter__(self) -> AsyncIterator[bytes]:
            return endless()

    transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=Endless()))
    chats = Chats(desk.context, transport)
    with pytest.raises(ChatError, match="more than is read"):
        anyio.run(chats.create, alice(desk), CODING, None)
    assert len(sent) <= 6


def test_a_runtime_nobody_can_reach_is_told_in_one_line() -> None:
    desk = Desk()

    def refuse(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("All connection attempts failed\nto 10.0.0.7")

    chats = Chats(desk.context, httpx.MockTransport(refuse))
    with pytest.raises(ChatError) as caught:
        anyio.run(chats.create, alice(desk), CODING, None)
    assert str(caught.value) == "the workspace did not answer (ConnectError)"


def test_a_runtime_without_a_pod_is_not_asked() -> None:
    desk = Desk()
    desk.world.set("alice", address=None)
    with pytest.raises(ChatError, match="not awake"):
        make(desk)
    assert desk.opencode.asked == []


def test_a_redirect_of_a_runtime_is_not_followed() -> None:
    desk = Desk()
    desk.opencode.instead = Response(status_code=302, headers={"Location": "http://10.0.0.1/"})
    with pytest.raises(ChatError, match="302"):
        make(desk)
    assert len(desk.opencode.asked) == 1


def test_what_a_runtime_complains_of_is_told_as_one_bounded_line() -> None:
    desk = Desk()
    message = "opencode.json:3\n\x1b[31mbroken " + "x" * 5000
    desk.opencode.instead = JSONResponse({"name": "ConfigError", "data": {"message": message}}, 400)
    with pytest.raises(ChatError) as caught:
        make(desk)
    told = str(caught.value)
    assert told.startswith("the workspace answered 400: opencode.json:3 [31mbroken xxx")
    assert len(told) < 400


def test_one_line_is_one_line_whatever_comes() -> None:
    assert one_line("a\r\nb\u2028c\u202ed\x00e") == "a b c d e"
    assert one_line(None) == ""
    assert len(one_line("y" * 1000)) == 300


def test_a_link_for_an_address_of_version_six_is_asked_there() -> None:
    desk = Desk()
    desk.world.set("alice", address="fd00::7")
    seen: list[str] = []

    def note(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        return httpx.Response(200, json={"id": "ses_1"})

    anyio.run(Chats(desk.context, httpx.MockTransport(note)).create, alice(desk), CODING, None)
    assert seen == ["http://[fd00::7]:4096/session?directory=%2Fapp%2Fcoding"]


def test_a_streamed_answer_is_read_like_any_other() -> None:
    desk = Desk()

    async def parts() -> AsyncIterator[bytes]:
        yield b'{"id": "ses_'
        yield b'9"}'

    desk.opencode.instead = StreamingResponse(parts(), media_type="application/json")
    assert make(desk).id == "ses_9"
