"""An environment of a base stack and a stack for each pool: what runs, what fails, what is found.

All users are suspended: what is tried here is the engine.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness.environment import ROOT, Environment, changes_of
from tests.e2e.harness.making import Maker
from tests.e2e.harness.running import Run, left_running, locks, own_state
from tests.e2e.harness.waiting import until

pytestmark = pytest.mark.e2e
POOLS = ("a", "b", "c")


@pytest.fixture(scope="module")
def divided(make: Maker) -> Environment:
    """Three pools with three users each, and their stacks."""
    environment = make("pools")
    own_state(environment)
    environment.config["stacks"] = {"per": "pool"}
    environment.config["pools"] = {pool: {} for pool in POOLS}
    environment.config["users"] = [user(pool, number) for pool in POOLS for number in range(3)]
    environment.up()
    return environment


@pytest.fixture(autouse=True)
def settled(divided: Environment) -> None:
    """As a test found it, so it leaves it: nothing to do."""
    divided.reread()


def user(pool: str, number: int) -> dict[str, Any]:
    return {"id": f"{pool}-{number}", "pool": pool, "state": "suspended"}


def namespace(environment: Environment, pool: str) -> str:
    return f"opencode-{environment.name}--{pool}"


def ran(environment: Environment, outcome: Any) -> list[str]:
    """Return the pools whose stacks a run has run; the base stack as an empty text."""
    names = [name.removeprefix(environment.name).removeprefix(".") for name in outcome["stacks"]]
    return sorted(names)


def stack_files(environment: Environment) -> set[str]:
    folder = environment.folder / "state/.pulumi/stacks/opencode-fleet"
    return {file.name.removesuffix(".json") for file in folder.glob("*.json")}


def users_in(environment: Environment, pool: str) -> set[str]:
    items = environment.kube.list("deployments", f"--namespace={namespace(environment, pool)}")
    return {item["metadata"]["name"] for item in items}


def test_a_run_touches_only_the_stack_of_the_pool_that_changed(divided: Environment) -> None:
    """Lost otherwise: with a thousand users each edit takes minutes."""
    assert ran(divided, divided.up()) == []
    divided.config["users"].append(user("b", 3))
    outcome = divided.up()
    assert (ran(divided, outcome), changes_of(outcome)) == (["b"], ["b-3 create"])
    assert "oc-b-3" in users_in(divided, "b")
    outcome = divided.up()
    assert (ran(divided, outcome), changes_of(outcome)) == ([], [])


def test_what_somebody_deleted_in_one_pool_is_put_back_by_its_stack(divided: Environment) -> None:
    """Lost otherwise: a stack that is left alone hides that a Service is gone."""
    divided.kube.ask("delete", "service", "oc-c-0", f"--namespace={namespace(divided, 'c')}")
    outcome = divided.up()
    # The base stack too: its door watches pools by name.
    assert ran(divided, outcome) == ["", "c"]
    assert outcome["putBack"] == [f"Service {namespace(divided, 'c')}/oc-c-0"]
    assert ran(divided, divided.up()) == []


def test_an_edit_that_a_refresh_took_into_the_state_is_put_back_all_the_same(
    divided: Environment,
) -> None:
    """Lost otherwise: `fleet refresh` makes an edit by hand what everybody takes for right."""
    place = f"--namespace={namespace(divided, 'a')}"
    patch = '{"spec": {"ports": [{"name": "http", "port": 4097, "targetPort": 4096}]}}'
    divided.kube.ask("patch", "service", "oc-a-0", place, "--type=merge", f"--patch={patch}")
    assert divided.fleet("refresh").code == 0
    divided.up()
    service = divided.kube.one("service", "oc-a-0", namespace(divided, "a"))
    assert service is not None
    assert [port["port"] for port in service["spec"]["ports"]] == [4096]
    assert ran(divided, divided.up()) == []


def test_a_pool_that_fails_stops_no_other_and_is_told(divided: Environment) -> None:
    """Lost otherwise: one team's broken namespace keeps everybody from working."""
    quota = "--hard=count/services=0"
    place = f"--namespace={namespace(divided, 'a')}"
    divided.kube.ask("create", "quota", "none", quota, place)
    divided.config["users"] += [user("a", 4), user("c", 4)]
    done = divided.try_up("--json")
    assert done.code == 1
    assert any("a-4" in line and "quota" in line for line in done.json["failures"]), done.said
    assert "oc-c-4" in users_in(divided, "c")
    divided.kube.ask("delete", "quota", "none", place)
    assert ran(divided, divided.up()) == ["a"]
    assert ran(divided, divided.up()) == []


