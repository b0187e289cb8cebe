"""The engine on suspended users: what a run takes beside Helm and kubectl with the same objects.

A run is the whole command, from its start until the state is written and it has ended. Only here
are runs repeated on one cluster, each test on an environment of its own.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from fleet.cluster.client import Cluster
from fleet.cluster.owned import owned
from fleet.engine.drift import find_drift
from fleet.engine.settings import find_program
from fleet.engine.state import read_state
from fleet.errors import EngineError
from tests.bench import chart, roster
from tests.bench.control_plane import CONTEXT, HELM, Plane, go_program
from tests.bench.measuring import FLEET, Figures, Run, measure, median
from tests.support.small_fleet import deploy, plan_of
from tests.support.stacks import SMALL

pytestmark = pytest.mark.bench
# FLEET_BENCH_ROUNDS: 1 for a quick look.
_ROUNDS = int(os.environ.get("FLEET_BENCH_ROUNDS", "3"))
_USERS, _POOLS = 100, 2
_NOTHING = "nothing changed"


@dataclass(frozen=True)
class Project:
    """A folder with stack files, and everything the engine keeps."""

    folder: Path
    plane: Plane

    @property
    def environ(self) -> dict[str, str]:
        """The environment of commands: state, seeds and passphrase are the benchmark's own."""
        state = self.folder / "state"
        return {
            **self.plane.environ,
            "PULUMI_BACKEND_URL": f"file://{state}",
            "PULUMI_CONFIG_PASSPHRASE": "of the benchmark",
            "XDG_DATA_HOME": str(self.folder / "data"),
        }

    def users(
        self, environment: str, count: int, pools: int = _POOLS, *, divided: bool = False
    ) -> None:
        """Write a stack file; `divided`: with a stack a pool."""
        roster.write(self.folder, environment, count, pools=pools, divided=divided)

    def fleet(self, *words: str, looking: bool = False) -> Run:
        """Run a command."""
        return measure([FLEET, *words], self.folder, self.environ, looking=looking)

    def up(self, environment: str, *, looking: bool = False) -> Run:
        """Bring the cluster to what the stack file says."""
        return self.fleet("up", "-s", environment, "--no-wait", looking=looking)

    def destroy(self, environment: str) -> Run:
        """Delete what is not retained."""
        return self.fleet("destroy", "-s", environment, "--yes")

    def kubectl(self, *words: str) -> Run:
        """Run kubectl."""
        command = [self.plane.kubectl, f"--context={CONTEXT}", *words]
        return measure(command, self.folder, self.environ)


