"""What only Pulumi does: outputs, a state without passwords, purging as a resource."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.e2e.harness.pulumi_run import PulumiEnvironment

from tests.e2e.harness.making import Maker
from tests.e2e.harness.workspace import answer_text

pytestmark = [pytest.mark.e2e, pytest.mark.engines, pytest.mark.pulumi]
USER = "pia"


@pytest.fixture(scope="module")
def stack(make: Maker) -> PulumiEnvironment:
    """One user with a scene."""
    environment = make("pulumi", [USER])
    assert isinstance(environment, PulumiEnvironment)
    environment.user(USER)["scenes"] = ["coding"]
    environment.up()
    environment.workspace(USER).healthy()
    return environment


def test_pulumi_up_gives_a_user_a_workspace_that_answers(stack: PulumiEnvironment) -> None:
    """Lost otherwise: the way the project is for does not work, or prints a wrong password."""
    outputs = stack.outputs()
    workspace = stack.workspace(USER)
    assert outputs["passwords"][USER] == workspace.password
    assert outputs["urls"][USER] == f"http://{workspace.host}"
    assert outputs["imageRef"] == stack.image
    assert outputs["namespaces"] == {"default": stack.namespace}
    assert any(f"oc-{USER}" in item for item in outputs["retained"])
    assert workspace.anonymous().call("GET", "/global/health").status == 401
    answer = workspace.say(workspace.chat("/app/coding"), "[[say by pulumi]]", "/app/coding")
    assert "by pulumi" in answer_text(answer)


def test_a_second_up_changes_nothing_and_keeps_the_state_free_of_passwords(
    stack: PulumiEnvironment,
) -> None:
    """Lost otherwise: every run restarts people, or the state file opens their workspaces."""
    before = stack.uids()
    stack.up("--expect-no-changes")
    assert stack.uids() == before
    password = stack.workspace(USER).password
    assert password
    files = [file for file in Path(stack.folder, "state").rglob("*") if file.is_file()]
    assert files
    assert not [file.name for file in files if password in file.read_text(encoding="utf-8")]


def test_purge_through_pulumi_really_deletes(stack: PulumiEnvironment) -> None:
    """Lost otherwise: data that must be deleted by law stays on the disk."""
    roster = list(stack.config["users"])
    stack.config["users"] = [*roster, {"id": "rex"}]
    stack.up()
    claim = stack.kube.one("pvc", "oc-rex", stack.namespace)
    assert claim is not None
    stack.config["users"] = roster
    stack.up()
    assert stack.kube.one("pvc", "oc-rex", stack.namespace) is not None
    stack.config["purge"] = ["rex"]
    stack.up()
    assert stack.kube.one("pvc", "oc-rex", stack.namespace) is None
    stack.kube.gone("pv", claim["spec"]["volumeName"])
    stack.config["purge"] = []
    stack.up()
