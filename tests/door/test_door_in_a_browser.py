"""The pages in Chromium: for every reader, without script, without errors, by keyboard alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from door.control.world import Phase, Wanted
from tests.support.axe import axe_source, violations
from tests.support.door_desk import Desk, served
from tests.support.door_scenery import PAGES, lively_desk

pytestmark = pytest.mark.door
CHROMIUM = Path("/usr/bin/chromium")
NARROWEST = 320
OpenContext = Callable[..., BrowserContext]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium; *.localhost is the machine itself for it."""
    assert CHROMIUM.exists(), "no browser: apt-get install chromium"
    with sync_playwright() as tools:
        found = tools.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield found
        found.close()


@pytest.fixture(scope="module")
def axe() -> str:
    """axe-core's script."""
    return axe_source()


@pytest.fixture
def desk() -> Iterator[Desk]:
    """A door that listens, with people and chats."""
    desk = lively_desk(notice="Saturday 20:00 to 21:00: workspaces restart.")
    with served(desk.app, desk.settings.port or 0):
        yield desk


@pytest.fixture
def signed_in(browser: Browser, desk: Desk) -> Iterator[OpenContext]:
    """Open contexts in which alice has signed in."""
    opened: list[BrowserContext] = []

    def open_context(**options: Any) -> BrowserContext:
        context = browser.new_context(**options)
        opened.append(context)
        page = context.new_page()
        page.goto(desk.settings.front + "/.door/sign-in")
        page.locator("input[name=user]").fill("alice")
        page.locator("input[name=password]").fill(desk.password("alice"))
        page.locator("main form button").click()
        page.wait_for_url(desk.settings.front + "/")
        page.close()
        return context

    yield open_context
    for context in opened:
        context.close()


def complaints(page: Page) -> list[str]:
    """Return a list that fills with the page's errors; that a page is itself an error is none."""
    told: list[str] = []

    def note(message: ConsoleMessage) -> None:
        itself = message.location["url"] == page.url and "status of" in message.text
        if message.type in {"error", "warning"} and not itself:
            told.append(f"{page.url}: {message.text}")

    page.on("console", note)
    page.on("pageerror", lambda error: told.append(f"{page.url}: {error}"))
    page.on("requestfailed", lambda request: told.append(f"not loaded: {request.url}"))
    return told


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_every_page_is_for_everybody(
    desk: Desk,
    signed_in: OpenContext,
    axe: str,
    language: str,
    scheme: Literal["light", "dark"],
) -> None:
    page = signed_in(locale=language, color_scheme=scheme).new_page()
    # It would go on at once where the workspace is awake already.
    desk.world.set("alice", phase=Phase.STARTING, reason="pulling the image")
    told = complaints(page)
    found: list[str] = []
    for path in PAGES:
        page.goto(desk.settings.front + path)
        assert page.locator("html").get_attribute("lang") == language
        found += [f"{path}: {line}" for line in violations(page, axe)]
    desk.world.set("alice", phase=Phase.READY, reason=None)
    page.goto(desk.settings.front)
    found += violations(page, axe)
    page.locator("form[action='/token'] button").click()
    page.wait_for_selector("#token")
    found += violations(page, axe)
    assert found == []
    assert told == []


@pytest.mark.parametrize("width", [NARROWEST, 390, 1280])
def test_no_page_is_wider_than_the_screen(desk: Desk, signed_in: OpenContext, width: int) -> None:
    page = signed_in(viewport={"width": width, "height": 800}).new_page()
    desk.world.set("alice", display_name="A" * 120, reason="y" * 300, phase=Phase.STARTING)
    wide: list[tuple[str, int]] = []
    for path in PAGES:
        page.goto(desk.settings.front + path)
        needed = page.evaluate("document.documentElement.scrollWidth")
        if needed > width:
            wide.append((path, needed))
    assert wide == []


def test_a_card_is_reached_and_opened_by_keyboard_alone(desk: Desk, signed_in: OpenContext) -> None:
    page = signed_in().new_page()
    page.goto(desk.settings.front)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    label = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert label == "New chat in Coding"
    page.keyboard.press("Enter")
    page.wait_for_url("**/L2FwcC9jb2Rpbmc/session/*")
    assert page.url.startswith(f"http://alice.fleet.localhost:{desk.settings.port}/")


