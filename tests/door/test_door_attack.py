"""The attack that a door is for, in a real Chromium: a page next door makes a browser run commands.

Each form of it is tried on a runtime without the door, where it works, and behind the door. The
runtime is the fake one, and a real OpenCode where a binary can be had.
"""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from door.control.names import RUNTIME_PORT
from tests.support.door_opencode import find_opencode, real_opencode
from tests.support.door_stack import DOMAIN, RunningDoor, running_door
from tests.support.fakes.door_runtime import free_port

pytestmark = pytest.mark.door
CHROMIUM = Path("/usr/bin/chromium")
EVIL = f"evil.{DOMAIN}"
NAKED = f"naked.{DOMAIN}"
"""Host at which alice's runtime is reached without the door."""

FETCH = """async ([url, body]) => {
  await fetch(url, {method: 'POST', mode: 'no-cors', credentials: 'include',
    body: new Blob([body])}).catch(() => {})
}"""
BEACON = "([url, body]) => { navigator.sendBeacon(url, new Blob([body])) }"
SCRIPTS = {"fetch": FETCH, "beacon": BEACON}
# OpenCode 1.18.33 takes no form where it reads a body (415), but does what needs none: /dispose.
FORM = """([url, target]) => {
  const frame = document.createElement('iframe'); frame.name = 'hidden'
  const form = document.createElement('form'); form.target = target
  form.method = 'post'; form.action = url
  document.body.append(frame, form); form.submit()
}"""
FORM_TARGETS = ("hidden", "_top")
OWN = """body => fetch('/pty', {
  method: 'POST', body, headers: {'content-type': 'application/json'}
}).then(a => a.text())"""
SOCKET = """url => new Promise(done => {
  const socket = new WebSocket(url)
  socket.onopen = () => done('open'); socket.onerror = () => done('refused')
})"""
FRAME = """url => new Promise(done => {
  const frame = document.createElement('iframe'); frame.src = url
  frame.onload = () => done(''); document.body.append(frame)
})"""
PLANT = """([values, domain]) => {
  for (const value of values) document.cookie = `${value}; domain=${domain}; path=/`
  return document.cookie
}"""


@dataclass(frozen=True)
class Target:
    """A door, and where a command that runs in alice's runtime shows."""

    door: RunningDoor
    work: Path | None
    """The folder a real OpenCode works in; None for the fake runtime."""

    @property
    def command(self) -> str:
        """What an attacker wants to run: it leaves a file."""
        return json.dumps({"command": "touch", "args": [str(self._mark)]})

    @property
    def _mark(self) -> Path:
        return (self.work or self.door.folder) / "owned"

    def owned(self, seconds: float) -> bool:
        """Return whether a command ran within some seconds, and forget it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.work is None and self.door.alice.commands:
                self.door.alice.commands.clear()
                return True
            if self._mark.exists():
                self._mark.unlink()
                return True
            time.sleep(0.1)
        return False


@contextmanager
def evil_site() -> Generator[str]:
    """Serve an empty page on a host next to alice's, as any user of a cluster could."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>evil</title><body>")

        def log_message(self, *_: object, **__: object) -> None:
            """Nothing is logged."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", free_port("127.0.0.1")), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://{EVIL}:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def evil() -> Iterator[str]:
    with evil_site() as origin:
        yield origin


@pytest.fixture(scope="module", params=["fake", "real"])
def target(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Target]:
    """A door with alice's runtime behind it."""
    folder = tmp_path_factory.mktemp("attack")
    with running_door(folder) as door:
        if request.param == "fake":
            yield Target(door, None)
            return
        binary = find_opencode()
        if binary is None:
            pytest.skip("no OpenCode here: FLEET_OPENCODE names one")
        # Beside the fake one, which has the address ending in 2.
        address = door.alice.address.rpartition(".")[0] + ".4"
        with real_opencode(binary, address, "alice", door.password("alice"), folder / "o") as work:
            door.set("alice", address=address)
            yield Target(door, work)


@pytest.fixture(scope="module")
def chromium(target: Target) -> Iterator[Browser]:
    """Debian's Chromium, which finds the runtime without the door at a host of its own."""
    assert CHROMIUM.exists(), "no browser: tools/setup.sh chromium"
    naked = target.door.people["alice"]["address"]
    with sync_playwright() as tools:
        browser = tools.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",
                "--disable-dev-shm-usage",
                f"--host-resolver-rules=MAP {NAKED} {naked}",
            ],
        )
        yield browser
        browser.close()


@pytest.fixture
def person(chromium: Browser) -> Iterator[BrowserContext]:
    """A browser profile of its own."""
    context = chromium.new_context()
    context.set_default_timeout(60_000)
    yield context
    context.close()


def signed_in(person: BrowserContext, door: RunningDoor) -> Page:
    """Sign alice in by hand, on the way to her workspace; the page stays open."""
    page = person.new_page()
    page.goto(door.origin + "/")
    page.fill("[name=user]", "alice")
    page.fill("[name=password]", door.password("alice"))
    page.press("[name=password]", "Enter")
    page.wait_for_url(door.origin + "/**")
    assert page.evaluate("fetch('/global/health').then(a => a.status)") == 200
    return page


def at(person: BrowserContext, origin: str) -> Page:
    """Return a new tab on the attacker's page."""
    page = person.new_page()
    page.goto(origin)
    return page


def logged_in_without_door(person: BrowserContext, target: Target) -> str:
    """Log alice in with Basic, as before there was a door; returns the runtime's origin."""
    login = f"alice:{quote(target.door.password('alice'))}"
    person.new_page().goto(f"http://{login}@{NAKED}:{RUNTIME_PORT}/")
    return f"http://{NAKED}:{RUNTIME_PORT}"


