"""A stand-in for the ECS API on loopback: checks every signature, answers from a script.

Owns: the wire (form, signature, error shape). Leaves out: what is answered (each test).
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


def expected_signature(method: str, parameters: Mapping[str, str]) -> str:
    """Compute a signature independently of the code under test."""
    pairs = sorted((key, value) for key, value in parameters.items() if key != "Signature")
    query = urllib.parse.urlencode(pairs, quote_via=urllib.parse.quote, safe="-_.~")
    text = f"{method}&%2F&{urllib.parse.quote(query, safe='-_.~')}"
    digest = hmac.new(f"{KEY_SECRET}&".encode(), text.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


@contextmanager
def ecs_api(handler: Handler) -> Generator[str]:
    """Serve until the block ends; yields the endpoint."""

    class Server(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            parameters = dict(urllib.parse.parse_qsl(body, keep_blank_values=True))
            if parameters.get("AccessKeyId") != KEY_ID:
                status, answer = 404, {"Code": "InvalidAccessKeyId.NotFound", "Message": "who?"}
            elif parameters.get("Signature") != expected_signature("POST", parameters):
                status, answer = 400, {"Code": "SignatureDoesNotMatch", "Message": "not signed so"}
            else:
                status, answer = handler(parameters["Action"], parameters)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