def test_a_state_of_one_pool_that_is_lost_is_found_again(divided: Environment) -> None:
    """Lost otherwise: one deleted file, and a pool can never be updated again."""
    folder = divided.folder / "state/.pulumi/stacks/opencode-fleet"
    for file in folder.glob(f"{divided.name}.b.*"):
        file.unlink()
    outcome = divided.up()
    assert ran(divided, outcome) == ["b"]
    assert outcome["deleted"] == []
    assert f"Service {namespace(divided, 'b')}/oc-b-0" in outcome["takenOver"]
    assert ran(divided, divided.up()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_run_of_several_pools_that_is_stopped_is_gone_on_with(
    divided: Environment, number: signal.Signals
) -> None:
    """Lost otherwise: Ctrl-C leaves engines of other pools running, and objects nobody knows."""
    state = divided.folder / "state"
    added = [user(pool, 10 + count) for pool in POOLS for count in range(12)]
    divided.config["users"] += added
    divided.save()
    run = Run.begin(divided, "up", "--image", divided.image)
    before = len(divided.kube.list("deployments", "--all-namespaces", selector(divided)))
    run.until_objects("deployments", before + 2)
    if number is signal.SIGKILL:
        run.kill(engine=False)
    else:
        run.interrupt(number)
    assert run.end().code != 0
    outcome = divided.up()
    assert outcome["deleted"] == []
    again = divided.up()
    assert (ran(divided, again), changes_of(again)) == ([], [])
    until("no engine runs", lambda: left_running(state) == [], 60)
    assert locks(state) == []
    divided.config["users"] = [item for item in divided.config["users"] if item not in added]
    divided.up()


def selector(environment: Environment) -> str:
    return f"--selector=opencode-fleet/environment={environment.name}"


def test_a_second_run_is_refused_and_names_the_first(divided: Environment) -> None:
    """Lost otherwise: two runs on different pools undo each other's work."""
    divided.config["users"] += [user("c", 30 + count) for count in range(10)]
    divided.save()
    run = Run.begin(divided, "up", "--image", divided.image)
    run.engine()
    second = divided.fleet("up", "--image", divided.image)
    assert second.code == 1
    assert f"environment {divided.name}: another run is under way" in second.err
    assert run.end().code == 0
    divided.config["users"] = [
        item for item in divided.config["users"] if not item["id"].startswith("c-3")
    ]
    divided.up()


def test_plain_pulumi_runs_the_same_program_for_one_pool(divided: Environment) -> None:
    """Lost otherwise: a pipeline of `pulumi up` takes a pool apart."""
    lines = divided.fleet("env", "--image", divided.image)
    script = f'eval "$1"; exec pulumi preview --json --non-interactive -s {divided.name}.a "$2"'
    done = subprocess.run(
        ["/bin/sh", "-c", script, "sh", lines.out, f"--config-file={divided.file}"],
        cwd=ROOT,
        env={**os.environ, **divided.environ},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)["changeSummary"]
    assert set(summary) == {"same"}
    assert summary["same"] > 10


def test_the_other_setting_is_refused_with_the_way_to_it(divided: Environment) -> None:
    """Lost otherwise: one edited word deletes every runtime of the environment."""
    before = {pool: users_in(divided, pool) for pool in POOLS}
    divided.config["stacks"] = {"per": "environment"}
    done = divided.try_up()
    assert done.code == 2
    assert "stacks.per: environment: it was deployed with `per: pool`" in done.err
    assert {pool: users_in(divided, pool) for pool in POOLS} == before
    divided.config["stacks"] = {"per": "pool"}
    assert ran(divided, divided.up()) == []


def test_a_pool_that_leaves_the_file_goes_with_its_stack_and_its_data_stays(
    divided: Environment,
) -> None:
    """Lost otherwise: a dissolved team's runtimes run on, or its files are gone."""
    divided.config["users"] = [item for item in divided.config["users"] if item["pool"] != "c"]
    del divided.config["pools"]["c"]
    divided.save()
    preview = divided.fleet("preview", "--image", divided.image)
    assert preview.code == 3
    assert "pool c: removed" in preview.out
    outcome = divided.up()
    assert ran(divided, outcome) == ["c"]
    assert users_in(divided, "c") == set()
    claims = divided.kube.list("pvc", f"--namespace={namespace(divided, 'c')}")
    assert {"oc-c-0", "oc-c-1", "oc-c-2"} <= {item["metadata"]["name"] for item in claims}
    assert f"{divided.name}.c" not in stack_files(divided)
    divided.config["pools"]["c"] = {}
    divided.config["users"] += [user("c", number) for number in range(3)]
    back = divided.up()
    assert ran(divided, back) == ["c"]
    assert users_in(divided, "c") == {"oc-c-0", "oc-c-1", "oc-c-2"}


def test_destroy_takes_the_stacks_of_pools_with_it(divided: Environment) -> None:
    """Lost otherwise: stacks that nobody knows of are left, and hold what is no longer there."""
    divided.destroy()
    assert stack_files(divided) == {divided.name}
    assert all(users_in(divided, pool) == set() for pool in POOLS)
    divided.up()
    assert Path(divided.folder, "state").is_dir()
    assert stack_files(divided) == {divided.name, *(f"{divided.name}.{pool}" for pool in POOLS)}
