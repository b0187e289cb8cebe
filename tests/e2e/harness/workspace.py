"""A user's workspace as the user has it: HTTP through the front door, with their password."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast
from urllib.parse import urlencode

from tests.e2e.harness.waiting import until

REFUSED = (401, 429)
"""What a wrong password gets: after some failures the next one has to wait."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An HTTP answer."""

    status: int
    kind: str
    text: str

    @property
    def json(self) -> Any:
        """The body as JSON; OpenCode answers unknown paths with its page and 200."""
        assert "json" in self.kind, f"{self.status} {self.kind}: {self.text[:200]}"
        return json.loads(self.text)


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """One user's address and password."""

    user: str
    host: str
    """Name and port as in the printed URL."""
    door: tuple[str, int]
    """Where the front door listens."""
    password: str | None = field(repr=False)

    def connect(self, timeout: float = 30) -> http.client.HTTPConnection:
        """Return a connection to the front door."""
        return http.client.HTTPConnection(*self.door, timeout=timeout)

    def open(self, timeout: float = 30) -> http.client.HTTPConnection:
        """Return an open connection; a front door that restarts is waited for."""

        def check() -> http.client.HTTPConnection:
            connection = self.connect(timeout)
            connection.connect()
            return connection

        return until(f"the front door {self.door} accepts connections", check, 20)

    def headers(self) -> dict[str, str]:
        """Return the headers of a request of this user."""
        found = {"Host": self.host, "Content-Type": "application/json"}
        if self.password is not None:
            pair = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
            found["Authorization"] = f"Basic {pair}"
        return found

    def anonymous(self) -> Workspace:
        """Return the same workspace for somebody without a password."""
        return replace(self, password=None)

    def call(  # noqa: PLR0913 - what an HTTP request consists of
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        folder: str | None = None,
        timeout: float = 30,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send a request; `folder` is OpenCode's directory."""
        if folder is not None:
            path += ("&" if "?" in path else "?") + urlencode({"directory": folder})
        connection = self.open(timeout)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, {**self.headers(), **(headers or {})})
            answer = connection.getresponse()
            text = answer.read().decode("utf-8", "replace")
            kind = answer.getheader("Content-Type") or ""
            return Reply(status=answer.status, kind=kind, text=text)
        except http.client.HTTPException as error:
            raise OSError(f"{method} {path}: {type(error).__name__}: {error}") from error
        finally:
            connection.close()

    def get(self, path: str, folder: str | None = None, timeout: float = 30) -> Any:
        """Return the JSON of a GET that must be 200."""
        reply = self.call("GET", path, folder=folder, timeout=timeout)
        assert reply.status == 200, f"{self.user}: GET {path}: {reply.status} {reply.text[:300]}"
        return reply.json

    def healthy(self, seconds: float = 60) -> None:
        """Wait until the workspace answers; OpenCode drops requests that come too early."""
        until(
            f"{self.user} answers on {self.host}",
            self._is_healthy,
            seconds,
        )

    def _is_healthy(self) -> bool:
        # What the door says instead is JSON too.
        reply = self.call("GET", "/global/health", timeout=5)
        return reply.status == 200 and reply.json["healthy"] is True

    def chat(self, folder: str = "/app") -> str:
        """Make a chat session and return its id."""
        reply = self.call("POST", "/session", {}, folder=folder)
        assert reply.status == 200, f"{self.user}: POST /session: {reply.status} {reply.text[:300]}"
        return cast("str", reply.json["id"])

    def say(self, chat: str, text: str, folder: str = "/app", timeout: float = 90) -> Any:
        """Send a prompt, wait for the end of the turn and return the answer's message.

        OpenCode answers 200 to a prompt that failed; here that is an error.
        """
        answer = self.try_to_say(chat, text, folder, timeout)
        assert not answer["info"].get("error"), answer["info"]["error"]
        return answer

    def try_to_say(self, chat: str, text: str, folder: str = "/app", timeout: float = 90) -> Any:
        """Send a prompt and return the answer's message, whatever became of it."""
        parts = {"parts": [{"type": "text", "text": text}]}
        path = f"/session/{chat}/message"
        reply = self.call("POST", path, parts, folder=folder, timeout=timeout)
        assert reply.status == 200, f"{self.user}: prompt: {reply.status} {reply.text[:300]}"
        return reply.json

    def begin(self, chat: str, text: str, folder: str = "/app") -> None:
        """Send a prompt and do not wait for its answer."""
        parts = {"parts": [{"type": "text", "text": text}]}
        reply = self.call("POST", f"/session/{chat}/prompt_async", parts, folder=folder)
        assert reply.status == 204, f"{self.user}: prompt: {reply.status} {reply.text[:300]}"

    def busy(self, chat: str, folder: str = "/app") -> bool:
        """Return whether a chat's turn is going on."""
        status = cast("dict[str, Any]", self.get("/session/status", folder))
        return chat in status

    def messages(self, chat: str, folder: str = "/app") -> list[tuple[str, str]]:
        """Return a chat's messages as (role, text), oldest first."""
        found = cast("list[Any]", self.get(f"/session/{chat}/message", folder))
        return [(item["info"]["role"], answer_text(item)) for item in found]

    def chats(self, folder: str = "/app") -> set[str]:
        """Return the ids of a folder's chats."""
        return {item["id"] for item in cast("list[Any]", self.get("/session", folder))}


def answer_text(message: Any) -> str:
    """Return the text parts of a message as one."""
    return "".join(part.get("text", "") for part in message["parts"] if part["type"] == "text")


def tool_parts(message: Any) -> list[Any]:
    """Return the tool calls of a message."""
    return [part for part in message["parts"] if part["type"] == "tool"]


def all_tool_parts(workspace: Workspace, chat: str, folder: str = "/app") -> list[Any]:
    """Return every tool call of a chat, oldest first."""
    found = cast("list[Any]", workspace.get(f"/session/{chat}/message", folder))
    return [part for item in found for part in tool_parts(item)]
