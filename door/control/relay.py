"""What stays open: event streams and terminals, carried byte for byte until one end closes them.

nginx carries everything else. No stock proxy can end one session's open streams, and a sign-out has
to: whoever was let in for an hour would stay for a day. So control keeps hold of these, and looks
every few seconds whether the sign-in behind each still counts.

Owns: the connections, their ends, noting that somebody types. Leaves out: who may open one.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, field

from door.control.context import Context
from door.control.counters import ENDED_STREAMS, STREAMS
from door.control.frames import Frames
from door.control.grants import HEADER, Grant

# Within this time a stream ends after its sign-in has; the bound is a minute.
CHECK_SECONDS = 5.0
_FORBIDDEN = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_HEAD_LIMIT = 64 * 1024
_HEAD_SECONDS = 10.0
_CONNECT_SECONDS = 5.0
_PIECE = 64 * 1024
_TOUCH_SECONDS = 15.0

_log = logging.getLogger("door.relay")


@dataclass(eq=False, slots=True)
class _Stream:
    grant: Grant
    kind: str
    ends: tuple[asyncio.StreamWriter, ...]
    touched: float = field(default=float("-inf"))

    def close(self) -> None:
        for end in self.ends:
            # Not `close`: what is still to be written to somebody who does not read would keep it.
            end.transport.abort()


class Relay:
    """Serves nginx on one port."""

    def __init__(self, context: Context, check_seconds: float = CHECK_SECONDS) -> None:
        """Streams whose sign-in is over end within `check_seconds`."""
        self._context = context
        self._check_seconds = check_seconds
        self._streams: set[_Stream] = set()
        self._server: asyncio.Server | None = None
        self._checker: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int) -> None:
        """Listen, and watch what is open."""
        self._server = await asyncio.start_server(
            self._serve, host, port, limit=_HEAD_LIMIT, backlog=1024
        )
        self._checker = asyncio.create_task(self._check_for_ever())

    async def stop(self) -> None:
        """Close everything."""
        if self._checker is not None:
            self._checker.cancel()
        if self._server is not None:
            self._server.close()
        for stream in list(self._streams):
            stream.close()

    def check(self) -> None:
        """End every stream whose sign-in does not count any more."""
        for stream in [one for one in self._streams if not one.grant.holds(self._context)]:
            ENDED_STREAMS.inc()
            stream.close()

    async def _check_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._check_seconds)
            try:
                self.check()
            except Exception:
                _log.exception("could not check open streams")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._carry(reader, writer)
        except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError):
            # nginx says that the runtime does not answer when nothing was answered yet.
            pass
        finally:
            writer.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(_HEAD_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
        request = _Head.read(head)
        now = self._context.now()
        grant = self._context.grants.read(request.grant, now) if request.grant else None
        if grant is None or not grant.holds(self._context):
            writer.write(_FORBIDDEN)
            await writer.drain()
            return
        host, _, port = grant.upstream.rpartition(":")
        async with asyncio.timeout(_CONNECT_SECONDS):
            from_runtime, to_runtime = await asyncio.open_connection(host.strip("[]"), int(port))
        stream = _Stream(
            grant=grant,
            kind="terminal" if request.upgrades else "events",
            ends=(writer, to_runtime),
        )
        self._streams.add(stream)
        STREAMS.labels(stream.kind).inc()
        try:
            to_runtime.write(request.without_grant)
            await self._pipe_both(stream, reader, from_runtime)
        finally:
            STREAMS.labels(stream.kind).dec()
            self._streams.discard(stream)
            to_runtime.close()

    async def _pipe_both(
        self, stream: _Stream, reader: asyncio.StreamReader, from_runtime: asyncio.StreamReader
    ) -> None:
        to_browser, to_runtime = stream.ends
        pipes = [
            asyncio.create_task(self._pipe(stream, reader, to_runtime, Frames())),
            asyncio.create_task(self._pipe(stream, from_runtime, to_browser, None)),
        ]
        _, open_still = await asyncio.wait(pipes, return_when=asyncio.FIRST_COMPLETED)
        for pipe in open_still:
            pipe.cancel()
        await asyncio.gather(*pipes, return_exceptions=True)

    async def _pipe(
        self,
        stream: _Stream,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        typed: Frames | None,
    ) -> None:
        with suppress(OSError):
            while piece := await reader.read(_PIECE):
                writer.write(piece)
                if typed is not None and typed.feed(piece):
                    self._typed(stream)
                await writer.drain()

    def _typed(self, stream: _Stream) -> None:
        """Note that a terminal is used, now and then."""
        now = self._context.moment()
        if now - stream.touched < _TOUCH_SECONDS:
            return
        stream.touched = now
        self._context.world.touch(stream.grant.user)
        if stream.grant.session is not None:
            self._context.sessions.use(stream.grant.session, self._context.now())


@dataclass(frozen=True, slots=True)
class _Head:
    """A request's head, as nginx sends it."""

    grant: str | None
    upgrades: bool
    without_grant: bytes
    """To be sent on: none of the door's own headers in it."""

    @classmethod
    def read(cls, head: bytes) -> _Head:
        first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
        grants: list[str] = []
        kept = [first]
        upgrades = False
        for line in lines:
            name, _, value = line.partition(b":")
            lower = name.strip().lower()
            if lower == HEADER.encode():
                grants.append(value.strip().decode("latin-1"))
            if not lower.startswith(b"x-door-"):
                kept.append(line)
            upgrades = upgrades or lower == b"upgrade"
        grant = grants[0] if len(grants) == 1 else None
        return cls(grant, upgrades, b"\r\n".join(kept) + b"\r\n\r\n")
