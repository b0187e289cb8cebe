"""What pods print never reaches a terminal as anything but text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.cluster.untrusted import one_line, printable


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("plain text, ünïcödé, 日本", "plain text, ünïcödé, 日本"),
        ("a\tb", "a\tb"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x1b[2J\x1b[H", "\\x1b[2J\\x1b[H"),
        ("\x9b2J", "\\x9b2J"),
        ("over\rwritten", "over\\rwritten"),
        ("back\u202eward", "back\\u202eward"),
        ("half \ud800", "half \\ud800"),
        ("\x00", "\\x00"),
    ],
)
def test_only_text_and_tabs_are_left(said: str, shown: str) -> None:
    assert printable(said) == shown


@given(st.text())
def test_nothing_a_terminal_obeys_is_ever_left(text: str) -> None:
    assert printable(text).replace("\t", "").isprintable()


@given(st.text(), st.integers(min_value=1, max_value=50))
def test_a_line_is_one_and_bounded(text: str, most: int) -> None:
    line = one_line(text, most)
    assert len(line) <= most
    assert line.isprintable()


def test_a_long_line_says_that_it_goes_on() -> None:
    assert one_line("a b\n" * 1000, 10) == "a b a b a…"
