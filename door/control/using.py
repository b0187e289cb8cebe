"""Which requests are use by a person or a program, and which a tab makes by itself.

A tab left open over night asks on its own: its event stream, and what it reads again after a
reconnect. That must keep no runtime awake and wake none.

Short because the rule is asked by decisions and by sessions, and changes with OpenCode alone.
"""

from __future__ import annotations

from collections import OrderedDict

from door.control.asking import Asked

# Asked by OpenCode's page every few seconds, whoever looks.
POLLED = frozenset({"/global/health", "/api/health"})
_EVENTS = frozenset({"/event", "/global/event", "/api/event"})
# What a page reads again when its event stream has come back.
REREAD_SECONDS = 20.0
_KEPT = 20_000


def is_stream(asked: Asked) -> bool:
    """Return whether an answer stays open: an event stream, a terminal."""
    return asked.upgrade or (asked.reads and asked.path in _EVENTS)


class Using:
    """Remembers when each session's event stream was opened."""

    def __init__(self) -> None:
        self._opened: OrderedDict[str, float] = OrderedDict()

    def opened(self, session_id: str, moment: float) -> None:
        """Note that a session's event stream is opened now (seconds of any steady clock)."""
        self._opened[session_id] = moment
        self._opened.move_to_end(session_id)
        if len(self._opened) > _KEPT:
            self._opened.popitem(last=False)

    def counts(self, asked: Asked, session_id: str | None, moment: float) -> bool:
        """Return whether a request is use; a program (no session) uses whatever it does."""
        if is_stream(asked):
            return False
        if session_id is None or asked.opens_page or not asked.reads:
            return True
        if asked.path in POLLED:
            return False
        return moment - self._opened.get(session_id, -REREAD_SECONDS) >= REREAD_SECONDS
