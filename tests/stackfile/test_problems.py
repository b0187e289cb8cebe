"""How a value is shown in a problem line, and that no credential is."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.errors import HIDDEN, Problem, looks_secret, shown
from fleet.values.secrecy import names_secret, secret_reference

TOKENS = [
    "sk-proj-abcdefgh12345678",
    "ghp_abcdefghijklmnop",
    "github_pat_11ABCDEFG",
    "glpat-abcdefghij",
    "xoxb-123-456",
    "hf_abcdefghijklmn",
    "AKIAIOSFODNN7EXAMPLE",
    "LTAI5tExampleExample",
    "AIzaSyExampleExampleExampleExample",
    "eyJhbGciOiJIUzI1NiJ9.e30.x",
    "-----BEGIN PRIVATE KEY-----",
    "https://me:word@host/",
]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("alice", "alice"),
        ("", '""'),
        (" a", '" a"'),
        ("a\nb", "a\\nb"),
        ("a\0b", "a\\x00b"),
        ("\u202ea", "\\u202ea"),
        ("\ud800", "\\ud800"),
        ("王", "王"),
        ("x" * 81, "x" * 79 + "…"),
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (7, "7"),
        (10**40, "a very large number"),
        pytest.param(-(10**5000), "a very large number", id="5,000 digits"),
        (1.5, "1.5"),
        (float("nan"), "nan"),
        ({"a": 1}, "a mapping"),
        ([1, [2]], "a list"),
        ((), "a list"),
        (datetime.date(2024, 5, 1), "2024-05-01"),
    ],
)
def test_a_value_is_shown_on_one_line(value: object, text: str) -> None:
    assert shown(value) == text


@given(st.one_of(st.text(), st.integers(), st.floats(), st.binary(), st.lists(st.text())))
def test_any_value_is_shown_in_one_short_line_and_stays_so(value: Any) -> None:
    text = shown(value)
    assert text.isprintable()
    assert 0 < len(text) <= 80
    assert shown(text) == text


@pytest.mark.parametrize("token", TOKENS)
def test_a_known_kind_of_credential_is_hidden_wherever_it_stands(token: str) -> None:
    assert looks_secret(token)
    assert shown(f"x {token} y") == HIDDEN
    assert Problem("key", token, "rule", "change").value == HIDDEN


@pytest.mark.parametrize(
    "text",
    ["alice@example.com", "scenes/sky-high", "registry.example.com/a@sha256:00", "https://h/a@b"],
)
def test_ordinary_values_are_not_taken_for_credentials(text: str) -> None:
    assert shown(text) == text


@pytest.mark.parametrize(
    ("key", "secret"),
    [
        ("modelApiKey", True),
        ("users[0].password", True),
        ("GIT_TOKEN", True),
        ("passwordVersion", False),
        ("tlsSecretName", False),
        ("id", False),
    ],
)
def test_keys_tell_whether_they_hold_a_secret(key: str, secret: bool) -> None:
    assert names_secret(key) is secret


def test_a_reference_is_repeated_only_when_it_reads_like_a_name() -> None:
    assert secret_reference("aliceApiKey2") == "aliceApiKey2"
    assert secret_reference("4fj39fjw0f2jf93jf02jfw") == HIDDEN
    assert secret_reference("a1b2c3") == HIDDEN


def test_problems_sort_and_compare_by_their_parts() -> None:
    one, two = Problem("a", "1", "r", "c"), Problem("b", "1", "r", "c")
    assert sorted([two, one]) == [one, two]
    assert str(one) == "a: 1: r: c"
