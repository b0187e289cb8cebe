"""`fleet apply` of a thousand users on a real API server with fake nodes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fleet.cluster.desired import desired_objects

from fleet.plan.environment import make_plan
from fleet.stackfile.reading import load
from tests.bench import roster
from tests.bench.control_plane import CONTEXT, Plane
from tests.bench.measuring import FLEET, Figures, Run, measure, median

pytestmark = pytest.mark.bench
_ROUNDS = 5


def _first_by_kubectl(plane: Plane, folder: Path, name: str) -> Run:
    """Apply the same objects as one JSON List with nothing but kubectl."""
    roster.write(folder, name)
    environment = load(name, folder)
    items = desired_objects({}, make_plan(environment), "opencode-fleet/runtime:bench", {})
    file = folder / "list.json"
    content = {"apiVersion": "v1", "kind": "List", "items": [item.manifest for item in items]}
    file.write_text(json.dumps(content))
    command = [plane.kubectl, f"--context={CONTEXT}", "apply", "--server-side", "-f", file]
    # A quota that pods are counted in meanwhile makes the server refuse an object now and then.
    run = measure(command, folder, plane.environ, may_fail=True)
    plane.again(command)
    plane.settled(name, roster.USERS)
    return run


def _first_by_fleet(plane: Plane, folder: Path, name: str) -> Run:
    roster.write(folder, name)
    run, outcome = _apply(plane, folder, name, "--no-wait")
    assert len(outcome["applied"]) > 5 * roster.USERS
    plane.settled(name, roster.USERS)
    return run


def _apply(
    plane: Plane, folder: Path, name: str, *arguments: str
) -> tuple[Run, dict[str, list[str]]]:
    command = [FLEET, "apply", "-s", name, "--json", *arguments]
    run = measure(command, folder, plane.environ)
    return run, json.loads(run.out)


def test_apply(plane: Plane, folder: Path, figures: Figures) -> None:
    plane.volumes(0, 4 * roster.USERS + 100)
    # A cluster slows down with what it holds: in this order both sides carry the same of it.
    plain = [_first_by_kubectl(plane, folder, "plain-a")]
    fleet = [_first_by_fleet(plane, folder, "bench-a"), _first_by_fleet(plane, folder, "bench-b")]
    plain.append(_first_by_kubectl(plane, folder, "plain-b"))
    times = " and ".join(f"{run.seconds:.1f} s" for run in plain)
    figures.note("kubectl apply --server-side, first time", "", times)
    factor = sum(run.seconds for run in fleet) / sum(run.seconds for run in plain)
    times = " and ".join(f"{run.seconds:.1f} s" for run in fleet)
    measured = f"{factor:.2f} times ({times})"
    figures.note(
        f"fleet apply, {roster.USERS:,} users, first time", "1.2 times kubectl's", measured
    )
    again = [_apply(plane, folder, "bench-a") for _ in range(_ROUNDS)]
    assert all(not outcome["applied"] for _, outcome in again)
    figures.note("fleet apply, nothing changed", "4 s", median([run for run, _ in again]))
    added: list[Run] = []
    for number in range(_ROUNDS):
        roster.write(folder, "bench-a", roster.USERS + number + 1)
        run, outcome = _apply(plane, folder, "bench-a")
        # The first of a new pool brings its scenes too.
        assert len(outcome["applied"]) in {5, 6}
        added.append(run)
    figures.note(
        "fleet apply, one user added, until ready", "5 s and the pod's start", median(added)
    )
    largest = f"{added[-1].megabytes:.0f} MB"
    figures.note("  largest program of it (fleet or kubectl)", "", largest)
