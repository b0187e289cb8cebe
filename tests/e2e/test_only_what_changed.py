"""Only what changed: an edit of the stack file restarts the users it concerns, and nobody else."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness.environment import Environment, changes_of
from tests.e2e.harness.kube import restarts
from tests.e2e.harness.making import Maker

pytestmark = pytest.mark.e2e
EVERYBODY = {"ann", "ben", "cat"}


@pytest.fixture(scope="module")
def edits(make: Maker) -> Environment:
    """ann has coding, ben research, cat both."""
    environment = make("edits", sorted(EVERYBODY))
    environment.user("ann")["scenes"] = ["coding"]
    environment.user("ben")["scenes"] = ["research"]
    environment.user("cat")["scenes"] = ["coding", "research"]
    environment.up()
    return environment


def touched(
    environment: Environment, edit: Callable[[], object], **more: Any
) -> dict[str, set[str]]:
    """Edit, apply, and return whose pods were made anew, came, and went."""
    before = environment.uids()
    edit()
    environment.up(**more)
    after = environment.uids()
    assert all(restarts(pod) == 0 for pod in environment.pods().values())
    again = environment.up(**more)
    assert changes_of(again) == [], "the second run must find nothing to do"
    assert environment.uids() == after
    return {
        "anew": {user for user in before.keys() & after.keys() if before[user] != after[user]},
        "came": after.keys() - before.keys(),
        "went": before.keys() - after.keys(),
    }


def nothing(**more: set[str]) -> dict[str, set[str]]:
    """Return an expectation: no pod made anew, came or went, but for `more`."""
    return {"anew": set(), "came": set(), "went": set(), **more}


@pytest.mark.smoke
def test_an_unchanged_stack_file_restarts_nobody(edits: Environment) -> None:
    """Lost otherwise: every run of a pipeline interrupts everybody's work."""
    assert touched(edits, lambda: None) == nothing()


def test_adding_and_removing_a_user_restarts_nobody_else(edits: Environment) -> None:
    """Lost otherwise: a new colleague interrupts all others."""
    users = edits.config["users"]
    entry = {"id": "dan", "scenes": ["coding"]}
    assert touched(edits, lambda: users.append(entry)) == nothing(came={"dan"})
    assert touched(edits, lambda: users.remove(entry)) == nothing(went={"dan"})


def test_suspending_and_resuming_a_user_touches_only_them(edits: Environment) -> None:
    """Lost otherwise: saving money on one user interrupts others."""
    ben = edits.user("ben")
    suspend = touched(edits, lambda: ben.update(state="suspended"))
    assert suspend == nothing(went={"ben"})
    assert touched(edits, lambda: ben.update(state="active")) == nothing(came={"ben"})


def test_resizing_a_user_restarts_only_them(edits: Environment) -> None:
    """Lost otherwise: more memory for one costs all a restart."""
    big = deepcopy(edits.config["profiles"]["standard"])
    big["memory"]["limit"] = "1280Mi"
    edits.config["profiles"]["big"] = big
    assert touched(edits, lambda: edits.user("ben").update(profile="big")) == nothing(anew={"ben"})
    assert edits.user("ben").pop("profile") == "big"
    assert touched(edits, lambda: None) == nothing(anew={"ben"})


def test_a_changed_scene_reaches_the_users_that_have_it_and_nobody_else(
    edits: Environment,
) -> None:
    """Lost otherwise: an edited scene never arrives, or interrupts people who do not use it."""
    file = edits.folder / "scenes" / "research" / "AGENTS.md"
    line = "\nAlways name the year of a source.\n"
    text = file.read_text(encoding="utf-8") + line
    assert touched(edits, lambda: file.write_text(text)) == nothing(anew={"ben", "cat"})
    for user in ("ben", "cat"):
        assert edits.inside(user, "cat", "/app/research/AGENTS.md").stdout == text
    maps = edits.kube.list("configmaps", f"--namespace={edits.namespace}")
    research = [item for item in maps if item["metadata"]["name"].startswith("scene-research-")]
    assert len(research) == 1, "the old content is cleaned up"


def test_giving_a_user_a_scene_restarts_only_them(edits: Environment) -> None:
    """Lost otherwise: teaching one user something interrupts the rest."""
    edit = lambda: edits.user("ann")["scenes"].append("research")  # noqa: E731
    assert touched(edits, edit) == nothing(anew={"ann"})
    assert "research" in edits.inside("ann", "ls", "/app").stdout.split()
    undo = lambda: edits.user("ann")["scenes"].remove("research")  # noqa: E731
    assert touched(edits, undo) == nothing(anew={"ann"})


def test_a_display_name_restarts_nobody(edits: Environment) -> None:
    """Lost otherwise: a marriage costs a chat."""
    name = "Ann Ärmel-Smith"
    assert touched(edits, lambda: edits.user("ann").update(displayName=name)) == nothing()
    claim = edits.kube.one("pvc", "oc-ann", edits.namespace)
    assert claim is not None
    assert claim["metadata"]["annotations"]["opencode-fleet/display-name"] == name


def test_a_new_image_restarts_everybody_once(edits: Environment) -> None:
    """Lost otherwise: a security update reaches only some, or restarts people twice."""
    other = f"docker.io/{edits.image}".replace("docker.io/docker.io/", "")
    assert touched(edits, lambda: None, image=other) == nothing(anew=EVERYBODY)
    assert touched(edits, lambda: None) == nothing(anew=EVERYBODY)


def test_a_new_password_restarts_only_its_user(edits: Environment) -> None:
    """Lost otherwise: one leaked password interrupts everybody."""
    cat = edits.user("cat")
    version = int(cat.get("passwordVersion", 1)) + 1
    edit = touched(edits, lambda: cat.update(passwordVersion=version))
    assert edit == nothing(anew={"cat"})


def test_the_order_of_the_roster_and_file_times_count_for_nothing(edits: Environment) -> None:
    """Lost otherwise: sorting a list, or a fresh clone, restarts people."""

    def edit() -> None:
        edits.config["users"].reverse()
        for file in Path(edits.folder).rglob("*.md"):
            file.touch()

    assert touched(edits, edit) == nothing()


def test_preview_says_beforehand_what_up_then_does(edits: Environment) -> None:
    """Lost otherwise: an operator cannot see whom a change will interrupt."""
    big = deepcopy(edits.config["profiles"]["standard"])
    big["memory"]["limit"] = "1152Mi"
    edits.config["profiles"]["planned"] = big
    edits.user("ann")["profile"] = "planned"
    edits.save()
    before = edits.uids()
    plan = edits.fleet("preview", "--json", "--image", edits.image).json
    actions = {item["user"]: item["action"] for item in plan["users"]}
    assert actions == {"ann": "restart"}
    assert edits.uids() == before, "preview changes nothing"
    assert touched(edits, lambda: None) == nothing(anew={"ann"})
    edits.user("ann").pop("profile")
    edits.up()
