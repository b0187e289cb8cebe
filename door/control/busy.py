"""Whether a runtime is at work, asked from OpenCode itself before it is put to sleep.

Tried with OpenCode 1.18.33: `GET /session/status` tells of one directory and only of chats that
work or wait to try again. A terminal stays listed as running when its tab is long closed, and
nothing tells whether a program runs in it; but the file API reads any folder, so that the kernel
says which children the shell has (`/proc/<pid>/task/<pid>/children`; empty too where the process is
gone). What does not answer, or not as expected, counts as busy: work is not risked for a few
megabytes. Leaves out: who is asked when (`idling`).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any, cast

import httpx

from door.control.names import RUNTIME_PORT
from door.control.world import Runtime

ROOT = "/app"
# Seconds; a runtime with a full CPU answers late, and is busy then.
_TIMEOUT = 10.0
_MOST = 2_000_000
_AT_ONCE = 4
_SHELLS = frozenset({"bash", "sh", "dash", "zsh", "fish", "ash", "ksh", "nu"})
_MOST_TERMINALS = 50


class _NoAnswerError(Exception):
    """The runtime did not say."""


class Asker:
    """Asks runtimes, with the password that is theirs."""

    def __init__(self, password: Callable[[str, int], str], port: int = RUNTIME_PORT) -> None:
        self._password = password
        self.port = port
        # Pods are asked directly: what the environment names as proxy is for the world outside.
        # They speak plain HTTP: the machine's certificates, which take 0.2 s to read, are left out.
        self._client = httpx.AsyncClient(
            timeout=_TIMEOUT,
            trust_env=False,
            follow_redirects=False,
            verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def why_busy(self, runtime: Runtime) -> str | None:
        """Return why a runtime must not be stopped, in a word for metrics; None when it may.

        `chat`, `terminal`, or `silent` where it does not tell.
        """
        if runtime.address is None:
            return "silent"
        limit = asyncio.Semaphore(_AT_ONCE)
        places = [ROOT, *(scene.directory for scene in runtime.scenes)]

        async def asked(place: str) -> str | None:
            async with limit:
                return await self._busy_in(runtime, place)

        found = await asyncio.gather(*(asked(place) for place in places), return_exceptions=True)
        for one in found:
            if isinstance(one, _NoAnswerError):
                return "silent"
            if isinstance(one, BaseException):
                raise one
        return next((one for one in found if isinstance(one, str)), None)

    async def _busy_in(self, runtime: Runtime, directory: str) -> str | None:
        chats = await self._ask(runtime, "/session/status", directory=directory)
        if not isinstance(chats, dict):
            raise _NoAnswerError
        if chats:
            return "chat"
        terminals = await self._ask(runtime, "/pty", directory=directory)
        if not isinstance(terminals, list):
            raise _NoAnswerError
        for terminal in cast("list[Any]", terminals)[:_MOST_TERMINALS]:
            if await self._works(runtime, terminal):
                return "terminal"
        return None

    async def _works(self, runtime: Runtime, terminal: Any) -> bool:
        """Return whether a program runs in a terminal, or is all that the terminal is."""
        if not isinstance(terminal, dict):
            raise _NoAnswerError
        found = cast("dict[str, Any]", terminal)
        if found.get("status") == "exited":
            return False
        pid, command = found.get("pid"), found.get("command")
        if not isinstance(pid, int) or not isinstance(command, str):
            raise _NoAnswerError
        if PurePosixPath(command).name not in _SHELLS:
            return True
        place = f"/proc/{pid}"
        said = await self._ask(
            runtime, "/file/content", directory=place, path=f"task/{pid}/children"
        )
        children = cast("dict[str, Any]", said).get("content") if isinstance(said, dict) else None
        if not isinstance(children, str):
            raise _NoAnswerError
        return bool(children.strip())

    async def _ask(self, runtime: Runtime, url_path: str, /, **query: str) -> Any:
        """Return what a runtime answers as JSON."""
        host = f"[{runtime.address}]" if ":" in (runtime.address or "") else runtime.address
        login = (runtime.id, self._password(runtime.id, runtime.password_version))
        try:
            answer = await self._client.get(
                f"http://{host}:{self.port}{url_path}", params=query, auth=login
            )
            kind = answer.headers.get("content-type", "")
            # An unknown path answers 200 with the page.
            if not answer.is_success or not kind.startswith("application/json"):
                raise _NoAnswerError
            if len(answer.content) > _MOST:
                raise _NoAnswerError
            return answer.json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise _NoAnswerError from error
