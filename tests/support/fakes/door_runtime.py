"""What stands in for OpenCode behind the door: it asks for Basic, streams, echoes, misbehaves.

Owns: one runtime on an address of its own, port 4096, and a record of what reached it. Every path
that only a test needs begins with `/test/`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import struct
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from door.control.names import RUNTIME_PORT

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
PAGE = b"<!doctype html><title>workspace</title><p>a workspace</p>" + b"<!-- long -->" * 2000


@dataclass
class FakeRuntime:
    """One runtime; `alive` ends its open streams when it is cleared."""

    address: str
    user: str
    password: str
    commands: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """Bodies of `POST /pty`: what would have been run."""
    seen: list[tuple[str, str, dict[str, str]]] = field(
        default_factory=list[tuple[str, str, dict[str, str]]]
    )
    received: int = 0
    """Bytes of the largest body."""
    typed: bytearray = field(default_factory=bytearray)
    streams: set[int] = field(default_factory=set[int])
    """Open event streams and terminals."""
    go_on: threading.Event = field(default_factory=threading.Event)
    """Set by a test that has read the first piece of `/test/slow`."""
    alive: threading.Event = field(default_factory=threading.Event)


@contextmanager
def fake_runtime(address: str, user: str, password: str) -> Generator[FakeRuntime]:
    """Run a runtime on `address`, port 4096, until the block ends."""
    runtime = FakeRuntime(address, user, password)
    runtime.alive.set()

    class Handler(_Handler):
        state = runtime

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 256

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that leaves is no news."""

    with Server((address, RUNTIME_PORT), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield runtime
        finally:
            runtime.alive.clear()
            server.shutdown()


class _Handler(BaseHTTPRequestHandler):
    state: FakeRuntime
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def log_message(self, *_: Any, **__: Any) -> None:
        """Nothing is logged."""

    def _serve(self) -> None:
        headers = {key.lower(): value for key, value in self.headers.items()}
        self.state.seen.append((self.command, self.path, headers))
        path = self.path.partition("?")[0]
        login = base64.b64encode(f"{self.state.user}:{self.state.password}".encode()).decode()
        if self.headers.get("authorization") != f"Basic {login}":
            self._answer(b"who?", 401, {"WWW-Authenticate": 'Basic realm="OpenCode"'})
        elif self.headers.get("upgrade", "").lower() == "websocket":
            self._terminal()
        elif path in {"/event", "/global/event"}:
            self._events()
        else:
            self._ordinary(path)

    def _ordinary(self, path: str) -> None:
        kind = self.headers.get("content-type", "application/json").partition(";")[0]
        if path == "/pty" and self.command == "POST" and kind != "application/json":
            # As OpenCode 1.18.33 does; a form may still do what needs no body.
            self._body()
            self._answer(b"Unsupported content-type", 415, {})
        elif path == "/pty" and self.command == "POST":
            self.state.commands.append(json.loads(self._body() or b"{}"))
            self._answer(b'{"id":"pty_1"}', 200, {"Content-Type": "application/json"})
        elif path == "/test/headers":
            told = [[key, value] for key, value in self.headers.items()]
            answer = {"method": self.command, "path": self.path, "headers": told}
            self._body()
            self._answer(json.dumps(answer).encode(), 200, {"Content-Type": "application/json"})
        elif path == "/test/upload":
            self._upload()
        elif path == "/test/slow":
            self._slow()
        elif path == "/test/dies":
            self.close_connection = True
        elif path == "/test/odd":
            self._answer(
                b"odd",
                int(self.headers.get("x-test-status", "200")),
                {
                    "X-Accel-Redirect": "/.door/decide",
                    "Set-Cookie": "fleet=planted; Path=/",
                    "WWW-Authenticate": 'Basic realm="OpenCode"',
                },
            )
        else:
            self._body()
            self._answer(PAGE, 200, {"Content-Type": "text/html; charset=utf-8"})

    def _answer(self, body: bytes, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            body = b""
            while size := int(self.rfile.readline().strip() or b"0", 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body
        return self.rfile.read(int(self.headers.get("content-length", "0")))

    def _upload(self) -> None:
        left = int(self.headers.get("content-length", "0"))
        read = 0
        while read < left and (piece := self.rfile.read(min(1 << 16, left - read))):
            read += len(piece)
            self.state.received = max(self.state.received, read)
        self._answer(str(read).encode(), 200, {"Content-Type": "text/plain"})

    def _events(self) -> None:
        """Write an event at once, and then a heartbeat every tenth of a second."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.state.streams.add(id(self))
        number = 0
        with suppress(OSError):
            while self.state.alive.is_set():
                event = f'data: {{"number":{number}}}\n\n'.encode()
                self.wfile.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
                self.wfile.flush()
                number += 1
                time.sleep(0.1)
        self.state.streams.discard(id(self))
        self.close_connection = True

    def _slow(self) -> None:
        """Write a piece, then ten more when somebody has read it; of a type that is compressed."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number in range(11):
            read = number == 0 or self.state.go_on.wait(10)
            piece = f"[{number}]{'' if read else 'nobody has read'}".ljust(2000).encode()
            self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def _terminal(self) -> None:
        """Shake hands as OpenCode does (Origin's host must be Host), then echo what is typed."""
        origin = self.headers.get("origin", "")
        if origin and origin.partition("://")[2] != self.headers.get("host"):
            self._answer(b"", 403, {})
            return
        key = self.headers.get("sec-websocket-key", "")
        accept = base64.b64encode(hashlib.sha1((key + _GUID).encode()).digest())  # noqa: S324
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", accept.decode())
        self.end_headers()
        self.close_connection = True
        self.state.streams.add(id(self))
        with suppress(OSError):
            while self._echo():
                pass
        self.state.streams.discard(id(self))

    def _echo(self) -> bool:
        """Answer one frame; return whether another may come."""
        start = self._exactly(2)
        opcode, length = start[0] & 0xF, start[1] & 0x7F
        if length == 126:
            length = struct.unpack(">H", self._exactly(2))[0]
        mask = self._exactly(4)
        data = bytes(byte ^ mask[at % 4] for at, byte in enumerate(self._exactly(length)))
        if opcode in {0x1, 0x2}:
            self.state.typed += data
            size = bytes([len(data)]) if len(data) < 126 else b"\x7e" + struct.pack(">H", len(data))
            self.connection.sendall(bytes([0x80 | opcode]) + size + data)
        return opcode != 0x8

    def _exactly(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            piece = self.connection.recv(length - len(data))
            if not piece:
                raise OSError("gone")
            data += piece
        return data


for _method in ("HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"):
    setattr(_Handler, f"do_{_method}", _Handler.do_POST)


def free_port(address: str) -> int:
    """Return a port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]
