"""What a run leaves out of Pulumi's SDK: it is there to be left out, and nothing needed goes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pulumi
import pytest

from fleet.engine import program
from fleet.engine.program import NEEDLESS, leave_out_needless
from tests.support.recorded import Recorded
from tests.support.small_fleet import deploy, plan_of
from tests.support.stacks import SMALL


@pytest.fixture
def restored() -> Iterator[None]:
    """The SDK is whole again afterwards."""
    before = [(module, name, getattr(module, name)) for module, name, _ in NEEDLESS]
    yield
    for module, name, value in before:
        setattr(module, name, value)


def test_all_that_is_left_out_is_part_of_the_sdk() -> None:
    # A name that is gone from a newer SDK would be set, and do nothing.
    missing = [name for module, name, _ in NEEDLESS if not callable(getattr(module, name, None))]
    assert missing == []


@pytest.mark.usefixtures("restored")
def test_an_environment_registers_the_same_without_it(tmp_path: Path) -> None:
    plan = plan_of({**SMALL, "users": [{"id": "alice"}, {"id": "bob"}]}, tmp_path)
    whole = deploy(plan)
    leave_out_needless()
    lean = deploy(plan)
    assert sorted(lean.resources, key=urn) == sorted(whole.resources, key=urn)
    assert len(lean.resources) > 20


def urn(item: Recorded) -> str:
    return item.urn


@pytest.mark.usefixtures("restored")
def test_the_outputs_of_other_resources_are_all_there(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[Any] = []

    def take(*given: Any) -> None:
        taken.append(given)

    monkeypatch.setattr(program, "_resolve_outputs", take)

    class Typed(pulumi.CustomResource):
        """A resource of a provider's own SDK, whose outputs the program reads."""

    typed, plain = Typed.__new__(Typed), pulumi.CustomResource.__new__(pulumi.CustomResource)
    program.resolve_needed(typed, "inputs", "outputs", "rest")
    program.resolve_needed(plain, "inputs", "outputs", "rest")
    assert taken[0] == (typed, "inputs", "outputs", "rest")
    assert (dict(taken[1][1]), dict(taken[1][2]), taken[1][3]) == ({}, {}, "rest")
