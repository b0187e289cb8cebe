"""Ways in and out that every mode of signing in shares.

Owns: beginning a session once somebody has shown who they are (`welcome`), carrying it from the
front to a user's host, signing out. Leaves out: how they show it (`signin`, and other modes).
"""

from __future__ import annotations

import logging
import re
import secrets
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from door.control.asking import local_path
from door.control.context import Context, Proof, Refusal
from door.control.counters import SIGN_INS
from door.control.refusing import ENTER, SEE_OTHER, SIGN_IN, sent_nonces, to_sign_in
from door.control.sessions import cookie_values
from door.control.tickets import NONCE_COOKIE
from door.control.world import Runtime

SIGN_OUT = "/.door/sign-out"
TICKET = "/.door/ticket"
_BROWSER_COOKIE = "fleet-known"
_BROWSER_SECONDS = 90 * 24 * 3600
_NO_STORE = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
_MARK = re.compile(r"[0-9a-f]{64}")

_log = logging.getLogger("door.sign-in")


def front_routes(context: Context) -> list[Route]:
    """Return the routes of the front: to a user's host, and out."""

    async def enter(request: Request) -> Response:
        return _enter(context, request)

    async def sign_out(request: Request) -> Response:
        return await _sign_out(context, request)

    return [
        Route(ENTER, enter, methods=["GET"]),
        Route(SIGN_OUT, sign_out, methods=["POST"]),
    ]


def workspace_routes(context: Context) -> list[Route]:
    """Return the routes of a user's host."""

    async def ticket(request: Request) -> Response:
        return _redeem(context, request)

    return [Route(TICKET, ticket, methods=["GET"])]


def welcome(context: Context, request: Request, runtime: Runtime, next_path: str) -> Response:
    """Begin a session for somebody who has shown who they are, and go on."""
    SIGN_INS.inc()
    now = context.now()
    sessions = context.sessions
    session = sessions.begin(runtime, now)
    response = RedirectResponse(local_path(next_path), SEE_OTHER, _NO_STORE)
    response.headers.append("Set-Cookie", sessions.cookie(session, now))
    known = known_browser(context, request, runtime.id) or secrets.token_urlsafe(12)
    text = context.keys.signer("browser").sign({"u": runtime.id, "d": known})
    name = sessions.cookie_name(_BROWSER_COOKIE)
    response.headers.append("Set-Cookie", sessions.set_cookie(name, text, _BROWSER_SECONDS))
    return response


def known_browser(context: Context, request: Request, user_id: str) -> str | None:
    """Return the id of a browser that has signed this user in before."""
    name = context.sessions.cookie_name(_BROWSER_COOKIE)
    texts = cookie_values(request.headers.getlist("cookie"), name)
    values = context.keys.signer("browser").read(texts[0]) if len(texts) == 1 else None
    return values["d"] if values is not None and values["u"] == user_id else None


def _enter(context: Context, request: Request) -> Response:
    """Give a signed-in browser a ticket for the host it came from."""
    query = request.query_params
    label, mark = query.get("host", ""), query.get("mark", "")
    next_path = local_path(query.get("next"))
    visitor = context.visitor(request)
    if visitor is None or visitor.session is None or visitor.proof is not Proof.SESSION:
        return to_sign_in(context, local_path(f"{ENTER}?{request.url.query}"))
    runtime = visitor.runtime
    if label != runtime.slug or not _MARK.fullmatch(mark):
        return context.pages.refused(request, Refusal.UNKNOWN, None)
    host = runtime.host(context.settings.domain)
    text = context.tickets.mint(visitor.session, host, mark, next_path, context.now())
    url = f"{context.settings.origin(host)}{TICKET}?{urlencode({'t': text})}"
    return RedirectResponse(url, SEE_OTHER, _NO_STORE)


def _redeem(context: Context, request: Request) -> Response:
    """Take a ticket and keep the session it stands for, on this host."""
    now = context.now()
    sessions = context.sessions
    nonces = sent_nonces(context, request)
    host = request.scope["door.asked"].host
    entry = context.tickets.redeem(request.query_params.get("t", ""), host, nonces, now)
    if entry is not None and sessions.holds(entry.session, now):
        response = RedirectResponse(entry.next, SEE_OTHER, _NO_STORE)
        name = sessions.cookie_name(NONCE_COOKIE)
        response.headers.append("Set-Cookie", sessions.set_cookie(name, "", 0))
        response.headers.append("Set-Cookie", sessions.cookie(entry.session, now))
        return response
    if context.visitor(request) is not None:
        # Another tab was quicker, or somebody went back to this address.
        return RedirectResponse("/", SEE_OTHER, _NO_STORE)
    if not nonces:
        return context.pages.refused(request, Refusal.NO_COOKIES, None)
    return context.pages.refused(request, Refusal.SIGNED_OUT, None)


async def leave(context: Context, request: Request) -> str:
    """End the session on all hosts; return the `Set-Cookie` by which the browser forgets it.

    The browser forgets it whatever the cluster says.
    """
    visitor = context.visitor(request)
    if visitor is not None and visitor.session is not None:
        try:
            await context.sessions.end(visitor.session)
        except Exception:
            # This replica knows that it is over; the others learn it from the cluster only.
            _log.exception("a sign-out could not be written to the cluster")
    return context.sessions.set_cookie(context.sessions.cookie_name(), "", 0)


async def _sign_out(context: Context, request: Request) -> Response:
    forgotten = await leave(context, request)
    response = RedirectResponse(f"{SIGN_IN}?out=1", SEE_OTHER, _NO_STORE)
    response.headers.append("Set-Cookie", forgotten)
    return response
