"""From a template and values to an answer: escaping, words, the headers that guard a page.

Owns: the environment of the templates, the style sheet and the script with their names, the
content security policy. Leaves out: what a page says, which is `refusals`, `front` and `people`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from door.control.pages.languages import told, translator, words_for
from door.control.settings import Settings
from door.control.world import Runtime

_HERE = Path(__file__).parent
STATIC = "/.door/static"
SIGN_OUT = "/.door/sign-out"
_KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_FOR_EVER = "public, max-age=31536000, immutable"


class Rendering:
    """Renders the pages of one environment."""

    def __init__(self, settings: Settings, now: Callable[[], datetime]) -> None:
        """Read the templates and assets; both are in memory from then on."""
        self._settings = settings
        self._now = now
        self._assets = {path.name: path.read_bytes() for path in (_HERE / "static").iterdir()}
        self._names = {name: _hashed(name, body) for name, body in self._assets.items()}
        self._templates = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            auto_reload=False,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._policy = _policy(settings)

    def render(
        self,
        request: Request,
        template: str,
        *,
        viewer: Runtime | None = None,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **values: object,
    ) -> HTMLResponse:
        """Return a page in the reader's language."""
        t = translator(words_for(request.headers.get("accept-language", "")))
        text = self._templates.get_template(template).render(
            t=t,
            ago=partial(told, now=self._now(), t=t),
            asset=self.asset,
            front=self._settings.front,
            sign_out=self._settings.front + SIGN_OUT,
            notice=self._settings.notice,
            environment=self._settings.environment,
            viewer=viewer,
            **values,
        )
        return HTMLResponse(text, status, {**self._guards(), **(headers or {})})

    def asset(self, name: str) -> str:
        """Return the path of a file that pages load; it changes with the content."""
        return f"{STATIC}/{self._names[name]}"

    def routes(self) -> list[Route]:
        """Return the route of the style sheet, the script and the mark."""
        by_path = {hashed: name for name, hashed in self._names.items()}

        async def serve(request: Request) -> Response:
            name = by_path.get(request.path_params["name"])
            if name is None:
                return Response(status_code=404, headers={"Cache-Control": "no-store"})
            headers = {"Cache-Control": _FOR_EVER, "X-Content-Type-Options": "nosniff"}
            kind = _KINDS[Path(name).suffix]
            return Response(self._assets[name], media_type=kind, headers=headers)

        return [Route(f"{STATIC}/{{name}}", serve, methods=["GET"])]

    def _guards(self) -> dict[str, str]:
        return {
            "Content-Security-Policy": self._policy,
            "Cache-Control": "no-store",
            "Vary": "Accept-Language",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
        }


def _hashed(name: str, body: bytes) -> str:
    stem, _, kind = name.partition(".")
    return f"{stem}.{hashlib.sha256(body).hexdigest()[:12]}.{kind}"


def _policy(settings: Settings) -> str:
    """Return the content security policy of every page.

    Forms may lead to users' hosts: browsers hold redirects after a form to `form-action` too, and
    opening a scene ends on one.
    """
    users = settings.origin(f"*.{settings.domain}")
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
        f"form-action 'self' {settings.front} {users}"
    )
