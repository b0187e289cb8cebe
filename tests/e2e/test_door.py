"""The door: one sign-in, scenes with a click, nobody else's page gets in, sleep and waking."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import Browser, Page

from tests.e2e.harness.environment import Environment, changes_of
from tests.e2e.harness.making import Maker
from tests.e2e.harness.person import ask, chromium, open_link, open_scene, sign_in
from tests.e2e.harness.waiting import until

pytestmark = pytest.mark.e2e
PICTURES = Path(tempfile.gettempdir())
# A title of its own, as the front page shows it.
CODING = "Coding"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser."""
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def house(make: Maker) -> Environment:
    """Alice, an admin with two scenes, and bob."""
    environment = make("door", ["alice", "bob"])
    environment.config["scenes"]["coding"]["title"] = CODING
    environment.config["scenes"]["research"]["title"] = "Research"
    environment.user("alice").update({"scenes": ["coding", "research"], "admin": True})
    environment.user("bob")["scenes"] = ["coding"]
    environment.up()
    for user in ("alice", "bob"):
        environment.workspace(user).healthy()
    return environment


@pytest.mark.smoke
def test_a_person_signs_in_once_clicks_a_scene_and_gets_an_answer(
    house: Environment, browser: Browser
) -> None:
    """Lost otherwise: the product. Nobody finds the scenes, or types two passwords for one."""
    page = sign_in(browser, house, "alice")
    asked: list[str] = []
    page.context.on(
        "response",
        lambda reply: asked.append(reply.url) if "www-authenticate" in reply.headers else None,
    )
    titles = page.locator("li.card h3").all_inner_texts()
    assert titles == [CODING, "Research"]
    page.screenshot(path=PICTURES / "opencode-fleet-e2e-front.png")
    open_scene(page, CODING)
    address = urlsplit(page.url)
    assert address.hostname == f"alice.{house.config['access']['domain']}"
    folder = address.path.split("/")[1]
    assert base64.urlsafe_b64decode(folder + "=" * (-len(folder) % 4)) == b"/app/coding"
    answer = page.get_by_text(re.compile(r"^\s*A wren sings from the hedge\s*$")).first
    ask(page, "[[say A wren sings from the hedge]] please", answer)
    page.screenshot(path=PICTURES / "opencode-fleet-e2e-chat.png")
    assert asked == [], "no browser is ever asked for Basic authentication"
    page.context.close()


def test_an_admin_sees_everybody_and_others_do_not(house: Environment, browser: Browser) -> None:
    """Lost otherwise: nobody can help a user, or everybody sees who works when."""
    page = sign_in(browser, house, "alice")
    page.get_by_role("link", name="Everybody").click()
    page.wait_for_load_state("domcontentloaded")
    assert "bob" in page.inner_text("main")
    page.screenshot(path=PICTURES / "opencode-fleet-e2e-everybody.png")
    url = page.url
    page.context.close()
    page = sign_in(browser, house, "bob")
    assert page.get_by_role("link", name="Everybody").count() == 0
    reply = page.goto(url)
    assert reply is not None
    assert reply.status in (403, 404)
    page.context.close()


ATTACKS = {
    "fetch": """async (target, command) => {
        const body = new Blob([JSON.stringify(command)]);
        const way = {method: "POST", mode: "no-cors", credentials: "include", body};
        await fetch(target + "/pty", way).catch(() => null);
    }""",
    "form": """async (target, command) => {
        const frame = document.body.appendChild(document.createElement("iframe"));
        frame.name = "hidden";
        const form = document.body.appendChild(document.createElement("form"));
        form.method = "POST"; form.enctype = "text/plain"; form.target = "hidden";
        form.action = target + "/pty";
        const field = form.appendChild(document.createElement("input"));
        const text = JSON.stringify(command);
        field.name = text.slice(0, -1) + ',"x":"'; field.value = '"}';
        form.submit();
        await new Promise(done => setTimeout(done, 2000));
    }""",
    "websocket": """async (target, command) => {
        const socket = new WebSocket(target.replace("http", "ws") + "/pty/pty_x/connect");
        const opened = await new Promise(done => {
            socket.onopen = () => done(true); socket.onerror = () => done(false);
            setTimeout(() => done(false), 5000);
        });
        if (opened) window.opened = true;
    }""",
    "cookie": """async (target, command) => {
        const domain = location.hostname.split(".").slice(1).join(".");
        for (const name of ["fleet", "__Host-fleet", "__Secure-fleet"])
            document.cookie = name + "=planted; path=/; domain=." + domain;
        const body = new Blob([JSON.stringify(command)]);
        const way = {method: "POST", mode: "no-cors", credentials: "include", body};
        await fetch(target + "/pty", way).catch(() => null);
    }""",
}


