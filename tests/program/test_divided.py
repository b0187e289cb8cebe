"""An environment of several stacks: together they declare what one stack would, each its part."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
import pytest

from tests.support.programs import REFERENCE, lay_project, run_program
from tests.support.recording import Engine
from tests.support.stacks import SMALL, Values, with_value

PER_POOL = {"per": "pool"}
LOCAL = {"mode": "local", "reference": "opencode-fleet/runtime:test"}
VALUES: Values = {
    **SMALL,
    "image": LOCAL,
    "door": {"reference": "opencode-fleet/runtime-door:test"},
    "pools": {"lab": {}, "empty": {}},
    "users": [{"id": "alice", "scenes": []}, {"id": "bob", "pool": "lab"}],
}
DIVIDED: Values = {**VALUES, "stacks": PER_POOL}
STACKS = ("dev", "dev.default", "dev.empty", "dev.lab")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project folder to run the program in."""
    lay_project(tmp_path)
    monkeypatch.chdir(tmp_path)


def declared(made: Engine) -> dict[str, Mapping[str, Any]]:
    """Return the objects of a run, by the name that the program gave each."""
    found = [item for item in made.resources if item.typ.startswith("kubernetes:")]
    return {f"{item.typ} {item.name}": item.inputs for item in found}


def test_base_and_pools_declare_together_what_one_stack_does() -> None:
    whole = declared(run_program(VALUES))
    parts = [declared(run_program(DIVIDED, stack=stack)) for stack in STACKS]
    together = {name: inputs for part in parts for name, inputs in part.items()}
    assert together == whole
    assert sum(map(len, parts)) == len(whole)


def test_the_stack_of_a_pool_has_its_users_and_nobody_elses() -> None:
    made = run_program(DIVIDED, stack="dev.lab")
    assert [item.name for item in made.of_type("UserStack")] == ["bob"]
    assert set(made.exports["urls"]) == {"bob"}
    assert set(made.exports["passwords"]) == {"bob"}
    assert made.exports["namespaces"] == {"lab": "opencode-dev--lab"}


def test_the_base_stack_has_no_users_and_nothing_that_pools_do_not_need() -> None:
    made = run_program(DIVIDED)
    assert made.of_type("UserStack") == []
    places = {inputs["metadata"].get("namespace") for inputs in declared(made).values()}
    assert places == {"opencode-dev", None}, "the door alone"
    assert set(made.exports) == {"imageRef", "url"}


def test_on_a_cluster_that_is_there_pools_ask_the_base_stack_for_nothing() -> None:
    made = run_program(DIVIDED, stack="dev.default")
    assert [item for item in made.resources if item.typ == REFERENCE] == []
    assert (
        made.one("Deployment")
        .inputs["spec"]["template"]["spec"]["containers"][0]["image"]
        .startswith("opencode-fleet/runtime")
    )


def test_no_pool_makes_or_needs_the_certificate_of_the_door() -> None:
    values = with_value(DIVIDED, "access.tls", "selfSigned")
    pool = run_program(values, stack="dev.lab")
    assert [item.typ for item in pool.resources if item.package == "tls"] == []
    assert [item for item in pool.resources if item.typ == REFERENCE] == []
    assert [item for item in pool.of_type("Secret") if "self-signed" in item.name] == []


def test_a_base_stack_that_still_holds_users_ends_before_anything_is_deleted() -> None:
    """So plain `pulumi up` is refused too, and not only `fleet up`."""
    reads = {REFERENCE: {"outputs": {"usernames": {"alice": "alice"}}}}
    with pytest.raises(pulumi.RunError, match="holds all users: write per: environment"):
        run_program(DIVIDED, reads=reads)
    run_program(VALUES, reads=reads)


@pytest.mark.parametrize(
    ("values", "stack", "told"),
    [
        (DIVIDED, "dev.gone", "stack: dev.gone: the stack file has no pool gone: fleet up -s dev"),
        (VALUES, "dev.lab", "stack: dev.lab: this stack is of one pool, and the environment dev"),
    ],
)
def test_a_stack_that_the_file_has_no_part_for_is_refused(
    values: Values, stack: str, told: str
) -> None:
    with pytest.raises(pulumi.RunError, match=told.replace(".", r"\.")):
        run_program(values, stack=stack)
