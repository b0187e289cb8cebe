"""Which of the two languages a person reads, and the words in it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from door.control.pages.chinese import WORDS as CHINESE
from door.control.pages.english import WORDS as ENGLISH

Translate = Callable[..., str]

_MINUTE = timedelta(minutes=1)
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)


def words_for(accept_language: str) -> dict[str, str]:
    """Return the words of the language that a browser prefers, English where it names neither."""
    best, words = 0.0, ENGLISH
    for part in accept_language[:500].split(","):
        tag, _, weight = part.strip().partition(";")
        name = tag.strip().lower().partition("-")[0]
        value = _weight(weight)
        if name in ("zh", "en") and value > best:
            best, words = value, CHINESE if name == "zh" else ENGLISH
    return words


def _weight(text: str) -> float:
    text = text.strip().removeprefix("q=")
    try:
        return float(text) if text else 1.0
    except ValueError:
        return 0.0


def translator(words: dict[str, str]) -> Translate:
    """Return what templates call with a key and the values that stand in the text."""

    def translate(key: str, **values: object) -> str:
        text = words[key]
        return text.format(**values) if values else text

    return translate


def told(moment: datetime, now: datetime, t: Translate) -> str:
    """Return how long ago a moment was, or how far away it is, in words."""
    away = moment - now
    way, distance = ("in", away) if away > timedelta(0) else ("ago", -away)
    if distance < _MINUTE:
        return t(f"{way}.now")
    for unit, length in (("day", _DAY), ("hour", _HOUR), ("minute", _MINUTE)):
        count = distance // length
        if count:
            return t(f"{way}.{unit}") if count == 1 else t(f"{way}.{unit}s", count=count)
    raise AssertionError(distance)
