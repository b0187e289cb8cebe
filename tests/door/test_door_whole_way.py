"""The whole way through nginx, control and OpenCode itself, as a person and a program go it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.support.door_opencode import find_opencode, real_opencode
from tests.support.door_stack import ALICE, DOMAIN, SERVICE_TOKEN, RunningDoor, running_door

pytestmark = pytest.mark.door
CHROMIUM = Path("/usr/bin/chromium")
# OpenCode starts its first chat slowly on a machine that does other things too.
PATIENCE = 60_000
CHAT = "/L2FwcC9jb2Rpbmc/session/"


@pytest.fixture(scope="module")
def real_door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDoor]:
    """A door with a real OpenCode of alice's behind it."""
    binary = find_opencode()
    if binary is None:
        pytest.skip("no OpenCode: name one in FLEET_OPENCODE, or start the bundled cluster")
    folder = tmp_path_factory.mktemp("way")
    with running_door(folder) as door:
        address = door.alice.address.rpartition(".")[0] + ".5"
        with real_opencode(binary, address, "alice", door.password("alice"), folder / "o"):
            door.set("alice", address=address)
            yield door


@pytest.fixture(scope="module")
def page(real_door: RunningDoor) -> Iterator[Page]:
    """A browser on the front page, signed in as alice."""
    with sync_playwright() as tools:
        browser = tools.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        page = browser.new_context().new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(front(real_door))
        page.locator("input[name=user]").fill("alice")
        page.locator("input[name=password]").fill(real_door.password("alice"))
        page.locator("main form button").click()
        page.wait_for_url(front(real_door))
        yield page
        browser.close()


def front(door: RunningDoor) -> str:
    """Return the address of the front page."""
    return f"http://{DOMAIN}:{door.port}/"


def test_a_person_signs_in_clicks_a_scene_and_is_in_a_chat_of_it(
    real_door: RunningDoor, page: Page
) -> None:
    failed: list[str] = []
    page.on("requestfailed", lambda one: failed.append(f"{one.method} {one.url}: {one.failure}"))
    page.goto(front(real_door))
    page.get_by_role("button", name="New chat in Coding").click()
    page.wait_for_url(f"{real_door.origin}{CHAT}*")
    # OpenCode's own interface, whose script asks its API with this page's session alone.
    broken = page.get_by_text("Something went wrong")
    box = page.locator("[contenteditable=true]").first
    expect(box.or_(broken)).to_be_visible(timeout=PATIENCE)
    if broken.count() and any("ERR_NETWORK_CHANGED" in one for one in failed):
        # A browser drops its requests whenever a pod starts on the same machine.
        page.reload()
        expect(box.or_(broken)).to_be_visible(timeout=PATIENCE)
    expect(broken, "; ".join(failed)).to_have_count(0)
    link = page.locator(".chats a").first
    page.goto(front(real_door))
    for _ in range(5):
        if link.count():
            break
        # The page does not wait long for a workspace that is busy, and says so.
        expect(page.get_by_text("did not tell its chats")).to_be_visible()
        page.goto(front(real_door))
    assert (link.get_attribute("href") or "").startswith(f"{real_door.origin}{CHAT}")


def test_a_sleeping_workspace_shows_the_waking_page_and_goes_on(
    real_door: RunningDoor, page: Page
) -> None:
    address = real_door.people["alice"]["address"]
    real_door.set("alice", phase="starting", address=None)
    try:
        page.goto(real_door.origin + CHAT + "?from=a-bookmark")
        expect(page.get_by_role("heading", name="Waking your workspace")).to_be_visible()
        # Style and script come from the workspace's own host.
        round_corner = "getComputedStyle(document.querySelector('.breath')).borderRadius"
        assert page.evaluate(round_corner) == "50%"
    finally:
        real_door.set("alice", phase="ready", address=address)
    page.wait_for_selector("#root")
    assert page.url.startswith(real_door.origin + CHAT)


def test_a_program_makes_a_chat_by_the_name_of_a_scene(real_door: RunningDoor) -> None:
    headers = real_door.basic() | {"Content-Type": "application/json"}
    body = json.dumps({"scene": "research", "title": "Sources"}).encode()
    answer = real_door.ask(ALICE, "/session", "POST", headers=headers, body=body)
    assert answer.status == 200
    assert json.loads(answer.text)["directory"] == "/app/research"
    refused = real_door.ask(
        ALICE, "/session", "POST", headers=headers, body=b'{"scene": "finance"}'
    )
    assert refused.status == 422
    assert json.loads(refused.text)["error"]["code"] == "unknown-scene"


def test_a_service_opens_a_chat_and_reads_it_at_the_users_own_host(real_door: RunningDoor) -> None:
    headers = {
        "Authorization": f"Bearer {SERVICE_TOKEN}",
        "X-User-Id": "alice",
        "Content-Type": "application/json",
    }
    made = real_door.ask(
        DOMAIN, "/api/v1/sessions", "POST", headers=headers, body=b'{"scene": "coding"}'
    )
    assert made.status == 201
    chat = json.loads(made.text)
    path = f"/session/{chat['id']}?directory={chat['directory']}"
    assert json.loads(real_door.ask(ALICE, path, headers=headers).text)["id"] == chat["id"]
