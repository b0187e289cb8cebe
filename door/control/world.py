"""What the door knows of the world: people, their runtimes, and what may be asked of both.

Plain values and protocols. Who fills them from a cluster is `roster`, `waking` and `ledger`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum
from typing import Protocol
from zoneinfo import ZoneInfo


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """A prepared working context that a user may open."""

    id: str
    title: str
    description: str

    @property
    def directory(self) -> str:
        """Where the scene stands in the runtime."""
        return f"/app/{self.id}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Hours:
    """Working hours: awake ahead of them, asleep after them unless somebody works."""

    zone: ZoneInfo
    days: frozenset[int]
    """Days of the week, Monday is 0."""
    start: time
    end: time


class Wanted(StrEnum):
    """What the stack file says of a runtime."""

    ACTIVE = "active"
    SUSPENDED = "suspended"


class Phase(StrEnum):
    """What a runtime does now."""

    READY = "ready"
    STARTING = "starting"
    ASLEEP = "asleep"
    SUSPENDED = "suspended"
    FAILING = "failing"


@dataclass(frozen=True, kw_only=True, slots=True)
class Runtime:
    """One user and what runs for them, as the cluster's objects say at one moment."""

    id: str
    """The user's id, any text."""
    slug: str
    """First label of the user's host."""
    name: str
    """Name of the Deployment."""
    namespace: str
    display_name: str
    """What people read; the id where nothing else is given."""
    login: str
    """What an identity provider or a company's proxy calls the user."""
    admin: bool
    scenes: tuple[Scene, ...]
    password_version: int
    wanted: Wanted
    phase: Phase
    reason: str | None
    """Why it is not ready, in one line of plain text; what a pod says is data."""
    address: str | None
    """Address of the ready pod, without the port."""
    replicas: int
    suspend_after: timedelta | None
    """Asleep after so long without use; None never sleeps."""
    hours: Hours | None
    last_used: datetime | None
    next_wake: datetime | None

    def host(self, domain: str) -> str:
        """Return the host name of the user's workspace."""
        return f"{self.slug}.{domain}"


class NotWakingError(Exception):
    """A runtime did not become ready; the text says why, in one line for people."""


class World(Protocol):
    """What the rest of the door asks."""

    def people(self) -> Sequence[Runtime]:
        """Return everybody, ordered by id."""
        ...

    def by_id(self, user_id: str) -> Runtime | None:
        """Return a user by the exact id."""
        ...

    def by_login(self, login: str) -> Runtime | None:
        """Return a user by what an identity provider calls them."""
        ...

    def by_slug(self, slug: str) -> Runtime | None:
        """Return a user by the first label of a host name."""
        ...

    def touch(self, user_id: str) -> None:
        """Note that the user has just used the runtime."""
        ...

    async def wake(self, user_id: str) -> None:
        """Ask for a pod and return at once; nothing happens where there is one already.

        Raises NotWakingError for a suspended user and where the cluster refuses.
        """
        ...

    async def wait_ready(self, user_id: str, timeout: float) -> Runtime:
        """Wait up to `timeout` seconds for a ready runtime; raises NotWakingError."""
        ...

    async def sleep(self, user_id: str) -> None:
        """Take the pod away; all else stays."""
        ...

    async def restart(self, user_id: str) -> None:
        """Take the pod away, wait for its end, ask for a new one."""
        ...

    def session_ended(self, user_id: str, session_id: str) -> bool:
        """Return whether a session was signed out, on any replica."""
        ...

    async def end_session(self, user_id: str, session_id: str, until: datetime) -> None:
        """Remember for all replicas that a session is over, until it would have expired anyway."""
        ...

    def changes(self) -> AsyncIterator[None]:
        """Yield whenever anything of the above may have changed."""
        ...
