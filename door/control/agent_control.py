"""What may be done to a runtime from outside it: restart, suspend, resume, and how it is told.

Owns: the three actions with their time limit, the state as programs read it. The front page, the
page of everybody and the API all act through here. Leaves out: who may act for whom.
"""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import Any

from door.control.bounded import one_line
from door.control.world import NotWakingError, Phase, Runtime, Wanted, World

# The end of a pod takes part of a second, and up to its grace period when something hangs in it.
_PATIENCE = 3.0


class Action(StrEnum):
    """What somebody asks of a runtime."""

    RESTART = "restart"
    SUSPEND = "suspend"
    RESUME = "resume"


class ActionError(Exception):
    """An action was refused; the text says why, in one line for people."""


class Actions:
    """Acts, and lets go on what takes longer than a person waits."""

    def __init__(self, world: World) -> None:
        """Nothing is under way yet."""
        self._world = world
        self._under_way: set[asyncio.Task[None]] = set()

    async def act(self, action: Action, runtime: Runtime) -> None:
        """Begin an action and wait for its end a few seconds; raises ActionError."""
        if runtime.wanted is Wanted.SUSPENDED:
            raise ActionError("suspended in the stack file")
        task = asyncio.create_task(self._do(action, runtime.id))
        # The loop itself holds no reference that keeps a task alive.
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        done, _ = await asyncio.wait({task}, timeout=_PATIENCE)
        if done:
            error = task.exception()
            if isinstance(error, NotWakingError):
                raise ActionError(one_line(str(error)) or "refused")
            if error is not None:
                raise error

    async def _do(self, action: Action, user_id: str) -> None:
        if action is Action.RESTART:
            await self._world.restart(user_id)
        elif action is Action.SUSPEND:
            await self._world.sleep(user_id)
        else:
            await self._world.wake(user_id)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            # Read once, so that asyncio does not tell of an error nobody waited for: the state
            # of the runtime shows it.
            task.exception()


def state_of(runtime: Runtime | None) -> dict[str, Any]:
    """Return what a waiting page asks for; None is somebody who is signed in no more."""
    if runtime is None:
        return {"signedIn": False, "phase": None, "ready": False, "failed": False, "reason": None}
    return {
        "signedIn": True,
        "phase": runtime.phase.value,
        "ready": runtime.phase is Phase.READY,
        "failed": runtime.phase is Phase.FAILING,
        "reason": one_line(runtime.reason) or None,
    }
