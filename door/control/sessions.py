"""Sessions of browsers: one signed cookie a host, kept nowhere but in the browser.

Owns: the cookie, time-outs, what ends a session. The front and the user's host each have a cookie
of their own with the same session id, so signing out ends both. Leaves out: how somebody signs in.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from door.control.keys import Keys, Signer
from door.control.settings import Settings
from door.control.world import Runtime, World

# How far the clocks of two replicas may be apart.
CLOCK_LEEWAY = timedelta(seconds=150)
# A browser sends what others planted beside its own cookie; more than these are not looked at.
_COOKIES_READ = 8
_REMEMBERED = 20_000
# A session in use is written anew after a tenth of its idle time, after five minutes at most.
_WRITTEN_ANEW = timedelta(minutes=5)
_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """A signed-in browser on one host."""

    user: str
    id: str
    host: str
    begun: int
    """Unix seconds."""
    seen: int
    """Unix seconds of the last use that is written in the cookie."""
    password_version: int

    @property
    def values(self) -> dict[str, Any]:
        """What is signed."""
        return {
            "u": self.user,
            "s": self.id,
            "h": self.host,
            "b": self.begun,
            "n": self.seen,
            "p": self.password_version,
        }


def session_of(values: dict[str, Any]) -> Session:
    """Return the session of signed values; raises KeyError for values of something else."""
    return Session(
        user=values["u"],
        id=values["s"],
        host=values["h"],
        begun=values["b"],
        seen=values["n"],
        password_version=values["p"],
    )


class Sessions:
    """Begins, reads and ends sessions."""

    def __init__(self, settings: Settings, keys: Keys, world: World) -> None:
        """Sessions of an older `sessions.version` are signed by another key, so none is read."""
        self._settings = settings
        self._world = world
        self._signer: Signer = keys.signer(f"session {settings.sessions.version}")
        self._seen: OrderedDict[str, int] = OrderedDict()
        self._ended: OrderedDict[str, None] = OrderedDict()
        # Browsers keep Secure cookies of http://*.localhost, not of any other plain http host.
        self.secure = settings.scheme == "https" or (f".{settings.domain}".endswith(".localhost"))

    def cookie_name(self, name: str = "fleet") -> str:
        """Return a cookie's full name: no sibling host can plant one that starts with `__Host-`."""
        return f"__Host-{name}" if self.secure else name

    def begin(self, runtime: Runtime, now: datetime) -> Session:
        """Return a new session of the front."""
        moment = int(now.timestamp())
        return Session(
            user=runtime.id,
            id=secrets.token_urlsafe(16),
            host=self._settings.domain,
            begun=moment,
            seen=moment,
            password_version=runtime.password_version,
        )

    def read(self, cookies: Iterable[str], host: str, now: datetime) -> Session | None:
        """Return the session that a request's `Cookie` headers hold for a host.

        Two sessions at once are none: the other one is planted.
        """
        texts = cookie_values(cookies, self.cookie_name())[:_COOKIES_READ]
        sessions = {
            session.id: session
            for session in map(self._read_one, texts)
            if session is not None and session.host == host and self.holds(session, now)
        }
        return next(iter(sessions.values())) if len(sessions) == 1 else None

    def holds(self, session: Session, now: datetime) -> bool:
        """Return whether a session still counts: not timed out, not ended, its user unchanged."""
        moment = now.timestamp()
        leeway = CLOCK_LEEWAY.total_seconds()
        times = self._settings.sessions
        used = max(session.seen, self._seen.get(session.id, 0))
        return (
            session.begun <= moment + leeway
            and moment < session.begun + times.absolute.total_seconds()
            and moment < used + times.idle.total_seconds()
            and session.id not in self._ended
            and not self._world.session_ended(session.user, session.id)
            and self._unchanged(session)
        )

    def use(self, session: Session, now: datetime) -> str | None:
        """Note a use, and return the cookie to set when the browser's has become old."""
        moment = int(now.timestamp())
        self._remember(self._seen, session.id, moment)
        anew = min(_WRITTEN_ANEW, self._settings.sessions.idle / 10)
        if moment - session.seen < anew.total_seconds():
            return None
        return self.cookie(replace(session, seen=moment), now)

    def cookie(self, session: Session, now: datetime) -> str:
        """Return a `Set-Cookie` that keeps the session in the browser."""
        times = self._settings.sessions
        left = session.begun + times.absolute.total_seconds() - now.timestamp()
        age = min(left, times.idle.total_seconds())
        return self.set_cookie(self.cookie_name(), self._signer.sign(session.values), int(age))

    def set_cookie(self, name: str, value: str, age: int) -> str:
        """Return a `Set-Cookie` of this host alone; an age of 0 removes it."""
        secure = "; Secure" if self.secure else ""
        return f"{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}"

    async def end(self, session: Session) -> None:
        """End a session on all hosts and, where the cluster takes it, for all replicas."""
        self._remember(self._ended, session.id, None)
        absolute = self._settings.sessions.absolute + CLOCK_LEEWAY
        until = datetime.fromtimestamp(session.begun, UTC) + absolute
        await self._world.end_session(session.user, session.id, until)

    def _read_one(self, text: str) -> Session | None:
        values = self._signer.read(text)
        return session_of(values) if values is not None else None

    def _unchanged(self, session: Session) -> bool:
        runtime = self._world.by_id(session.user)
        return runtime is not None and runtime.password_version == session.password_version

    @staticmethod
    def _remember(memory: OrderedDict[str, _T], key: str, value: _T) -> None:
        memory[key] = value
        memory.move_to_end(key)
        if len(memory) > _REMEMBERED:
            memory.popitem(last=False)


def cookie_values(headers: Iterable[str], name: str) -> list[str]:
    """Return the values of all cookies of one name, in the order they were sent."""
    pairs = (pair.strip().partition("=") for header in headers for pair in header.split(";"))
    return [value for key, _, value in pairs if key == name]
