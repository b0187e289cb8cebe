"""The way from a click on a scene to its chat, over a workspace that may have to wake first.

A click is a POST, which pages elsewhere cannot make; what waits after it is a page that loads
itself again, which is a GET. The signed click in its address is what the click allowed: one
chat, for that user, for some minutes. Loading it twice finds the same chat.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta

from door.control.context import Context
from door.control.sessions import CLOCK_LEEWAY
from door.control.world import Runtime, Scene

LIFETIME = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Click:
    """One click on a scene."""

    user: str
    scene: str
    key: str
    """Names the chat that is made, so that it is made once."""


class Clicks:
    """Signs clicks and reads them back."""

    def __init__(self, context: Context) -> None:
        """Clicks are signed by a key of their own."""
        self._signer = context.keys.signer("click")
        self._now = context.now

    def sign(self, runtime: Runtime, scene: Scene) -> tuple[Click, str]:
        """Return a new click, and as the text that stands in an address."""
        click = Click(runtime.id, scene.id, secrets.token_urlsafe(12))
        begun = int(self._now().timestamp())
        values = {"u": click.user, "s": click.scene, "k": click.key, "t": begun}
        return click, self._signer.sign(values)

    def read(self, text: str, runtime: Runtime) -> Click | None:
        """Return the click of a text while it holds, and only to the user who clicked."""
        values = self._signer.read(text)
        if values is None or values["u"] != runtime.id:
            return None
        age = self._now().timestamp() - values["t"]
        if not -CLOCK_LEEWAY.total_seconds() <= age <= LIFETIME.total_seconds():
            return None
        return Click(values["u"], values["s"], values["k"])