@pytest.fixture(scope="module")
def foreign() -> Iterator[int]:
    """A port of this machine that serves a page under every name of *.localhost.

    Served for real: of a page that is made up inside of the browser, Chromium blocks the requests
    to this machine by itself, and nothing would be tried. To a browser `bob.example:8000` is of the
    same site as `alice.example:7080`: ports make an origin, not a site.
    """

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            frame = parse_qs(urlsplit(self.path).query).get("frame", [""])[0]
            inner = f"<iframe src={json.dumps(frame)}></iframe>" if frame else ""
            body = f"<!doctype html><title>cats</title><body>{inner}".encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's
            del format, args

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def attack(page: Page, form: str, origin: str, target: str, file: str) -> None:
    """Show the browser a page of `origin` that tries to run a command behind `target`."""
    open_link(page, f"{origin}/cats")
    command = {"command": "touch", "args": [file]}
    script = f"([target, command]) => ({ATTACKS[form]})(target, command)"
    page.evaluate(script, [target, command])
    page.wait_for_timeout(2000)


def was_run(environment: Environment, file: str) -> bool:
    """Return whether a command made a file in alice's runtime."""
    return environment.inside("alice", "test", "-e", file).returncode == 0


@pytest.mark.parametrize("form", list(ATTACKS))
@pytest.mark.parametrize("sibling", ["bob", "somebody"])
def test_a_page_of_a_sibling_runs_nothing_in_a_signed_in_persons_workspace(
    house: Environment, browser: Browser, foreign: int, form: str, sibling: str
) -> None:
    """Lost otherwise: a link in a chat is enough for a colleague to take over a workspace."""
    page = sign_in(browser, house, "alice")
    open_scene(page, CODING)
    access = house.config["access"]
    origin = f"http://{sibling}.{access['domain']}:{foreign}"
    target = f"http://alice.{access['domain']}:{access['port']}"
    file = f"/tmp/{form}-{sibling}"  # noqa: S108 - in the runtime
    attack(page, form, origin, target, file)
    assert not was_run(house, file)
    assert page.evaluate("window.opened === true") is False
    # She herself still works there.
    open_link(page, f"{target}/doc")
    assert page.evaluate("document.body.innerText.length") > 0
    page.context.close()


def test_no_page_of_a_sibling_can_frame_a_workspace(
    house: Environment, browser: Browser, foreign: int
) -> None:
    """Lost otherwise: a person is made to click in their own workspace without seeing it."""
    page = sign_in(browser, house, "alice")
    open_scene(page, CODING)
    access = house.config["access"]
    target = f"http://alice.{access['domain']}:{access['port']}/"
    origin = f"http://bob.{access['domain']}:{foreign}"
    statuses: list[int] = []
    page.on(
        "response", lambda reply: statuses.append(reply.status) if reply.url == target else None
    )
    open_link(page, f"{origin}/cats?{urlencode({'frame': target})}")
    # What the browser tells is told while the page is waited for.
    page.wait_for_timeout(5000)
    assert statuses == [403]
    assert "OpenCode" not in page.frames[1].content()
    page.context.close()


@contextmanager
def straight_to_the_runtime(environment: Environment) -> Generator[int]:
    """Yield a port of this machine that leads to alice's runtime without the door."""
    kube = environment.kube
    command = [kube.program, f"--context={kube.context}", "port-forward"]
    command += [f"--namespace={environment.namespace}", "service/oc-alice", ":4096"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"127\.0\.0\.1:(\d+)", line)
        assert found is not None, line
        try:
            yield int(found[1])
        finally:
            process.terminate()


def test_the_same_page_runs_a_command_where_there_is_no_door(
    house: Environment, browser: Browser, foreign: int
) -> None:
    """Lost otherwise: the tests above pass because the attack is none."""
    alice = house.workspace("alice")
    with straight_to_the_runtime(house) as port:
        page = browser.new_context().new_page()
        # As somebody who typed the password into the browser's box: the browser remembers it.
        place = f"alice.straight.localhost:{port}"
        page.goto(f"http://alice:{alice.password}@{place}/doc", wait_until="domcontentloaded")
        file = "/tmp/straight"  # noqa: S108 - in the runtime
        attack(page, "fetch", f"http://bob.straight.localhost:{foreign}", f"http://{place}", file)
        until("the command ran", lambda: was_run(house, file), 20)
        page.context.close()


