"""Running a test's coroutine, and waiting in it for what other tasks do.

Short because every test of the door's loops needs it and nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

_LONGEST = 60.0
_STEP = 0.005


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a test to its end; a minute without one is a failure."""
    asyncio.run(asyncio.wait_for(main, _LONGEST))


async def until(what: str, holds: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until something holds; fail saying what did not come."""
    end = asyncio.get_running_loop().time() + seconds
    while not holds():
        if asyncio.get_running_loop().time() > end:
            raise AssertionError(f"did not come: {what}")
        await asyncio.sleep(_STEP)
