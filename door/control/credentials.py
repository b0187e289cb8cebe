"""What programs show: Basic with a user's password, a personal token, a service's token.

Browsers have a session instead. Whatever a browser's headers mark as its own is never believed by
such a credential: browsers remember Basic credentials and send them for foreign pages.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import math
from dataclasses import dataclass

from door.control.asking import Asked
from door.control.context import Proof, Refusal, Visitor
from door.control.keys import Keys
from door.control.slowing import Attempt, Slowing
from door.control.tokens import Tokens
from door.control.world import Runtime, World

USER_HEADER = "x-user-id"
# Compared with what is typed for somebody who is not there, so that both take as long.
_NOBODY = "nobody"


@dataclass(frozen=True, kw_only=True, slots=True)
class Denied:
    """A credential was shown and is not good."""

    refusal: Refusal
    wait: int = 0
    """Seconds until another try counts."""


class Credentials:
    """Judges what programs show."""

    def __init__(self, world: World, keys: Keys, tokens: Tokens, slowing: Slowing) -> None:
        """All four belong to one context."""
        self._world = world
        self._keys = keys
        self._tokens = tokens
        self._slowing = slowing

    async def judge(self, asked: Asked) -> Visitor | Denied | None:
        """Return who a program acts for; None when it shows nothing."""
        if "authorization" not in asked.headers or asked.marked_by_browser:
            return None
        scheme, _, value = (asked.one("authorization") or "").partition(" ")
        match scheme.lower():
            case "basic" if asked.from_browser:
                # On plain http browsers mark nothing, and send what they remember all the same.
                return None
            case "basic":
                return await self._basic(asked, value.strip())
            case "bearer":
                return await self._bearer(asked, value.strip())
            case _:
                return Denied(refusal=Refusal.WRONG_CREDENTIAL)

    async def password(self, attempt: Attempt, password: str) -> Runtime | Denied:
        """Return whose password it is: constant time, slowed after failures."""
        wait = self._slowing.wait(attempt)
        if wait > 0:
            return Denied(refusal=Refusal.SLOWED, wait=math.ceil(wait))
        runtime = self._world.by_id(attempt.user)
        expected = (
            self._keys.password(runtime.id, runtime.password_version)
            if runtime is not None
            else self._keys.password(_NOBODY, 0)
        )
        same = hmac.compare_digest(expected.encode(), password.encode())
        if runtime is None or not same:
            await self._slowing.failed(attempt)
            return Denied(refusal=Refusal.WRONG_CREDENTIAL)
        self._slowing.succeeded(attempt)
        return runtime

    async def _basic(self, asked: Asked, value: str) -> Visitor | Denied:
        try:
            text = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, ValueError):
            return Denied(refusal=Refusal.WRONG_CREDENTIAL)
        user, _, password = text.partition(":")
        owner = self._tokens.user_of(password)
        if owner is not None and owner.id == user:
            # Programs that know Basic alone, `opencode attach` is one, show a token this way.
            return Visitor(runtime=owner, proof=Proof.TOKEN)
        attempt = Attempt(user=user, address=asked.address, way="basic")
        runtime = await self.password(attempt, password)
        if isinstance(runtime, Denied):
            return runtime
        return Visitor(runtime=runtime, proof=Proof.PASSWORD)

    async def _bearer(self, asked: Asked, value: str) -> Visitor | Denied:
        runtime = self._tokens.user_of(value)
        if runtime is not None:
            return Visitor(runtime=runtime, proof=Proof.TOKEN)
        service = self._tokens.service_of(value)
        if service is not None:
            return self._acting(asked, service)
        await self._slowing.failed(Attempt(user="", address=asked.address, way="bearer"))
        return Denied(refusal=Refusal.WRONG_CREDENTIAL)

    def _acting(self, asked: Asked, service: str) -> Visitor | Denied:
        """Return the user that a service names; the header is UTF-8, as ids are any text."""
        named = (asked.one(USER_HEADER) or "").encode("latin-1").decode(errors="replace")
        runtime = self._world.by_id(named)
        if runtime is None:
            return Denied(refusal=Refusal.UNKNOWN)
        return Visitor(runtime=runtime, proof=Proof.SERVICE, service=service)
