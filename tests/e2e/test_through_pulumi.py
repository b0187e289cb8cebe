"""The core of the suite once more, through `pulumi up`: works, only what changed, nothing lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.harness.environment import Environment
from tests.e2e.harness.making import Maker
from tests.e2e.harness.memory import make_work, remember
from tests.e2e.harness.pulumi_run import PulumiRun, find_pulumi
from tests.e2e.harness.waiting import until
from tests.e2e.harness.workspace import answer_text

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        find_pulumi() is None,
        reason="no pulumi on PATH: the half of the suite through `pulumi up` was NOT run",
    ),
]
USER = "pia"


@pytest.fixture(scope="module")
def stack(make: Maker) -> PulumiRun:
    """One user with a scene, brought up by Pulumi, with work to lose."""
    environment = make("pulumi", [USER])
    environment.config["users"] = roster()
    run = PulumiRun(environment=environment)
    run.prepare()
    run.up()
    environment.workspace(USER).healthy()
    make_work(environment, USER)
    return run


def roster() -> list[dict[str, object]]:
    """Return the roster all tests begin with."""
    return [{"id": USER, "scenes": ["coding"]}]


@pytest.fixture
def environment(stack: PulumiRun) -> Environment:
    """The environment that Pulumi made."""
    return stack.environment


def test_pulumi_up_gives_a_user_a_workspace_that_answers(
    stack: PulumiRun, environment: Environment
) -> None:
    """Lost otherwise: the way the project is for does not work, or prints a wrong password."""
    outputs = stack.outputs()
    workspace = environment.workspace(USER)
    assert outputs["passwords"][USER] == workspace.password
    assert outputs["urls"][USER] == f"http://{workspace.host}"
    assert outputs["imageRef"] == environment.image
    assert outputs["namespaces"] == {"default": environment.namespace}
    assert workspace.anonymous().call("GET", "/global/health").status == 401
    answer = workspace.say(workspace.chat("/app/coding"), "[[say by pulumi]]", "/app/coding")
    assert "by pulumi" in answer_text(answer)


def test_a_second_up_changes_nothing_and_keeps_the_state_free_of_passwords(
    stack: PulumiRun, environment: Environment
) -> None:
    """Lost otherwise: every run restarts people, or the state file opens their workspaces."""
    before = environment.uids()
    stack.up("--expect-no-changes")
    assert environment.uids() == before
    password = environment.workspace(USER).password
    assert password
    files = [file for file in Path(environment.folder, "state").rglob("*") if file.is_file()]
    assert files
    assert not [file.name for file in files if password in file.read_text(encoding="utf-8")]


def test_adding_a_user_through_pulumi_restarts_nobody_else(
    stack: PulumiRun, environment: Environment
) -> None:
    """Lost otherwise: a new colleague interrupts all others."""
    before = environment.uids()
    environment.config["users"] = [*roster(), {"id": "quin"}]
    stack.up()
    after = environment.uids()
    assert after.keys() == {USER, "quin"}
    assert after[USER] == before[USER]
    environment.workspace("quin").healthy()
    environment.config["users"] = roster()
    stack.up()
    assert environment.kube.one("pvc", "oc-quin", environment.namespace) is not None


def test_nothing_is_lost_when_a_user_is_removed_through_pulumi_and_comes_back(
    stack: PulumiRun, environment: Environment
) -> None:
    """Lost otherwise: a roster edited by mistake deletes a person's work for good."""
    known = remember(environment, USER)
    environment.config["users"] = []
    stack.up()
    until("the pod is gone", lambda: USER not in environment.uids(), 60)
    environment.config["users"] = roster()
    stack.up()
    environment.ready(USER)
    assert remember(environment, USER) == known


def test_nothing_is_lost_when_the_stack_is_destroyed_and_brought_up_again(
    stack: PulumiRun, environment: Environment
) -> None:
    """Lost otherwise: `pulumi destroy` costs everybody's work."""
    known = remember(environment, USER)
    stack.destroy()
    until("the pod is gone", lambda: not environment.uids(), 60)
    assert environment.kube.one("pvc", f"oc-{USER}", environment.namespace) is not None
    assert environment.kube.one("namespace", environment.namespace) is not None
    stack.up()
    environment.ready(USER)
    assert remember(environment, USER) == known


def test_purge_through_pulumi_really_deletes(stack: PulumiRun, environment: Environment) -> None:
    """Lost otherwise: data that must be deleted by law stays on the disk."""
    environment.config["users"] = [*roster(), {"id": "rex"}]
    stack.up()
    claim = environment.kube.one("pvc", "oc-rex", environment.namespace)
    assert claim is not None
    environment.config["users"] = roster()
    stack.up()
    assert environment.kube.one("pvc", "oc-rex", environment.namespace) is not None
    environment.config["purge"] = ["rex"]
    stack.up()
    assert environment.kube.one("pvc", "oc-rex", environment.namespace) is None
    environment.kube.gone("pv", claim["spec"]["volumeName"])
    environment.config["purge"] = []
    stack.up()
