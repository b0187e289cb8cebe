"""The server's side of a pod's exec: a websocket with the channels of Kubernetes 1.30.

Only what a test needs of RFC 6455: frames of any length, no extensions, no fragments.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler
from typing import Any, NamedTuple, Protocol

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_STDIN, _STDOUT, _STDERR, _ERROR, _CLOSE = 0, 1, 2, 3, 255


class Ran(NamedTuple):
    """What a command printed and how it ended; a code of None cuts the connection instead."""

    code: int | None
    out: bytes = b""
    err: bytes = b""
    failure: str = ""
    """Why the command was not run at all."""
    protocol: str = "v5.channel.k8s.io"


class Exec(Protocol):
    """Runs a command: pod, words of the command, standard input."""

    def __call__(self, pod: str, command: Sequence[str], stdin: bytes | None, /) -> Ran: ...


def always(ran: Ran) -> Exec:
    """Return what ends every command alike."""

    def run(pod: str, command: Sequence[str], stdin: bytes | None, /) -> Ran:
        del pod, command, stdin
        return ran

    return run


def serve_exec(
    handler: BaseHTTPRequestHandler, run: Exec | None, pod: str, words: dict[str, list[str]]
) -> None:
    """Answer an exec request by what `run` says."""
    handler.close_connection = True
    command, given = words["command"], words.get("stdin") == ["true"]
    # Asked without input first: how the handshake is answered is part of what it says.
    ran = run(pod, command, None) if run is not None else Ran(0)
    key = handler.headers["Sec-WebSocket-Key"] + _GUID
    accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()  # noqa: S324
    handler.send_response(101)
    handler.send_header("Upgrade", "websocket")
    handler.send_header("Connection", "Upgrade")
    handler.send_header("Sec-WebSocket-Accept", accept)
    handler.send_header("Sec-WebSocket-Protocol", ran.protocol)
    handler.end_headers()
    handler.wfile.flush()
    if given:
        stdin = _read_stdin(handler.rfile.read)
        ran = run(pod, command, stdin) if run is not None else Ran(0)
    for channel, data in ((_STDOUT, ran.out), (_STDERR, ran.err)):
        for start in range(0, len(data), 30_000):
            handler.wfile.write(_frame(bytes([channel]) + data[start : start + 30_000]))
    if ran.code is not None:
        handler.wfile.write(_frame(bytes([_ERROR]) + json.dumps(_status(ran)).encode()))
        handler.wfile.write(b"\x88\x02\x03\xe8")
    handler.wfile.flush()


def _status(ran: Ran) -> dict[str, Any]:
    if ran.failure:
        return {"status": "Failure", "reason": "InternalError", "message": ran.failure}
    if not ran.code:
        return {"status": "Success"}
    cause = {"reason": "ExitCode", "message": str(ran.code)}
    return {"status": "Failure", "reason": "NonZeroExitCode", "details": {"causes": [cause]}}


def _read_stdin(read: Callable[[int], bytes]) -> bytes:
    found = b""
    while True:
        _, second = read(2)
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", read(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", read(8))
        mask = read(4)
        data = bytes(byte ^ mask[place % 4] for place, byte in enumerate(read(length)))
        if data[0] == _CLOSE:
            return found
        found += data[1:]


def _frame(data: bytes) -> bytes:
    if len(data) < 126:
        return bytes([0x82, len(data)]) + data
    return b"\x82\x7e" + struct.pack("!H", len(data)) + data
