"""Starts the door: reads settings and secrets, watches the cluster, serves until SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Generator

import uvicorn
from starlette.types import ASGIApp

from door.control.relay import Relay

_GRACE_SECONDS = 5
# What nginx keeps open between its requests must live longer here than there.
_KEEP_ALIVE_SECONDS = 75
_BACKLOG = 2048


class _Server(uvicorn.Server):
    """One of two in a process: signals are the process's affair."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


async def serve(app: ASGIApp, health: ASGIApp, relay: Relay, listen: tuple[str, str, str]) -> None:
    """Serve control, relay and health at three addresses until SIGTERM or SIGINT."""
    control_at, relay_at, health_at = (_address(text) for text in listen)
    servers = [_server(app, *control_at), _server(health, *health_at)]

    def leave() -> None:
        for server in servers:
            server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, leave)
    await relay.start(*relay_at)
    try:
        await asyncio.gather(*(server.serve() for server in servers))
    finally:
        await relay.stop()


def _server(app: ASGIApp, host: str, port: int) -> _Server:
    return _Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            access_log=False,
            log_config=None,
            ws="none",
            lifespan="off",
            proxy_headers=False,
            server_header=False,
            date_header=False,
            backlog=_BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
    )


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)
