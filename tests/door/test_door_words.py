"""The words of the pages: two languages that say the same, chosen as browsers ask."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from string import Formatter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from door.control.pages.chinese import WORDS as CHINESE
from door.control.pages.english import WORDS as ENGLISH
from door.control.pages.languages import told, translator, words_for
from tests.support.programs import ROOT

TEMPLATES = ROOT / "door" / "control" / "pages" / "templates"
NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


def blanks(text: str) -> set[str]:
    """Return the names of the values that a text needs."""
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def test_both_languages_have_the_same_words() -> None:
    assert CHINESE.keys() == ENGLISH.keys()


def test_a_text_needs_the_same_values_in_both_languages() -> None:
    assert {key: blanks(text) for key, text in CHINESE.items()} == {
        key: blanks(text) for key, text in ENGLISH.items()
    }


def test_every_word_that_a_template_names_exists() -> None:
    named = {
        found
        for template in TEMPLATES.glob("*.html")
        for found in re.findall(r"\bt\('([a-z.-]+[a-z])'[,)]", template.read_text("utf-8"))
    }
    assert len(named) > 40
    assert named - ENGLISH.keys() == set()


@pytest.mark.parametrize(
    ("asked", "language"),
    [
        ("", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"),
        ("en-GB,en;q=0.9,zh;q=0.8", "en"),
        ("de-DE,de;q=0.9,zh-TW;q=0.5,en;q=0.3", "zh-CN"),
        ("fr", "en"),
        ("zh;q=0,en;q=0.1", "en"),
        ("zh;q=nonsense", "en"),
        ("ZH-hant", "zh-CN"),
    ],
)
def test_the_language_is_the_one_a_browser_prefers(asked: str, language: str) -> None:
    assert words_for(asked)["lang"] == language


@given(st.text(max_size=600))
def test_no_header_breaks_the_choice_of_a_language(asked: str) -> None:
    assert words_for(asked) in (ENGLISH, CHINESE)


@pytest.mark.parametrize(
    ("away", "text"),
    [
        (timedelta(seconds=-20), "just now"),
        (timedelta(seconds=-61), "a minute ago"),
        (timedelta(minutes=-59), "59 minutes ago"),
        (timedelta(minutes=-61), "an hour ago"),
        (timedelta(hours=-23), "23 hours ago"),
        (timedelta(hours=-25), "yesterday"),
        (timedelta(days=-40), "40 days ago"),
        (timedelta(minutes=90), "in an hour"),
        (timedelta(days=2), "in 2 days"),
    ],
)
def test_a_moment_is_told_as_people_say_it(away: timedelta, text: str) -> None:
    assert told(NOON + away, NOON, translator(ENGLISH)) == text


def test_a_moment_is_told_in_chinese_too() -> None:
    assert told(NOON - timedelta(hours=3), NOON, translator(CHINESE)) == "3 小时前"
