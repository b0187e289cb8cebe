"""Chats of a user's runtime, through its own API: make one in a scene, tell the recent ones.

A runtime is its user's own machine, so what it answers is data: read up to a limit and a time, of
the right type or not at all, and only shown to that user. Leaves out: waking it first.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import httpx
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from door.control.bounded import MIB, TooLongError, json_object, one_line, read_up_to
from door.control.context import Context, problem
from door.control.names import RUNTIME_PORT
from door.control.world import Runtime, Scene

_RECENT = 8
_OK = 200
# OpenCode answers in milliseconds once it is up, but the first chat in a directory takes it about a
# second, and some plugins make that a minute.
_MAKING = httpx.Timeout(75, connect=3)
_LISTING = httpx.Timeout(3, connect=1)
_ALL_LISTS = 4.0
_SCENES_LISTED = 24
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
# What OpenCode calls a chat in which nothing was said.
_UNNAMED = re.compile(r"New session - \d{4}-\d\d-\d\dT[\d:.]+Z")
_DIRECTORY_HEADER = "x-opencode-directory"
_OPENED = "opencode-fleet"
# What `Serving.on_workspaces` has to name, so that requests come here.
CARRIED = frozenset({("POST", "/session")})


class ChatError(Exception):
    """A runtime did not do what it was asked; the text says why, in one line for people."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Chat:
    """A chat in a scene."""

    id: str
    scene: Scene
    title: str | None
    """None when nothing was said in it yet."""
    updated: datetime
    link: str


def page_path(directory: str, chat_id: str) -> str:
    """Return the path of a chat's page in OpenCode's own interface."""
    folder = base64.urlsafe_b64encode(directory.encode()).rstrip(b"=").decode()
    return f"/{folder}/session/{chat_id}"


@dataclass(frozen=True, slots=True)
class _Call:
    """One request about the sessions of a runtime."""

    method: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    timeout: httpx.Timeout


class Chats:
    """Asks runtimes, with the derived password of their user."""

    def __init__(self, context: Context, transport: httpx.AsyncBaseTransport | None = None) -> None:
        """Open nothing yet."""
        self._context = context
        # A proxy in the environment is for the world outside, never for a pod.
        self._client = httpx.AsyncClient(
            transport=transport or httpx.AsyncHTTPTransport(limits=httpx.Limits()),
            trust_env=False,
            follow_redirects=False,
        )

    async def create(self, runtime: Runtime, scene: Scene, key: str | None = None) -> Chat:
        """Make a chat in a scene; `key` is remembered with it. Raises ChatError."""
        body = json.dumps({} if key is None else {"metadata": {_OPENED: key}}).encode()
        headers = {"Content-Type": "application/json"}
        call = _Call("POST", {"directory": scene.directory}, headers, body, _MAKING)
        answer = await self._ask(runtime, call)
        session = json_object(answer.content)
        if answer.status_code != _OK or session is None:
            raise ChatError(_complaint(answer))
        if not _is_id(session.get("id")):
            raise ChatError("the workspace made a chat without a name")
        return self._chat(runtime, scene, session)

    async def made_for(self, runtime: Runtime, scene: Scene, key: str) -> Chat | None:
        """Return the chat that was made with a key, where there is one; raises ChatError."""
        for session in await self._sessions(runtime, scene, _MAKING):
            if _opened_by(session) == key:
                return self._chat(runtime, scene, session)
        return None

    async def recent(self, runtime: Runtime) -> list[Chat] | None:
        """Return the newest chats of all scenes, newest first; None when the runtime is silent."""
        scenes = runtime.scenes[:_SCENES_LISTED]
        tasks = {asyncio.create_task(self._sessions(runtime, one, _LISTING)): one for one in scenes}
        if not tasks:
            return []
        done, late = await asyncio.wait(tasks, timeout=_ALL_LISTS)
        for task in late:
            task.cancel()
        found: list[Chat] = []
        silent = bool(late)
        for task in done:
            if task.exception() is not None:
                silent = True
                continue
            found += [self._chat(runtime, tasks[task], one) for one in task.result()]
        if silent and not found:
            return None
        return sorted(found, key=lambda chat: chat.updated, reverse=True)[:_RECENT]

    async def forward(
        self, runtime: Runtime, query: Mapping[str, str], headers: Mapping[str, str], body: bytes
    ) -> httpx.Response:
        """Pass a request to make a session on to the runtime; raises ChatError."""
        return await self._ask(runtime, _Call("POST", query, headers, body, _MAKING))

    async def close(self) -> None:
        """Close what is open."""
        await self._client.aclose()

    def _chat(self, runtime: Runtime, scene: Scene, session: Mapping[str, Any]) -> Chat:
        title = one_line(session.get("title"), 120)
        return Chat(
            id=session["id"],
            scene=scene,
            title=None if not title or _UNNAMED.fullmatch(title) else title,
            updated=_updated(session, self._context.now()),
            link=self._context.host_of(runtime) + page_path(scene.directory, session["id"]),
        )

    async def _sessions(
        self, runtime: Runtime, scene: Scene, timeout: httpx.Timeout
    ) -> list[dict[str, Any]]:
        query = {"directory": scene.directory, "roots": "true", "limit": str(_RECENT)}
        answer = await self._ask(runtime, _Call("GET", query, {}, b"", timeout))
        if answer.status_code != _OK:
            raise ChatError(_complaint(answer))
        try:
            listed = json.loads(answer.content)
        except (ValueError, RecursionError):
            raise ChatError("the workspace answered something else than a list") from None
        return list(_known(listed))

    async def _ask(self, runtime: Runtime, call: _Call) -> httpx.Response:
        if runtime.address is None:
            raise ChatError("the workspace is not awake")
        host = f"[{runtime.address}]" if ":" in runtime.address else runtime.address
        password = self._context.keys.password(runtime.id, runtime.password_version)
        try:
            async with (
                asyncio.timeout(call.timeout.read),
                self._client.stream(
                    call.method,
                    f"http://{host}:{RUNTIME_PORT}/session",
                    params=dict(call.query),
                    headers=dict(call.headers),
                    content=call.body,
                    auth=httpx.BasicAuth(runtime.id, password),
                    timeout=call.timeout,
                ) as answer,
            ):
                read = await read_up_to(answer.aiter_bytes(), MIB)
                kind = answer.headers.get("content-type", "application/octet-stream")
                return httpx.Response(
                    answer.status_code, headers={"content-type": kind}, content=read
                )
        except TooLongError:
            raise ChatError("the workspace answered more than is read") from None
        except (httpx.HTTPError, TimeoutError) as error:
            raise ChatError(f"the workspace did not answer ({type(error).__name__})") from error


