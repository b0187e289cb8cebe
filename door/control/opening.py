"""Starting and ending the World of a cluster, with everything that runs behind it.

Owns: which loops run, in which order they end. Leaves out: what they do. Short because the process
and the tests start the same things, and nothing else does.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from door.control.busy import Asker
from door.control.cluster import ClusterWorld
from door.control.idling import Idler
from door.control.kube import Api
from door.control.leading import Leading
from door.control.settings import Settings

_LOG = logging.getLogger(__name__)


def replica_name() -> str:
    """Return what tells this replica from others: its pod's name, in a pod."""
    return os.environ.get("POD_NAME") or socket.gethostname()


@asynccontextmanager
async def open_world(
    settings: Settings,
    password: Callable[[str, int], str],
    api: Api | None = None,
    replica: str | None = None,
) -> AsyncGenerator[ClusterWorld]:
    """Run a World until the block ends; `password` derives one from user id and version.

    The block begins at once: `world.ready` says when everything was read. A loop that ends by a
    mistake of ours ends the others too, and `world.alive` says so: the process is to be restarted.
    Raises RefusedError where no cluster is configured.
    """
    for chatty in ("httpx", "httpx2"):
        # A line a request: with a watch for every pool nothing else could be read.
        logging.getLogger(chatty).setLevel(logging.WARNING)
    api = api or Api.open()
    world = ClusterWorld(api, settings)
    asker = Asker(password)
    leading = Leading(
        api=api,
        namespace=settings.namespace,
        name=replica or replica_name(),
        metrics=world.metrics,
        clock=world.clock,
    )
    idler = Idler(world, asker, leading)

    async def everything() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(world.run())
            group.create_task(leading.run())
            group.create_task(idler.run())

    task = asyncio.create_task(everything())
    world.task = task
    try:
        yield world
    finally:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOG.error("a loop of the door has ended", exc_info=error)
        await asker.close()
        await api.close()
