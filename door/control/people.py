"""The page of everybody, for administrators: state, last use, restart, sleep, wake.

Nothing of anybody's content is here: chats are asked of a runtime for its own user only.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from door.control.agent_control import ActionError, Actions
from door.control.asking import local_path
from door.control.context import Context
from door.control.front import NOT_FOUND, action_of, form_of, reading, signed_in
from door.control.pages.refusals import DoorPages, Message
from door.control.world import Runtime

_PER_PAGE = 50
_SEE_OTHER = 303
_DIGITS = 5
_FOR_ADMINS = Message(words="admins", status=403)


def routes(context: Context) -> list[Route]:
    """Return the routes of `<domain>` for administrators."""
    people = _People(context)
    return [
        Route("/users", signed_in(context, people.show), methods=["GET"]),
        Route("/users/{action}", signed_in(context, people.act), methods=["POST"]),
    ]


def matching(people: Sequence[Runtime], text: str) -> list[Runtime]:
    """Return whose name, id or login contains a text, whatever its case."""
    wanted = text.strip().casefold()
    return [
        one for one in people if wanted in f"{one.display_name}\n{one.id}\n{one.login}".casefold()
    ]


class _People:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._actions = Actions(context.world)
        self._pages = DoorPages(context.settings, context.now)

    async def show(self, request: Request, runtime: Runtime) -> Response:
        done = request.query_params.get("done", "")
        said = None
        if runtime.admin and done in {"restart", "suspend", "resume"}:
            said = reading(request)(f"done.{done}")
        return self._page(request, runtime, said=said)

    async def act(self, request: Request, runtime: Runtime) -> Response:
        if not runtime.admin:
            return self._page(request, runtime)
        form = await form_of(request)
        action = action_of(request)
        other = self._context.world.by_id(form.get("user", ""))
        if action is None or other is None:
            return self._pages.message(request, NOT_FOUND, runtime)
        try:
            await self._actions.act(action, other)
        except ActionError as error:
            problem = reading(request)(f"failed.{action}", reason=str(error))
            return self._page(request, runtime, problem=problem, status=409)
        back = local_path(form.get("back"))
        back = back if back.startswith("/users?") else "/users?"
        return RedirectResponse(f"{back}&done={action}", _SEE_OTHER, {"Cache-Control": "no-store"})

    def _page(
        self,
        request: Request,
        runtime: Runtime,
        *,
        said: str | None = None,
        problem: str | None = None,
        status: int = 200,
    ) -> Response:
        if not runtime.admin:
            return self._pages.message(request, _FOR_ADMINS, runtime)
        find = request.query_params.get("find", "")[:128]
        people = matching(self._context.world.people(), find)
        last = max(0, (len(people) - 1) // _PER_PAGE)
        page = min(_number(request.query_params.get("page", "0")), last)
        return self._pages.rendering.render(
            request,
            "users.html",
            viewer=runtime,
            status=status,
            people=people[page * _PER_PAGE : (page + 1) * _PER_PAGE],
            count=len(people),
            find=find,
            before=_address(find, page - 1) if page > 0 else None,
            after=_address(find, page + 1) if page < last else None,
            back=_address(find, page),
            said=said,
            problem=problem,
        )


def _address(find: str, page: int) -> str:
    return "/users?" + urlencode({"find": find, "page": page})


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS else 0
