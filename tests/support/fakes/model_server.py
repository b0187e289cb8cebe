"""A small OpenAI-compatible chat server that does what the prompt tells it to.

Owns: the streaming chat-completions protocol as OpenCode speaks it, and a record of what was
asked. Leaves out: any other endpoint, and any intelligence. Standard library only, so that the
runtime image can run it:
`python3 model_server.py --port 8000 [--host 0.0.0.0] [--api-key-env NAME]`.

The last user message directs the answer:

    [[say TEXT]]             answer with TEXT; without it the answer is `ok: ` and the prompt
    [[tool NAME {JSON}]]     call a tool first; several are called one after the other
    [[slow SECONDS]]         think before the answer starts
    [[error STATUS]]         answer every request of this prompt with that HTTP status
    [[break]]                drop the connection in the middle of the stream

`GET /requests` gives the last 200 requests as JSON (`DELETE` forgets them), `GET /health` is 200.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import sys
import threading
import time
from collections import deque
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

_DIRECTIVE = re.compile(r"\[\[(say|tool|slow|error|break)\b\s*(.*?)\]\]", re.DOTALL)
_LARGEST_BODY = 16 * 1024 * 1024
_CHUNK = 12


@dataclass(frozen=True)
class Recorded:
    """What a test may want to know about one chat request; never the key itself."""

    model: str
    stream: bool
    system: str
    prompt: str
    tools: list[str]
    tool_results: list[str]
    bearer_sha256: str


@dataclass(frozen=True)
class Turn:
    """What to answer: an error, a tool call, or text, after a pause in seconds."""

    pause: float = 0.0
    status: int = 200
    tool: str = ""
    arguments: str = ""
    text: str = ""
    broken: bool = False


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = cast("list[dict[str, Any]]", content)
    return "\n".join(str(part.get("text", "")) for part in parts if part.get("type") == "text")


def _since_last_user(messages: list[dict[str, Any]]) -> tuple[str, list[dict[str, Any]]]:
    for index in range(len(messages) - 1, -1, -1):
        if messages[index].get("role") == "user":
            return _text(messages[index].get("content")), messages[index + 1 :]
    return "", messages


def decide(body: dict[str, Any]) -> Turn:
    """The turn a chat request asks for, from its messages alone: the server keeps no state."""
    messages = cast("list[dict[str, Any]]", body.get("messages") or [])
    prompt, after = _since_last_user(messages)
    if not body.get("tools"):
        # OpenCode asks for a chat's title this way, with the user's own words in it.
        return Turn(text="A chat")
    directives = _DIRECTIVE.findall(prompt)
    given = {str(kind): str(value).strip() for kind, value in directives}
    tools = [str(value).strip() for kind, value in directives if kind == "tool"]
    pause = float(given.get("slow", "0"))
    if "error" in given:
        return Turn(pause=pause, status=int(given["error"]))
    called = sum(1 for message in after if message.get("role") == "assistant")
    if called < len(tools):
        name, _, arguments = tools[called].partition(" ")
        return Turn(pause=pause, tool=name, arguments=arguments.strip() or "{}")
    text = given.get("say") or f"ok: {prompt}"
    return Turn(pause=pause, text=text, broken="break" in given)


def record(body: dict[str, Any], authorization: str) -> Recorded:
    """The record of one chat request."""
    messages = cast("list[dict[str, Any]]", body.get("messages") or [])
    prompt, after = _since_last_user(messages)
    tools = cast("list[dict[str, Any]]", body.get("tools") or [])
    key = authorization.removeprefix("Bearer ").encode()
    return Recorded(
        model=str(body.get("model", "")),
        stream=bool(body.get("stream")),
        system="\n".join(_text(m.get("content")) for m in messages if m.get("role") == "system"),
        prompt=prompt,
        tools=[str(tool.get("function", {}).get("name", "")) for tool in tools],
        tool_results=[_text(m.get("content")) for m in after if m.get("role") == "tool"],
        bearer_sha256=hashlib.sha256(key).hexdigest() if key else "",
    )


def _call(turn: Turn) -> dict[str, Any]:
    identifier = f"call_{hashlib.sha256(repr((turn, time.time_ns())).encode()).hexdigest()[:20]}"
    function = {"name": turn.tool, "arguments": turn.arguments}
    return {"index": 0, "id": identifier, "type": "function", "function": function}


def deltas(turn: Turn) -> list[dict[str, Any]]:
    """The message of a turn, cut into the pieces of a stream."""
    first: dict[str, Any] = {"role": "assistant", "content": ""}
    if turn.tool:
        return [first, {"tool_calls": [_call(turn)]}]
    pieces = [turn.text[at : at + _CHUNK] for at in range(0, len(turn.text), _CHUNK)]
    return [first, *({"content": piece} for piece in pieces)]


_USAGE = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}


def _envelope(model: str, kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-fake", "object": kind, "created": int(time.time()), "model": model}


def events(turn: Turn, model: str) -> list[dict[str, Any]]:
    """The JSON objects of a stream, the last one carrying the usage."""
    head = _envelope(model, "chat.completion.chunk")
    stream = [{**head, "choices": [{"index": 0, "delta": delta}]} for delta in deltas(turn)]
    reason = "tool_calls" if turn.tool else "stop"
    stream.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
    stream.append({**head, "choices": [], "usage": _USAGE})
    return stream


def whole(turn: Turn, model: str) -> dict[str, Any]:
    """The same answer for a request that did not ask for a stream."""
    message: dict[str, Any] = {"role": "assistant", "content": turn.text}
    if turn.tool:
        message["tool_calls"] = [_call(turn)]
    reason = "tool_calls" if turn.tool else "stop"
    choice = {"index": 0, "message": message, "finish_reason": reason}
    return {**_envelope(model, "chat.completion"), "choices": [choice], "usage": _USAGE}


class ModelServer(ThreadingHTTPServer):
    """The server with its record; `api_key` empty means that any key will do."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], api_key: str = "") -> None:
        super().__init__(address, _Handler)
        self.api_key = api_key
        self.requests: deque[Recorded] = deque(maxlen=200)
        self.guard = threading.Lock()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def _model_server(self) -> ModelServer:
        return cast("ModelServer", self.server)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002, ARG002 - base class
        sys.stderr.write(f"{self.command} {self.path} {args[1] if len(args) > 1 else ''}\n")

    def _json(self, status: int, value: object) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _error(self, status: int, message: str) -> None:
        self._json(status, {"error": {"message": message, "type": "fake", "code": status}})

    def do_GET(self) -> None:
        if self.path == "/health":
            self._json(200, {"ok": True})
        elif self.path == "/requests":
            with self._model_server.guard:
                self._json(200, [asdict(one) for one in self._model_server.requests])
        else:
            self._error(404, "no such path")

    def do_DELETE(self) -> None:
        if self.path != "/requests":
            self._error(404, "no such path")
            return
        with self._model_server.guard:
            self._model_server.requests.clear()
        self._json(200, {})

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > _LARGEST_BODY:
            self.close_connection = True
            self._error(413, "body too large")
            return
        data = self.rfile.read(length)
        if not self.path.endswith("/chat/completions"):
            self._error(404, "no such path")
            return
        authorization = self.headers.get("Authorization") or ""
        wanted = self._model_server.api_key
        if wanted and authorization != f"Bearer {wanted}":
            self._error(401, "wrong API key")
            return
        try:
            body = cast("dict[str, Any]", json.loads(data))
            turn = decide(body)
        except (ValueError, AttributeError) as error:
            self._error(400, f"bad request: {error}")
            return
        with self._model_server.guard:
            self._model_server.requests.append(record(body, authorization))
        self._answer(turn, body)

    def _answer(self, turn: Turn, body: dict[str, Any]) -> None:
        time.sleep(turn.pause)
        model = str(body.get("model", ""))
        if turn.status >= 400:
            self._error(turn.status, "as the prompt asked")
        elif body.get("stream"):
            self._stream(events(turn, model), broken=turn.broken)
        else:
            self._json(200, whole(turn, model))

    def _stream(self, stream: list[dict[str, Any]], *, broken: bool) -> None:
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Connection", "close")
        self.end_headers()
        for event in stream[:2] if broken else stream:
            self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
            self.wfile.flush()
        if not broken:
            self.wfile.write(b"data: [DONE]\n\n")


def main() -> int:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description="A small OpenAI-compatible server for tests.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--api-key-env", default="", help="variable with the only key it accepts")
    options = parser.parse_args()
    key = os.environ.get(str(options.api_key_env), "") if options.api_key_env else ""
    server = ModelServer((str(options.host), int(options.port)), key)
    sys.stderr.write(f"listening on {options.host}:{server.server_port}\n")
    server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
