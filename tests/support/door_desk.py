"""The door's own app with pages and API, a world without a cluster, a runtime without OpenCode."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx
import uvicorn
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from door.control import api, front, people
from door.control.app import create_app, make_context
from door.control.chats import CARRIED, Chats, carried_routes
from door.control.context import Proof, Refusal, Serving, SignInForm, Visitor
from door.control.pages.refusals import DoorPages
from tests.support.door_world import SEED, FakeWorld, door_settings
from tests.support.fakes.opencode_api import FakeOpenCode

SERVICE_TOKEN = "service-" + "t" * 40
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}


class Desk:
    """One environment's door, and a runtime that answers for alice."""

    def __init__(
        self,
        world: FakeWorld | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        **settings: Any,
    ) -> None:
        self.world = world or FakeWorld()
        self.settings = door_settings(**settings)
        self.pages = DoorPages(self.settings, now)
        secrets = {"seed": SEED, "service-token-portal": SERVICE_TOKEN}
        serving = Serving(on_workspaces=CARRIED)
        self.context = replace(
            make_context(self.settings, secrets, self.world, self.pages, serving=serving), now=now
        )
        self.opencode = FakeOpenCode("alice", self.password("alice"))
        self.chats = Chats(self.context, httpx.ASGITransport(self.opencode.app))
        self.app = create_app(
            self.context,
            front=[
                *front.routes(self.context, self.chats),
                *people.routes(self.context),
                *api.routes(self.context, self.chats),
                *_shown(self.pages, self.world),
                *front.rest(self.context),
            ],
            workspace=[
                *front.workspace_routes(self.context),
                Route("/session/{chat}/message", self._message, methods=["POST"]),
                Route("/elsewhere", self._elsewhere, methods=["GET", "POST"]),
                Route("/{path:path}", _workspace),
            ],
            carried=carried_routes(self.context, self.chats),
        )

        self.told_elsewhere: list[str] = []
        """Credentials that a redirect carried away."""

    async def _message(self, request: Request) -> Response:
        """Stand in for OpenCode, which nginx would ask."""
        if request.path_params["chat"] == "elsewhere":
            return RedirectResponse("/elsewhere")
        said = (await request.json())["parts"][0]["text"]
        text = f"You said: {said}, in {request.query_params['directory']}"
        return JSONResponse({"info": {}, "parts": [{"type": "text", "text": text}]})

    async def _elsewhere(self, request: Request) -> Response:
        self.told_elsewhere.append(request.headers.get("authorization", ""))
        return JSONResponse({})

    def password(self, user: str) -> str:
        """Return a user's password."""
        return self.context.keys.password(user, self.world.roster[user].password_version)

    def client(self, user: str | None = None, **headers: str) -> TestClient:
        """Return a browser on the front, signed in as a user; its requests come from a page there.

        The test client keeps no Secure cookie of plain http, so the cookie is a header.
        """
        sent = {"Accept": "text/html", **SAME_ORIGIN, **headers}
        if user is not None:
            session = self.context.sessions.begin(self.world.roster[user], self.context.now())
            cookie = self.context.sessions.cookie(session, self.context.now())
            sent["Cookie"] = cookie.partition(";")[0]
        return TestClient(
            self.app, base_url=self.settings.front, headers=sent, follow_redirects=False
        )

    def program(self, token: str | None = None, **headers: str) -> TestClient:
        """Return a program: no header of a browser, a bearer token when given."""
        sent = {"User-Agent": "program", **headers}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        return TestClient(
            self.app, base_url=self.settings.front, headers=sent, follow_redirects=False
        )

    def carried(self, user: str = "alice", **headers: str) -> TestClient:
        """Return what nginx hands to control of a user's host, once it is decided."""
        runtime = self.world.roster[user]
        visitor = Visitor(runtime=runtime, proof=Proof.PASSWORD)
        grant = self.context.grants.write(visitor, "127.0.0.1:4096", self.context.now())
        sent = {"X-Door-Gate": "carried", "X-Door-Grant": grant, **headers}
        origin = self.context.host_of(runtime)
        return TestClient(self.app, base_url=origin, headers=sent, follow_redirects=False)


def _workspace(request: Request) -> Response:
    """Stand in for OpenCode's own page, which nginx would fetch."""
    path = request.url.path
    return HTMLResponse(
        '<!doctype html><html lang="en"><title>OpenCode</title><link rel="icon" href="data:,">'
        f"<main><h1>OpenCode</h1><p>{path}</p></main>"
    )


def _shown(pages: DoorPages, world: FakeWorld) -> list[Route]:
    """Return routes that show the pages which otherwise only a refusal shows."""

    def sign_in(request: Request) -> Response:
        refusal = Refusal(request.path_params["refusal"])
        form = SignInForm(action="/.door/sign-in", next="/", user="alice", refusal=refusal, wait=7)
        return pages.sign_in(request, form)

    def provider(request: Request) -> Response:
        form = SignInForm(action="/.door/sign-in", next="/")
        return pages.sign_in(request, form, "/.door/oidc")

    def waking(request: Request) -> Response:
        return pages.waking(request, world.roster["alice"])

    def refused(request: Request) -> Response:
        refusal = Refusal(request.path_params["refusal"])
        return pages.refused(request, refusal, world.roster["alice"])

    def nobody(request: Request) -> Response:
        return pages.nobody(request, request.query_params["login"])

    return [
        Route("/shown/sign-in/{refusal}", sign_in),
        Route("/shown/provider", provider),
        Route("/shown/waking", waking),
        Route("/shown/nobody", nobody),
        Route("/shown/refused/{refusal}", refused),
    ]


@contextlib.contextmanager
def served(app: ASGIApp, port: int) -> Generator[None]:
    """Serve an app on a port of this machine while the block runs."""
    config = uvicorn.Config(app, "127.0.0.1", port, log_level="error", lifespan="off", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server ended at once"
            time.sleep(0.02)
        yield
    finally:
        server.should_exit = True
        thread.join(10)
