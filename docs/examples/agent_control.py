"""A control plane's client of opencode-fleet: open a chat for a user in a scene, ask, read.

    export FLEET_TOKEN_FILE=…     # a file with the service token, for nobody else to read
    python agent_control.py https://fleet.example.com alice coding "Which tests are slow?"

Needs httpx. The contract it relies on: docs/agent-control.md.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx

PATIENCE = 180.0
TRY_AGAIN = {429, 502, 503}


class AgentControl:
    """Acts for users through the door, with a service token."""

    def __init__(self, front: str, token: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self._front, self._token, self._sleep = front.rstrip("/"), token, sleep
        # No proxy of the environment, no redirect: the token opens every user's workspace.
        self._http = httpx.Client(timeout=PATIENCE, trust_env=False, follow_redirects=False)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def user(self, user: str) -> dict[str, Any]:
        """Return who a user is, which scenes they have, what their workspace does."""
        return self._ask(user, "GET", f"{self._front}/api/v1/me")

    def open_chat(self, user: str, scene: str) -> dict[str, Any]:
        """Return a new chat in a scene; a sleeping workspace is woken first."""
        return self._ask(user, "POST", f"{self._front}/api/v1/sessions", {"scene": scene})

    def prompt(self, user: str, chat: dict[str, Any], text: str) -> str:
        """Say something in a chat and return the answer; raises RuntimeError without one."""
        place = httpx.QueryParams(directory=chat["directory"])
        url = f"{chat['url']}/session/{chat['id']}/message?{place}"
        answer = self._ask(user, "POST", url, {"parts": [{"type": "text", "text": text}]})
        if answer["info"].get("error"):  # OpenCode answers 200 to a turn that failed.
            raise RuntimeError(f"no answer: {answer['info']['error']}")
        return "".join(part["text"] for part in answer["parts"] if part["type"] == "text")

    def _ask(self, user: str, method: str, url: str, body: Any = None) -> dict[str, Any]:
        # Bytes, as ids may have letters of any language.
        who = [(b"Authorization", f"Bearer {self._token}".encode()), (b"X-User-Id", user.encode())]
        end = time.monotonic() + PATIENCE
        while True:
            answer = self._http.request(method, url, json=body, headers=who)
            if answer.is_success and "json" in answer.headers.get("Content-Type", ""):
                return answer.json()
            wait = float(answer.headers.get("Retry-After", 0))
            if answer.status_code not in TRY_AGAIN or not wait or time.monotonic() + wait > end:
                raise RuntimeError(f"{answer.status_code}: {answer.text[:500]}")
            self._sleep(wait)


if __name__ == "__main__":
    front, user, scene, text = sys.argv[1:]
    secret = Path(os.environ["FLEET_TOKEN_FILE"]).read_text("utf-8").strip()
    with closing(AgentControl(front, secret)) as control:
        chat = control.open_chat(user, scene)
        sys.stdout.write(f"{chat['link']}\n\n{control.prompt(user, chat, text)}\n")
