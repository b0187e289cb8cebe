"""Every rule of a stack file is broken once, and the whole message is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.broken import values_of
from tests.unit.stacks import (
    FULL,
    SECRETS,
    SMALL,
    corpus,
    lines_of,
    lines_of_file,
    text_of,
    unclear,
)

CASES = corpus("rules.yaml")
NAMED = pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])


def test_the_files_that_cases_start_from_are_valid(shared_folder: Path) -> None:
    assert lines_of(SMALL, shared_folder) == []
    assert lines_of(FULL, shared_folder, SECRETS) == []


@NAMED
def test_a_broken_rule_says_key_value_rule_and_what_to_change(
    case: dict[str, Any], shared_folder: Path
) -> None:
    lines = lines_of(values_of(case), shared_folder, frozenset(case.get("secrets", [])))
    assert lines == case["say"]
    assert [unclear(line) for line in lines] == [[] for _ in lines]


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if "secrets" not in case],
    ids=[case["name"] for case in CASES if "secrets" not in case],
)
def test_the_message_is_the_same_when_the_file_is_read(case: dict[str, Any], folder: Path) -> None:
    assert lines_of_file(text_of(values_of(case)), folder) == case["say"]


def test_case_names_are_unique() -> None:
    assert len({case["name"] for case in CASES}) == len(CASES)
