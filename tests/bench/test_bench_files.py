"""Reading and rendering a thousand users, no cluster.

Short because a bench file measures one thing.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import chart, roster
from tests.bench.control_plane import HELM, go_program
from tests.bench.measuring import FLEET, Figures, measure, median

pytestmark = pytest.mark.bench
_ROUNDS = 7


def test_validate(folder: Path, figures: Figures) -> None:
    roster.write(folder, "bench")
    runs = [measure([FLEET, "validate", "-s", "bench"], folder) for _ in range(_ROUNDS)]
    figures.note("fleet validate, 1,000 users", "0.6 s", median(runs))


def test_render(folder: Path, figures: Figures) -> None:
    roster.write(folder, "bench")
    command = [FLEET, "render", "-s", "bench", "-o", "out"]
    runs = [measure(command, folder) for _ in range(_ROUNDS)]
    assert len(list((folder / "out").iterdir())) == roster.USERS + roster.POOLS + 2
    figures.note("fleet render, 1,000 users", "1 s", median(runs))


def test_helm_template(folder: Path, figures: Figures) -> None:
    helm = go_program(HELM)
    chart.write(folder, "bench", roster.USERS, roster.POOLS)
    runs = [measure([helm, "template", "bench", "chart"], folder) for _ in range(_ROUNDS)]
    assert runs[0].out.count("kind: Deployment") == roster.USERS
    figures.note("  helm template of the same users", "", median(runs))
