"""A stand-in for the ECS API on loopback: checks every signature, answers from a script.

Owns: the wire, computed independently of the code under test: the form, the error shape, both kinds
of signature (the SDK's in headers, the timer function's in the form). Leaves out: what is answered
(each test).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import urllib.parse
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY_ID, KEY_SECRET = "invented-id", "invented-secret"

Reply = tuple[int, Mapping[str, Any]]
Handler = Callable[[str, Mapping[str, str]], Reply]

_SDK = "ACS3-HMAC-SHA256"


def form_signature(method: str, parameters: Mapping[str, str]) -> str:
    """Compute the signature that travels in the form (HMAC-SHA1, version 1.0)."""
    pairs = sorted((key, value) for key, value in parameters.items() if key != "Signature")
    query = urllib.parse.urlencode(pairs, quote_via=urllib.parse.quote, safe="-_.~")
    text = f"{method}&%2F&{urllib.parse.quote(query, safe='-_.~')}"
    digest = hmac.new(f"{KEY_SECRET}&".encode(), text.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


def header_signature(names: str, headers: Mapping[str, str], body: str) -> str:
    """Compute the signature that travels in a header (ACS3-HMAC-SHA256) over a form at `/`."""
    lines = "".join(f"{name}:{headers[name].strip()}\n" for name in names.split(";"))
    payload = hashlib.sha256(body.encode()).hexdigest()
    canonical = "\n".join(("POST", "/", "", lines, names, payload))
    text = f"{_SDK}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    return hmac.new(KEY_SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()


def _sdk_call(headers: Mapping[str, str], body: str) -> tuple[str, str, bool]:
    """Return action, key id and whether the signature is right, of a call signed by the SDK."""
    parts = headers["authorization"].removeprefix(f"{_SDK} ").split(",")
    known = dict(part.split("=", 1) for part in parts)
    names = known["SignedHeaders"]
    right = known["Signature"] == header_signature(names, headers, body)
    whole = {"host", "x-acs-action", "x-acs-content-sha256", "x-acs-version"} <= {*names.split(";")}
    return headers["x-acs-action"], known["Credential"], right and whole


@contextmanager
def ecs_api(handler: Handler) -> Generator[str]:
    """Serve until the block ends; yields the endpoint."""

    class Server(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            sent = dict(urllib.parse.parse_qsl(body, keep_blank_values=True))
            headers = {name.lower(): value for name, value in self.headers.items()}
            if "authorization" in headers:
                action, who, right = _sdk_call(headers, body)
                token = headers.get("x-acs-security-token")
                sent |= {"SecurityToken": token} if token else {}
            else:
                action, who = sent.get("Action", ""), sent.get("AccessKeyId")
                right = sent.get("Signature") == form_signature("POST", sent)
            if who != KEY_ID:
                status, answer = 404, {"Code": "InvalidAccessKeyId.NotFound", "Message": "who?"}
            elif not right:
                status, answer = 400, {"Code": "SignatureDoesNotMatch", "Message": "not signed so"}
            else:
                status, answer = handler(action, {"Action": action, **sent})
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            del format, args

    with _serving(Server) as address:
        yield address


@contextmanager
def answering(document: Mapping[str, Any]) -> Generator[str]:
    """Serve one JSON document to whoever asks; yields its address."""

    class Server(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(document).encode())

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            del format, args

    with _serving(Server) as address:
        yield f"{address}/credentials"


@contextmanager
def _serving(handler: type[BaseHTTPRequestHandler]) -> Generator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