def carried_routes(context: Context, chats: Chats | None = None) -> list[Route]:
    """Return the route of users' hosts that control answers itself once it is decided."""
    asks = chats or Chats(context)

    async def endpoint(request: Request) -> Response:
        visitor = context.visitor(request)
        if visitor is None:
            return problem(401, "signed-out", "Nobody is signed in.")
        return await create_from_scene(asks, visitor.runtime, request)

    return [Route(path, endpoint, methods=[method]) for method, path in sorted(CARRIED)]


async def create_from_scene(chats: Chats, runtime: Runtime, request: Request) -> Response:
    """Answer `POST /session` on a user's host: a field `scene` becomes the scene's directory.

    Without the field the request goes on as it came. `runtime` is the visitor's, ready.
    """
    try:
        body = await read_up_to(request.stream(), MIB)
    except TooLongError:
        return problem(413, "too-large", "A session is made from at most 1 MiB.")
    query = dict(request.query_params)
    headers = {"Content-Type": request.headers.get("content-type", "application/json")}
    if _DIRECTORY_HEADER in request.headers:
        headers[_DIRECTORY_HEADER] = request.headers[_DIRECTORY_HEADER]
    asked = json_object(body)
    if asked is not None and "scene" in asked:
        scene = scene_of(runtime, asked.pop("scene"))
        if scene is None:
            return problem(422, "unknown-scene", unknown_scene(runtime))
        query["directory"] = scene.directory
        headers.pop(_DIRECTORY_HEADER, None)
        body = json.dumps(asked).encode()
    try:
        answer = await chats.forward(runtime, query, headers, body)
    except ChatError as error:
        return problem(502, "unreachable", str(error), retry_after=5)
    kind = answer.headers["content-type"]
    return Response(
        answer.content,
        answer.status_code,
        # What a runtime says is not the door's word: a page among it is shown, not run.
        {"Content-Type": kind, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"},
    )


def scene_of(runtime: Runtime, scene_id: object) -> Scene | None:
    """Return the user's own scene of an id."""
    return next((one for one in runtime.scenes if one.id == scene_id), None)


def unknown_scene(runtime: Runtime) -> str:
    """Return what to say when a scene is none of the user's."""
    names = ", ".join(one.id for one in runtime.scenes) or "none"
    return f"scene: not one of this user's scenes: use one of: {names}"


def _known(listed: object) -> Iterable[dict[str, Any]]:
    """Keep what is a chat: with an id that fits a link, and begun by the user, not by a tool."""
    if not isinstance(listed, list):
        return
    for item in cast("list[object]", listed)[:_RECENT]:
        if not isinstance(item, dict):
            continue
        session = cast("dict[str, Any]", item)
        if _is_id(session.get("id")) and not session.get("parentID"):
            yield session


def _is_id(value: object) -> bool:
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def _opened_by(session: Mapping[str, Any]) -> object:
    metadata = session.get("metadata")
    if not isinstance(metadata, dict):
        return None
    return cast("dict[str, Any]", metadata).get(_OPENED)


def _updated(session: Mapping[str, Any], now: datetime) -> datetime:
    times = session.get("time")
    value = cast("dict[str, Any]", times).get("updated") if isinstance(times, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return now
    try:
        return min(datetime.fromtimestamp(value / 1000, UTC), now)
    except (OverflowError, OSError, ValueError):
        return now


def _complaint(answer: httpx.Response) -> str:
    """Return what the runtime says is wrong; a broken configuration names its file there."""
    told = json_object(answer.content) or {}
    data = told.get("data")
    inner = cast("dict[str, Any]", data).get("message") if isinstance(data, dict) else None
    said = one_line(inner) or one_line(told.get("message")) or one_line(told.get("name"))
    return f"the workspace answered {answer.status_code}" + (f": {said}" if said else "")
