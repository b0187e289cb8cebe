"""Running a command in a container: the channels of the API's exec over a websocket.

The `kubernetes` package has this too, but reads on for as long as frames arrive (a program that
prints for ever is never cut), connects without a timeout, and turns Ctrl-C into an error of the
API. So only certificates, tokens and proxies come from there.
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

import websocket

from fleet.cluster.connection import Connection
from fleet.cluster.kinds import KINDS
from fleet.cluster.untrusted import one_line
from fleet.errors import ClusterError

STDIN, STDOUT, _STDERR, _ERROR, RESIZE, _CLOSE = 0, 1, 2, 3, 4, 255
# Only version 5 can say that standard input ended; clusters before 1.30 know version 4 only.
_PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
_CHUNK = 32 * 1024
_MOST = 8 * 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Execution:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str


@dataclass(kw_only=True, slots=True)
class Heard:
    """What came over the channels so far; `end` is the status of a command that is done."""

    out: bytearray = field(default_factory=bytearray)
    err: bytearray = field(default_factory=bytearray)
    end: bytes | None = None
    sink: Callable[[bytes], None] | None = None
    """Takes what it prints instead of `out`, however much that is."""

    def take(self, frame: bytes) -> None:
        """Keep a frame: its channel, then its data."""
        channel, data = frame[0], frame[1:]
        if channel == STDOUT and self.sink is not None:
            self.sink(data)
        elif channel == STDOUT:
            self.out += data
        elif channel == _STDERR:
            self.err += data
        elif channel == _ERROR:
            self.end = data


def execute(
    connection: Connection,
    namespace: str,
    pod: str,
    container: str,
    command: Sequence[str],
    *,
    stdin: bytes | None,
    timeout: float,
    sink: Callable[[bytes], None] | None = None,
) -> Execution:
    """Run a command and return its output; raise ClusterError when it cannot be run to its end.

    A `sink` takes what it prints, of any length, as it comes.
    """
    deadline = time.monotonic() + timeout
    query = [("container", container), ("stdout", "true"), ("stderr", "true")]
    query += [("stdin", "true")] if stdin is not None else []
    query += [("command", word) for word in command]
    socket = open_exec(connection, namespace, pod, query)
    late = ClusterError(f"pod {namespace}/{pod}: {command[0]}: not done in {timeout:g} s")
    try:
        if stdin is not None:
            _send(socket, stdin, f"pod {namespace}/{pod}")
        heard = Heard(sink=sink)
        while heard.end is None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise late
            socket.settimeout(left)
            kind, data = receive(socket)
            if kind == websocket.ABNF.OPCODE_CLOSE:
                break
            if data:
                heard.take(data)
            if len(heard.out) + len(heard.err) > _MOST:
                raise ClusterError(
                    f"pod {namespace}/{pod}: {command[0]}: printed more than {_MOST >> 20} MiB"
                )
        return ended(heard, f"pod {namespace}/{pod}: {command[0]}")
    except websocket.WebSocketTimeoutException:
        raise late from None
    except (websocket.WebSocketException, OSError) as error:
        raise connection.away(error) from None
    finally:
        # Not close(): it waits for an answer that a cut connection never gives.
        socket.shutdown()


def open_exec(
    connection: Connection, namespace: str, pod: str, query: Sequence[tuple[str, str]]
) -> websocket.WebSocket:
    """Return the channels of an exec in a pod; raise ClusterError when it is refused."""
    url = connection.url(KINDS["pods"].path(namespace, pod) + "/exec", list(query))
    settings = connection.configuration
    options: dict[str, Any] = {}
    if settings.proxy:
        proxy = urlsplit(settings.proxy)
        options = {"http_proxy_host": proxy.hostname, "http_proxy_port": proxy.port}
        options["http_no_proxy"] = [name for name in (settings.no_proxy or "").split(",") if name]
        if proxy.username:
            options["http_proxy_auth"] = (proxy.username, proxy.password or "")
    try:
        return websocket.create_connection(
            "ws" + url.removeprefix("http"),
            timeout=connection.patience,
            header=[f"{name}: {value}" for name, value in connection.headers().items()],
            subprotocols=list(_PROTOCOLS),
            sslopt=_tls(connection),
            **options,
        )
    except websocket.WebSocketBadStatusException as error:
        raise connection.refused(error.status_code or 0, error.resp_body or b"") from None
    except (websocket.WebSocketException, OSError) as error:
        raise connection.away(error) from None


def _tls(connection: Connection) -> dict[str, Any]:
    settings = connection.configuration
    options = {
        "cert_reqs": ssl.CERT_REQUIRED if settings.verify_ssl else ssl.CERT_NONE,
        "check_hostname": bool(settings.verify_ssl),
        "ca_certs": settings.ssl_ca_cert,
        "certfile": settings.cert_file,
        "keyfile": settings.key_file,
        "server_hostname": settings.tls_server_name,
    }
    return {key: value for key, value in options.items() if value is not None}


def _send(socket: websocket.WebSocket, stdin: bytes, where: str) -> None:
    if socket.getsubprotocol() != _PROTOCOLS[0]:
        raise ClusterError(f"{where}: exec with input: needs Kubernetes 1.30 or newer")
    for start in range(0, len(stdin), _CHUNK):
        socket.send_binary(bytes([STDIN]) + stdin[start : start + _CHUNK])
    socket.send_binary(bytes([_CLOSE, STDIN]))


def receive(socket: websocket.WebSocket) -> tuple[int, bytes]:
    """Return the next frame: its kind and its data."""
    # The package's own annotation is too wide to be of use.
    kind, frame = cast("Any", socket).recv_data_frame()
    return cast("int", kind), cast("bytes", frame.data)


def ended(heard: Heard, what: str) -> Execution:
    """Return how a command ended; raise ClusterError when it was not run to its end."""
    if heard.end is None:
        raise ClusterError(f"{what}: the connection was cut before it ended")
    try:
        status = cast("Mapping[str, Any]", json.loads(heard.end))
        code = _code(status)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise ClusterError(f"{what}: ended in an unknown way") from None
    if code is None:
        raise ClusterError(f"{what}: {one_line(str(status.get('message', 'could not be run')))}")
    out, err = (text.decode("utf-8", "replace") for text in (heard.out, heard.err))
    return Execution(code=code, out=out, err=err)


def _code(status: Mapping[str, Any]) -> int | None:
    """Return the command's exit code; None when it was not run."""
    if status["status"] == "Success":
        return 0
    details = cast("Mapping[str, Any]", status.get("details") or {})
    causes = cast("list[Mapping[str, Any]]", details.get("causes") or [])
    return next((int(item["message"]) for item in causes if item.get("reason") == "ExitCode"), None)
