"""Signing in at the company's OpenID Connect provider, and signing out there too.

Owns: the browser's way there and back (state, nonce, PKCE in a signed cookie of the front alone),
which claim is a user's login. Leaves out: what is asked of the provider (`provider`), what a token
must say (`idtoken`), what follows a sign-in (`entering`). The provider is asked while somebody
signs in or out, at no other time: whoever is in works on while it is away.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import re
import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from door.control.asking import Asked, local_path
from door.control.bounded import one_line
from door.control.context import Context, Refusal, SignInForm
from door.control.counters import FAILED_SIGN_INS
from door.control.entering import SIGN_OUT, leave, welcome
from door.control.idtoken import LEEWAY, Expected, claims_of, key_id
from door.control.provider import Document, NoProviderError, NotProvenError, Provider
from door.control.refusing import SEE_OTHER, SIGN_IN
from door.control.sessions import cookie_values
from door.control.settings import Oidc

START = "/.door/oidc"
BACK = "/.door/oidc/back"
SIGNED_OUT = "/.door/signed-out"
SECRET = "oidc-client-secret"  # noqa: S105 - a file's name
_TRY = "fleet-oidc-"
_HINT = "fleet-hint"
_TRY_SECONDS = 15 * 60
_TRIES = 4
_LONGEST_NEXT = 1000
# The token names a person to the provider when they sign out; a longer one is left out.
_LONGEST_HINT = 3000
_HINT_SECONDS = 90 * 24 * 3600
_LONGEST_LOGIN = 256
_STATE = re.compile(r"[A-Za-z0-9_-]{32}")
_NO_STORE = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
# What a provider says of itself, not of a person (OpenID Connect, RFC 6749 4.1.2.1).
_AWAY = {"server_error", "temporarily_unavailable"}
_log = logging.getLogger("door.sign-in")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Try:
    """One way to the provider and back, as the browser keeps it, signed."""

    state: str
    nonce: str
    verifier: str
    next: str


def routes(context: Context, provider: Provider | None = None) -> list[Route]:
    """Return the routes of the front; raises ValueError where a setting is missing."""
    settings, secret = context.settings.oidc, context.secrets.get(SECRET, "")
    if settings is None or not secret:
        missing = "oidc" if settings is None else SECRET
        raise ValueError(f"{missing}: missing: sign-in by a provider needs it")
    way = _Way(context, settings, provider or Provider(settings, secret, context.moment))
    return [
        Route(SIGN_IN, way.show, methods=["GET"]),
        Route(START, way.start, methods=["GET"]),
        Route(BACK, way.back, methods=["GET"]),
        Route(SIGN_OUT, way.sign_out, methods=["POST"]),
        Route(SIGNED_OUT, way.signed_out, methods=["GET"]),
    ]


class _Way:
    def __init__(self, context: Context, settings: Oidc, provider: Provider) -> None:
        self._context = context
        self._settings = settings
        self._provider = provider
        self._signer = context.keys.signer("oidc")

    async def show(self, request: Request) -> Response:
        """Show the page with one button; nobody is sent to the provider unasked."""
        next_path = local_path(request.query_params.get("next"))
        if self._is_in(request):
            return RedirectResponse(next_path, SEE_OTHER, _NO_STORE)
        form = SignInForm(action=SIGN_IN, next=next_path)
        start = f"{START}?{urlencode({'next': next_path})}"
        return self._context.pages.sign_in(request, form, start)

    async def start(self, request: Request) -> Response:
        """Send a browser to the provider."""
        next_path = local_path(request.query_params.get("next"))
        other = "other" in request.query_params
        if self._is_in(request) and not other:
            return RedirectResponse(next_path, SEE_OTHER, _NO_STORE)
        try:
            document = await self._provider.document()
        except NoProviderError as error:
            return self._away(request, error)
        one = _Try(
            state=secrets.token_urlsafe(24),
            nonce=secrets.token_urlsafe(24),
            verifier=secrets.token_urlsafe(48),
            next=next_path if len(next_path) <= _LONGEST_NEXT else "/",
        )
        response = RedirectResponse(self._there(document, one, other), SEE_OTHER, _NO_STORE)
        names = self._tries(request)
        for name in names if len(names) >= _TRIES else ():
            self._set(response, name, "", 0)
        values = {
            "s": one.state,
            "n": one.nonce,
            "v": one.verifier,
            "x": one.next,
            "t": int(self._context.now().timestamp()),
        }
        self._set(response, self._name(one.state), self._signer.sign(values), _TRY_SECONDS)
        return response

    async def back(self, request: Request) -> Response:
        """Take what the provider sends a browser back with."""
        one = self._begun(request)
        if one is None:
            if self._is_in(request):
                return RedirectResponse("/", SEE_OTHER, _NO_STORE)
            if not self._tries(request):
                # Opened again, or a browser that keeps nothing: both are told the same.
                return self._refused(request, "nothing was begun in this browser")
            return self._refused(request, "the state is not the one that was sent")
        try:
            response = await self._answered(request, one)
        except NoProviderError as error:
            response = self._away(request, error)
        except NotProvenError as error:
            response = self._refused(request, str(error))
        # A way is gone once, whatever came of it.
        self._set(response, self._name(one.state), "", 0)
        return response

    async def sign_out(self, request: Request) -> Response:
        """Sign out here, then at the provider where it can be asked."""
        hints = self._cookies(request, self._context.sessions.cookie_name(_HINT))
        forgotten = await leave(self._context, request)
        onward: str | None = None
        try:
            where = (await self._provider.document()).sign_out
        except NoProviderError as error:
            _log.warning("signed out here and not at the provider: %s", error)
        else:
            onward = None if where is None else self._farewell(where, hints)
        response = self._context.pages.signed_out(request, onward)
        response.headers.append("Set-Cookie", forgotten)
        self._set(response, self._context.sessions.cookie_name(_HINT), "", 0)
        return response

    async def signed_out(self, request: Request) -> Response:
        """Show the page that the provider sends back to."""
        return self._context.pages.signed_out(request)

    async def _answered(self, request: Request, one: _Try) -> Response:
        query = request.query_params
        document = await self._provider.document()
        issuer = query.get("iss")
        if issuer != document.issuer and (issuer is not None or document.names_itself):
            raise NotProvenError("another issuer answers")
        error = query.get("error")
        if error is not None:
            more = f"{one_line(error, 60)} {one_line(query.get('error_description'), 200)}".strip()
            raise (NoProviderError if error in _AWAY else NotProvenError)(f"it says: {more}")
        back = self._context.settings.front + BACK
        granted = await self._provider.exchange(query.get("code", ""), one.verifier, back)
        expected = Expected(
            issuer=document.issuer,
            client_id=self._settings.client_id,
            nonce=one.nonce,
            algorithms=document.algorithms,
        )
        keys = await self._provider.keys(key_id(granted.identity))
        claims = claims_of(granted.identity, keys, expected, self._context.now())
        login = await self._login(claims, granted.access)
        return self._arrived(request, login, one.next, granted.identity)

    async def _login(self, claims: dict[str, Any], access: str | None) -> str:
        """Return the claim that is a user's login; raises NotProvenError without one."""
        name = self._settings.claim
        if name not in claims:
            said = await self._provider.person(access)
            # Tokens and answers of two people must not be mixed.
            if said and said.get("sub") != claims["sub"]:
                raise NotProvenError("the provider speaks of somebody else")
            claims = said
        login = claims.get(name)
        if not isinstance(login, str) or not 0 < len(login) <= _LONGEST_LOGIN:
            raise NotProvenError(f"the provider gives no claim {name} (scopes, claim)")
        if name == "email" and claims.get("email_verified") is False:
            raise NotProvenError("the provider has not checked the address itself")
        return login

    def _arrived(self, request: Request, login: str, next_path: str, token: str) -> Response:
        runtime = self._context.world.by_login(login)
        if runtime is None:
            FAILED_SIGN_INS.labels("oidc", "no").inc()
            _log.warning("sign-in failed (oidc): %r has no workspace", one_line(login, 128))
            again = f"{self._context.settings.front}{START}?other=1"
            response = self._context.pages.nobody(request, login, again)
        else:
            response = welcome(self._context, request, runtime, next_path)
        if len(token) <= _LONGEST_HINT:
            self._set(response, self._context.sessions.cookie_name(_HINT), token, _HINT_SECONDS)
        return response

    def _there(self, document: Document, one: _Try, other: bool) -> str:
        digest = hashlib.sha256(one.verifier.encode()).digest()
        query = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": self._context.settings.front + BACK,
            "scope": " ".join(self._settings.scopes),
            "state": one.state,
            "nonce": one.nonce,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        if other:
            query["prompt"] = "login"
        return _with(document.authorization, query)

    def _farewell(self, where: str, hints: list[str]) -> str:
        query = {
            "client_id": self._settings.client_id,
            "post_logout_redirect_uri": self._context.settings.front + SIGNED_OUT,
        }
        if len(hints) == 1 and re.fullmatch(r"[A-Za-z0-9_.-]+", hints[0]):
            query["id_token_hint"] = hints[0]
        return _with(where, query)

    def _begun(self, request: Request) -> _Try | None:
        """Return what this browser began, which an answer must belong to."""
        state = request.query_params.get("state", "")
        if not _STATE.fullmatch(state):
            return None
        texts = self._cookies(request, self._name(state))
        values = self._signer.read(texts[0]) if len(texts) == 1 else None
        if values is None or not hmac.compare_digest(values["s"], state):
            return None
        age = self._context.now().timestamp() - values["t"]
        if not -LEEWAY.total_seconds() <= age <= _TRY_SECONDS:
            return None
        return _Try(state=state, nonce=values["n"], verifier=values["v"], next=values["x"])

    def _is_in(self, request: Request) -> bool:
        visitor = self._context.visitor(request)
        return visitor is not None and visitor.session is not None

    def _name(self, state: str) -> str:
        """Return the cookie of one way: two tabs may be on theirs at once."""
        return self._context.sessions.cookie_name(_TRY + state[:8])

    def _tries(self, request: Request) -> list[str]:
        start = self._context.sessions.cookie_name(_TRY)
        pairs = ";".join(request.headers.getlist("cookie")).split(";")
        names = {pair.strip().partition("=")[0] for pair in pairs}
        return sorted(name for name in names if name.startswith(start))

    def _set(self, response: Response, name: str, value: str, age: int) -> None:
        response.headers.append("Set-Cookie", self._context.sessions.set_cookie(name, value, age))

    @staticmethod
    def _cookies(request: Request, name: str) -> list[str]:
        return cookie_values(request.headers.getlist("cookie"), name)

    def _refused(self, request: Request, reason: str) -> Response:
        asked: Asked = request.scope["door.asked"]
        FAILED_SIGN_INS.labels("oidc", "no").inc()
        _log.warning("sign-in failed (oidc): from %s: %s", asked.address, reason)
        return self._context.pages.refused(request, Refusal.NOT_PROVEN, None)

    def _away(self, request: Request, error: NoProviderError) -> Response:
        _log.warning("the provider cannot be asked: %s", error)
        return self._context.pages.refused(request, Refusal.NO_PROVIDER, None)


def _with(url: str, query: dict[str, str]) -> str:
    """Return a provider's address with more in its query, which may hold something already."""
    return f"{url}{'&' if urlsplit(url).query else '?'}{urlencode(query)}"
