"""Control's start, as a process of its own: read everybody, say how long it took.

`python -m tests.bench.door_start URL POOL...` prints seconds since the process began (`all`), those
of reading alone (`read`), those of telling everybody once (`people`), the processor's seconds of
it all (`cpu`) and of what came before reading (`imports`), and megabytes.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import resource
import sys
import time
from pathlib import Path

from lightkube import AsyncClient, KubeConfig
from lightkube.config.models import Cluster, User

from door.control.kube import Api
from door.control.opening import open_world
from tests.support.fakes.live_pool import live_settings


def _age() -> float:
    """Return seconds since this process began."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    up = float(Path("/proc/uptime").read_text().split()[0])
    return up - ticks / os.sysconf("SC_CLK_TCK")


def _no_password(user_id: str, version: int) -> str:
    """Nobody is put to sleep while the bench looks."""
    return f"{user_id} {version}"


async def _main(url: str, pools: list[str]) -> dict[str, float]:
    user = User(username="of", password="the-bench")  # noqa: S106 - nobody asks for it
    config = KubeConfig.from_one(cluster=Cluster(server=url), user=user)
    api = Api(AsyncClient(config=config, trust_env=False))
    # What the process imports, beside what reading needs.
    importlib.import_module("door.control.__main__")
    before = resource.getrusage(resource.RUSAGE_SELF)
    imports = before.ru_utime + before.ru_stime
    begun = time.monotonic()
    async with open_world(live_settings(pools=pools), _no_password, api) as world:
        await world.known()
        read = time.monotonic() - begun
        count = len(world.people())
        told = time.monotonic() - begun - read
        used = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "users": count,
            "all": _age(),
            "read": read,
            "people": told,
            "cpu": used.ru_utime + used.ru_stime,
            "imports": imports,
            "megabytes": used.ru_maxrss / 1024,
        }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(_main(sys.argv[1], sys.argv[2:]))))
