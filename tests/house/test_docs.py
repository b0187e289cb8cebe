"""The documents name tests, files and commands that exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
# A test is named without `test_`, as a sentence.
NAMED = re.compile(r"`((?:[a-z0-9]+_){2,}[a-z0-9]+)`")
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def known_tests() -> set[str]:
    """Return the name of every test function, without `test_`."""
    found: set[str] = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        found |= set(
            re.findall(r"^(?:    )?def test_(\w+)\(", path.read_text(encoding="utf-8"), re.M)
        )
    return found


def links() -> Iterator[tuple[str, str]]:
    """Return (document, target) of every link to a file."""
    for path in DOCUMENTS:
        for found in LINK.finditer(path.read_text(encoding="utf-8")):
            yield path.relative_to(ROOT).as_posix(), found[1]


def test_every_test_that_a_promise_names_exists() -> None:
    text = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
    modules = {path.stem for path in (ROOT / "tests").rglob("*.py")}
    named = {found[1] for found in NAMED.finditer(text)} - modules
    assert len(named) > 60
    assert sorted(named - known_tests()) == []


@pytest.mark.parametrize(("document", "target"), list(links()))
def test_a_link_leads_to_a_file(document: str, target: str) -> None:
    assert ((ROOT / document).parent / target).exists()
