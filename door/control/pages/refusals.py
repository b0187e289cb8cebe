"""The pages that stand in for a workspace: sign-in, waking, and every kind of no.

Owns: `DoorPages`, which is what `context.Pages` asks for. Leaves out: who is refused, and why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from door.control.asking import local_path
from door.control.bounded import one_line
from door.control.context import STATUS, Refusal, SignInForm
from door.control.pages.languages import translator, words_for
from door.control.pages.rendering import Rendering
from door.control.settings import Settings
from door.control.world import Phase, Runtime

STATE = "/.door/state"
SIGN_IN = "/.door/sign-in"
LARGEST = "100 MB"
_AGAIN_SECONDS = 3
# Which words; the rest follows from the refusal.
_WORDS = {
    Refusal.SIGNED_OUT: "ended",
    Refusal.WRONG_CREDENTIAL: "ended",
    Refusal.SLOWED: "slowed",
    Refusal.UNKNOWN: "not-found",
    Refusal.CROSS_SITE: "refused",
    Refusal.SUSPENDED: "waking.suspended",
    Refusal.UNREACHABLE: "unavailable",
    Refusal.TOO_LARGE: "too-large",
    Refusal.NO_COOKIES: "no-cookies",
    Refusal.NOT_NAMED: "not-named",
    Refusal.NOT_PROVEN: "not-proven",
    Refusal.NO_PROVIDER: "no-provider",
}
_SIGN_IN_AGAIN = {
    Refusal.SIGNED_OUT,
    Refusal.WRONG_CREDENTIAL,
    Refusal.NO_COOKIES,
    Refusal.NOT_NAMED,
    Refusal.NOT_PROVEN,
    Refusal.NO_PROVIDER,
}
_TRY_AGAIN = {Refusal.UNREACHABLE, Refusal.SLOWED}


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """A page of a title, a sentence or two and one link."""

    words: str
    """Which title and lead."""
    status: int
    link: str | None = None
    """Where the link leads; the front page without one."""
    link_text: str = "back"
    values: Mapping[str, object] = field(default_factory=dict[str, object])
    """What stands in the texts."""
    more: str | None = None
    """Words of a second sentence."""
    reason: str | None = None
    """What somebody else said: data, shown as it is."""


class DoorPages:
    """Pages for people; each returns a whole response, its status included."""

    def __init__(
        self, settings: Settings, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        """Read the templates."""
        self._settings = settings
        self.rendering = Rendering(settings, now)

    def sign_in(self, request: Request, form: SignInForm, provider: str | None = None) -> Response:
        """Return the sign-in page; with a provider's path it asks for no password."""
        t = translator(words_for(request.headers.get("accept-language", "")))
        said = {
            None: None,
            Refusal.SLOWED: t("sign-in.slowed", seconds=max(1, form.wait)),
        }.get(form.refusal, t("sign-in.wrong"))
        status = 200 if form.refusal is None else STATUS[form.refusal]
        out = form.refusal is None and "out" in request.query_params
        headers = (
            {"Retry-After": str(max(1, form.wait))} if status == STATUS[Refusal.SLOWED] else {}
        )
        return self.rendering.render(
            request,
            "sign_in.html",
            status=status,
            headers=headers,
            action=form.action,
            next=form.next,
            user=one_line(form.user, 128),
            problem=said,
            said=t("sign-in.out") if out else None,
            provider=provider,
        )

    def waking(self, request: Request, runtime: Runtime) -> Response:
        """Return the page that waits for a runtime (503, Retry-After) and goes on by itself."""
        back = local_path(request.headers.get("x-door-uri", request.url.path))
        return self.wait(request, runtime, then=back)

    def wait(
        self,
        request: Request,
        runtime: Runtime,
        *,
        then: str,
        scene: str | None = None,
        refused: str | None = None,
    ) -> Response:
        """Return the waking page that goes on to `then`; `refused` says why nothing wakes."""
        failed = refused is not None or runtime.phase is Phase.FAILING
        return self.rendering.render(
            request,
            "waking.html",
            status=503,
            headers={"Retry-After": str(_AGAIN_SECONDS)},
            every=_AGAIN_SECONDS,
            watch=STATE,
            then=then,
            scene=scene,
            failed=failed,
            title="waking.failed.title" if failed else "waking.title",
            lead="waking.failed.lead" if failed else "waking.lead",
            reason=one_line(refused or runtime.reason),
        )

    def refused(self, request: Request, refusal: Refusal, runtime: Runtime | None) -> Response:
        """Return the page of a refusal; `runtime` only where the visitor may know of it."""
        if runtime is not None and refusal in {Refusal.WAKING, Refusal.FAILING}:
            return self.waking(request, runtime)
        words = _WORDS.get(refusal, "unavailable")
        link, link_text = self._settings.front + "/", "back"
        if refusal in _SIGN_IN_AGAIN:
            link, link_text = self._settings.front + SIGN_IN, "signed-out.again"
        elif refusal in _TRY_AGAIN:
            link = local_path(request.headers.get("x-door-uri", request.url.path))
            link_text = "waking.retry"
        message = Message(
            words=words,
            status=STATUS[refusal],
            link=link,
            link_text=link_text,
            values={"limit": LARGEST},
        )
        return self.message(request, message)

    def nobody(self, request: Request, login: str, again: str | None = None) -> Response:
        """Return the page for somebody whom the provider knows and the roster does not.

        `again` is where one signs in as somebody else.
        """
        message = Message(
            words="nobody",
            status=403,
            values={"login": one_line(login, 128)},
            more="nobody.ask",
            link=again,
            link_text="back" if again is None else "signed-out.again",
        )
        return self.message(request, message)

    def signed_out(self, request: Request, onward: str | None = None) -> Response:
        """Return the page after signing out; it goes on by itself to `onward`."""
        link = self._settings.front + SIGN_IN
        message = Message(words="signed-out", status=200, link=link, link_text="signed-out.again")
        response = self.message(request, message)
        if onward is not None:
            # Not a redirect: browsers hold those after a form to this host (`form-action`).
            response.headers["Refresh"] = f"0; url={onward}"
        return response

    def message(
        self, request: Request, message: Message, viewer: Runtime | None = None
    ) -> Response:
        """Return a page of a title, a sentence or two and one link."""
        t = translator(words_for(request.headers.get("accept-language", "")))
        return self.rendering.render(
            request,
            "message.html",
            status=message.status,
            viewer=viewer,
            title=t(f"{message.words}.title"),
            lead=t(f"{message.words}.lead", **message.values),
            more=None if message.more is None else t(message.more, **message.values),
            reason=one_line(message.reason),
            link=message.link or self._settings.front + "/",
            link_text=t(message.link_text),
        )
