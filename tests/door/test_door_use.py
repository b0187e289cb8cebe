"""Which requests are somebody at work."""

from __future__ import annotations

import pytest

from door.control.use import counts_as_use

FETCH = {"sec-fetch-mode": "cors", "sec-fetch-dest": "empty", "sec-fetch-site": "same-origin"}
PAGE = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document", "sec-fetch-site": "none"}

# As OpenCode 1.18.33's page sent them in Chromium, in a tab that nobody touched for minutes, whose
# network was then away for 40 seconds, and whose server was then away for 15.
LEFT_OPEN = [
    "GET /api/health",
    "GET /global/health",
    "GET /global/event",
    "GET /global/config",
    "GET /provider",
    "GET /path",
    "GET /project",
    "GET /config?directory=%2Fapp%2Fcoding",
    "GET /session/status?directory=%2Fapp%2Fcoding",
    "GET /project/current?directory=%2Fapp%2Fcoding",
    "GET /vcs?directory=%2Fapp%2Fcoding",
    "GET /command?directory=%2Fapp%2Fcoding",
    "GET /api/reference?directory=%2Fapp%2Fcoding&location%5Bdirectory%5D=%2Fapp%2Fcoding",
    "GET /permission?directory=%2Fapp%2Fcoding",
    "GET /question?directory=%2Fapp%2Fcoding",
    "GET /mcp?directory=%2Fapp%2Fcoding",
    "GET /experimental/resource?directory=%2Fapp%2Fcoding",
    "GET /provider?directory=%2Fapp%2Fcoding",
    "PUT /pty/pty_217f9bde0001mfRzM2QIHfk3nC",
    "POST /pty/pty_217f9bde0001mfRzM2QIHfk3nC/connect-token?directory=%2Fapp%2Fcoding",
]

AT_WORK = [
    "POST /session?directory=%2Fapp%2Fcoding",
    "POST /session/ses_1/prompt_async",
    "POST /session/ses_1/abort",
    "GET /session/ses_1/message?limit=20",
    "GET /file/content?path=a.py",
    "GET /find?pattern=x",
    "POST /pty?directory=%2Fapp",
    "DELETE /pty/pty_1",
    "PATCH /session/ses_1",
    "POST /permission/per_1/reply",
    "GET /something/new/in/a/later/version",
]


@pytest.mark.parametrize("request_line", LEFT_OPEN)
def test_what_a_tab_left_open_sends_is_no_use(request_line: str) -> None:
    method, _, path = request_line.partition(" ")
    assert not counts_as_use(method, path, FETCH)


@pytest.mark.parametrize("request_line", AT_WORK)
@pytest.mark.parametrize("headers", [FETCH, {"authorization": "Basic x"}])
def test_what_a_person_or_a_program_asks_for_is_use(
    request_line: str, headers: dict[str, str]
) -> None:
    method, _, path = request_line.partition(" ")
    assert counts_as_use(method, path, headers)


def test_a_program_that_only_polls_is_no_use() -> None:
    for path in ("/global/health", "/session/status?directory=/app", "/event"):
        assert not counts_as_use("GET", path, {"authorization": "Basic x"})


def test_a_page_that_is_opened_is_use_whatever_its_address() -> None:
    """A chat's address is not one of the API's; `/session` is both."""
    for path in ("/", "/L2FwcA/session/ses_1", "/session"):
        assert counts_as_use("GET", path, PAGE)


def test_a_frame_or_a_page_fetched_ahead_is_no_use() -> None:
    assert not counts_as_use("GET", "/", PAGE | {"sec-fetch-dest": "iframe"})
    assert not counts_as_use("GET", "/", PAGE | {"sec-purpose": "prefetch;prerender"})


def test_an_attached_terminal_program_is_use_when_it_starts_and_not_when_it_is_left_open() -> None:
    """`opencode attach` of 1.18.33; its stream was cut, and all it did was to open it again."""
    program = {"authorization": "Basic x"}
    assert counts_as_use("GET", "/project/global/directories?directory=%2Fapp", program)
    for path in ("/global/event?directory=%2Fapp", "/experimental/workspace/status"):
        assert not counts_as_use("GET", path, program)


def test_opening_a_terminals_stream_is_no_use() -> None:
    headers = {"upgrade": "websocket", "sec-fetch-mode": "websocket"}
    assert not counts_as_use("GET", "/pty/pty_1/connect?cursor=0", headers)
