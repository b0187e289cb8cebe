"""The API of `<domain>`: chats in scenes, the user's own state, everybody for administrators.

Every handler runs behind the door's own check of who asks: by session (from pages of this host
only), Basic, personal token, or a service token with `X-User-Id`. Errors have one shape.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from door.control.agent_control import Action, ActionError, Actions
from door.control.bounded import MIB, TooLongError, one_line, read_up_to
from door.control.chats import ChatError, Chats, scene_of, unknown_scene
from door.control.context import Context, Visitor, problem
from door.control.front import action_of, signed_in
from door.control.openapi import ROOT, document
from door.control.pages.refusals import DoorPages
from door.control.shapes import (
    NewSession,
    People,
    Scenes,
    SessionShape,
    person_shape,
    runtime_shape,
    scene_shape,
)
from door.control.world import NotWakingError, Runtime, Scene, Wanted

# As long as a browser's or a client's usual time-out allows; a start takes six to ten seconds.
_WAKING_SECONDS = 60.0
_LARGEST_BODY = MIB // 16
_AGAIN_SECONDS = 10

Handler = Callable[[Request, Visitor], Awaitable[Response]]


def routes(context: Context, chats: Chats | None = None) -> list[Route]:
    """Return the routes of the API."""
    api = _Api(context, chats or Chats(context))
    return [
        Route(ROOT + "/", signed_in(context, api.page), methods=["GET"]),
        Route(ROOT, _to_page, methods=["GET"]),
        Route(ROOT + "/openapi.json", api.known(api.openapi), methods=["GET"]),
        Route(ROOT + "/me", api.known(api.me), methods=["GET"]),
        Route(ROOT + "/scenes", api.known(api.scenes), methods=["GET"]),
        Route(ROOT + "/sessions", api.known(api.new_session), methods=["POST"]),
        Route(ROOT + "/runtime/{action}", api.known(api.act), methods=["POST"]),
        Route(ROOT + "/users", api.known(api.users), methods=["GET"]),
        Route(ROOT + "/{path:path}", _nothing, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
    ]


async def _to_page(_: Request) -> Response:
    return RedirectResponse(ROOT + "/", 308)


async def _nothing(_: Request) -> Response:
    return problem(404, "not-found", "There is no such call: see the API's page.")


def _answer(shape: BaseModel, status: int = 200) -> Response:
    text = shape.model_dump_json(by_alias=True)
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return Response(text, status, headers, "application/json")


class _Api:
    def __init__(self, context: Context, chats: Chats) -> None:
        self._context = context
        self._chats = chats
        self._actions = Actions(context.world)
        self._pages = DoorPages(context.settings, context.now)

    def known(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """Return a handler for whom the door knows."""

        async def endpoint(request: Request) -> Response:
            visitor = self._context.visitor(request)
            if visitor is None:
                return problem(401, "signed-out", "Show who you are: see the API's page.")
            return await handler(request, visitor)

        return endpoint

    async def page(self, request: Request, runtime: Runtime) -> Response:
        return self._pages.rendering.render(
            request,
            "api.html",
            viewer=runtime,
            document=document(self._context.settings.front),
        )

    async def openapi(self, request: Request, visitor: Visitor) -> Response:
        del request, visitor
        body = document(self._context.settings.front)
        return JSONResponse(body, headers={"Cache-Control": "no-store"})

    async def me(self, request: Request, visitor: Visitor) -> Response:
        del request
        return _answer(person_shape(self._context, visitor.runtime))

    async def scenes(self, request: Request, visitor: Visitor) -> Response:
        del request
        return _answer(Scenes(scenes=tuple(map(scene_shape, visitor.runtime.scenes))))

    async def users(self, request: Request, visitor: Visitor) -> Response:
        del request
        if not visitor.runtime.admin:
            return _for_admins()
        people = self._context.world.people()
        return _answer(People(users=tuple(person_shape(self._context, one) for one in people)))

    async def new_session(self, request: Request, visitor: Visitor) -> Response:
        runtime = visitor.runtime
        scene = await _scene_asked(request, runtime)
        if isinstance(scene, Response):
            return scene
        if runtime.wanted is Wanted.SUSPENDED:
            return problem(409, "suspended", "The workspace is suspended in the stack file.")
        self._context.world.touch(runtime.id)
        try:
            await self._context.world.wake(runtime.id)
            ready = await self._context.world.wait_ready(runtime.id, _WAKING_SECONDS)
            chat = await self._chats.create(ready, scene)
        except NotWakingError as error:
            return problem(503, "not-waking", one_line(str(error)), retry_after=_AGAIN_SECONDS)
        except ChatError as error:
            return problem(502, "unreachable", str(error), retry_after=_AGAIN_SECONDS)
        made = SessionShape(
            id=chat.id,
            scene=scene.id,
            directory=scene.directory,
            url=self._context.host_of(ready),
            link=chat.link,
        )
        return _answer(made, 201)

    async def act(self, request: Request, visitor: Visitor) -> Response:
        action = action_of(request)
        if action is None:
            return await _nothing(request)
        runtime = visitor.runtime
        other = request.query_params.get("user")
        if other is not None and other != runtime.id:
            if not runtime.admin:
                return _for_admins()
            found = self._context.world.by_id(other)
            if found is None:
                return problem(404, "unknown-user", "user: nobody has this id: see GET /users")
            runtime = found
        return await self._acted(action, runtime)

    async def _acted(self, action: Action, runtime: Runtime) -> Response:
        if runtime.wanted is Wanted.SUSPENDED:
            return problem(409, "suspended", "The workspace is suspended in the stack file.")
        try:
            await self._actions.act(action, runtime)
        except ActionError as error:
            return problem(503, "not-waking", str(error), retry_after=_AGAIN_SECONDS)
        now = self._context.world.by_id(runtime.id) or runtime
        return _answer(runtime_shape(now), 202)


async def _scene_asked(request: Request, runtime: Runtime) -> Scene | Response:
    try:
        body = await read_up_to(request.stream(), _LARGEST_BODY)
        asked = NewSession.model_validate_json(body)
    except TooLongError:
        return problem(413, "too-large", "The body is at most 64 KiB.")
    except ValidationError as error:
        return problem(422, "invalid", _told(error))
    scene = scene_of(runtime, asked.scene)
    return scene or problem(422, "unknown-scene", unknown_scene(runtime))


def _for_admins() -> Response:
    return problem(403, "not-admin", "Only administrators (users[].admin) may do this.")


def _told(error: ValidationError) -> str:
    """Return each wrong field with its rule; nothing of what was sent."""
    rules = [
        f"{'.'.join(map(str, item['loc'])) or 'body'}: {item['msg']}"
        for item in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    return one_line("; ".join(rules[:5]))
