"""Pictures of the door's pages for the documents: `make pictures` writes docs/images/door-*.png.

Taken of the same pages that the tests look at. pngquant makes them a third as large.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from door.control.world import Phase
from tests.support.door_desk import Desk, served
from tests.support.door_scenery import lively_desk

CHROMIUM = Path("/usr/bin/chromium")
PORT = 7085
LARGEST = 150_000
_DESK: dict[str, Any] = {"viewport": {"width": 1120, "height": 760}}
_PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 760}, "device_scale_factor": 1.5}


def _signed_in(browser: Browser, desk: Desk, **options: Any) -> Page:
    page = browser.new_context(**options).new_page()
    page.goto(desk.settings.front + "/.door/sign-in")
    page.locator("input[name=user]").fill("alice")
    page.locator("input[name=password]").fill(desk.password("alice"))
    page.locator("main form button").click()
    page.wait_for_url(desk.settings.front + "/")
    return page


def _take(page: Page, file: Path, *, whole: bool = False) -> None:
    page.screenshot(path=file, full_page=whole, animations="disabled")
    command = ["pngquant", "--force", "--skip-if-larger", "--ext", ".png", "64", str(file)]
    subprocess.run(command, check=False)
    size = file.stat().st_size
    assert size <= LARGEST, f"{file}: {size} bytes, at most {LARGEST}"


def take_all(folder: Path) -> None:
    """Write every picture."""
    # Not the port of the bundled cluster, which may be up.
    desk = lively_desk(port=PORT)
    front = desk.settings.front
    with served(desk.app, PORT), sync_playwright() as tools:
        browser = tools.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        page = browser.new_context(**_DESK).new_page()
        page.goto(front + "/.door/sign-in")
        _take(page, folder / "door-sign-in.png")
        for scheme in ("light", "dark"):
            page = _signed_in(browser, desk, color_scheme=scheme, **_DESK)
            _take(page, folder / f"door-front-{scheme}.png", whole=True)
        page.goto(front + "/users")
        _take(page, folder / "door-users-dark.png")
        page = _signed_in(browser, desk, locale="zh-CN", **_PHONE)
        _take(page, folder / "door-front-phone.png")
        desk.world.set("alice", phase=Phase.STARTING)
        page.goto(front + "/shown/waking")
        _take(page, folder / "door-waking-phone.png")
        browser.close()


if __name__ == "__main__":
    take_all(Path(sys.argv[1]))
