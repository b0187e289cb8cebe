"""The way from a click on a scene to its chat, over a workspace that may have to wake first.

A click is a POST, which pages elsewhere cannot make; what waits after it is a page that loads
itself again, which is a GET. The signed opening in its address is what the click allowed: one
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
class Opening:
    """One click on a scene."""

    user: str
    scene: str
    key: str
    """Names the chat that is made, so that it is made once."""


class Openings:
    """Signs clicks and reads them back."""

    def __init__(self, context: Context) -> None:
        """Openings are signed by a key of their own."""
        self._signer = context.keys.signer("opening")
        self._now = context.now

    def sign(self, runtime: Runtime, scene: Scene) -> tuple[Opening, str]:
        """Return a new opening, and as the text that stands in an address."""
        opening = Opening(runtime.id, scene.id, secrets.token_urlsafe(12))
        begun = int(self._now().timestamp())
        values = {"u": opening.user, "s": opening.scene, "k": opening.key, "t": begun}
        return opening, self._signer.sign(values)

    def read(self, text: str, runtime: Runtime) -> Opening | None:
        """Return the opening of a text while it holds, and only to the user who clicked."""
        values = self._signer.read(text)
        if values is None or values["u"] != runtime.id:
            return None
        age = self._now().timestamp() - values["t"]
        if not -CLOCK_LEEWAY.total_seconds() <= age <= LIFETIME.total_seconds():
            return None
        return Opening(values["u"], values["s"], values["k"])
