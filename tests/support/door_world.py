"""A World without a cluster: alice (an admin) and bob, and whatever a test says of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from door.control.settings import Settings
from door.control.world import NotWakingError, Phase, Runtime, Scene, Wanted

SEED = "0123456789abcdef." + "s" * 43
SCENES = (
    Scene(id="coding", title="Coding", description="Write and run code."),
    Scene(id="research", title="Research", description="Read and note."),
)


def runtime_of(user_id: str, **changes: Any) -> Runtime:
    """Return a ready runtime of a user whose slug and login are the id."""
    plain = Runtime(
        id=user_id,
        slug=user_id,
        name=f"oc-{user_id}",
        namespace="opencode-test-p1",
        display_name=user_id.capitalize(),
        login=user_id,
        admin=False,
        scenes=SCENES,
        password_version=1,
        wanted=Wanted.ACTIVE,
        phase=Phase.READY,
        reason=None,
        address="127.0.0.1",
        replicas=1,
        suspend_after=None,
        hours=None,
        last_used=None,
        next_wake=None,
    )
    return replace(plain, **changes)


def door_settings(**changes: Any) -> Settings:
    """Return settings of the environment `test` at http://fleet.localhost:7080."""
    values: dict[str, Any] = {
        "environment": "test",
        "namespace": "opencode-test",
        "pools": ["opencode-test-p1"],
        "domain": "fleet.localhost",
        "scheme": "http",
        "port": 7080,
    }
    return Settings.model_validate(values | changes)


class FakeWorld:
    """A World whose people a test sets; it notes what it was asked to do."""

    def __init__(self, *people: Runtime) -> None:
        self.roster: dict[str, Runtime] = {
            person.id: person
            for person in people or (runtime_of("alice", admin=True), runtime_of("bob"))
        }
        self.touched: list[str] = []
        self.asked: list[tuple[str, str]] = []
        """What was asked: `wake`, `sleep` or `restart`, and of whom."""
        self.ended: dict[tuple[str, str], datetime] = {}
        self.refusal: str | None = None
        """Why nothing can be woken."""
        self.wakes_by_itself = True
        """Whether a woken runtime is ready at the next look."""
        self._changed = asyncio.Event()

    def set(self, user_id: str, **changes: Any) -> Runtime:
        """Change what a runtime is, and tell whoever listens."""
        self.roster[user_id] = replace(self.roster[user_id], **changes)
        self._tell()
        return self.roster[user_id]

    def remove(self, user_id: str) -> None:
        """Take a user out of the roster."""
        del self.roster[user_id]
        self._tell()

    def people(self) -> Sequence[Runtime]:
        return [self.roster[user_id] for user_id in sorted(self.roster)]

    def by_id(self, user_id: str) -> Runtime | None:
        return self.roster.get(user_id)

    def by_login(self, login: str) -> Runtime | None:
        return next((one for one in self.people() if one.login == login), None)

    def by_slug(self, slug: str) -> Runtime | None:
        return next((one for one in self.people() if one.slug == slug), None)

    def touch(self, user_id: str) -> None:
        self.touched.append(user_id)
        self.roster[user_id] = replace(self.roster[user_id], last_used=datetime.now(UTC))

    async def wake(self, user_id: str) -> None:
        self.asked.append(("wake", user_id))
        if self.refusal is not None:
            raise NotWakingError(self.refusal)
        if self.roster[user_id].wanted is Wanted.SUSPENDED:
            raise NotWakingError("suspended by the stack file")
        if self.roster[user_id].phase is Phase.ASLEEP:
            phase = Phase.READY if self.wakes_by_itself else Phase.STARTING
            self.set(user_id, phase=phase, replicas=1)

    async def wait_ready(self, user_id: str, timeout: float) -> Runtime:
        """Wait; nothing but `set` makes a runtime ready."""
        end = asyncio.get_running_loop().time() + timeout
        while self.roster[user_id].phase is not Phase.READY:
            left = end - asyncio.get_running_loop().time()
            if left <= 0 or self.roster[user_id].phase is Phase.FAILING:
                raise NotWakingError(self.roster[user_id].reason or "it did not become ready")
            await self._wait(min(left, 0.5))
        return self.roster[user_id]

    async def sleep(self, user_id: str) -> None:
        self.asked.append(("sleep", user_id))
        self.set(user_id, phase=Phase.ASLEEP, replicas=0)

    async def restart(self, user_id: str) -> None:
        self.asked.append(("restart", user_id))

    def session_ended(self, user_id: str, session_id: str) -> bool:
        return (user_id, session_id) in self.ended

    async def end_session(self, user_id: str, session_id: str, until: datetime) -> None:
        assert until > datetime.now(UTC) - timedelta(days=1)
        self.ended[(user_id, session_id)] = until
        self._tell()

    async def changes(self) -> AsyncIterator[None]:
        while True:
            await self._wait(None)
            yield None

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def _wait(self, timeout: float | None) -> None:
        changed = self._changed
        try:
            await asyncio.wait_for(changed.wait(), timeout)
        except TimeoutError:
            return