@pytest.fixture(scope="module")
def project(plane: Plane, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """An empty project on a control plane of the module's own."""
    try:
        find_program(os.environ)
    except EngineError as error:
        pytest.skip(str(error))
    found = Project(tmp_path_factory.mktemp("project"), plane)
    (found.folder / "state").mkdir()
    return found


@pytest.fixture(scope="module")
def hundred(project: Project) -> Iterator[Project]:
    """The project with an environment `many`, which stands."""
    project.users("many", _USERS)
    project.up("many")
    yield project
    project.destroy("many")


def test_resources(folder: Path, figures: Figures) -> None:
    users = [{"id": "alice"}, {"id": "bob"}]
    one = deploy(plan_of({**SMALL, "users": users[:1]}, folder))
    two = deploy(plan_of({**SMALL, "users": users}, folder))
    count = len(two.resources) - len(one.resources)
    figures.note("Pulumi resources a user, component included", "6", str(count))


def test_first_up(project: Project, figures: Figures) -> None:
    runs: list[Run] = []
    for number in range(_ROUNDS):
        project.users(f"first-{number}", _USERS)
        runs.append(project.up(f"first-{number}", looking=True))
        assert _NOTHING in project.up(f"first-{number}").out
        project.destroy(f"first-{number}")
    figures.note("first up of 100", "15 s", median(runs))


def test_nothing_changed(hundred: Project, figures: Figures) -> None:
    hundred.users("two", 2)
    hundred.up("two")
    for environment, figure, bound in (("two", "2", "4 s"), ("many", "100", "9 s")):
        runs = [hundred.up(environment) for _ in range(_ROUNDS)]
        assert all(_NOTHING in run.out for run in runs)
        figures.note(f"up, nothing changed, {figure} users", bound, median(runs))
    hundred.destroy("two")


def test_up_adds_one_user(hundred: Project, figures: Figures) -> None:
    runs: list[Run] = []
    for number in range(_ROUNDS):
        hundred.users("many", _USERS + 1 + number)
        runs.append(hundred.up("many", looking=True))
        assert "created" in runs[-1].out
        assert "updated" not in runs[-1].out
    assert _NOTHING in hundred.up("many").out
    figures.note("up that adds one user to 100", "10 s, 600 MB", median(runs))
    hundred.users("many", _USERS)
    hundred.up("many")


def test_drift(hundred: Project, figures: Figures) -> None:
    cluster = Cluster.open(CONTEXT, kubeconfig=hundred.plane.kubeconfig.read_text())
    file = hundred.folder / "state/.pulumi/stacks/opencode-fleet/many.json"
    checks: list[Run] = []
    for _ in range(_ROUNDS):
        begun, used = time.monotonic(), time.process_time()
        state = read_state(json.loads(file.read_bytes())["checkpoint"]["latest"])
        drift = find_drift("many", state, owned(cluster, "many"))
        seconds, cpu = time.monotonic() - begun, time.process_time() - used
        assert (drift.missing, drift.edited, drift.unknown) == ((), (), ())
        checks.append(Run(seconds=seconds, megabytes=0, out="", cpu=cpu))
    figures.note("  of it, looking for what somebody edited or deleted", "", median(checks))
    mended: list[Run] = []
    for _ in range(_ROUNDS):
        hundred.kubectl("delete", "service", "oc-user-0001", "-n", "opencode-many--pool-1")
        mended.append(hundred.up("many"))
        assert "Service oc" in mended[-1].out or "put back" in mended[-1].out
    figures.note("up that puts back a deleted Service, 100 users", "", median(mended))
    runs = [hundred.fleet("refresh", "-s", "many") for _ in range(_ROUNDS)]
    figures.note("refresh of 100 users", "", median(runs))


def test_destroy(hundred: Project, figures: Figures) -> None:
    """In the order fleet, kubectl, kubectl, fleet: a cluster slows down with what it holds."""
    files = chart.objects(hundred.folder, "many")
    (hundred.folder / "many.json").write_text(chart.as_list(chart.deletable(files)))
    ours: list[Run] = []
    theirs: list[Run] = []
    for by_kubectl in (False, True, True, False):
        if by_kubectl:
            theirs.append(hundred.kubectl("delete", "-f", "many.json"))
        else:
            ours.append(hundred.destroy("many"))
        hundred.up("many")
    figures.note("destroy of 100 users", "1.2 times kubectl", median(ours))
    figures.note("  kubectl delete of the same objects", "", median(theirs))


def test_ten_stacks(project: Project, figures: Figures) -> None:
    """A thousand users, a stack a pool. The last is taken away and put back between the rounds."""
    count = roster.USERS
    project.users("ten", count - 1, roster.POOLS, divided=True)
    first = project.up("ten", looking=True)
    figures.note(f"first up of {count} in ten stacks", "150 s", median([first]))
    runs = [project.up("ten") for _ in range(_ROUNDS)]
    assert all(_NOTHING in run.out for run in runs)
    figures.note(f"up, nothing changed, {count} users in ten stacks", "", median(runs))
    added: list[Run] = []
    for _ in range(_ROUNDS):
        project.users("ten", count, roster.POOLS, divided=True)
        added.append(project.up("ten", looking=True))
        assert "created" in added[-1].out
        project.users("ten", count - 1, roster.POOLS, divided=True)
        project.up("ten")
    figures.note(f"up that adds one user to {count}, a stack a pool", "12 s, 600 MB", median(added))
    project.destroy("ten")


def test_kubectl_apply(project: Project, figures: Figures) -> None:
    runs: list[Run] = []
    for count in (_USERS, *(_USERS + 1 + number for number in range(_ROUNDS))):
        project.users("plain", count)
        files = chart.objects(project.folder, "plain")
        everything = [item for items in files.values() for item in items]
        (project.folder / "plain.json").write_text(chart.as_list(everything))
        runs.append(project.kubectl("apply", "--server-side", "-f", "plain.json"))
    figures.note("  kubectl apply of 100, first time", "", median(runs[:1]))
    figures.note("  kubectl apply that adds one user to 100", "", median(runs[1:]))
    project.kubectl("delete", "-f", "plain.json")


def test_helm(project: Project, figures: Figures) -> None:
    helm = str(go_program(HELM))
    chart.write(project.folder, "helm", _USERS, _POOLS)
    names = chart.namespaces(chart.objects(project.folder, "helm"))
    (project.folder / "names.json").write_text(chart.as_list(names))
    project.kubectl("apply", "--server-side", "-f", "names.json")
    values = project.folder / "chart/values.yaml"
    runs: list[Run] = []
    for count in (_USERS, *(_USERS + 1 + number for number in range(_ROUNDS))):
        values.write_text(yaml.safe_dump({"users": roster.users(count, _POOLS)}))
        command = [helm, "upgrade", "--install", "bench", "chart", f"--kube-context={CONTEXT}"]
        runs.append(measure(command, project.folder, project.environ))
    figures.note("  helm install of 100", "", median(runs[:1]))
    figures.note("  helm upgrade that adds one user to 100", "", median(runs[1:]))
    command = [helm, "uninstall", "bench", f"--kube-context={CONTEXT}"]
    figures.note(
        "  helm uninstall", "", median([measure(command, project.folder, project.environ)])
    )
