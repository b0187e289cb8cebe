"""A door that really runs: the shipped nginx configuration, control as a process, fake runtimes.

Owns: starting and ending them, a client that speaks HTTP to them byte for byte. Only addresses,
ports and folders of the configuration are exchanged, since several doors run on one machine here.
"""

from __future__ import annotations

import base64
import gzip
import http.client
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from door.control.keys import Keys
from tests.support.door_world import SEED, door_settings
from tests.support.fakes.door_runtime import FakeRuntime, fake_runtime, free_port
from tests.support.programs import ROOT

NGINX = ROOT / "door/nginx"
DOMAIN = "fleet.localhost"
ALICE, BOB = f"alice.{DOMAIN}", f"bob.{DOMAIN}"
BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Chromium",
    "Accept-Encoding": "gzip",
}
PAGE = BROWSER | {
    "Accept": "text/html,application/xhtml+xml",
    "Sec-Fetch-Site": "none",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-User": "?1",
}
FETCH = BROWSER | {
    "Accept": "*/*",
    "Sec-Fetch-Site": "same-origin",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Dest": "empty",
}
FORM = PAGE | {
    "Sec-Fetch-Site": "same-origin",
    "Content-Type": "application/x-www-form-urlencoded",
}
SERVICE_TOKEN = "a token of a service that is long enough"  # noqa: S105 - of these tests
_numbers = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """Return the first header of a name."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def all(self, name: str) -> list[str]:
        """Return every header of a name."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    @property
    def page(self) -> str:
        """The body as a browser reads it."""
        packed = self.header("content-encoding") == "gzip"
        return (gzip.decompress(self.body) if packed else self.body).decode()


