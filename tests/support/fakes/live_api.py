"""A small API server that watches: lists, watches from a version on, conflicts, 410, scale.

Real HTTP on loopback, in the test's own event loop. It is stopped and started again on its port as
an API server that is away. Owns: Deployments, pods and Leases as plain objects, versions, events.
Leaves out: controllers (`live_pool`), validation, credentials.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias, cast

import uvicorn
from lightkube import AsyncClient, KubeConfig
from lightkube.config.models import Cluster, User
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from door.control.kube import FIELD_MANAGER, Api

Object: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came."""

    method: str
    path: str
    query: dict[str, str]
    body: Any


@dataclass(frozen=True, slots=True)
class _Event:
    version: int
    what: str
    item: Object


@dataclass
class LiveApi:
    """The server's content, for a test to fill and to look at."""

    objects: dict[tuple[str, str, str], Object] = field(
        default_factory=dict[tuple[str, str, str], Object]
    )
    asked: list[Asked] = field(default_factory=list[Asked])
    refuse: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    """By method and kind: answer with this status instead."""
    oldest: int = 0
    """Versions before it are forgotten: a watch from there gets 410."""
    before_write: Any = None
    """Called with (method, kind, name) before a write is looked at; a test changes things here."""
    _version: int = 0
    _events: dict[str, list[_Event]] = field(default_factory=dict[str, list[_Event]])
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _cut: asyncio.Event = field(default_factory=asyncio.Event)
    _server: uvicorn.Server | None = None
    _task: asyncio.Task[None] | None = None
    _port: int = 0
    _clients: list[Api] = field(default_factory=list[Api])

    @property
    def address(self) -> str:
        """Where it serves."""
        return f"http://127.0.0.1:{self._port}"

    def put(self, kind: str, item: Object) -> Object:
        """Place an object as it is; tell whoever watches."""
        item = copy.deepcopy(item)
        metadata = item["metadata"]
        key = (kind, metadata["namespace"], metadata["name"])
        what = "MODIFIED" if key in self.objects else "ADDED"
        self._version += 1
        metadata["resourceVersion"] = str(self._version)
        metadata.setdefault("creationTimestamp", datetime.now(UTC).isoformat())
        self.objects[key] = item
        self._tell(kind, what, item)
        return item

    def get(self, kind: str, namespace: str, name: str) -> Object:
        """Return an object to look at."""
        return self.objects[kind, namespace, name]

    def change(self, kind: str, namespace: str, name: str, **changed: Any) -> Object:
        """Replace top-level parts of an object."""
        return self.put(kind, self.get(kind, namespace, name) | changed)

    def remove(self, kind: str, namespace: str, name: str) -> None:
        """Delete an object."""
        item = self.objects.pop((kind, namespace, name))
        self._version += 1
        item["metadata"]["resourceVersion"] = str(self._version)
        self._tell(kind, "DELETED", item)

    def forget_events(self) -> None:
        """Forget what happened so far, as an API server does after a while."""
        self.oldest = self._version
        self._events.clear()

    def cut_watches(self) -> None:
        """End every watch that is open, without a word."""
        self._cut.set()
        self._cut = asyncio.Event()

    def requests(self, method: str, part: str = "") -> list[Asked]:
        """Return the requests so far of a method, to paths that hold `part`."""
        return [one for one in self.asked if one.method == method and part in one.path]

    async def start(self) -> None:
        """Serve; on the same port as before."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self._port))
        self._port = listener.getsockname()[1]
        config = uvicorn.Config(
            self._app(), log_config=None, lifespan="off", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        # The test's own signals stay as they are.
        self._server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign]
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]))
        while not self._server.started:
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Be away: nothing answers, open watches break."""
        assert self._server is not None
        assert self._task is not None
        self._server.should_exit = True
        self._server.force_exit = True
        # Watches are cut when nothing is taken any more: they would be opened again at once.
        await self._task
        self.cut_watches()

    async def close(self) -> None:
        """End for good."""
        for client in self._clients:
            await client.close()
        await self.stop()

    def api(self) -> Api:
        """Return a client of it, closed when the server ends."""
        cluster = Cluster(server=self.address)
        user = User(username="of", password="the-tests")  # noqa: S106 - nobody asks for it
        config = KubeConfig.from_one(cluster=cluster, user=user)
        api = Api(AsyncClient(config=config, trust_env=False, field_manager=FIELD_MANAGER))
        self._clients.append(api)
        return api

    def _app(self) -> Starlette:
        route = "/{api:path}/namespaces/{namespace}/{kind}"
        methods = ["GET", "POST", "PATCH"]
        return Starlette(
            routes=[
                Route(route, self._answer, methods=methods),
                Route(route + "/{name}", self._answer, methods=methods),
                Route(route + "/{name}/scale", self._answer, methods=methods),
            ]
        )

    def _tell(self, kind: str, what: str, item: Object) -> None:
        event = _Event(self._version, what, copy.deepcopy(item))
        self._events.setdefault(kind, []).append(event)
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def _answer(self, request: Request) -> Response:
        data = await request.body()
        query, places = dict(request.query_params), request.path_params
        body = cast("Object", json.loads(data) if data else {})
        self.asked.append(Asked(request.method, request.url.path, query, body))
        kind, namespace, name = places["kind"], places["namespace"], places.get("name", "")
        status = self.refuse.get((request.method, kind))
        if status:
            return _status(status, "made to fail")
        if request.method == "GET":
            return self._read(kind, namespace, name, query)
        if self.before_write is not None:
            self.before_write(request.method, kind, name or body["metadata"]["name"])
        if request.method == "POST":
            return self._create(kind, namespace, body)
        return self._patch(kind, namespace, name, body, request.url.path.endswith("/scale"))

    def _read(self, kind: str, namespace: str, name: str, query: dict[str, str]) -> Response:
        if name:
            item = self.objects.get((kind, namespace, name))
            return JSONResponse(item) if item else _status(404, f"{kind} {name} not found")
        if query.get("watch") == "true":
            return StreamingResponse(self._watch(kind, namespace, query))
        items = [item for key, item in self.objects.items() if key[:2] == (kind, namespace)]
        items = [item for item in items if _selected(item, query)]
        begin = int(query.get("continue") or 0)
        end = begin + int(query.get("limit") or 100_000)
        metadata = {"resourceVersion": str(self._version)}
        if end < len(items):
            metadata["continue"] = str(end)
        return JSONResponse({"metadata": metadata, "items": items[begin:end]})

    async def _watch(
        self, kind: str, namespace: str, query: dict[str, str]
    ) -> AsyncIterator[bytes]:
        version, cut = int(query.get("resourceVersion") or 0), self._cut
        if version < self.oldest:
            gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
            yield _line("ERROR", gone)
            return
        over = asyncio.ensure_future(cut.wait())
        try:
            while not cut.is_set():
                # Taken before what is told: meanwhile more may happen.
                news, now = self._news, self._version
                for event in list(self._events.get(kind, [])):
                    if version < event.version <= now and _seen(event, namespace, query):
                        yield _line(event.what, event.item)
                version = now
                more = asyncio.ensure_future(news.wait())
                await asyncio.wait({more, over}, return_when=asyncio.FIRST_COMPLETED)
                more.cancel()
        finally:
            over.cancel()

    def _create(self, kind: str, namespace: str, body: Object) -> Response:
        name = body["metadata"]["name"]
        if (kind, namespace, name) in self.objects:
            return _status(409, f"{kind} {name} already exists")
        body["metadata"]["namespace"] = namespace
        return JSONResponse(self.put(kind, body), 201)

    def _patch(self, kind: str, namespace: str, name: str, body: Object, scale: bool) -> Response:
        item = self.objects.get((kind, namespace, name))
        if item is None:
            return _status(404, f"{kind} {name} not found")
        wanted = cast("Object", body.get("metadata") or {}).pop("resourceVersion", None)
        if wanted is not None and wanted != item["metadata"]["resourceVersion"]:
            return _status(409, "the object has been modified")
        changed = _merged(item, body)
        if scale or changed.get("spec") != item.get("spec"):
            changed["metadata"]["generation"] = item["metadata"].get("generation", 1) + 1
        return JSONResponse(self.put(kind, changed))