def test_who_sleeps_stays_asleep_over_an_update_and_wakes_by_a_request(
    house: Environment,
) -> None:
    """Lost otherwise: idle workspaces cost money, or a program finds nobody there."""
    house.workspace("bob").chat()
    done = house.fleet("suspend", "bob")
    assert done.code == 0, done.said
    until("bob's pod is gone", lambda: "bob" not in house.pods(), 60)

    def noted() -> bool:
        rows = {row["user"]: row for row in house.fleet("status", "--json").json["users"]}
        assert (rows["bob"]["state"], rows["bob"]["phase"]) == ("active", "asleep")
        return bool(rows["bob"]["last_used"])

    until("the door has noted when he was there", noted, 90, 5)
    assert changes_of(house.up()) == []
    assert "bob" not in house.pods(), "an update wakes nobody"
    bob = house.workspace("bob")
    assert bob.call("GET", "/global/health", timeout=90).status == 503, (
        "who only looks wakes nobody"
    )
    reply = bob.call("GET", "/session", timeout=90)
    assert reply.status == 200, reply.text
    assert "bob" in house.pods()


def test_a_person_sees_that_the_workspace_is_being_woken_and_then_works(
    house: Environment, browser: Browser
) -> None:
    """Lost otherwise: a person in the morning meets an error and calls somebody."""
    page = sign_in(browser, house, "alice")
    assert house.fleet("suspend", "alice").code == 0
    until("alice's pod is gone", lambda: "alice" not in house.pods(), 60)
    access = house.config["access"]
    seen: list[int] = []
    page.on("response", lambda reply: seen.append(reply.status) if "alice." in reply.url else None)
    open_link(page, f"http://alice.{access['domain']}:{access['port']}/")
    page.screenshot(path=PICTURES / "opencode-fleet-e2e-waking.png")
    until("the page is OpenCode's", lambda: page.title() == "OpenCode", 90)
    assert 503 in seen, "a page that says so, and goes on by itself"
    page.context.close()


def test_suspending_by_the_stack_file_beats_the_door_and_ends_by_it(house: Environment) -> None:
    """Lost otherwise: who leaves the company is woken by a forgotten program."""
    house.user("bob")["state"] = "suspended"
    assert "bob suspend" in changes_of(house.up())
    until("bob's pod is gone", lambda: "bob" not in house.pods(), 60)
    assert house.workspace("bob").call("GET", "/global/health", timeout=90).status == 403
    assert "bob" not in house.pods()
    house.user("bob")["state"] = "active"
    house.up()
    # Who slept when he was suspended sleeps on, until somebody wants him.
    reply = house.workspace("bob").call("GET", "/session", timeout=90)
    assert reply.status == 200, reply.text


def as_door(environment: Environment, verb: str, what: str, namespace: str) -> bool:
    """Return whether the door's account may do something."""
    account = f"system:serviceaccount:{environment.door_namespace}:door"
    resource, _, sub = what.partition("/")
    words = ["auth", "can-i", verb, resource, f"--namespace={namespace}", f"--as={account}"]
    done = environment.kube.run(*words, *([f"--subresource={sub}"] if sub else []))
    return done.stdout.strip() == "yes"


def test_the_doors_account_may_look_scale_and_keep_leases_and_nothing_else(
    house: Environment,
) -> None:
    """Lost otherwise: whoever takes over the door reads every password, or deletes work."""
    pool, own = house.namespace, house.door_namespace
    may = {
        *(("get", kind, pool) for kind in ("pods", "deployments")),
        *(("watch", kind, pool) for kind in ("pods", "deployments")),
        ("patch", "deployments/scale", pool),
        *((verb, "leases", own) for verb in ("get", "list", "watch", "create", "patch")),
    }
    may_not = {
        *(("get", "secrets", place) for place in (pool, own, "kube-system")),
        *((verb, "deployments", pool) for verb in ("patch", "update", "delete", "create")),
        *((verb, "pods", pool) for verb in ("delete", "create", "patch")),
        ("create", "pods/exec", pool),
        ("get", "pods/log", pool),
        ("get", "persistentvolumeclaims", pool),
        ("delete", "leases", own),
        ("get", "leases", "kube-system"),
        ("get", "pods", "kube-system"),
        ("list", "namespaces", "default"),
        ("create", "serviceaccounts/token", own),
    }
    assert {row for row in may if not as_door(house, *row)} == set()
    assert {row for row in may_not if as_door(house, *row)} == set()


def test_a_new_user_touches_nothing_of_the_door(house: Environment) -> None:
    """Lost otherwise: every new colleague interrupts everybody's streams."""
    pods = {
        item["metadata"]["uid"]
        for item in house.kube.list("pods", f"--namespace={house.door_namespace}")
    }
    house.config["users"].append({"id": "carol"})
    outcome = house.up()
    assert outcome["changes"]["environment"] == []
    house.workspace("carol").healthy()
    after = {
        item["metadata"]["uid"]
        for item in house.kube.list("pods", f"--namespace={house.door_namespace}")
    }
    assert after == pods
    house.config["users"] = [user for user in house.config["users"] if user["id"] != "carol"]
    house.up()
    reply = house.workspace("alice").call("GET", "/global/health")
    assert json.loads(reply.text)["healthy"] is True
