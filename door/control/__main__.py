"""Starts the door: reads settings and secrets, watches the cluster, serves until SIGTERM.

DOOR_SETTINGS and DOOR_SECRETS name another file and folder than a pod has.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Generator, Mapping
from pathlib import Path

import uvicorn
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from door.control import api, front, people
from door.control.app import create_app, health_app, make_context
from door.control.chats import CARRIED, Chats, carried_routes
from door.control.context import Context, Serving
from door.control.keys import Keys
from door.control.metrics import CONTENT_TYPE
from door.control.opening import open_world
from door.control.pages.refusals import DoorPages
from door.control.relay import Relay
from door.control.settings import Settings, read_secrets, read_settings
from door.control.world import World

_SETTINGS = "/etc/door/settings.json"
_SECRETS = "/etc/door/secrets"
_GRACE_SECONDS = 5
# What nginx keeps open between its requests must live longer here than there.
_KEEP_ALIVE_SECONDS = 75
_BACKLOG = 2048
_LOG_LINE = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_log = logging.getLogger("door")


class _Server(uvicorn.Server):
    """One of two in a process: signals are the process's affair."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def assemble(
    settings: Settings, secrets: Mapping[str, str], world: World, serving: Serving
) -> tuple[Context, ASGIApp]:
    """Return the door around a World, with all its pages; raises ValueError without a seed."""
    context = make_context(settings, secrets, world, DoorPages(settings), serving=serving)
    chats = Chats(context)
    app = create_app(
        context,
        front=[
            *front.routes(context, chats),
            *people.routes(context),
            *api.routes(context, chats),
            *front.rest(context),
        ],
        workspace=front.workspace_routes(context),
        carried=carried_routes(context, chats),
    )
    return context, app


async def serve(serving: Serving, app: ASGIApp, health: ASGIApp, relay: Relay) -> None:
    """Serve control, relay and health until SIGTERM or SIGINT."""
    servers = [
        _server(app, *_address(serving.control)),
        _server(health, *_address(serving.health)),
    ]

    def leave() -> None:
        for server in servers:
            server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, leave)
    await relay.start(*_address(serving.relay))
    try:
        await asyncio.gather(*(server.serve() for server in servers))
    finally:
        await relay.stop()


def main() -> int:
    """Run the shipped door; return the exit code."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    # It tells of every request, and their queries hold tickets.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        settings = read_settings(Path(os.environ.get("DOOR_SETTINGS", _SETTINGS)))
        secrets = read_secrets(Path(os.environ.get("DOOR_SECRETS", _SECRETS)))
        keys = Keys(secrets.get("seed", ""), settings.environment)
    except (OSError, ValueError) as error:
        _log.error("the door cannot start: %s", error)
        return 1
    asyncio.run(_run(settings, secrets, keys))
    return 0


async def _run(settings: Settings, secrets: Mapping[str, str], keys: Keys) -> None:
    async with open_world(settings, keys.password) as world:
        serving = Serving(on_workspaces=CARRIED)
        context, app = assemble(settings, secrets, world, serving)

        async def figures(_: Request) -> Response:
            return Response(
                world.metrics.render(world.people(), world.stale), media_type=CONTENT_TYPE
            )

        health = health_app(
            alive=lambda: world.alive,
            ready=lambda: world.ready,
            metrics=Route("/metrics", figures),
        )
        await serve(serving, app, health, Relay(context))


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


if __name__ == "__main__":
    sys.exit(main())
