"""What somebody sees who is not let through: the way to sign in, a page, or an error in JSON.

A person opening a page is sent to sign in, whether or not the host is anybody's: a stranger learns
nothing of who is there. Leaves out: the pages themselves (`pages`), who is refused (`deciding`).
"""

from __future__ import annotations

import re
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from door.control.asking import Asked, local_path
from door.control.context import STATUS, Context, Refusal, problem
from door.control.sessions import cookie_values
from door.control.tickets import NONCE_COOKIE, NONCE_SECONDS, new_nonce, nonce_mark
from door.control.world import Runtime

SIGN_IN = "/.door/sign-in"
ENTER = "/.door/enter"
SEE_OTHER = 303
CHALLENGE = 'Basic realm="opencode-fleet", charset="UTF-8"'
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")

_MESSAGES = {
    Refusal.SIGNED_OUT: "Nobody is signed in. Programs use Basic (id and password) or a token.",
    Refusal.WRONG_CREDENTIAL: "The user id, the password or the token is wrong.",
    Refusal.SLOWED: "Too many wrong passwords. Nothing is looked at before Retry-After is over.",
    Refusal.UNKNOWN: "There is no such workspace, or it is not yours.",
    Refusal.CROSS_SITE: "This request was made by a page of another host.",
    Refusal.WAKING: "The workspace is asleep or starts. Try again after Retry-After.",
    Refusal.SUSPENDED: "The workspace is suspended by whoever runs this environment.",
    Refusal.FAILING: "The workspace does not start.",
    Refusal.UNREACHABLE: "The workspace does not answer.",
    Refusal.TOO_LARGE: "The request is too large: at most 100 MB reach a workspace.",
    Refusal.NO_COOKIES: "The browser keeps no cookie.",
    Refusal.NOT_NAMED: "The proxy in front does not say who is asking.",
    Refusal.NOT_PROVEN: "The provider's answer does not prove who is asking.",
    Refusal.NO_PROVIDER: "The provider does not answer. Who is signed in stays so.",
}
_RETRY = {Refusal.WAKING: 5, Refusal.FAILING: 30, Refusal.UNREACHABLE: 5}
# Only these tell of a runtime, and only its owner gets as far.
_OF_A_RUNTIME = {Refusal.WAKING, Refusal.SUSPENDED, Refusal.FAILING, Refusal.UNREACHABLE}


def refuse(
    context: Context, request: Request, asked: Asked, refusal: Refusal, wait: int = 0
) -> Response:
    """Return the answer to a request that is refused; `wait` is in seconds."""
    if refusal is Refusal.SIGNED_OUT and asked.opens_page:
        return _to_sign_in(context, request, asked)
    runtime = _runtime(context, asked) if refusal in _OF_A_RUNTIME else None
    if asked.opens_page or asked.reads_pages:
        return _page(context, request, refusal, runtime)
    reason = f" {runtime.reason}" if runtime is not None and runtime.reason else ""
    retry_after = wait or _RETRY.get(refusal)
    response = problem(
        STATUS[refusal], refusal.value, _MESSAGES[refusal] + reason, retry_after=retry_after
    )
    if response.status_code == STATUS[Refusal.SIGNED_OUT] and not asked.from_browser:
        response.headers["WWW-Authenticate"] = CHALLENGE
    return response


def workspace_label(context: Context, host: str) -> str | None:
    """Return the first label of a host that could be a user's; None for any other host."""
    label, _, rest = host.partition(".")
    return label if rest == context.settings.domain and _LABEL.fullmatch(label) else None


def sent_nonces(context: Context, request: Request) -> list[str]:
    """Return the nonces a browser sends; more than one means that some are planted."""
    name = context.sessions.cookie_name(NONCE_COOKIE)
    return cookie_values(request.headers.getlist("cookie"), name)


def to_sign_in(context: Context, next_path: str) -> Response:
    """Send a person to the sign-in page and back to a path of the front."""
    query = urlencode({"next": next_path})
    return _redirect(f"{context.settings.front}{SIGN_IN}?{query}")


def _to_sign_in(context: Context, request: Request, asked: Asked) -> Response:
    next_path = local_path(asked.uri)
    if asked.host == context.settings.domain:
        return to_sign_in(context, next_path)
    label = workspace_label(context, asked.host)
    if label is None:
        return _page(context, request, Refusal.UNKNOWN, None)
    nonce = new_nonce(sent_nonces(context, request))
    query = urlencode({"host": label, "mark": nonce_mark(nonce), "next": next_path})
    response = _redirect(f"{context.settings.front}{ENTER}?{query}")
    name = context.sessions.cookie_name(NONCE_COOKIE)
    response.headers["Set-Cookie"] = context.sessions.set_cookie(name, nonce, NONCE_SECONDS)
    return response


def _page(
    context: Context, request: Request, refusal: Refusal, runtime: Runtime | None
) -> Response:
    if refusal is Refusal.WAKING and runtime is not None:
        return context.pages.waking(request, runtime)
    return context.pages.refused(request, refusal, runtime)


def _runtime(context: Context, asked: Asked) -> Runtime | None:
    label = workspace_label(context, asked.host)
    return context.world.by_slug(label) if label is not None else None


def _redirect(url: str) -> RedirectResponse:
    return RedirectResponse(url, SEE_OTHER, {"Cache-Control": "no-store"})
