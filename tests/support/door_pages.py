"""Pages of the door that say in plain words which they are; the real ones have tests of their own.

Short because a test of a decision asks which page, not how it looks.
"""

from __future__ import annotations

from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from door.control.context import STATUS, Refusal, SignInForm
from door.control.world import Runtime


class PlainPages:
    """Pages of one line."""

    def sign_in(self, request: Request, form: SignInForm) -> Response:
        assert request.url.path == form.action
        told = f"sign in: {form.refusal.value if form.refusal else 'please'} {form.wait}"
        fields = "".join(
            f"<input name={name} value='{escape(value)}'>"
            for name, value in (("user", form.user), ("password", ""), ("next", form.next))
        )
        page = f"<p>{told}</p><form method=post action={form.action}>{fields}<button>in</button>"
        return HTMLResponse(page, STATUS[form.refusal] if form.refusal else 200)

    def waking(self, request: Request, runtime: Runtime) -> Response:
        assert request.method == "GET"
        return HTMLResponse(f"waking: {runtime.slug}", 503, {"Retry-After": "3"})

    def refused(self, request: Request, refusal: Refusal, runtime: Runtime | None) -> Response:
        assert request.method == "GET" or runtime is None
        about = runtime.slug if runtime is not None else "nobody"
        return HTMLResponse(f"refused: {refusal.value}: {about}", STATUS[refusal])
