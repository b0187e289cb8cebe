"""Whether a runtime is at work, as OpenCode tells it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from door.control.busy import Asker
from door.control.phases import judge, pod_facts
from door.control.roster import person_of
from door.control.world import Runtime
from tests.support.fakes.live_pool import deployment_of, pod_of
from tests.support.fakes.waited import run


@dataclass
class OpenCode:
    """What OpenCode answers, as tried with 1.18.33."""

    chats: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    """By directory."""
    terminals: dict[str, Any] = field(default_factory=dict[str, Any])
    children: dict[str, str] = field(default_factory=dict[str, str])
    """By path under `/proc/<pid>`."""
    answer: Response | None = None
    """What everything is answered with instead."""
    asked: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    async def serve(self, request: Request) -> Response:
        """Answer a request."""
        directory = request.query_params["directory"]
        self.asked.append((request.url.path, directory))
        login = base64.b64encode(b"alice:of alice 2").decode()
        if request.headers.get("authorization") != f"Basic {login}":
            return PlainTextResponse("", 401)
        if self.answer is not None:
            return self.answer
        if request.url.path == "/session/status":
            return JSONResponse(self.chats.get(directory, {}))
        if request.url.path == "/pty":
            return JSONResponse(self.terminals.get(directory, []))
        content = self.children.get(f"{directory}/{request.query_params['path']}", "")
        return JSONResponse({"type": "text", "content": content})


@asynccontextmanager
async def served(opencode: OpenCode) -> AsyncGenerator[Asker]:
    """Serve it and return who asks."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    app = Starlette(
        routes=[
            Route(path, opencode.serve) for path in ("/session/status", "/pty", "/file/content")
        ]
    )
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign]
    task = asyncio.create_task(server.serve(sockets=[listener]))
    asker = Asker(lambda user, version: f"of {user} {version}", listener.getsockname()[1])
    try:
        while not server.started:
            await asyncio.sleep(0.005)
        yield asker
    finally:
        await asker.close()
        server.should_exit = True
        await task


def alice() -> Runtime:
    """A runtime with one scene on this machine."""
    # Not the World's: what is asked is all that counts here.
    person = person_of(deployment_of("alice", {"password-version": "2"}))
    facts = pod_facts(pod_of("alice"))
    assert person is not None
    assert facts is not None
    judged = judge(person, [facts])
    return Runtime(
        id=person.id,
        slug=person.slug,
        name=person.name,
        namespace=person.namespace,
        display_name=person.display_name,
        login=person.login,
        admin=person.admin,
        scenes=person.scenes,
        password_version=person.password_version,
        wanted=person.wanted,
        phase=judged.phase,
        reason=None,
        address=judged.address,
        replicas=1,
        suspend_after=None,
        hours=None,
        last_used=None,
        next_wake=None,
    )


def why(opencode: OpenCode) -> str | None:
    """Why alice's runtime is busy."""
    answers: list[str | None] = []

    async def main() -> None:
        async with served(opencode) as asker:
            answers.append(await asker.why_busy(alice()))

    run(main())
    return answers[0]


def shell(**changed: Any) -> dict[str, Any]:
    """A terminal as OpenCode lists it."""
    plain = {"id": "pty_1", "command": "/bin/bash", "args": ["-l"], "status": "running", "pid": 59}
    return plain | changed


def test_a_runtime_in_which_nothing_works_may_be_stopped() -> None:
    opencode = OpenCode()
    assert why(opencode) is None
    assert {place for path, place in opencode.asked if path == "/session/status"} == {
        "/app",
        "/app/coding",
    }


@pytest.mark.parametrize("status", ["busy", "retry"])
def test_a_chat_that_works_in_any_scene_keeps_it_awake(status: str) -> None:
    assert why(OpenCode(chats={"/app/coding": {"ses_1": {"type": status}}})) == "chat"


def test_a_terminal_left_open_at_its_prompt_may_be_stopped() -> None:
    assert why(OpenCode(terminals={"/app": [shell()]})) is None


def test_a_program_in_a_terminal_keeps_it_awake() -> None:
    opencode = OpenCode(terminals={"/app/coding": [shell()]})
    opencode.children["/proc/59/task/59/children"] = "64 "
    assert why(opencode) == "terminal"


def test_a_terminal_that_is_no_shell_keeps_it_awake_until_it_has_ended() -> None:
    assert why(OpenCode(terminals={"/app": [shell(command="/usr/bin/make")]})) == "terminal"
    ended = shell(command="/usr/bin/make", status="exited")
    assert why(OpenCode(terminals={"/app": [ended]})) is None


@pytest.mark.parametrize(
    "answer",
    [
        JSONResponse({"name": "ConfigInvalidError"}, 400),
        JSONResponse([1, 2]),
        JSONResponse({"a": "b" * 3_000_000}),
        PlainTextResponse("<html>", 200, media_type="text/html"),
        Response(b"{", 200, media_type="application/json"),
        PlainTextResponse("", 302, headers={"location": "http://127.0.0.1:1/"}),
    ],
)
def test_a_runtime_that_does_not_tell_is_left_alone(answer: Response) -> None:
    assert why(OpenCode(answer=answer)) == "silent"


@pytest.mark.parametrize("terminals", [{}, [1], [{"status": "running"}], json.loads("null")])
def test_terminals_of_another_shape_are_left_alone(terminals: Any) -> None:
    assert why(OpenCode(terminals={"/app": terminals})) == "silent"


def test_a_runtime_that_is_not_there_is_left_alone() -> None:
    async def main() -> None:
        async with served(OpenCode()) as asker:
            pass
        closed = Asker(lambda user, version: f"{user} {version}", asker.port)
        assert await closed.why_busy(alice()) == "silent"
        await closed.close()

    run(main())
