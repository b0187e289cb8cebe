"""An environment of several stacks: which are run, in which order, and what stops what."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fleet.cluster.owned import Key
from fleet.cluster.report import Failure
from fleet.engine import parts
from fleet.engine.command import StoppedError
from fleet.engine.deploy import mark, of_part, refuse_other_division
from fleet.engine.progress import EngineWatch, Together
from fleet.engine.stack import RunFailedError
from fleet.engine.state import NOTHING, State, read_state
from fleet.errors import EngineError, InputError
from fleet.plan.environment import Plan
from fleet.plan.stacks import Part
from tests.support.engine_state import deployment, exported, live, service
from tests.support.fakes.engine_stacks import (
    FakeConditions,
    Said,
    before,
    fake,
    listeners,
    share,
)
from tests.support.small_fleet import plan_of
from tests.support.stacks import SMALL, Values

VALUES: Values = {
    **SMALL,
    "pools": {"a": {}, "b": {}},
    "users": [{"id": "ann", "pool": "a"}, {"id": "bob", "pool": "b"}],
}
STATE: State = replace(read_state(exported(service())), written="once")
LIVE = {key: live(service()) for key in STATE.objects}


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """Two pools with a user each, and one without."""
    return plan_of(VALUES, tmp_path)


class TestUnchanged:
    def test_a_stack_that_would_find_nothing_to_do_is_left_alone(self, plan: Plan) -> None:
        found = share([], plan, "a", state=STATE, live=LIVE, done=mark("same", STATE))
        assert found.unchanged("same")

    def test_another_plan_is_run(self, plan: Plan) -> None:
        found = share([], plan, "a", state=STATE, live=LIVE, done=mark("same", STATE))
        assert not found.unchanged("other")

    def test_what_was_never_written_down_is_run(self, plan: Plan) -> None:
        assert not share([], plan, "a", state=STATE, live=LIVE).unchanged("same")
        assert not share([], plan, "a", live={}, done="").unchanged("")

    def test_a_state_that_somebody_wrote_since_is_run(self, plan: Plan) -> None:
        """A refresh may have taken an edit over into it; an interrupted run, half of a plan."""
        later = replace(STATE, written="later")
        found = share([], plan, "a", state=later, live=LIVE, done=mark("same", STATE))
        assert not found.unchanged("same")

    def test_what_a_killed_run_left_pending_is_run(self, plan: Plan) -> None:
        state = replace(STATE, pending=("urn",))
        found = share([], plan, "a", state=state, live=LIVE, done=mark("same", state))
        assert not found.unchanged("same")

    @pytest.mark.parametrize("what", ["deleted", "edited", "unknown"])
    def test_what_is_otherwise_in_the_cluster_is_run(self, plan: Plan, what: str) -> None:
        objects = dict(LIVE)
        (key,) = objects
        if what == "deleted":
            del objects[key]
        elif what == "edited":
            edited = live(service(), version="2")
            edited["spec"] = {"ports": [{"port": 1}]}
            objects[key] = edited
        else:
            objects[key._replace(kind="Deployment")] = live(deployment())
        found = share([], plan, "a", state=STATE, live=objects, done=mark("same", STATE))
        assert not found.unchanged("same")

    def test_a_pool_that_is_gone_is_never_unchanged(self, plan: Plan) -> None:
        done = mark("same", STATE)
        found = share([], plan, "x", state=STATE, live=LIVE, done=done, gone=True)
        assert not found.unchanged("same")


class TestUp:
    def test_only_what_changed_is_run_the_base_stack_first(self, plan: Plan) -> None:
        asked: list[str] = []
        done = mark("same", STATE)
        stacks = [
            share(asked, plan, state=NOTHING),
            share(asked, plan, "a", state=STATE, live=LIVE, done=done),
            share(asked, plan, "b"),
        ]
        conditions = FakeConditions(digests={"t.a": "same"})
        ran = parts.up(before(*stacks), conditions, listeners, print)
        assert asked == ["up t", "up t.b"]
        assert ran.stacks == ["t", "t.b"]
        assert conditions.ensured == ["t", "t.b"]

    def test_an_environment_of_one_stack_is_always_run(self, plan: Plan) -> None:
        asked: list[str] = []
        one = share(asked, plan, state=STATE, live=LIVE, done=mark("same", STATE))
        fake(one).part = Part(environment="t")
        parts.up(before(one), FakeConditions(digests={"t": "same"}), listeners, print)
        assert asked == ["up t"]
        assert fake(one).wrote == ""

    def test_what_worked_is_written_down_with_the_state_it_left(self, plan: Plan) -> None:
        one = share([], plan, "a", state=STATE)
        base = share([], plan, state=NOTHING)
        parts.up(before(base, one), FakeConditions(), listeners, print)
        assert fake(one).wrote == "new after the run"

    def test_what_only_a_run_can_tell_is_never_written_down(self, plan: Plan) -> None:
        base = share([], plan, state=STATE, live=LIVE, done=mark("", STATE))
        ran = parts.up(before(base), FakeConditions(digests={"t": ""}), listeners, print)
        assert ran.stacks == ["t"]
        assert fake(base).wrote == ""

    @pytest.mark.parametrize("error", [RunFailedError("no"), EngineError("no")])
    def test_a_pool_that_fails_stops_no_other_and_is_told_by_name(
        self, plan: Plan, error: Exception
    ) -> None:
        stacks = [share([], plan, state=STATE), *(share([], plan, p, state=STATE) for p in "ab")]
        fake(stacks[1]).fails = error
        ran = parts.up(before(*stacks), FakeConditions(), listeners, print)
        assert ran.failed
        assert [str(failure) for failure in ran.failures] == ["pool a: engine: no"]
        assert fake(stacks[1]).wrote == ""
        assert fake(stacks[2]).wrote == "new after the run"

    def test_without_the_base_stack_no_pool_is_begun_and_that_is_said(self, plan: Plan) -> None:
        asked: list[str] = []
        said: list[str] = []
        stacks = [share(asked, plan), share(asked, plan, "a")]
        fake(stacks[0]).fails = RunFailedError("no")
        ran = parts.up(before(*stacks), FakeConditions(), listeners, said.append)
        assert asked == ["up t"]
        assert ran.outcome.error == "no"
        assert said == ["no pool was begun: they need what the base stack makes"]

    def test_a_pool_that_left_the_file_goes_with_its_stack(self, plan: Plan) -> None:
        asked: list[str] = []
        base = share(asked, plan, state=STATE, live=LIVE, done=mark("new", STATE))
        gone = share(asked, plan, "x", state=STATE, gone=True)
        parts.up(before(base, gone), FakeConditions(), listeners, print)
        assert asked == ["destroy t.x", "remove t.x"]

    def test_the_stack_stays_while_anything_of_it_does(self, plan: Plan) -> None:
        asked: list[str] = []
        base = share(asked, plan, state=STATE, live=LIVE, done=mark("new", STATE))
        gone = share(asked, plan, "x", state=STATE, gone=True)
        fake(gone).fails = RunFailedError("no")
        ran = parts.up(before(base, gone), FakeConditions(), listeners, print)
        assert asked == ["destroy t.x"]
        assert ran.failed

    def test_a_stop_is_no_failure_of_a_pool(self, plan: Plan) -> None:
        one = share([], plan, "a")
        fake(one).fails = StoppedError()
        ran = parts.side_by_side([one], lambda found: parts.Ran(stacks=[found.stack.name]))
        assert ran.stacks == ["t.a"]
        base = share([], plan, state=STATE, live=LIVE, done=mark("new", STATE))
        assert not parts.up(before(base, one), FakeConditions(), listeners, print).failed


class TestDown:
    def test_pools_go_before_what_they_stand_on(self, plan: Plan) -> None:
        asked: list[str] = []
        stacks = [share(asked, plan, state=STATE), share(asked, plan, "a", state=STATE)]
        parts.down(before(*stacks), FakeConditions(), listeners)
        assert asked == ["destroy t.a", "remove t.a", "destroy t"]

    def test_while_a_pool_is_there_the_base_stack_stays(self, plan: Plan) -> None:
        asked: list[str] = []
        stacks = [share(asked, plan, state=STATE), share(asked, plan, "a", state=STATE)]
        fake(stacks[1]).fails = RunFailedError("no")
        assert parts.down(before(*stacks), FakeConditions(), listeners).failed
        assert asked == ["destroy t.a"]


def test_a_preview_looks_at_what_changed_and_at_what_goes(plan: Plan) -> None:
    asked: list[str] = []
    done = mark("same", STATE)
    stacks = [
        share(asked, plan, state=STATE, live=LIVE, done=done),
        share(asked, plan, "a", state=STATE, live=LIVE, done=done),
        share(asked, plan, "b", state=STATE, live=LIVE),
        share(asked, plan, "x", state=STATE, live=LIVE, gone=True),
    ]
    same = FakeConditions(digests={"t": "same", "t.a": "same"})
    parts.preview(before(*stacks), same, listeners)
    assert sorted(asked) == ["preview of destroy t.x", "preview t.b"]


def test_a_refresh_reads_every_stack(plan: Plan) -> None:
    asked: list[str] = []
    parts.refresh([share(asked, plan), share(asked, plan, "a")], listeners)
    assert sorted(asked) == ["refresh t", "refresh t.a"]


def test_objects_belong_to_the_stack_of_their_pool_and_the_rest_to_the_base() -> None:
    items = {"a": service("oc-a"), "b": service("oc-b"), "": service("door")}
    for pool in ("a", "b"):
        items[pool]["metadata"]["labels"]["opencode-fleet/pool"] = pool
    found = {key: live(items[pool]) for pool in items for key in keys_of(items[pool])}
    for pool, item in items.items():
        part = Part(environment="t", pool=pool or None, divided=True)
        assert list(of_part(found, part)) == keys_of(item)
    assert of_part(found, Part(environment="t")) == found


def keys_of(item: dict[str, Any]) -> list[Key]:
    return list(read_state(exported(item)).objects)


def test_objects_of_pools_in_the_base_stack_are_left_until_somebody_decides(plan: Plan) -> None:
    item = service()
    item["metadata"]["labels"]["opencode-fleet/pool"] = "a"
    base = share([], plan, state=read_state(exported(item)))
    with pytest.raises(InputError, match="it was deployed with `per: environment`"):
        refuse_other_division([base])


def test_a_base_stack_of_its_own_objects_is_no_other_division(plan: Plan) -> None:
    base = share([], plan, state=STATE)
    refuse_other_division([base])
    assert STATE.objects


@pytest.mark.parametrize(
    ("megabytes", "count", "most"), [(100, 9, 1), (1000, 9, 2), (100_000, 1, 1)]
)
def test_as_many_run_at_once_as_memory_allows(
    megabytes: int, count: int, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 16)
    file = tmp_path / "meminfo"
    file.write_text(f"MemTotal: 1 kB\nMemAvailable: {megabytes * 1024} kB\n")
    assert parts.at_once(count, file) == most


def test_without_a_word_about_memory_processors_decide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert parts.at_once(9, tmp_path / "absent") == 2


def test_runs_side_by_side_are_one_progress() -> None:
    said = Said()
    together = Together(said, 10)
    one, other = together.one(), together.one()
    one.at("objects", 2, 5, ["making ann"])
    other.at("objects", 3, 5, ["making bob"])
    one.at("objects", 5, 5)
    other.say("a line")
    assert said.figures == [
        ("objects", 2, 10, ["making ann"]),
        ("objects", 5, 10, ["making ann", "making bob"]),
        ("objects", 8, 10, ["making bob"]),
    ]
    assert said.lines == ["a line"]


def test_what_fails_of_a_pool_that_is_nobodys_is_told_with_the_pool() -> None:
    assert str(Failure(user=None, pool="a", step="run", cause="no")) == "pool a: run: no"
    assert str(Failure(user="ann", pool="a", step="run", cause="no")) == "user ann: run: no"
    assert EngineWatch(Said(), pool="a").failures == []
