"""The front page and what its buttons do.

Every handler runs behind the door's own check: a POST with a cookie came from a page of this host.
Leaves out: signing in and out (`signin`), the page of everybody (`people`), the API (`api`).
"""

from __future__ import annotations

import shlex
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs, quote, urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from door.control.agent_control import Action, ActionError, Actions, state_of
from door.control.bounded import MIB, TooLongError, read_up_to
from door.control.chats import Chat, ChatError, Chats, scene_of
from door.control.clicks import Click, Clicks
from door.control.context import Context, Proof, Refusal, problem
from door.control.pages.languages import Translate, translator, words_for
from door.control.pages.refusals import SIGN_IN, STATE, DoorPages, Message
from door.control.world import NotWakingError, Phase, Runtime, Scene, Wanted

_SEE_OTHER = 303
_HUES = 6
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_FORM_LIMIT = MIB // 16
NOT_FOUND = Message(words="not-found", status=404)

Handler = Callable[[Request, Runtime], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]


def routes(context: Context, chats: Chats | None = None) -> list[Route]:
    """Return the routes of `<domain>` that are a user's own pages, with what they load."""
    front = _Front(context, chats or Chats(context))
    return [
        *front.pages.rendering.routes(),
        Route("/", signed_in(context, front.show), methods=["GET"]),
        Route("/open", signed_in(context, front.open), methods=["POST"]),
        Route("/opening", signed_in(context, front.opening), methods=["GET"]),
        Route("/runtime/{action}", signed_in(context, front.act), methods=["POST"]),
        Route("/token", signed_in(context, front.token), methods=["POST"]),
        _state_route(context),
    ]


def workspace_routes(context: Context) -> list[Route]:
    """Return the routes below `/.door/` of a user's host: what the waking page needs."""
    pages = DoorPages(context.settings, context.now)
    return [*pages.rendering.routes(), _state_route(context)]


def rest(context: Context) -> list[Route]:
    """Return the route of everything on `<domain>` that is nothing; it stands last."""
    pages = DoorPages(context.settings, context.now)

    async def nothing(request: Request) -> Response:
        if "text/html" in request.headers.get("accept", ""):
            return pages.message(request, NOT_FOUND)
        return problem(404, "not-found", "There is nothing at this address.")

    return [Route("/{path:path}", nothing, methods=_METHODS)]


def _state_route(context: Context) -> Route:
    """Return the route that waiting pages ask; asking is no use of a runtime."""

    async def answer(request: Request) -> Response:
        visitor = context.visitor(request)
        state = state_of(None if visitor is None else visitor.runtime)
        return JSONResponse(state, headers={"Cache-Control": "no-store"})

    return Route(STATE, answer, methods=["GET"])


def signed_in(context: Context, handler: Handler) -> Endpoint:
    """Return a handler for people who are signed in; others are sent to sign in first."""

    async def endpoint(request: Request) -> Response:
        visitor = context.visitor(request)
        if visitor is not None:
            return await handler(request, visitor.runtime)
        way = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        back = f"?next={quote(way, safe='')}" if request.method == "GET" and way != "/" else ""
        return _to(SIGN_IN + back)

    return endpoint


def reading(request: Request) -> Translate:
    """Return the words of the reader's language."""
    return translator(words_for(request.headers.get("accept-language", "")))


async def form_of(request: Request) -> dict[str, str]:
    """Return the fields of a small form, the first of each name; too much is as good as none."""
    try:
        body = await read_up_to(request.stream(), _FORM_LIMIT)
    except TooLongError:
        return {}
    fields = parse_qs(body.decode(errors="replace"), keep_blank_values=True, max_num_fields=None)
    return {name: values[0] for name, values in fields.items()}


def action_of(request: Request) -> Action | None:
    """Return the action that a path ends with."""
    name = request.path_params["action"]
    return Action(name) if name in set(Action) else None


