"""A small Kubernetes API server on loopback that keeps objects in memory: real client, real HTTP.

It has what the program relies on: lists with selectors, create, server-side apply with owners of
fields, patches, deletes with finalizers and preconditions, watches, logs, exec, credentials, and
faults on demand. Controllers it has none: a test says what happens when something is deleted.
"""

from __future__ import annotations

import json
import re
import ssl
import threading
import time
import urllib.parse
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import yaml

from fleet.cluster.kinds import KINDS, Kind
from tests.support.fakes.api_objects import Live, Objects, RefusedRequest
from tests.support.fakes.exec_channel import Exec, serve_exec

CONTEXT = "opencode-fleet-local"
TOKEN = "of-the-tests"  # noqa: S105 - a made-up token
_PATH = re.compile(
    r"/(?:api/v1|apis/[^/]+/[^/]+)(?:/namespaces/(?P<namespace>[^/]+))?"
    r"/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>log|exec|status))?"
)


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request as it came."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any
    content: str


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What happens instead of an answer, to requests whose method and path match."""

    path: str
    method: str = ".*"
    status: int = 0
    """Answer so; 0 for a fault without an answer."""
    reason: str = "InternalError"
    message: str = "made to fail"
    hang: bool = False
    """Never answer, until the server stops."""
    plain: bytes | None = None
    """Answer with this text instead of a Status."""
    times: int = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Log:
    """What a container printed."""

    text: bytes
    previous: bytes | None = None
    more: tuple[bytes, ...] = ()
    """What comes afterwards, to those who follow."""
    cut: bool = False
    """Whether the connection breaks in the end."""


@dataclass(kw_only=True)
class ApiServer(Objects):
    """The server's content, for a test to fill and to look at."""

    address: str = ""
    requests: list[Request] = field(default_factory=list[Request])
    faults: list[Fault] = field(default_factory=list[Fault])
    logs: dict[tuple[str, str], Log] = field(default_factory=dict[tuple[str, str], Log])
    """By pod and container."""
    answers: dict[str, Any] = field(default_factory=dict[str, Any])
    """What other paths are answered with, such as a node's figures."""
    exec: Exec | None = None
    token: str = TOKEN
    away: bool = False
    """Whether nobody answers."""
    stopping: threading.Event = field(default_factory=threading.Event)

    def asked(self, method: str, path: str = "") -> list[Request]:
        """Return the requests so far of a method, to paths that hold `path`."""
        return [item for item in self.requests if item.method == method and path in item.path]

    def kubeconfig(self, **user: Any) -> Live:
        """Return a kubeconfig with this server as its only context."""
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "contexts": [{"name": CONTEXT, "context": {"cluster": "fake", "user": "tester"}}],
            "clusters": [{"name": "fake", "cluster": {"server": self.address}}],
            "users": [{"name": "tester", "user": user or {"token": self.token}}],
        }

    def write_kubeconfig(self, path: Path, **user: Any) -> Path:
        """Write the kubeconfig and return where."""
        path.write_text(yaml.safe_dump(self.kubeconfig(**user)))
        return path

    def fault(self, method: str, path: str) -> Fault | None:
        """Take the fault of a request, if one is due."""
        with self.lock:
            for place, item in enumerate(self.faults):
                matches = re.fullmatch(item.method, method) and re.search(item.path, path)
                if matches and item.times > 0:
                    self.faults[place] = replace(item, times=item.times - 1)
                    return item
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def content(self) -> ApiServer:
        return cast("_Server", self.server).content

    def do_GET(self) -> None:
        self._serve()

    do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815 - named by http.server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        del format, args

    def _serve(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = json.loads(data) if data else None
        content = self.headers.get("Content-Type") or ""
        request = Request(
            method=self.command, path=url.path, query=query, body=body, content=content
        )
        with self.content.lock:
            self.content.requests.append(request)
        if self.content.away:
            self.close_connection = True
            return
        try:
            if not self._faulty(request):
                self._check_token()
                self._answer(request, urllib.parse.parse_qs(url.query))
        except RefusedRequest as refused:
            self._say(refused.status, _status(refused))
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _faulty(self, request: Request) -> bool:
        fault = self.content.fault(request.method, request.path)
        if fault is None:
            return False
        if fault.hang:
            self.content.stopping.wait(30)
        if fault.hang or not fault.status:
            self.close_connection = True
            return True
        if fault.plain is not None:
            self._send(fault.status, fault.plain, "text/plain; charset=utf-8")
            return True
        raise RefusedRequest(fault.status, fault.reason, fault.message)

    def _check_token(self) -> None:
        # Without a token it is the client's certificate that counts, and TLS has checked that.
        if not self.content.token:
            return
        if self.headers.get("Authorization") != f"Bearer {self.content.token}":
            raise RefusedRequest(401, "Unauthorized", "Unauthorized")

    def _answer(self, request: Request, words: dict[str, list[str]]) -> None:
        if request.path in self.content.answers:
            return self._say(200, self.content.answers[request.path])
        if request.path == "/version":
            return self._say(200, {"major": "1", "minor": "35"})
        match = _PATH.fullmatch(request.path)
        kind = KINDS.get(match["plural"]) if match else None
        if match is None or kind is None:
            raise RefusedRequest(404, "NotFound", "the server could not find it")
        namespace, name = match["namespace"], match["name"]
        if match["sub"] == "log":
            return self._log(name, request.query)
        if match["sub"] == "exec":
            self.content.find(kind, namespace, name)
            return serve_exec(self, self.content.exec, name, words)
        if name is None and request.method == "GET":
            return self._list(kind, namespace, request.query)
        return self._say(200, self._change(kind, namespace, name, request))

    def _change(
        self, kind: Kind, namespace: str | None, name: str | None, request: Request
    ) -> Live:
        if name is None:
            return self.content.create(kind, namespace, request.body)
        if request.method == "GET":
            return self.content.find(kind, namespace, name)
        if request.method == "DELETE":
            return self.content.delete(kind, namespace, name, request.body or {})
        if request.content == "application/apply-patch+yaml":
            manager, force = request.query["fieldManager"], request.query["force"] == "true"
            return self.content.apply(kind, request.body, manager, force=force)
        return self.content.patch(kind, namespace, name, request.body)

    def _list(self, kind: Kind, namespace: str | None, query: Mapping[str, str]) -> None:
        found = self.content.select(kind, namespace, query)
        if query.get("watch") == "true":
            events = [{"type": "ADDED", "object": item} for item in found]
            return self._stream([json.dumps(event).encode() + b"\n" for event in events])
        # Items of a typed list name neither kind nor version, as on a real server.
        bare = [
            {key: value for key, value in item.items() if key not in {"kind", "apiVersion"}}
            for item in found
        ]
        version = {"apiVersion": kind.version, "kind": f"{kind.name}List"}
        return self._say(200, {**version, "metadata": {}, "items": bare or None})

    def _log(self, pod: str, query: Mapping[str, str]) -> None:
        log = self.content.logs.get((pod, query["container"]))
        if log is None:
            text = f'container "{query["container"]}" in pod "{pod}" is waiting to start'
            raise RefusedRequest(400, "BadRequest", text)
        if query.get("previous") == "true":
            if log.previous is None:
                raise RefusedRequest(400, "BadRequest", "no previous container")
            return self._stream([log.previous])
        lines = log.text.splitlines(keepends=True)
        if "tailLines" in query:
            lines = lines[-int(query["tailLines"]) :]
        more = log.more if query.get("follow") == "true" else ()
        return self._stream([b"".join(lines), *more], cut=log.cut)

    def _stream(self, chunks: list[bytes], *, cut: bool = False) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for chunk in filter(None, chunks):
            self.wfile.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
            self.wfile.flush()
            time.sleep(0.01)
        if cut:
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")

    def _say(self, status: int, answer: Any) -> None:
        self._send(status, json.dumps(answer).encode(), "application/json")

    def _send(self, status: int, data: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _status(refused: RefusedRequest) -> Live:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": str(refused),
        "reason": refused.reason,
        "code": refused.status,
    }


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, content: ApiServer, place: tuple[str, int]) -> None:
        super().__init__(place, _Handler)
        self.content = content

    # A client that goes away in the middle is part of a test, not a failure of the server.

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing."""
        del request, client_address


@contextmanager
def api_server(
    tls: ssl.SSLContext | None = None, place: tuple[str, int] = ("127.0.0.1", 0)
) -> Generator[ApiServer]:
    """Serve until the block ends."""
    content = ApiServer()
    server = _Server(content, place)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    scheme = "https" if tls else "http"
    content.address = f"{scheme}://{place[0]}:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield content
    finally:
        content.stopping.set()
        server.shutdown()
        thread.join()
        server.server_close()
