"""Tells in a websocket's bytes what is written from what keeps the line open.

Owns: the walk from frame to frame (RFC 6455, 5.2). Leaves out: what the frames say; nothing is
decoded, kept or changed. Both ends send pings and pongs by themselves, which are no use.
"""

from __future__ import annotations

_CONTROL = 0x8
_MASKED = 0x80
_SHORT, _TWO, _EIGHT = 125, 126, 127


class Frames:
    """Follows one direction of one connection."""

    def __init__(self) -> None:
        """Begin at the first byte after the request's head."""
        self._pending = bytearray()
        self._skip = 0

    def feed(self, piece: bytes) -> bool:
        """Take the next bytes; return whether a frame of text or data begins in them."""
        data = bytes(self._pending) + piece
        self._pending.clear()
        at, used = 0, False
        while at < len(data):
            if self._skip:
                step = min(self._skip, len(data) - at)
                self._skip -= step
                at += step
                continue
            size = _header_size(data[at : at + 2])
            if size is None or len(data) - at < size:
                self._pending += data[at:]
                break
            self._skip = _payload(data[at : at + size])
            used = used or (not (data[at] & _CONTROL) and self._skip > 0)
            at += size
        return used


def _header_size(start: bytes) -> int | None:
    """Return the length of a frame's header by its first two bytes."""
    if len(start) < 2:  # noqa: PLR2004 - two bytes
        return None
    length = start[1] & ~_MASKED & 0xFF
    more = {_TWO: 2, _EIGHT: 8}.get(length, 0)
    return 2 + more + (4 if start[1] & _MASKED else 0)


def _payload(header: bytes) -> int:
    """Return how many bytes follow a header."""
    length = header[1] & ~_MASKED & 0xFF
    if length <= _SHORT:
        return length
    return int.from_bytes(header[2 : 4 if length == _TWO else 10], "big")
