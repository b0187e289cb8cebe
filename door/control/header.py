"""Signing in by the word of a proxy of the company's own in front, which has asked already.

Its header counts from the named addresses alone (`header.peers`): who connected to the door, or
whom a trusted proxy names as having connected to it. From anybody else it is ignored, and told.
"""

from __future__ import annotations

import logging

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from door.control.asking import Asked, local_path, within_any
from door.control.bounded import one_line
from door.control.context import Context, Refusal
from door.control.counters import FAILED_SIGN_INS
from door.control.entering import welcome
from door.control.refusing import SEE_OTHER, SIGN_IN
from door.control.settings import Settings, SignInMode
from door.control.world import Runtime

_LONGEST_LOGIN = 256
_log = logging.getLogger("door.sign-in")


def routes(context: Context) -> list[Route]:
    """Return the sign-in page's route; raises ValueError where no proxy is named."""
    if context.settings.header is None:
        raise ValueError("header: missing: sign-in by header needs the proxy's addresses")

    async def sign_in(request: Request) -> Response:
        return _sign_in(context, request)

    return [Route(SIGN_IN, sign_in, methods=["GET"])]


def named_login(settings: Settings, asked: Asked) -> str | None:
    """Return whom the proxy in front names; None without a header that counts.

    A header that is there twice is none: one of them may be a stranger's.
    """
    header = settings.header
    if settings.sign_in is not SignInMode.HEADER or header is None:
        return None
    value = asked.one(header.name)
    if value is None or not any(within_any(hop, header.peers) for hop in asked.hops):
        return None
    login = value.encode("latin-1").decode(errors="replace").strip()
    return login if 0 < len(login) <= _LONGEST_LOGIN else None


def others_word(settings: Settings, asked: Asked, runtime: Runtime) -> bool:
    """Return whether the proxy names somebody else than the session in the browser is of.

    A person who signs in there as somebody else must not go on as who they were.
    """
    login = named_login(settings, asked)
    return login is not None and login != runtime.login


def _sign_in(context: Context, request: Request) -> Response:
    if "out" in request.query_params:
        # The proxy would name them again at once.
        return context.pages.signed_out(request)
    asked: Asked = request.scope["door.asked"]
    next_path = local_path(request.query_params.get("next"))
    visitor = context.visitor(request)
    if visitor is not None and visitor.session is not None:
        return RedirectResponse(next_path, SEE_OTHER, {"Cache-Control": "no-store"})
    login = named_login(context.settings, asked)
    if login is None:
        _tell(context.settings, asked)
        return context.pages.refused(request, Refusal.NOT_NAMED, None)
    runtime = context.world.by_login(login)
    if runtime is None:
        FAILED_SIGN_INS.labels("header", "no").inc()
        _log.warning("sign-in failed (header): %r has no workspace", one_line(login, 128))
        return context.pages.nobody(request, login)
    return welcome(context, request, runtime, next_path)


def _tell(settings: Settings, asked: Asked) -> None:
    """Log a header that does not count: an attack, or addresses that are not right."""
    header = settings.header
    if header is None or header.name not in asked.headers:
        return
    FAILED_SIGN_INS.labels("header", "no").inc()
    _log.warning(
        "sign-in failed (header): %s does not count from %s: none of these is in header.peers, "
        "or it is there twice, empty or too long",
        header.name,
        one_line(", ".join(asked.hops), 200),
    )
