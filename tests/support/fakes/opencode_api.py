"""The part of OpenCode's API that the door asks: sessions of a directory, and making one.

Answers as 1.18.33 does (tried): Basic on everything, a title with the time while nothing was said,
`metadata` kept, unknown directories welcome.
"""

from __future__ import annotations

import base64
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

_BEGUN = 1_795_000_000_000


class FakeOpenCode:
    """One runtime; what a test wants broken it sets."""

    def __init__(self, user: str, password: str) -> None:
        self.expected = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        self.sessions: list[dict[str, Any]] = []
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        """Method, query and body of every request."""
        self.headers: list[dict[str, str]] = []
        self.instead: Response | None = None
        """Answered to everything."""
        self.app = Starlette(
            routes=[Route("/session", self._answer, methods=["GET", "POST"])],
        )

    def add(self, directory: str, title: str, updated: int = _BEGUN, **more: Any) -> dict[str, Any]:
        """Put a chat there."""
        number = len(self.sessions) + 1
        session = {
            "id": f"ses_{number:04d}",
            "directory": directory,
            "title": title,
            "time": {"created": updated, "updated": updated},
            **more,
        }
        self.sessions.append(session)
        return session

    async def _answer(self, request: Request) -> Response:
        body = await request.body()
        self.asked.append((request.method, dict(request.query_params), body))
        self.headers.append(dict(request.headers))
        if request.headers.get("authorization") != self.expected:
            return Response("Unauthorized", 401)
        if self.instead is not None:
            return self.instead
        directory = request.query_params.get("directory") or request.headers.get(
            "x-opencode-directory", "/app"
        )
        if request.method == "POST":
            asked: dict[str, Any] = await request.json() if body else {}
            title = asked.pop("title", "New session - 2026-11-26T11:22:00.258Z")
            return JSONResponse(self.add(directory, title, **asked))
        here = [one for one in self.sessions if one["directory"] == directory]
        newest = sorted(here, key=lambda one: one["time"]["updated"], reverse=True)
        return JSONResponse(newest[: int(request.query_params.get("limit", "100"))])
