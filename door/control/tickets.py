"""The way from the front to a user's host: a ticket for one browser, one host, used once.

Owns: the nonce that ties a ticket to the browser which asked for it, the ticket, what makes one
void. Two replicas do not know each other's used tickets; the nonce, which its use clears, is what
no second use has.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from door.control.asking import local_path
from door.control.keys import Keys
from door.control.sessions import CLOCK_LEEWAY, Session, session_of

LIFETIME = timedelta(seconds=30)
NONCE_COOKIE = "fleet-way"
NONCE_SECONDS = 900
_NONCE = re.compile(r"[0-9A-Za-z_-]{43}")
_USED = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """What a good ticket gives."""

    session: Session
    next: str
    """Path to go to."""


class Tickets:
    """Mints and redeems."""

    def __init__(self, keys: Keys) -> None:
        """Tickets are signed by a key of their own."""
        self._signer = keys.signer("ticket")
        self._used: OrderedDict[str, None] = OrderedDict()

    def mint(self, session: Session, host: str, mark: str, next_path: str, now: datetime) -> str:
        """Return a ticket for the browser whose nonce has this mark."""
        values: dict[str, Any] = {
            "i": secrets.token_urlsafe(12),
            "t": int(now.timestamp()),
            "h": host,
            "m": mark,
            "q": next_path,
            "c": session.values,
        }
        return self._signer.sign(values)

    def redeem(self, text: str, host: str, nonces: list[str], now: datetime) -> Entry | None:
        """Return what a ticket gives on its host to the browser it was made for, once."""
        values = self._signer.read(text)
        if values is None or values["h"] != host or len(nonces) != 1:
            return None
        age = now.timestamp() - values["t"]
        leeway = CLOCK_LEEWAY.total_seconds()
        if not -leeway <= age <= LIFETIME.total_seconds() + leeway:
            return None
        if not hmac.compare_digest(nonce_mark(nonces[0]), values["m"]):
            return None
        if values["i"] in self._used:
            return None
        self._used[values["i"]] = None
        if len(self._used) > _USED:
            self._used.popitem(last=False)
        session = replace(session_of(values["c"]), host=host)
        return Entry(session=session, next=local_path(values["q"]))


def new_nonce(sent: list[str]) -> str:
    """Return the browser's nonce, else a new one: two tabs that sign in at once share it."""
    return sent[0] if len(sent) == 1 and _NONCE.fullmatch(sent[0]) else secrets.token_urlsafe(32)


def nonce_mark(nonce: str) -> str:
    """Return what of a nonce may stand in a URL."""
    return sha256(nonce.encode()).hexdigest()
