"""Every rule of a stack file is broken once, and the whole message is read.

That a file gives the same message is shown end to end, through `fleet up`. Short because the
cases are data: `tests/support/corpus/rules.yaml`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.broken import values_of
from tests.support.stacks import FULL, SECRETS, SMALL, corpus, lines_of, unclear

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


def test_case_names_are_unique() -> None:
    assert len({case["name"] for case in CASES}) == len(CASES)