@dataclass
class Browser:
    """Cookies of one browser, by host, as a browser keeps host-only cookies."""

    door: RunningDoor
    jar: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])

    def ask(self, host: str, path: str, method: str = "GET", **more: Any) -> Answer:
        """Send one request with this browser's cookies and keep what is set."""
        headers = dict(more.pop("headers", PAGE))
        cookies = "; ".join(f"{key}={value}" for key, value in self.jar.get(host, {}).items())
        if cookies:
            headers["Cookie"] = cookies
        answer = self.door.ask(host, path, method, headers=headers, **more)
        for line in answer.all("set-cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            own = self.jar.setdefault(host, {})
            own.pop(name, None)
            if value and "Max-Age=0" not in line:
                own[name] = value
        return answer

    def open(self, host: str, path: str, **more: Any) -> Answer:
        """Open a page and follow every redirect."""
        answer = self.ask(host, path, **more)
        for _ in range(10):
            to = answer.header("location")
            if answer.status not in {302, 303, 307} or to is None:
                return answer
            parts = urlsplit(to)
            host = parts.hostname or host
            path = parts.path + ("?" + parts.query if parts.query else "")
            answer = self.ask(host, path)
        raise AssertionError("redirects without an end")

    def sign_in(self, user: str = "alice", next_path: str = "/") -> Answer:
        """Sign in on the front and go on to where it leads."""
        form = {"user": user, "password": self.door.password(user), "next": next_path}
        return self.open(
            DOMAIN,
            "/.door/sign-in",
            method="POST",
            headers=PAGE
            | {
                "Sec-Fetch-Site": "same-origin",
                "Content-Type": "application/x-www-form-urlencoded",
            },
            body=urlencode(form).encode(),
        )


@dataclass
class RunningDoor:
    """Addresses of a door that runs, and its processes."""

    folder: Path
    port: int
    serving: dict[str, str]
    alice: FakeRuntime
    bob: FakeRuntime
    people: dict[str, dict[str, Any]]
    control: subprocess.Popen[bytes] | None = None
    written: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    """People as the file has them."""

    @property
    def origin(self) -> str:
        """Origin of alice's workspace."""
        return f"http://{ALICE}:{self.port}"

    def password(self, user: str) -> str:
        """Return a user's password."""
        return Keys(SEED, "test").password(user, self.people[user].get("password_version", 1))

    def basic(self, user: str = "alice") -> dict[str, str]:
        """Return the header of a program."""
        login = base64.b64encode(f"{user}:{self.password(user)}".encode()).decode()
        return {"Authorization": f"Basic {login}"}

    def ask(
        self,
        host: str,
        path: str,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> Answer:
        """Send one request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            sent = {"Host": f"{host}:{self.port}"} | dict(headers or {})
            connection.request(method, path, body=body, headers=sent)
            answer = connection.getresponse()
            return Answer(status=answer.status, headers=answer.getheaders(), body=answer.read())
        finally:
            connection.close()

    def raw(self, *lines: str, rest: bytes = b"", wait: float = 5) -> bytes:
        """Send exactly these lines and return all that comes until the connection ends."""
        with self.connect(wait) as connection:
            connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + rest)
            data = b""
            try:
                while piece := connection.recv(65536):
                    data += piece
            except TimeoutError:
                pass
            return data

    def connect(self, wait: float = 5) -> socket.socket:
        """Return a connection to nginx."""
        return socket.create_connection(("127.0.0.1", self.port), wait)

    def browser(self) -> Browser:
        """Return a browser without any cookie."""
        return Browser(self)

    def signed_in(self, user: str = "alice") -> Browser:
        """Return a browser that is signed in on the front and on the user's host."""
        browser = Browser(self)
        browser.sign_in(user)
        answer = browser.open(f"{user}.{DOMAIN}", "/")
        assert answer.status in {200, 503}, answer
        return browser

    def set(self, user: str, **fields: Any) -> None:
        """Change what the World says of a user, and wait until control has seen it."""
        self.people[user] = self.people[user] | fields
        self.write_people()
        time.sleep(0.15)

    def write_people(self) -> None:
        """Write the roster; a half-written one is never read."""
        new = self.folder / "people.new"
        new.write_text(json.dumps(self.people), encoding="utf-8")
        new.replace(self.folder / "people.json")
        self.written = {user: dict(fields) for user, fields in self.people.items()}

    def asked(self) -> list[str]:
        """Return what the World was asked so far: `wake alice`, `touch alice`, `end alice`."""
        return (self.folder / "journal").read_text("utf-8").splitlines()

    def forget_asked(self) -> None:
        """Begin the record anew."""
        (self.folder / "journal").write_text("", encoding="utf-8")

    def log(self, name: str = "control") -> str:
        """Return what a process has said."""
        return (self.folder / f"{name}.log").read_text("utf-8", "replace")

    def metric(self, name: str) -> float:
        """Return a figure of `/metrics`, labels as Prometheus writes them."""
        host, _, port = self.serving["health"].rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=10)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        match = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
        return float(match[1]) if match else 0.0

    def start_control(self) -> None:
        """Start control and wait until it answers."""
        log = (self.folder / "control.log").open("ab")
        self.control = subprocess.Popen(
            [sys.executable, "-m", "tests.support.door_process", str(self.folder / "plan.json")],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=log,
            stderr=log,
        )
        log.close()
        _wait_for(self.serving["health"], self.control, self.folder / "control.log")

    def kill_control(self) -> None:
        """End control at once, as the kernel does when memory is short."""
        assert self.control is not None
        self.control.kill()
        self.control.wait()


@contextmanager
def running_door(folder: Path, **plan: Any) -> Generator[RunningDoor]:
    """Run a door with alice and bob until the block ends; `plan` is that of `door_process`, beside
    `settings` and more secret `files`.
    """
    number = next(_numbers)
    network = f"127.{os.getpid() % 250 + 2}.{number % 250}"
    passwords = Keys(SEED, "test").password
    with (
        fake_runtime(f"{network}.2", "alice", passwords("alice", 1)) as alice,
        fake_runtime(f"{network}.3", "bob", passwords("bob", 1)) as bob,
    ):
        port = free_port("127.0.0.1")
        names = ("control", "relay", "health")
        serving = {name: f"{network}.1:{free_port(f'{network}.1')}" for name in names}
        people = {
            "alice": {"address": alice.address, "admin": True},
            "bob": {"address": bob.address},
            # Of these tests the one whose password is guessed.
            "carol": {"address": bob.address},
        }
        door = RunningDoor(folder, port, serving, alice, bob, people)
        _write(door, plan)
        nginx = _start_nginx(door)
        try:
            door.start_control()
            yield door
        finally:
            for process in (door.control, nginx):
                if process is not None and process.poll() is None:
                    process.send_signal(signal.SIGTERM)
                    process.wait(20)


def _write(door: RunningDoor, plan: dict[str, Any]) -> None:
    settings = door_settings(port=door.port, **plan.pop("settings", {}))
    (door.folder / "settings.json").write_text(settings.model_dump_json(by_alias=True), "utf-8")
    secrets = door.folder / "secrets"
    secrets.mkdir()
    (secrets / "seed").write_text(SEED + "\n", encoding="utf-8")
    (secrets / "service-token-portal").write_text(SERVICE_TOKEN, encoding="utf-8")
    for name, text in plan.pop("files", {}).items():
        (secrets / name).write_text(text, encoding="utf-8")
    door.write_people()
    door.forget_asked()
    written = {
        "settings": str(door.folder / "settings.json"),
        "secrets": str(secrets),
        "people": str(door.folder / "people.json"),
        "journal": str(door.folder / "journal"),
        "serving": door.serving,
    }
    (door.folder / "plan.json").write_text(json.dumps(written | plan), encoding="utf-8")


def _start_nginx(door: RunningDoor) -> subprocess.Popen[bytes]:
    """Start nginx with the shipped files, other addresses and folders in them."""
    folder = door.folder / "nginx"
    folder.mkdir()
    for file in NGINX.glob("*.conf"):
        text = file.read_text("utf-8")
        if file.name == "nginx.conf":
            exchanges = {
                "listen 8080 ": f"listen 127.0.0.1:{door.port} ",
                "server 127.0.0.1:8081;": f"server {door.serving['control']};",
                "pid /tmp/": f"pid {door.folder}/",
                "_path /tmp/": f"_path {door.folder}/",
                "/dev/stdout": str(door.folder / "access.log"),
                "worker_processes 2;": "worker_processes 2; user root;",
            }
            for old, new in exchanges.items():
                assert old in text, f"the shipped configuration has no {old!r}"
                text = text.replace(old, new)
        (folder / file.name).write_text(text, encoding="utf-8")
    log = (door.folder / "nginx.log").open("wb")
    command = ["nginx", "-e", "stderr", "-c", str(folder / "nginx.conf"), "-g", "daemon off;"]
    process = subprocess.Popen(command, stdout=log, stderr=log)
    log.close()
    _wait_for(f"127.0.0.1:{door.port}", process, door.folder / "nginx.log")
    return process


def _wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    host, _, port = address.rpartition(":")
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            socket.create_connection((host, int(port)), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(log.read_text("utf-8", "replace"))


def ticket_of(answer: Answer) -> str:
    """Return the ticket in a redirect."""
    return parse_qs(urlsplit(answer.header("location") or "").query)["t"][0]
