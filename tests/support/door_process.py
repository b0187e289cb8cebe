"""The door's control as a process of its own, around a World that is a file. Never shipped.

Run as `python -m tests.support.door_process PLAN`, a JSON file: `people` names the roster file
(user id to fields of a runtime), `journal` where is written what the World was asked, the rest how
the process differs from a shipped one. Settings and secrets are read as the shipped one reads them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from prometheus_client import generate_latest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from door.control.__main__ import assemble, serve
from door.control.app import health_app
from door.control.chats import CARRIED
from door.control.context import Serving
from door.control.relay import Relay
from door.control.settings import read_secrets, read_settings
from door.control.world import Phase, Wanted
from tests.support.door_world import FakeWorld, runtime_of


class FileWorld(FakeWorld):
    """People as a file says, which a test writes anew."""

    def __init__(self, people: Path, journal: Path) -> None:
        self._people = people
        self._journal = journal
        self._written: float = 0
        super().__init__()
        self.read()

    def read(self) -> None:
        """Take over the file where it has changed."""
        written = self._people.stat().st_mtime_ns
        if written == self._written:
            return
        self._written = written
        given: dict[str, dict[str, Any]] = json.loads(self._people.read_text("utf-8"))
        self.roster = {
            user_id: runtime_of(user_id, **_typed(fields)) for user_id, fields in given.items()
        }
        self._tell()

    def touch(self, user_id: str) -> None:
        super().touch(user_id)
        self._note("touch", user_id)

    async def wake(self, user_id: str) -> None:
        self._note("wake", user_id)
        await super().wake(user_id)

    async def end_session(self, user_id: str, session_id: str, until: datetime) -> None:
        self._note("end", user_id)
        await super().end_session(user_id, session_id, until)

    def _note(self, what: str, user_id: str) -> None:
        with self._journal.open("a", encoding="utf-8") as file:
            file.write(f"{what} {user_id}\n")


def _typed(fields: dict[str, Any]) -> dict[str, Any]:
    kinds = {"phase": Phase, "wanted": Wanted}
    return {key: kinds[key](value) if key in kinds else value for key, value in fields.items()}


async def _run(plan: dict[str, Any]) -> None:
    settings = read_settings(Path(plan["settings"]))
    secrets = read_secrets(Path(plan["secrets"]))
    world = FileWorld(Path(plan["people"]), Path(plan["journal"]))
    context, app = assemble(
        settings, secrets, world, Serving(on_workspaces=CARRIED, **plan["serving"])
    )

    async def reading() -> None:
        while True:
            await asyncio.sleep(0.05)
            with contextlib.suppress(FileNotFoundError):
                world.read()

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(), media_type="text/plain")

    health = health_app(alive=lambda: True, ready=lambda: True, metrics=Route("/metrics", metrics))
    relay = Relay(context, check_seconds=plan.get("check_seconds", 0.2))
    task = asyncio.create_task(reading())
    try:
        await serve(context.serving, app, health, relay)
    finally:
        task.cancel()


if __name__ == "__main__":
    asyncio.run(_run(json.loads(Path(sys.argv[1]).read_text("utf-8"))))
