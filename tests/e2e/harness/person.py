"""A person with a browser: signs in at the front page, opens a scene, works in it.

Owns: what a person does by hand. Leaves out: what programs do (`workspace`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright
from playwright.sync_api import Error as PlaywrightError

from tests.e2e.harness.environment import Environment
from tests.e2e.harness.waiting import until

CHROMIUM = Path("/usr/bin/chromium")
BROKEN = "Something went wrong"
RELOADS = 3


@contextmanager
def chromium() -> Generator[Browser]:
    """Debian's Chromium; *.localhost is the machine itself for it."""
    assert CHROMIUM.exists(), "no browser: apt-get install chromium"
    with sync_playwright() as tools:
        found = tools.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield found
        found.close()


def go(load: Callable[[], object]) -> None:
    """Load a page, again as often as the browser drops it.

    A browser drops every request under way when a network interface of its machine comes or goes
    (ERR_NETWORK_CHANGED), which each pod does that starts on the machine of the bundled cluster.
    """

    def loaded() -> bool:
        try:
            load()
        except PlaywrightError as error:
            if "ERR_NETWORK_CHANGED" not in str(error):
                raise
            return False
        return True

    until("the browser loads the page", loaded, 60)


def open_link(page: Page, link: str) -> None:
    """Open a link."""
    go(lambda: page.goto(link, wait_until="domcontentloaded", timeout=30_000))


def sign_in(browser: Browser, environment: Environment, user: str) -> Page:
    """Sign a user in at the front page of an environment, in a browser of their own."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-US")
    page = context.new_page()
    open_link(page, environment.front)
    page.fill("input[name=user]", user)
    page.fill("input[name=password]", environment.workspace(user).password or "")
    go(lambda: page.press("input[name=password]", "Enter"))
    expect(page.get_by_role("heading", name="Scenes")).to_be_visible(timeout=30_000)
    return page


def open_scene(page: Page, title: str) -> None:
    """Click a scene's card and wait until a chat in it is there."""
    card = page.locator("li.card").filter(has=page.get_by_role("heading", name=title, exact=True))
    card.get_by_role("button").click()
    page.wait_for_url(re.compile(r"/session/ses_"), wait_until="commit", timeout=90_000)


def ask(page: Page, prompt: str, answer: Locator) -> None:
    """Type a prompt and wait for its answer; reload as a person would when the page says so."""
    broken = page.get_by_role("heading", name=BROKEN)
    for _ in range(RELOADS):
        box = page.locator('[contenteditable="true"], textarea').first
        expect(box.or_(broken).first).to_be_visible(timeout=45_000)
        if box.is_visible():
            box.click()
            page.keyboard.type(prompt)
            page.keyboard.press("Enter")
            expect(answer.or_(broken).first).to_be_visible(timeout=60_000)
        if answer.is_visible():
            return
        go(lambda: page.reload(wait_until="domcontentloaded"))
    expect(answer).to_be_visible()


def read(page: Page, text: str) -> None:
    """Wait for words in a page; reload as a person would when the page says so."""
    words, broken = page.get_by_text(text).last, page.get_by_role("heading", name=BROKEN)
    for _ in range(RELOADS):
        expect(words.or_(broken).first).to_be_visible(timeout=45_000)
        if words.is_visible():
            return
        go(lambda: page.reload(wait_until="domcontentloaded"))
    expect(words).to_be_visible()
