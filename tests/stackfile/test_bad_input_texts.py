"""Texts that are no stack file end in clear lines, whatever they do to a YAML parser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fleet.stackfile.yaml_text import MAX_DEPTH, YamlError, parse_yaml
from tests.support.stacks import corpus, lines_of_file, unclear, unsealed_lines

CASES = corpus("texts.yaml")


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_broken_text_is_told_in_clear_lines(case: dict[str, Any], tmp_path: Path) -> None:
    lines = lines_of_file(case["text"], tmp_path)
    assert lines == case["say"]
    assert [unclear(line) for line in lines] == [[] for _ in lines]
    if not lines:
        unsealed = unsealed_lines(case["text"], tmp_path, "a passphrase")
        assert unsealed == case["say_unsealed"]
        assert [unclear(line) for line in unsealed] == [[] for _ in unsealed]


def test_a_text_may_be_as_deep_as_the_limit_and_no_deeper() -> None:
    assert parse_yaml("[" * MAX_DEPTH + "]" * MAX_DEPTH) is not None
    with pytest.raises(YamlError, match="nested deeper than 40 levels"):
        parse_yaml("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))


def test_keys_are_the_text_of_the_file_whatever_yaml_makes_of_them() -> None:
    assert parse_yaml("{1: a, yes: b, 2024-01-01: c, null: d, 0x1f: e}") == {
        "1": "a",
        "yes": "b",
        "2024-01-01": "c",
        "null": "d",
        "0x1f": "e",
    }


def test_what_only_looks_odd_is_read(tmp_path: Path) -> None:
    assert parse_yaml("a: '*star'\nb: '<<'\nc: \"=\"\nd: 5 * 3\ne: '!tag'\n") == {
        "a": "*star",
        "b": "<<",
        "c": "=",
        "d": "5 * 3",
        "e": "!tag",
    }
    text = (
        "\N{BYTE ORDER MARK}config:\r\n"
        "  opencode-fleet:cluster: {kind: existing, context: test}\r\n"
        "  opencode-fleet:access: {domain: localhost, tls: none}\r\n"
        "  opencode-fleet:users: [{id: alice}]\r\n"
    )
    assert lines_of_file(text, tmp_path) == []
