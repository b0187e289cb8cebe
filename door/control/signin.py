"""Signing in with a password, on the front alone.

Short because what follows a right password is the same for every mode (`entering`).
"""

from __future__ import annotations

from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from door.control.asking import Asked, local_path
from door.control.context import Context, Refusal, SignInForm
from door.control.credentials import Denied
from door.control.crosssite import from_own_page
from door.control.entering import known_browser, welcome
from door.control.refusing import SEE_OTHER, SIGN_IN, refuse
from door.control.slowing import Attempt

_FORM_LIMIT = 64 * 1024


def routes(context: Context) -> list[Route]:
    """Return the sign-in page's routes."""

    async def show(request: Request) -> Response:
        next_path = local_path(request.query_params.get("next"))
        visitor = context.visitor(request)
        if visitor is not None and visitor.session is not None:
            return RedirectResponse(next_path, SEE_OTHER, {"Cache-Control": "no-store"})
        return context.pages.sign_in(request, SignInForm(action=SIGN_IN, next=next_path))

    async def sign_in(request: Request) -> Response:
        return await _sign_in(context, request)

    return [
        Route(SIGN_IN, show, methods=["GET"]),
        Route(SIGN_IN, sign_in, methods=["POST"]),
    ]


async def _sign_in(context: Context, request: Request) -> Response:
    asked: Asked = request.scope["door.asked"]
    if not from_own_page(asked, context.settings.front):
        # A foreign page could sign a person in as somebody else, who reads what they then write.
        return refuse(context, request, asked, Refusal.CROSS_SITE)
    fields = await _fields(request)
    if fields is None:
        return refuse(context, request, asked, Refusal.TOO_LARGE)
    user, password = fields.get("user", "").strip(), fields.get("password", "").strip()
    next_path = local_path(fields.get("next"))
    attempt = Attempt(
        user=user,
        address=asked.address,
        way="form",
        browser=known_browser(context, request, user),
    )
    runtime = await context.credentials.password(attempt, password)
    if isinstance(runtime, Denied):
        form = SignInForm(
            action=SIGN_IN, next=next_path, user=user, refusal=runtime.refusal, wait=runtime.wait
        )
        return context.pages.sign_in(request, form)
    return welcome(context, request, runtime, next_path)


async def _fields(request: Request) -> dict[str, str] | None:
    """Return the form's fields; None when more was sent than a form holds."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _FORM_LIMIT:
            return None
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
