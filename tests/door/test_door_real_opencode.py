"""What the door asks of OpenCode's API, asked of OpenCode itself.

Short because the rules are tested against the fake; here it is shown to be like the real one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from starlette.requests import Request
from starlette.types import Message

from door.control.chats import Chats, create_from_scene
from tests.support.door_desk import Desk
from tests.support.door_opencode import find_opencode, real_opencode
from tests.support.door_world import SCENES

pytestmark = pytest.mark.door
ADDRESS = "127.0.0.79"
CODING, RESEARCH = SCENES


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A desk whose alice has a real OpenCode."""
    binary: Path | None = find_opencode()
    if binary is None:
        pytest.skip("no OpenCode: name one in FLEET_OPENCODE, or start the bundled cluster")
    desk = Desk()
    desk.world.set("alice", address=ADDRESS)
    home = tmp_path_factory.mktemp("opencode")
    with real_opencode(binary, ADDRESS, "alice", desk.password("alice"), home):
        yield desk


def test_chats_are_made_found_and_told_by_the_real_opencode(desk: Desk) -> None:
    alice = desk.world.roster["alice"]

    async def all_of_it() -> None:
        chats = Chats(desk.context)
        first = await chats.create(alice, CODING, "one")
        second = await chats.create(alice, RESEARCH)
        found = await chats.made_for(alice, CODING, "one")
        assert found is not None
        assert found.id == first.id
        assert await chats.made_for(alice, CODING, "two") is None
        told = await chats.recent(alice)
        assert told is not None
        assert [chat.id for chat in told] == [second.id, first.id]
        assert [chat.title for chat in told] == [None, None]
        await chats.close()

    anyio.run(all_of_it)


def test_a_field_scene_makes_a_session_of_the_real_opencode_in_its_folder(desk: Desk) -> None:
    alice = desk.world.roster["alice"]

    async def body() -> Message:
        return {"type": "http.request", "body": b'{"scene": "research", "title": "Sources"}'}

    async def made() -> bytes:
        chats = Chats(desk.context)
        scope: dict[str, Any] = {
            "type": "http",
            "method": "POST",
            "query_string": b"directory=/etc",
            "headers": [],
        }
        answer = await create_from_scene(chats, alice, Request(scope, body))
        await chats.close()
        assert answer.status_code == 200
        return bytes(answer.body)

    told = anyio.run(made)
    assert b'"directory":"/app/research"' in told
    assert b'"title":"Sources"' in told