def test_a_click_anywhere_on_a_card_opens_its_scene(desk: Desk, signed_in: OpenContext) -> None:
    page = signed_in().new_page()
    told = complaints(page)
    page.goto(desk.settings.front)
    box = page.locator(".card").nth(1).bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] - 8, box["y"] + 8)
    page.wait_for_url("**/L2FwcC9yZXNlYXJjaA/session/*")
    assert told == []


@pytest.mark.parametrize("script", [True, False])
def test_the_waking_page_goes_on_by_itself(
    desk: Desk, signed_in: OpenContext, script: bool
) -> None:
    context = signed_in(java_script_enabled=script)
    desk.world.wakes_by_itself = False
    desk.world.set("alice", phase=Phase.ASLEEP, address=None)
    page = context.new_page()
    page.goto(desk.settings.front)
    page.locator(".card button").first.click()
    page.wait_for_url("**/opening?*")
    assert "Waking your workspace" in page.inner_text("main")
    assert ("wake", "alice") in desk.world.asked
    desk.world.set("alice", phase=Phase.READY, address="127.0.0.1")
    page.wait_for_url("**/L2FwcC9jb2Rpbmc/session/*", timeout=20_000)
    assert len([one for one in desk.opencode.sessions if "metadata" in one]) == 1


def test_the_waking_page_says_why_it_takes_long(desk: Desk, signed_in: OpenContext) -> None:
    page = signed_in().new_page()
    told = complaints(page)
    desk.world.set("alice", phase=Phase.STARTING, address=None)
    page.goto(desk.settings.front + "/shown/waking")
    assert not page.locator("[data-reason]").is_visible()
    desk.world.set("alice", reason="0/1 nodes are available: 1 Insufficient memory.")
    page.locator("[data-reason]").wait_for(state="visible")
    assert "Insufficient memory" in page.inner_text("[data-reason]")
    desk.world.set("alice", phase=Phase.FAILING)
    page.wait_for_selector("text=Your workspace cannot be woken now")
    assert told == []


def test_the_front_page_follows_what_the_workspace_does(desk: Desk, signed_in: OpenContext) -> None:
    page = signed_in().new_page()
    desk.world.set("alice", phase=Phase.STARTING, address=None)
    page.goto(desk.settings.front)
    assert "Waking" in page.inner_text(".phase")
    desk.world.set("alice", phase=Phase.READY, address="127.0.0.1")
    page.wait_for_selector(".phase-ready")
    page.wait_for_selector("text=Flaky test in the scheduler")


def test_every_button_works_without_script(desk: Desk, signed_in: OpenContext) -> None:
    page = signed_in(java_script_enabled=False).new_page()
    page.goto(desk.settings.front)
    page.locator("form[action='/runtime/suspend'] button").click()
    assert "goes to sleep" in page.inner_text("[role=status]")
    page.goto(desk.settings.front + "/users")
    page.get_by_role("button", name="Wake: Bob").click()
    page.wait_for_url("**/users?*done=resume")
    page.locator(
        "form[action='/.door/sign-out'] button, form[action$='/.door/sign-out'] button"
    ).click()
    page.wait_for_url("**/.door/sign-in?*")
    assert "You are signed out." in page.inner_text("main")
    assert desk.world.asked == [("sleep", "alice"), ("wake", "bob")]


def test_a_paused_workspace_offers_nothing_that_cannot_be_done(
    desk: Desk, signed_in: OpenContext
) -> None:
    page = signed_in().new_page()
    desk.world.set("alice", wanted=Wanted.SUSPENDED, phase=Phase.SUSPENDED, address=None)
    page.goto(desk.settings.front)
    assert page.locator(".card button:enabled").count() == 0
    assert page.locator(".actions button").count() == 0


def test_the_token_can_be_copied_and_the_password_shown(
    browser: Browser, desk: Desk, signed_in: OpenContext
) -> None:
    context = signed_in(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(desk.settings.front)
    page.locator("form[action='/token'] button").click()
    token = page.locator("#token").input_value()
    page.locator("[data-copy]").click()
    page.wait_for_selector("text=Copied")
    assert page.evaluate("navigator.clipboard.readText()") == token
    stranger = browser.new_context()
    page = stranger.new_page()
    page.goto(desk.settings.front + "/.door/sign-in")
    page.locator("#password").fill("secret")
    page.get_by_text("Show password").click()
    assert page.locator("#password").get_attribute("type") == "text"
    stranger.close()
