"""Doors that run, for tests that speak to one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.door_stack import RunningDoor, running_door


@pytest.fixture(scope="session")
def shared_door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDoor]:
    """One door for all tests that leave it as it was."""
    with running_door(tmp_path_factory.mktemp("door")) as door:
        yield door


@pytest.fixture
def door(shared_door: RunningDoor) -> RunningDoor:
    """The shared door, everybody ready in it."""
    plain = {"phase": "ready", "wanted": "active", "password_version": 1}
    for user, runtime in (("alice", shared_door.alice), ("bob", shared_door.bob)):
        shared_door.people[user] = shared_door.people[user] | plain | {"address": runtime.address}
    if shared_door.people != shared_door.written:
        shared_door.set("alice")
    shared_door.forget_asked()
    return shared_door
