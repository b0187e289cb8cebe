"""How far long work is: plain lines in a log, one live line on a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.live import Live

from fleet.cli import progress
from fleet.cli.progress import LiveLine, PlainLines, state_line, watching


class Log:
    """Plain lines, with a clock that the test moves."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.time = 0.0
        self.plain = PlainLines(self.lines.append, lambda: self.time)


def test_a_log_gets_a_line_every_few_seconds_not_one_an_event() -> None:
    log = Log()
    for number in range(100):
        log.time = number / 10
        log.plain.at("objects", number, 200, ["making alice"])
    assert len(log.lines) == 2
    assert log.lines[0] == "objects: 0/200 (making alice)"


def test_the_end_of_a_step_and_the_next_step_are_not_left_out() -> None:
    log = Log()
    log.plain.at("look", 1, 2)
    log.plain.at("look", 2, 2)
    log.plain.at("ready", 0, 1, ["bob"])
    assert log.lines == ["look: 1/2", "look: 2/2", "ready: 0/1 (bob)"]


def test_nothing_new_prints_nothing() -> None:
    log = Log()
    for moment in (0.0, 60.0):
        log.time = moment
        log.plain.at("ready", 0, 1, ["bob"])
    assert len(log.lines) == 1


def test_what_is_said_is_printed_at_once() -> None:
    log = Log()
    log.plain.at("ready", 0, 1)
    log.plain.say("bob: no node takes the pod")
    assert log.lines[-1] == "bob: no node takes the pod"


def test_many_names_are_a_few_and_a_number() -> None:
    assert state_line("ready", 1, 9, ["a", "b", "c", "d", "e"]) == "ready: 1/9 (a, b, c and 2 more)"
    assert state_line("objects", 7, 0, []) == "objects: 7"


def test_a_terminal_keeps_one_line_and_what_is_said_stays_above() -> None:
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=40, color_system=None)
    with Live(console=console, transient=True, auto_refresh=False) as live:
        line = LiveLine(console, live)
        line.at("objects", 1, 9, ["making " + "a" * 60])
        live.refresh()
        line.say("bob: [bold]refused[/bold]")
    text = written.getvalue()
    assert "bob: [bold]refused[/bold]" in text
    assert "objects: 1/9" in text
    assert "a" * 41 not in text


def test_what_standard_error_is_decides(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "interactive", lambda: False)
    with watching() as plain:
        assert isinstance(plain, PlainLines)
        plain.say("hello")
    assert capsys.readouterr().err == "hello\n"
    monkeypatch.setattr(progress, "interactive", lambda: True)
    with watching() as live:
        assert isinstance(live, LiveLine)
