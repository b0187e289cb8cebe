"""What every handler of the door is given, and the words that the rooms share.

Owns: `Context`, who is asking (`Visitor`), why somebody is refused (`Refusal`), what the pages have
to offer (`Pages`), the one shape of errors in JSON. Leaves out: how each of them is decided.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from door.control.settings import Settings
from door.control.world import Runtime, World

if TYPE_CHECKING:
    from door.control.credentials import Credentials
    from door.control.grants import Grants
    from door.control.keys import Keys
    from door.control.sessions import Session, Sessions
    from door.control.slowing import Slowing
    from door.control.tickets import Tickets
    from door.control.tokens import Tokens


class Proof(StrEnum):
    """By what somebody showed who they are."""

    SESSION = "session"
    PASSWORD = "password"  # noqa: S105 - a word, no secret
    TOKEN = "token"  # noqa: S105 - a word, no secret
    SERVICE = "service"


@dataclass(frozen=True, kw_only=True, slots=True)
class Visitor:
    """Who is asking. Everything is done for this user, whoever sends it."""

    runtime: Runtime
    """The user and their runtime, as of now."""
    proof: Proof
    session: Session | None = None
    """Of a browser; None for a program."""
    service: str | None = None
    """Name of the service token, where a service acts for the user."""


class Refusal(StrEnum):
    """Why a request does not reach a runtime."""

    SIGNED_OUT = "signed-out"
    WRONG_CREDENTIAL = "wrong-credential"
    SLOWED = "slowed"
    UNKNOWN = "unknown"
    """No such workspace, or not the visitor's: both look the same."""
    CROSS_SITE = "cross-site"
    WAKING = "waking"
    """Asleep or starting; it is being woken where `Pages.waking` is shown."""
    SUSPENDED = "suspended"
    FAILING = "failing"
    UNREACHABLE = "unreachable"
    """The runtime is there and does not answer."""
    TOO_LARGE = "too-large"
    NO_COOKIES = "no-cookies"
    """The browser keeps no cookie, so nobody can sign in."""
    NOT_NAMED = "not-named"
    """The company's proxy in front says nothing of who it is."""
    NOT_PROVEN = "not-proven"
    """What came back from the provider proves nothing."""
    NO_PROVIDER = "no-provider"
    """The provider does not answer."""


STATUS: Mapping[Refusal, int] = {
    Refusal.SIGNED_OUT: 401,
    Refusal.WRONG_CREDENTIAL: 401,
    Refusal.SLOWED: 429,
    Refusal.UNKNOWN: 404,
    Refusal.CROSS_SITE: 403,
    Refusal.WAKING: 503,
    Refusal.SUSPENDED: 403,
    Refusal.FAILING: 503,
    Refusal.UNREACHABLE: 502,
    Refusal.TOO_LARGE: 413,
    Refusal.NO_COOKIES: 400,
    Refusal.NOT_NAMED: 403,
    Refusal.NOT_PROVEN: 400,
    Refusal.NO_PROVIDER: 503,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class SignInForm:
    """What the sign-in page shows. It posts `user`, `password` and `next` to `action`."""

    action: str
    next: str
    """Path and query to go to afterwards, checked: of this host."""
    user: str = ""
    """What was typed before."""
    refusal: Refusal | None = None
    """WRONG_CREDENTIAL or SLOWED after a failed attempt."""
    wait: int = 0
    """Seconds until the next attempt counts, when SLOWED."""


class Pages(Protocol):
    """Pages for people. Each returns a whole response, its status included."""

    def sign_in(self, request: Request, form: SignInForm, provider: str | None = None) -> Response:
        """Return the sign-in page of the front; with a provider's path it asks no password."""
        ...

    def nobody(self, request: Request, login: str, again: str | None = None) -> Response:
        """Return the page of somebody who is not in the roster; `again` signs in as another."""
        ...

    def signed_out(self, request: Request, onward: str | None = None) -> Response:
        """Return the page after signing out; it goes on by itself to `onward`."""
        ...

    def waking(self, request: Request, runtime: Runtime) -> Response:
        """Return the page that waits for a runtime (503, Retry-After) and goes on by itself."""
        ...

    def refused(self, request: Request, refusal: Refusal, runtime: Runtime | None) -> Response:
        """Return the page of a refusal; `runtime` only where the visitor may know of it."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Serving:
    """Where the door's own parts listen, and what control serves on users' hosts itself."""

    control: str = "127.0.0.1:8081"
    relay: str = "127.0.0.1:8082"
    health: str = "0.0.0.0:9090"
    on_workspaces: frozenset[tuple[str, str]] = frozenset()
    """Method and path of what is decided as ever, and then answered by control, not passed on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """What every handler is given."""

    settings: Settings
    secrets: Mapping[str, str] = field(repr=False)
    world: World
    keys: Keys
    sessions: Sessions
    tickets: Tickets
    tokens: Tokens
    credentials: Credentials
    slowing: Slowing
    grants: Grants
    pages: Pages
    serving: Serving
    now: Callable[[], datetime]
    """The time, with its zone (UTC)."""
    moment: Callable[[], float]
    """Seconds of a clock that only ever grows."""

    def visitor(self, request: Request) -> Visitor | None:
        """Return who is asking a handler of the front or of a user's host.

        The door has checked it before any handler runs; None is somebody who shows nothing.
        """
        return request.scope.get("door.visitor")

    def host_of(self, runtime: Runtime) -> str:
        """Return the origin of a user's workspace, without a slash at its end."""
        return self.settings.origin(runtime.host(self.settings.domain))


def problem(
    status: int, code: str, message: str, *, retry_after: int | None = None
) -> JSONResponse:
    """Return an error as programs get it: `{"error": {"code": …, "message": …}}`."""
    headers = {"Cache-Control": "no-store"}
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers)
