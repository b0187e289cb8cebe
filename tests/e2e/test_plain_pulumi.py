"""Plain `pulumi`: on the stack that `fleet up` made, and with the policy pack on any program."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.harness.environment import ROOT, Environment, changes_of
from tests.e2e.harness.making import Maker

pytestmark = pytest.mark.e2e
USER = "pia"
PROJECT = "opencode-fleet"


@pytest.fixture(scope="module")
def stack(make: Maker) -> Environment:
    """One user with a scene."""
    environment = make("pulumi", [USER])
    environment.user(USER)["scenes"] = ["coding"]
    environment.up()
    # Where plain `pulumi` finds which project this is; its program is not run here.
    (environment.folder / "Pulumi.yaml").symlink_to(ROOT / "Pulumi.yaml")
    return environment


def pulumi(environment: Environment, *arguments: str) -> str:
    """Run Pulumi's own command in a shell made ready by `fleet env`; return what it printed."""
    lines = environment.fleet("env")
    assert lines.code == 0, lines.said
    which = f"--stack=organization/{PROJECT}/{environment.name}"
    script = 'eval "$1"; shift; exec pulumi "$@" --non-interactive'
    done = subprocess.run(
        ["/bin/sh", "-c", script, "sh", lines.out, *arguments, which],
        cwd=environment.folder,
        env={**os.environ, **environment.environ},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"pulumi {arguments[0]}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def outputs(environment: Environment) -> dict[str, Any]:
    """Return the stack's outputs, secrets in clear."""
    found: dict[str, Any] = json.loads(
        pulumi(environment, "stack", "output", "--json", "--show-secrets")
    )
    return found


def test_plain_pulumi_reads_the_outputs_that_people_need(stack: Environment) -> None:
    """Lost otherwise: pipelines that read `pulumi stack output` get a wrong URL or password."""
    workspace = stack.workspace(USER)
    found = outputs(stack)
    assert found["passwords"][USER] == workspace.password
    assert found["urls"][USER] == f"http://{workspace.host}"
    assert found["imageRef"] == stack.image
    assert found["namespaces"] == {"default": stack.namespace}
    assert any(f"oc-{USER}" in item for item in found["retained"])
    assert workspace.anonymous().call("GET", "/global/health").status == 401


def test_the_state_holds_no_password_in_clear(stack: Environment) -> None:
    """Lost otherwise: whoever reads the state opens everybody's workspace."""
    password = stack.workspace(USER).password
    assert password
    files = [file for file in Path(stack.folder, "state").rglob("*") if file.is_file()]
    assert files
    assert not [file.name for file in files if password in file.read_text(encoding="utf-8")]


def test_a_refresh_by_hand_leaves_the_next_up_nothing_to_do(stack: Environment) -> None:
    """Lost otherwise: looking at the stack with Pulumi's own command restarts people."""
    before = stack.uids()
    pulumi(stack, "refresh", "--yes", "--skip-preview")
    again = stack.up()
    assert changes_of(again) == []
    assert stack.uids() == before


def test_what_is_destroyed_by_hand_comes_back_with_the_same_password(stack: Environment) -> None:
    """Lost otherwise: `pulumi destroy` by hand costs work, or everybody's password."""
    password = stack.workspace(USER).password
    stack.inside(USER, "sh", "-c", "echo stays > /app/kept.txt")
    pulumi(stack, "destroy", "--yes", "--skip-preview")
    assert stack.pods() == {}
    stack.up()
    assert stack.inside(USER, "cat", "/app/kept.txt").stdout == "stays\n"
    assert stack.workspace(USER).password == password
    stack.workspace(USER).healthy()


_PROGRAM = """
import sys, yaml, pulumi
item = yaml.safe_load(open("object.yaml"))
version = item["apiVersion"]
token = version if "/" in version else "core/" + version
pulumi.CustomResource(f"kubernetes:{token}:{item['kind']}", "one", item)
"""


@pytest.mark.parametrize(
    ("change", "told"),
    [({}, None), ({"type": "LoadBalancer"}, "services-stay-inside")],
    ids=["sound", "open"],
)
def test_the_policy_pack_stops_what_breaks_a_rule_before_it_is_made(
    stack: Environment, tmp_path: Path, change: dict[str, str], told: str | None
) -> None:
    """Lost otherwise: a team that relies on the pack has a runtime open to the world."""
    service = yaml.safe_load((ROOT / "policy/violating/services-stay-inside.yaml").read_text())
    service["metadata"]["namespace"] = stack.namespace
    service["spec"] |= {"type": "ClusterIP"} | change
    (tmp_path / "object.yaml").write_text(yaml.safe_dump(service))
    (tmp_path / "__main__.py").write_text(_PROGRAM)
    (tmp_path / "Pulumi.yaml").write_text("name: policed\nruntime: python\n")
    lines = stack.fleet("env").out
    script = (
        'eval "$1"; pulumi stack init policed >&2 && exec pulumi preview --stack policed'
        ' --non-interactive --policy-pack "$2"'
    )
    done = subprocess.run(
        ["/bin/sh", "-c", script, "sh", lines, str(ROOT / "policy")],
        cwd=tmp_path,
        env={**os.environ, **stack.environ, "PULUMI_BACKEND_URL": f"file://{tmp_path}"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode == 0) == (told is None), done.stdout + done.stderr
    assert (told or "opencode-fleet@") in done.stdout
