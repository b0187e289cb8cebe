"""A user works: what the platform team promises to the person behind a URL."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.e2e.harness.environment import Environment
from tests.e2e.harness.model_pod import API_KEY, ModelPod
from tests.e2e.harness.person import ask, chromium, go, open_link, read, sign_in
from tests.e2e.harness.waiting import until
from tests.e2e.harness.workspace import all_tool_parts, answer_text

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser."""
    with chromium() as found:
        yield found


@pytest.mark.smoke
def test_a_person_opens_a_scene_in_a_browser_sends_a_prompt_and_reads_the_answer(
    shared: Environment, browser: Browser
) -> None:
    """Lost otherwise: the product. Nobody could do any work in the browser."""
    done = shared.fleet("open", "alice", "--scene", "coding", "--no-browser")
    assert done.code == 0, done.said
    page = sign_in(browser, shared, "alice")
    open_link(page, done.out.strip())
    answer = page.get_by_text(re.compile(r"^\s*The heron stands in the shallow water\s*$")).first
    ask(page, "[[say The heron stands in the shallow water]] please", answer)
    page.screenshot(path=Path(tempfile.gettempdir()) / "opencode-fleet-e2e-browser.png")
    page.context.close()
    alice = shared.workspace("alice")
    chat = done.out.strip().rpartition("/")[2]
    texts = [text for role, text in alice.messages(chat, "/app/coding") if role == "assistant"]
    assert "The heron stands in the shallow water" in texts


def test_a_page_reloaded_in_the_browser_still_shows_the_chat(
    shared: Environment, browser: Browser
) -> None:
    """Lost otherwise: a person who closes the lid finds an empty page."""
    alice = shared.workspace("alice")
    done = shared.fleet("open", "alice", "--scene", "research", "--no-browser")
    chat = done.out.strip().rpartition("/")[2]
    alice.say(chat, "[[say Otters hold hands]]", "/app/research")
    page = sign_in(browser, shared, "alice")
    open_link(page, done.out.strip())
    read(page, "Otters hold hands")
    go(lambda: page.reload(wait_until="domcontentloaded"))
    read(page, "Otters hold hands")
    page.context.close()


@pytest.mark.smoke
def test_a_prompt_is_answered_by_the_model_with_the_key_of_the_stack_file(
    shared: Environment, model: ModelPod
) -> None:
    """Lost otherwise: a sealed API key never reaches the model, or a wrong one does."""
    bob = shared.workspace("bob")
    answer = bob.say(bob.chat(), "say hello 4711")
    assert "hello 4711" in answer_text(answer)
    asked = model.asked("hello 4711")
    assert asked["bearer_sha256"] == hashlib.sha256(API_KEY.encode()).hexdigest()
    assert asked["stream"] is True


def test_a_tool_call_writes_a_file_that_the_user_finds(shared: Environment) -> None:
    """Lost otherwise: the agent talks but cannot work."""
    bob = shared.workspace("bob")
    chat = bob.chat("/app/coding")
    arguments = '{"filePath": "/app/coding/note.txt", "content": "kept by a tool"}'
    answer = bob.say(chat, f"[[tool write {arguments}]] [[say written]]", "/app/coding")
    assert "written" in answer_text(answer)
    assert shared.inside("bob", "cat", "/app/coding/note.txt").stdout == "kept by a tool"
    calls = all_tool_parts(bob, chat, "/app/coding")
    assert [(part["tool"], part["state"]["status"]) for part in calls] == [("write", "completed")]


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("bash", '{"command": "echo one-$((1+1))-three", "description": "count"}'),
        ("grep", '{"pattern": "one-2-three", "path": "/app"}'),
        ("glob", '{"pattern": "**/AGENTS.md", "path": "/app"}'),
        ("read", '{"filePath": "/app/AGENTS.md"}'),
    ],
)
def test_the_everyday_tools_work_without_the_internet(
    shared: Environment, tool: str, arguments: str
) -> None:
    """Lost otherwise: a workspace in a closed network whose search or shell fails."""
    bob = shared.workspace("bob")
    shared.inside("bob", "sh", "-c", "echo one-2-three > /app/found.txt")
    chat = bob.chat()
    bob.say(chat, f"[[tool {tool} {arguments}]] [[say done]]")
    (call,) = all_tool_parts(bob, chat)
    assert call["state"]["status"] == "completed", call["state"]
    expected = {"bash": "one-2-three", "grep": "found.txt", "glob": "AGENTS.md", "read": "app"}
    assert expected[tool] in call["state"]["output"]


def test_a_chat_is_busy_while_the_model_thinks_and_idle_after(shared: Environment) -> None:
    """Lost otherwise: nobody can tell whether an answer still comes, so no polite restart."""
    bob = shared.workspace("bob")
    chat = bob.chat()
    bob.begin(chat, "[[slow 4]] [[say slowly done]]")
    until("the chat is busy", lambda: bob.busy(chat), 10)
    until("the chat is idle", lambda: not bob.busy(chat), 60)
    assert ("assistant", "slowly done") in bob.messages(chat)


def test_an_error_of_the_model_is_shown_and_the_next_prompt_works(shared: Environment) -> None:
    """Lost otherwise: a refused key or quota looks like an empty answer, or breaks the chat."""
    bob = shared.workspace("bob")
    chat = bob.chat()
    answer = bob.try_to_say(chat, "[[error 400]]")
    assert "as the prompt asked" in str(answer["info"]["error"])
    assert "fine again" in answer_text(bob.say(chat, "[[say fine again]]"))


def test_an_answer_streams_word_by_word_through_the_front_door(shared: Environment) -> None:
    """Lost otherwise: a proxy that buffers makes a person stare at nothing for minutes."""
    bob = shared.workspace("bob")
    chat = bob.chat()
    connection = bob.connect(30)
    connection.request("GET", "/event?directory=/app", headers=bob.headers())
    stream = connection.getresponse()
    assert stream.status == 200
    assert "connected" in stream.readline().decode()
    bob.begin(chat, "[[say a stream of several words that is longer than one piece]]")
    seen = 0

    def more() -> bool:
        nonlocal seen
        line = stream.readline().decode()
        seen += "message.part" in line and chat in line
        return "session.idle" in line and chat in line

    until("the turn's end is told", more, 60, 0)
    connection.close()
    assert seen > 2, f"only {seen} events"
