"""Written YAML is read back as it was, by every reader there is, and reads well."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fleet.manifests.yaml_block import documents
from fleet.stackfile.yaml_text import parse_yaml

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=30) | st.sampled_from(
    ["yes", "No", "on", "null", "~", "1", "1e3", "0x1f", "1_0", "12:30", "2020-01-01", ".5", "=",
     "<<", "- a", "a: b", "a:", "a #b", "#a", "'", '"', "a\n", "\na", "a\n\n", "  a\nb", "a \nb",
     "a\tb", "%a", "@a", "`a", "&a", "*a", "!a", "|", ">", "?", ": ", "a\r\nb", "\x85", "\u2028",
     "\ufeff", "😀", "10Gi", "250m", "y", "N", "True", ".inf", "inf", "nan", "---", "...", "/a:b"]
)  # fmt: skip
data = st.recursive(
    texts | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


@given(st.lists(data, min_size=1, max_size=3))
def test_everything_is_read_back_as_it_was(items: list[Any]) -> None:
    assert list(yaml.safe_load_all(documents(items))) == items


@given(st.dictionaries(st.text("abc", min_size=1), texts))
def test_our_own_reader_reads_it_too(item: dict[str, str]) -> None:
    assert parse_yaml(documents([item])) == item


def test_it_reads_well() -> None:
    item: dict[str, Any] = {
        "kind": "Pod",
        "metadata": {"name": "a", "labels": {}},
        "spec": {
            "containers": [
                {"name": "x", "args": ["a b", "-c", "1"], "cpu": "250m", "ports": [{"port": 1}]}
            ],
            "text": "First line\n  second: line\n",
            "on": True,
        },
    }
    assert documents([item]) == (
        "---\n"
        "kind: Pod\n"
        "metadata:\n"
        "  name: a\n"
        "  labels: {}\n"
        "spec:\n"
        "  containers:\n"
        "  - name: x\n"
        "    args:\n"
        "    - a b\n"
        '    - "-c"\n'
        '    - "1"\n'
        "    cpu: 250m\n"
        "    ports:\n"
        "    - port: 1\n"
        "  text: |\n"
        "    First line\n"
        "      second: line\n"
        '  "on": true\n'
    )


def test_what_is_no_plain_data_is_a_defect() -> None:
    with pytest.raises(TypeError, match="no plain data: float"):
        documents([{"a": 1.5}])
