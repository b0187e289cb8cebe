"""The contract of control planes: the example of the documents runs against the door itself."""

from __future__ import annotations

import importlib.util
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from types import ModuleType
from typing import Any

import pytest

from door.control import names
from door.control.world import Phase
from tests.support.door_desk import SERVICE_TOKEN, Desk, served
from tests.support.programs import ROOT

EXAMPLE = ROOT / "docs" / "examples" / "agent_control.py"
Connect = Callable[..., Any]
CONTRACT = (ROOT / "docs" / "agent-control.md").read_text("utf-8")


@pytest.fixture(scope="module")
def example() -> ModuleType:
    """The example of the documents."""
    spec = importlib.util.spec_from_file_location("agent_control_example", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """A door that listens; *.localhost is this machine, as resolvers have it that know it."""
    plain = socket.getaddrinfo

    def here(host: Any, *rest: Any, **more: Any) -> Any:
        local = isinstance(host, str) and host.endswith(".localhost")
        return plain("127.0.0.1" if local else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", here)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    desk = Desk(port=port)
    with served(desk.app, port):
        yield desk


@pytest.fixture
def connect(desk: Desk, example: ModuleType) -> Iterator[Connect]:
    """Return clients of the door, closed at the end."""
    with ExitStack() as clients:

        def client(token: str = SERVICE_TOKEN, **more: Any) -> Any:
            made = example.AgentControl(desk.settings.front, token, **more)
            return clients.enter_context(closing(made))

        yield client


def test_the_example_opens_a_chat_for_a_user_and_talks_in_it(connect: Connect) -> None:
    control = connect()
    assert [one["id"] for one in control.user("alice")["scenes"]] == ["coding", "research"]
    chat = control.open_chat("alice", "research")
    assert chat["directory"] == "/app/research"
    assert control.prompt("alice", chat, "Hello") == "You said: Hello, in /app/research"


def test_the_example_waits_as_it_is_told_to(desk: Desk, connect: Connect) -> None:
    desk.world.set("alice", phase=Phase.ASLEEP)
    desk.world.refusal = "1 Insufficient memory."
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        desk.world.refusal = None

    control = connect(sleep=sleep)
    assert control.open_chat("alice", "coding")["id"] == "ses_0001"
    assert waited == [10.0]


@pytest.mark.parametrize(
    ("token", "user", "scene", "said"),
    [
        (SERVICE_TOKEN, "alice", "finance", "422: .*unknown-scene"),
        (SERVICE_TOKEN, "nobody-there", "coding", "404: "),
        ("another-token-" + "x" * 40, "alice", "coding", "401: .*wrong-credential"),
    ],
)
def test_the_example_says_what_is_wrong(
    connect: Connect, token: str, user: str, scene: str, said: str
) -> None:
    control = connect(token)
    with pytest.raises(RuntimeError, match=said):
        control.open_chat(user, scene)


def test_the_example_follows_no_redirect_with_its_token(desk: Desk, connect: Connect) -> None:
    control = connect()
    chat = control.open_chat("alice", "coding") | {"id": "elsewhere"}
    with pytest.raises(RuntimeError, match="307"):
        control.prompt("alice", chat, "Hello")
    assert desk.told_elsewhere == []


def test_the_contract_names_every_label_and_annotation() -> None:
    words = {
        value
        for name, value in vars(names).items()
        if name.isupper() and isinstance(value, str) and "/" in value
    }
    assert len(words) > 8
    assert {word for word in words if f"`{word}`" not in CONTRACT} == set()


def test_the_contract_names_every_call_and_code_of_the_api() -> None:
    source = "".join(
        (ROOT / "door" / "control" / name).read_text("utf-8") for name in ("api.py", "chats.py")
    )
    codes = set(re.findall(r'problem\(\s*\d{3},\s*"([a-z-]+)"', source))
    assert len(codes) > 7
    assert {code for code in codes if f"`{code}`" not in CONTRACT} == set()
