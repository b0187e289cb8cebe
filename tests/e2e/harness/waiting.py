"""Waiting for a condition with a deadline; the only place of the suite that sleeps.

Short because the whole harness needs it and nothing may sleep elsewhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(what: str, check: Callable[[], T | None], seconds: float = 60, every: float = 0.3) -> T:
    """Return the first result of `check` that is neither None nor False.

    An AssertionError or OSError of `check` counts as not yet; the last one is told in the end.
    """
    deadline = time.monotonic() + seconds
    last = "nothing"
    while True:
        try:
            found = check()
            if found is not None and found is not False:
                return found
        except (AssertionError, OSError) as error:
            last = str(error)[:500] or type(error).__name__
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds:.0f} s; last seen: {last}")
        time.sleep(every)