@pytest.mark.parametrize("script", SCRIPTS)
def test_without_the_door_a_page_next_door_runs_commands(
    target: Target, person: BrowserContext, evil: str, script: str
) -> None:
    origin = logged_in_without_door(person, target)
    at(person, evil).evaluate(SCRIPTS[script], [origin + "/pty", target.command])
    assert target.owned(10)


@pytest.mark.parametrize("form_target", FORM_TARGETS)
def test_a_form_next_door_reaches_a_runtime_without_the_door_only(
    target: Target, person: BrowserContext, evil: str, form_target: str
) -> None:
    naked = logged_in_without_door(person, target)
    signed_in(person, target.door)
    for origin, status in ((naked, 200), (target.door.origin, 403)):
        page = at(person, evil)
        with page.expect_response(origin + "/global/dispose") as answered:
            page.evaluate(FORM, [origin + "/global/dispose", form_target])
        assert answered.value.status == status


@pytest.mark.parametrize("script", SCRIPTS)
def test_behind_the_door_it_runs_none(
    target: Target, person: BrowserContext, evil: str, script: str
) -> None:
    own = signed_in(person, target.door)
    page = at(person, evil)
    page.evaluate(SCRIPTS[script], [target.door.origin + "/pty", target.command])
    assert not target.owned(1)
    # The person's own page still may.
    own.evaluate(OWN, target.command)
    assert target.owned(10)


def test_behind_the_door_a_page_next_door_opens_no_websocket(
    target: Target, person: BrowserContext, evil: str
) -> None:
    own = signed_in(person, target.door)
    path = own.evaluate(_OPENED) if target.work is not None else "/pty/pty_1/connect"
    address = target.door.origin.replace("http:", "ws:") + path
    assert at(person, evil).evaluate(SOCKET, address) == "refused"
    assert own.evaluate(SOCKET, address) == "open"


# A terminal as OpenCode's page opens it: made, then a ticket, then the socket.
_OPENED = """async () => {
  const headers = {'content-type': 'application/json', 'x-opencode-ticket': '1'}
  const made = await fetch('/pty', {method: 'POST', headers, body: '{}'}).then(a => a.json())
  const path = `/pty/${made.id}/connect`
  const given = await fetch(`${path}-token`, {method: 'POST', headers}).then(a => a.json())
  return `${path}?ticket=${encodeURIComponent(given.ticket)}`
}"""


def test_a_page_next_door_frames_nothing(target: Target, person: BrowserContext, evil: str) -> None:
    origin = logged_in_without_door(person, target)
    naked = at(person, evil)
    naked.evaluate(FRAME, origin + "/")
    assert any(frame.url.startswith(origin) for frame in naked.frames)
    signed_in(person, target.door)
    front = f"http://{DOMAIN}:{target.door.port}/"
    for url in (target.door.origin + "/", front, front + ".door/sign-in"):
        page = at(person, evil)
        page.evaluate(FRAME, url)
        framed = [frame.url for frame in page.frames if frame != page.main_frame]
        assert framed == ["chrome-error://chromewebdata/"], url


def test_cookies_that_a_page_next_door_plants_change_nothing(
    target: Target, person: BrowserContext, evil: str
) -> None:
    bob = target.door.signed_in("bob")
    front = bob.jar[DOMAIN]["__Host-fleet"]
    planted = [f"__Host-fleet={front}", f"fleet={front}", "__Host-fleet-way=x", "x=" + "y" * 3000]
    page = at(person, evil)
    kept = page.evaluate(PLANT, [planted, DOMAIN])
    assert "__Host-" not in kept
    assert "fleet=" in kept
    # Nobody is signed in by it, and alice signs in as herself in spite of it.
    page.goto(f"http://{DOMAIN}:{target.door.port}/")
    assert page.locator("[name=password]").count() == 1
    signed_in(person, target.door)
    page.goto(f"http://{DOMAIN}:{target.door.port}/")
    assert page.evaluate("fetch('/api/v1/me').then(a => a.text())").count('"alice"') > 0


def test_what_the_front_does_a_page_next_door_cannot_do(
    target: Target, person: BrowserContext, evil: str
) -> None:
    own = signed_in(person, target.door)
    front = f"http://{DOMAIN}:{target.door.port}"
    target.door.forget_asked()
    for path in ("/.door/sign-out", "/token", "/runtime/restart", "/runtime/suspend", "/open"):
        page = at(person, evil)
        for script in SCRIPTS.values():
            page.evaluate(script, [front + path, "{}"])
        with page.expect_response(front + path) as answered:
            page.evaluate(FORM, [front + path, "_top"])
        assert answered.value.status == 403
    assert [line for line in target.door.asked() if not line.startswith("touch")] == []
    assert own.evaluate("fetch('/global/health').then(a => a.status)") == 200


def test_no_password_stands_in_the_browser(target: Target, person: BrowserContext) -> None:
    own = signed_in(person, target.door)
    # OpenCode's page keeps one of its own, its language; the door hands none of it on.
    cookies = [one for one in person.cookies() if one.get("name") != "oc_locale"]
    assert {cookie.get("name") for cookie in cookies} == {"__Host-fleet", "__Host-fleet-known"}
    assert all(cookie.get("httpOnly") and cookie.get("secure") for cookie in cookies)
    assert "fleet" not in own.evaluate("document.cookie")
    stored = json.dumps([person.storage_state(), own.evaluate("({...localStorage})")])
    assert target.door.password("alice") not in stored
    challenges: list[str] = []
    own.on("response", lambda answer: challenges.extend(answer.headers.get("www-authenticate", "")))
    own.reload()
    person.clear_cookies()
    assert own.evaluate("fetch('/config').then(a => a.status)") == 401
    assert challenges == []
