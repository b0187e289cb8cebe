"""The door's own web service: what nginx asks, the front, and what users' hosts have of the door.

Owns: how the parts are put together, which host sees which routes, who is asking (once, before any
handler). Leaves out: what each part does. nginx says in `X-Door-Gate` which of its locations asks;
a request without it is a public one.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from door.control import entering, header, oidc, signin
from door.control.asking import Asked, read_asked
from door.control.context import Context, Pages, Refusal, Serving, Visitor
from door.control.credentials import USER_HEADER, Credentials
from door.control.deciding import Passed, Refused, decide, who_asks
from door.control.grants import HEADER, Grants
from door.control.keys import Keys
from door.control.refusing import refuse, workspace_label
from door.control.sessions import Sessions
from door.control.settings import Settings, SignInMode
from door.control.slowing import Slowing
from door.control.tickets import Tickets
from door.control.tokens import Tokens
from door.control.world import World

_GATE = "x-door-gate"


def make_context(
    settings: Settings,
    secrets: Mapping[str, str],
    world: World,
    pages: Pages,
    *,
    serving: Serving | None = None,
) -> Context:
    """Return what every handler is given; raises ValueError without a good seed."""
    keys = Keys(secrets.get("seed", ""), settings.environment)
    slowing = Slowing(time.monotonic)
    tokens = Tokens(settings, keys, world, secrets)
    return Context(
        settings=settings,
        secrets=secrets,
        world=world,
        keys=keys,
        sessions=Sessions(settings, keys, world),
        tickets=Tickets(keys),
        tokens=tokens,
        credentials=Credentials(world, keys, tokens, slowing),
        slowing=slowing,
        grants=Grants(keys),
        pages=pages,
        serving=serving or Serving(),
        now=functools.partial(datetime.now, UTC),
        moment=time.monotonic,
    )


def create_app(
    context: Context,
    *,
    sign_in: Sequence[BaseRoute] | None = None,
    front: Sequence[BaseRoute] = (),
    workspace: Sequence[BaseRoute] = (),
    carried: Sequence[BaseRoute] = (),
) -> ASGIApp:
    """Return the service.

    `sign_in` are those of the mode's sign-in, unless others are given; `front` are routes of
    `<domain>`; `workspace` those below `/.door/` on users' hosts; `carried`
    those of users' hosts that `Serving.on_workspaces` names, asked after a decision. Raises
    ValueError where the settings of the mode of sign-in are not all there.
    """
    modes = {
        SignInMode.PASSWORD: signin.routes,
        SignInMode.OIDC: oidc.routes,
        SignInMode.HEADER: header.routes,
    }
    if sign_in is None:
        sign_in = modes[context.settings.sign_in](context)
    return Door(
        context,
        # First the mode's own, which may leave in another way too.
        front=Router([*sign_in, *entering.front_routes(context), *front]),
        workspace=Router([*entering.workspace_routes(context), *workspace]),
        carried=Router(list(carried)),
    )


class Door:
    """Tells hosts and nginx's locations apart, and finds out who asks."""

    def __init__(
        self, context: Context, *, front: ASGIApp, workspace: ASGIApp, carried: ASGIApp
    ) -> None:
        """Each of the three serves requests whose visitor is known."""
        self._context = context
        self._front = front
        self._workspace = workspace
        self._carried = carried

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        asked = read_asked(scope, self._context.settings.trusted_proxies)
        scope["door.asked"] = asked
        gate = request.headers.get(_GATE, "open")
        app: ASGIApp
        if gate == "decide":
            app = await self._decided(asked)
        elif gate == "refused":
            app = self._refused(request, asked)
        elif gate == "carried":
            app = self._carry(scope, request, asked)
        else:
            app = await self._public(scope, request, asked)
        await app(scope, receive, send)

    async def _decided(self, asked: Asked) -> Response:
        answer = await decide(self._context, asked)
        if isinstance(answer, Refused):
            text = f"{answer.refusal.value} {answer.wait}"
            return PlainTextResponse("", 403, {"X-Door-Refusal": text})
        return PlainTextResponse("", 200, _told(self._context, asked, answer))

    def _refused(self, request: Request, asked: Asked) -> Response:
        name, _, wait = request.headers.get("x-door-refusal", "").partition(" ")
        refusal = Refusal(name) if name in set(Refusal) else Refusal.UNREACHABLE
        return refuse(self._context, request, asked, refusal, int(wait) if wait.isdecimal() else 0)

    def _carry(self, scope: Scope, request: Request, asked: Asked) -> ASGIApp:
        """Serve what was decided for a user's host, for the user of the grant."""
        grant = self._context.grants.read(request.headers.get(HEADER, ""), self._context.now())
        runtime = self._context.world.by_id(grant.user) if grant is not None else None
        if grant is None or runtime is None:
            return refuse(self._context, request, asked, Refusal.SIGNED_OUT)
        scope["door.visitor"] = Visitor(
            runtime=runtime, proof=grant.proof, session=grant.session, service=grant.service
        )
        scope["door.grant"] = grant
        return self._carried

    async def _public(self, scope: Scope, request: Request, asked: Asked) -> ASGIApp:
        """Serve the front, and what users' hosts have of the door."""
        context = self._context
        visitor = await who_asks(context, asked)
        if isinstance(visitor, Refused):
            return refuse(context, request, asked, visitor.refusal, visitor.wait)
        scope["door.visitor"] = visitor
        if asked.host == context.settings.domain:
            return self._front
        if workspace_label(context, asked.host) is None:
            return refuse(context, request, asked, Refusal.UNKNOWN)
        if visitor is not None and visitor.runtime.host(context.settings.domain) != asked.host:
            return refuse(context, request, asked, Refusal.UNKNOWN)
        return self._workspace


def health_app(
    *, alive: Callable[[], bool], ready: Callable[[], bool], metrics: BaseRoute
) -> ASGIApp:
    """Return what the cluster asks: alive, ready, figures."""

    def answer(good: Callable[[], bool]) -> Callable[[Request], Awaitable[Response]]:
        async def told(_: Request) -> Response:
            return PlainTextResponse("ok\n") if good() else PlainTextResponse("not yet\n", 503)

        return told

    return Router([Route("/healthz", answer(alive)), Route("/readyz", answer(ready)), metrics])


def _told(context: Context, asked: Asked, passed: Passed) -> dict[str, str]:
    """Return a decision as the headers that nginx reads (`door/nginx/nginx.conf`)."""
    headers = {
        "X-Door-Upstream": passed.upstream,
        "X-Door-Host": passed.host,
        "X-Door-Authorization": passed.authorization,
        "X-Door-Grant": passed.grant,
        "X-Door-Set-Cookie": passed.set_cookie,
    }
    if passed.upstream == context.serving.control:
        on_front = asked.host == context.settings.domain
        headers["X-Door-Gate"] = "open" if on_front else "carried"
        headers["X-Door-Peer"] = asked.headers.get("x-door-peer", "")
    if passed.upstream == context.serving.control and asked.host == context.settings.domain:
        headers["X-Door-Authorization"] = asked.one("authorization") or ""
        headers["X-Door-Cookie"] = "; ".join(asked.headers.getlist("cookie"))
        headers["X-Door-User"] = asked.one(USER_HEADER) or ""
    return headers