class _Front:
    def __init__(self, context: Context, chats: Chats) -> None:
        self._context = context
        self._chats = chats
        self._actions = Actions(context.world)
        self._clicks = Clicks(context)
        self.pages = DoorPages(context.settings, context.now)

    async def show(self, request: Request, runtime: Runtime) -> Response:
        done = request.query_params.get("done")
        said = reading(request)(f"done.{done}") if done in set(Action) else None
        return await self._page(request, runtime, said=said)

    async def open(self, request: Request, runtime: Runtime) -> Response:
        scene = scene_of(runtime, (await form_of(request)).get("scene"))
        if scene is None:
            return self.pages.message(request, NOT_FOUND, runtime)
        if runtime.wanted is Wanted.SUSPENDED:
            return self.pages.refused(request, Refusal.SUSPENDED, runtime)
        self._context.world.touch(runtime.id)
        click, text = self._clicks.sign(runtime, scene)
        way = f"/opening?{urlencode({'o': text})}"
        if runtime.phase is not Phase.READY:
            return _to(way)
        return await self._enter(
            request, runtime, way, self._chats.create(runtime, scene, click.key)
        )

    async def opening(self, request: Request, runtime: Runtime) -> Response:
        click = self._clicks.read(request.query_params.get("o", ""), runtime)
        scene = None if click is None else scene_of(runtime, click.scene)
        if click is None or scene is None:
            return _to("/")
        way = f"{request.url.path}?{request.url.query}"
        if runtime.wanted is Wanted.SUSPENDED:
            return self.pages.refused(request, Refusal.SUSPENDED, runtime)
        if runtime.phase is Phase.READY:
            return await self._enter(request, runtime, way, self._once(runtime, scene, click))
        refused = None
        try:
            await self._context.world.wake(runtime.id)
        except NotWakingError as error:
            refused = str(error)
        now = self._context.world.by_id(runtime.id) or runtime
        return self.pages.wait(request, now, then=way, scene=scene.title, refused=refused)

    async def act(self, request: Request, runtime: Runtime) -> Response:
        action = action_of(request)
        if action is None:
            return self.pages.message(request, NOT_FOUND, runtime)
        try:
            await self._actions.act(action, runtime)
        except ActionError as error:
            problem = reading(request)(f"failed.{action}", reason=str(error))
            return await self._page(request, runtime, problem=problem, status=409)
        return _to(f"/?done={action}")

    async def token(self, request: Request, runtime: Runtime) -> Response:
        visitor = self._context.visitor(request)
        # Whoever holds another credential, a service's say, must not turn it into a user's own.
        if visitor is None or visitor.proof is not Proof.SESSION:
            return self.pages.refused(request, Refusal.CROSS_SITE, runtime)
        return self.pages.rendering.render(
            request,
            "token.html",
            viewer=runtime,
            token=self._context.tokens.personal(runtime, self._context.now()),
            workspace=self._context.host_of(runtime),
            user_quoted=shlex.quote(runtime.id),
            scene=runtime.scenes[0] if runtime.scenes else None,
        )

    async def _once(self, runtime: Runtime, scene: Scene, click: Click) -> Chat:
        """Make the chat of a click, or find it where the page was loaded before."""
        made = await self._chats.made_for(runtime, scene, click.key)
        return made or await self._chats.create(runtime, scene, click.key)

    async def _enter(
        self, request: Request, runtime: Runtime, way: str, making: Awaitable[Chat]
    ) -> Response:
        try:
            chat = await making
        except ChatError as error:
            message = Message(
                words="unavailable",
                status=502,
                link=way,
                link_text="waking.retry",
                reason=str(error),
            )
            return self.pages.message(request, message, runtime)
        return _to(chat.link)

    async def _page(
        self,
        request: Request,
        runtime: Runtime,
        *,
        said: str | None = None,
        problem: str | None = None,
        status: int = 200,
    ) -> Response:
        chats: list[Chat] | None = []
        no_chats = "front.recent-asleep"
        if runtime.phase is Phase.READY:
            chats = await self._chats.recent(runtime)
            no_chats = "front.recent-missing" if chats is None else "front.no-recent"
        return self.pages.rendering.render(
            request,
            "front.html",
            viewer=runtime,
            status=status,
            runtime=runtime,
            scenes=[_card(scene, index) for index, scene in enumerate(runtime.scenes)],
            may_open=runtime.wanted is Wanted.ACTIVE,
            chats=chats,
            no_chats=no_chats,
            workspace=self._context.host_of(runtime) + "/",
            watch=STATE,
            said=said,
            problem=problem,
        )


def _to(url: str) -> Response:
    return RedirectResponse(url, _SEE_OTHER, {"Cache-Control": "no-store"})


def _card(scene: Scene, index: int) -> dict[str, object]:
    letter = next((sign for sign in scene.title if sign.isalnum()), "·").upper()
    return {
        "id": scene.id,
        "title": scene.title,
        "description": scene.description,
        "letter": letter,
        "hue": index % _HUES,
    }
