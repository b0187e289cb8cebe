"""A runtime whose volume is restored is held: nobody, the door included, starts it meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from fleet.cluster.backups import stopped
from fleet.errors import ClusterError
from fleet.names import STATE
from tests.support.fakes.served import Served


@pytest.fixture
def awake(fleet: Served, monkeypatch: pytest.MonkeyPatch) -> Served:
    """Alice's runtime, in a cluster that does what controllers do while somebody waits."""
    fleet.deploy("alice")

    def controllers(_: float) -> None:
        if not told(fleet)[0]:
            fleet.api.remove("pods", "oc-alice-1")

    monkeypatch.setattr("fleet.cluster.backups.time.sleep", controllers)
    return fleet


def _quiet(step: str, done: int, total: int, waiting: Sequence[str] = ()) -> None:
    """Take a report; nobody reads it."""


def told(fleet: Served) -> tuple[int, str]:
    """Return what the cluster says of alice's runtime: how many pods, and the door's word."""
    (runtime,) = (one for one in fleet.api.of("deployments"))
    return runtime["spec"]["replicas"], runtime["metadata"]["annotations"].get(STATE, "")


def held(fleet: Served, **user: Any) -> Any:
    fleet.users({"id": "alice", **user})
    (alice,) = fleet.plan().users
    return stopped(fleet.cluster, alice, _quiet)


def test_a_held_runtime_is_suspended_to_the_door_until_the_end(awake: Served) -> None:
    with held(awake):
        assert told(awake) == (0, "suspended")
        assert awake.api.of("pods") == []
    assert told(awake) == (1, "active")


def test_an_interrupted_restore_gives_the_runtime_back(awake: Served) -> None:
    with pytest.raises(KeyboardInterrupt), held(awake):
        raise KeyboardInterrupt
    assert told(awake) == (1, "active")


def test_a_runtime_that_does_not_stop_is_given_back(
    awake: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleet.cluster.backups.GONE_SECONDS", -1)
    with pytest.raises(ClusterError, match="pod oc-alice-1 is still there"), held(awake):
        pass
    assert told(awake) == (1, "active")


def test_a_suspended_runtime_stays_suspended(awake: Served) -> None:
    with held(awake, state="suspended"):
        pass
    assert told(awake)[1] == "suspended"


def test_a_run_after_one_that_was_killed_gives_the_runtime_back_to_the_door(awake: Served) -> None:
    # A killed one leaves this behind; the file says that alice is active.
    with held(awake) as first:
        first.stay()
    assert told(awake) == (0, "suspended")
    with held(awake):
        pass
    assert told(awake) == (0, "active"), "whoever opens it wakes it"
