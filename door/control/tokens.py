"""Tokens of programs: personal ones that a user makes, those of services that are sealed.

A personal token is listed nowhere: raising the user's `passwordVersion` ends all of that user, and
`sessions.version` those of everybody.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from datetime import datetime

from door.control.keys import Keys
from door.control.settings import Settings
from door.control.world import Runtime, World

PREFIX = "fleet_"
SERVICE_PREFIX = "service-token-"


class Tokens:
    """Makes and reads them."""

    def __init__(
        self, settings: Settings, keys: Keys, world: World, given: Mapping[str, str]
    ) -> None:
        """Service tokens are the secrets named `service-token-<name>`."""
        self._world = world
        self._signer = keys.signer(f"token {settings.sessions.version}")
        self._services = {
            name.removeprefix(SERVICE_PREFIX): token.encode()
            for name, token in given.items()
            if name.startswith(SERVICE_PREFIX) and token
        }

    def personal(self, runtime: Runtime, now: datetime) -> str:
        """Return a new token that acts for a user; it is shown once."""
        values = {
            "u": runtime.id,
            "p": runtime.password_version,
            "t": int(now.timestamp()),
            "i": secrets.token_urlsafe(9),
        }
        return PREFIX + self._signer.sign(values)

    def user_of(self, text: str) -> Runtime | None:
        """Return whose personal token a text is."""
        if not text.startswith(PREFIX):
            return None
        values = self._signer.read(text.removeprefix(PREFIX))
        runtime = self._world.by_id(values["u"]) if values is not None else None
        if runtime is None or values is None or runtime.password_version != values["p"]:
            return None
        return runtime

    def service_of(self, text: str) -> str | None:
        """Return the name of the service whose token a text is; all are compared."""
        sent = text.encode()
        names = [name for name, token in self._services.items() if hmac.compare_digest(token, sent)]
        return names[0] if names else None
