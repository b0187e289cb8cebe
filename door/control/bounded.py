"""What strangers send, read up to a limit: bodies, answers of runtimes, texts for one line.

Short because it is only the limits that several rooms share.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any, cast

MIB = 1024 * 1024
_LINE = 300


class TooLongError(Exception):
    """More came than is read."""


async def read_up_to(parts: AsyncIterator[bytes], limit: int) -> bytes:
    """Return all of a stream; raises TooLongError as soon as it passes `limit` bytes."""
    read = bytearray()
    async for part in parts:
        read += part
        if len(read) > limit:
            raise TooLongError
    return bytes(read)


def json_object(body: bytes) -> dict[str, Any] | None:
    """Return the JSON object that a body is; None for anything else."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def one_line(text: object, limit: int = _LINE) -> str:
    """Return a text of somebody else's as one line of printable characters, cut at `limit`."""
    if not isinstance(text, str):
        return ""
    plain = "".join(letter if letter.isprintable() else " " for letter in text[: 4 * limit])
    line = " ".join(plain.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