def _merged(item: Object, patch: Object) -> Object:
    """Return a JSON merge patch's result (RFC 7396)."""
    found = dict(item)
    for key, value in patch.items():
        if value is None:
            found.pop(key, None)
        elif isinstance(value, dict):
            found[key] = _merged(found.get(key) or {}, cast("Object", value))
        else:
            found[key] = value
    return found


def _selected(item: Object, query: dict[str, str]) -> bool:
    labels = cast("dict[str, str]", item["metadata"].get("labels") or {})
    wanted = filter(None, (query.get("labelSelector") or "").split(","))
    return all(labels.get(key) == value for key, _, value in (one.partition("=") for one in wanted))


def _seen(event: _Event, namespace: str, query: dict[str, str]) -> bool:
    return event.item["metadata"]["namespace"] == namespace and _selected(event.item, query)


def _line(what: str, item: Object) -> bytes:
    return json.dumps({"type": what, "object": item}).encode() + b"\n"


def _status(code: int, message: str) -> Response:
    reason = {404: "NotFound", 409: "Conflict", 403: "Forbidden"}.get(code, "InternalError")
    body = {"kind": "Status", "status": "Failure", "code": code, "reason": reason}
    return JSONResponse(body | {"message": message}, code)


@asynccontextmanager
async def live_api() -> AsyncGenerator[LiveApi]:
    """Serve until the block ends."""
    content = LiveApi()
    await content.start()
    try:
        yield content
    finally:
        await content.close()
