"""Every key of every model is given each wrong kind of value, and values out of its range."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.broken_models import CASES, KEYS, WRONG, Case
from tests.support.stacks import (
    SECRETS,
    corpus,
    lines_of,
    shipped,
    shipped_values,
    unclear,
    with_value,
)

PROJECT = Path(__file__).parents[2]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_wrong_value_is_told_under_the_files_own_key(case: Case, shared_folder: Path) -> None:
    lines = lines_of(case.values, shared_folder, SECRETS)
    assert any(line.startswith(case.line) for line in lines), lines
    assert [unclear(line) for line in lines] == [[] for _ in lines]


def test_the_walk_covers_every_model() -> None:
    paths = {key.path for key in KEYS}
    assert {
        "users[0].passwordVersion",
        "storage.shared.nas.driver",
        "access.gateway.name",
        "profiles.standard.cpu.limit",
        "network.allow[0].port",
        "pools.default.quota.memory",
        "image.builder.name",
        "access.controller.podLabels",
        "scenes.coding.nasPath",
        "cluster.context",
    } <= paths


def test_the_corpus_has_at_least_150_cases_of_each_origin() -> None:
    by_hand = sum(len(corpus(f"{name}.yaml")) for name in ("rules", "texts", "scenes"))
    assert by_hand >= 150
    assert len(CASES) >= 150


def cloud_places(values: Any, path: str) -> Iterator[str]:
    """Return the path of every value below a cluster's keys."""
    if isinstance(values, dict):
        for key, item in values.items():  # pyright: ignore[reportUnknownVariableType] - YAML
            yield from (f"{path}.{key}", *cloud_places(item, f"{path}.{key}"))
    elif isinstance(values, list):
        for index, item in enumerate(values):  # pyright: ignore[reportUnknownVariableType,reportUnknownArgumentType] - YAML
            yield from (f"{path}[{index}]", *cloud_places(item, f"{path}[{index}]"))


@pytest.mark.parametrize("name", [path.name for path in shipped(PROJECT)])
@pytest.mark.parametrize("kind", list(WRONG))
def test_a_wrong_value_in_a_cluster_is_told_in_clear_lines(
    name: str, kind: str, shared_folder: Path
) -> None:
    values = shipped_values(PROJECT / name)
    for place in cloud_places(values["cluster"], "cluster"):
        lines = lines_of(with_value(values, place, WRONG[kind]), shared_folder)
        assert [(line, unclear(line)) for line in lines if unclear(line)] == []
