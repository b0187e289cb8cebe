"""Quantities against the API server's own code: corpus/quantities.json is its answers."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.values.quantity import canonical_quantity, parse_quantity

ANSWERS: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "support/corpus" / "quantities.json").read_text(encoding="utf-8")
)
CANONICAL: dict[str, str] = {text: form for text, form, _ in ANSWERS["accepted"]}
SUFFIXES = ["", "m", "k", "M", "G", "T", "P", "Ki", "Mi", "Gi", "Ti", "Pi", "e3", "E-3", "e0"]
NUMBERS = st.one_of(
    st.integers(0, 8000).map(str),
    st.decimals(0, 8000, places=3, allow_nan=False, allow_infinity=False).map(str),
)
QUANTITIES = st.tuples(NUMBERS, st.sampled_from(SUFFIXES)).map("".join)


@pytest.mark.parametrize(("text", "form", "value"), ANSWERS["accepted"])
def test_a_quantity_has_the_value_and_the_spelling_of_the_api_server(
    text: str, form: str, value: str
) -> None:
    assert parse_quantity(text) == Fraction(value)
    if re.search(r"[eE][+-]?\d+$", text):
        # Another of the server's spellings for the same number, and one it keeps.
        assert parse_quantity(canonical_quantity(text)) == Fraction(value)
        assert not re.search(r"[eE]\d", canonical_quantity(text))
    else:
        assert canonical_quantity(text) == form


@pytest.mark.parametrize("text", ANSWERS["refused"])
def test_what_the_api_server_refuses_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a Kubernetes quantity"):
        parse_quantity(text)


@pytest.mark.parametrize("text", ["8Ei", "9223372036854775808", "1e19", "9" * 30])
def test_a_quantity_beyond_63_bits_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="larger than a Kubernetes quantity can be"):
        parse_quantity(text)


@pytest.mark.parametrize("text", ["9" * 41, "0" * 41, "1e400", "1e-400", "-1", "+1", "1\n", " 1"])
def test_odd_spellings_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a Kubernetes quantity"):
        parse_quantity(text)


@given(QUANTITIES)
def test_the_canonical_form_keeps_the_value_and_is_its_own_canonical_form(text: str) -> None:
    form = canonical_quantity(text)
    assert parse_quantity(form) == parse_quantity(text)
    assert canonical_quantity(form) == form
    assert re.fullmatch(r"[0-9]+([numkMGTPE]|[KMGTPE]i)?", form)


@given(st.integers(1, 10**6))
def test_spellings_of_one_number_have_one_form(count: int) -> None:
    decimal = [f"{count}k", f"{count}000", f"{count}000000m", f"{count}e3", f"{count}.0k"]
    binary = [f"{count}Mi", f"{count * 1024}Ki", f"{count}.0Mi"]
    assert len({canonical_quantity(text) for text in decimal}) == 1
    assert len({canonical_quantity(text) for text in binary}) == 1


@given(st.text(max_size=12))
def test_any_text_is_a_quantity_or_a_value_error(text: str) -> None:
    try:
        value = parse_quantity(text)
    except ValueError:
        return
    assert 0 <= value < 2**63
    assert text.isascii()
