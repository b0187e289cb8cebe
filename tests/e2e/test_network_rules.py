"""Network rules tried by connections, on clusters that enforce them.

The table of who may reach whom (tests/support/reachability.py) is evaluated in the unit tests.
Here it is tried by connections, after the suite has found out whether this cluster enforces
NetworkPolicy at all; it says so when it does not.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.harness.environment import Environment
from tests.e2e.harness.kube import Kube, Live
from tests.e2e.harness.landscape import Landscape, configure, landscape
from tests.e2e.harness.making import Maker
from tests.e2e.harness.model_pod import PORT, ModelPod
from tests.e2e.harness.waiting import until
from tests.support.reachability import ALLOWED, DENIED, PODS, Way, way

pytestmark = pytest.mark.e2e
TRY = (
    "import socket,sys\n"
    "try: socket.create_connection((sys.argv[1],int(sys.argv[2])),3); print('open')\n"
    "except OSError: print('closed')"
)


def probe(namespace: str, image: str) -> list[Live]:
    """Return a pod that may send nothing to anybody, in a namespace of its own."""
    meta = {"name": "probe", "namespace": namespace, "labels": {"app": "probe"}}
    owner = {"opencode-fleet/environment": namespace}
    container = {"name": "opencode", "image": image, "command": ["sleep", "3600"]}
    return [
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": namespace, "labels": owner},
        },
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": meta,
            "spec": {"podSelector": {}, "policyTypes": ["Egress"]},
        },
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": meta,
            "spec": {
                "containers": [container],
                "automountServiceAccountToken": False,
                "terminationGracePeriodSeconds": 0,
            },
        },
    ]


@pytest.fixture(scope="module")
def enforcing(kube: Kube, model: ModelPod, image: str, run_id: str) -> str:
    """Skip unless the cluster enforces policies; return the probe's namespace."""
    namespace = f"{run_id}-net"
    kube.make(*probe(namespace, image))
    look = ("python3", "-c", TRY, model.addresses[1], str(PORT))

    def seen() -> str | None:
        return kube.exec(namespace, "probe", *look).stdout.strip() or None

    until("the probe runs", seen, 60)
    try:
        # Rules come into force a moment after the pod.
        until("the probe is closed in", lambda: seen() == "closed", 8)
    except AssertionError:
        pytest.skip(
            "this cluster does not enforce NetworkPolicy (a pod that may send nothing reached"
            " another one): connections were NOT tried; the unit tests evaluate the rules"
        )
    return namespace


def reach(environment: Environment, address: str, port: int) -> str:
    """Return whether alice's runtime can open a connection: open or closed."""
    done = environment.inside("alice", "python3", "-c", TRY, address, str(port))
    return done.stdout.strip()


@pytest.mark.usefixtures("enforcing")
def test_a_runtime_reaches_its_model_and_nothing_else_that_is_private(
    shared: Environment, model: ModelPod
) -> None:
    """Lost otherwise: an agent scans the company's network, or takes the machine's cloud role."""
    bob = shared.pod("bob")["status"]
    assert reach(shared, model.addresses[1], PORT) == "open"
    closed = [
        (bob["podIP"], 4096),
        (bob["hostIP"], 10250),
        (bob["hostIP"], 22),
        ("kubernetes.default.svc", 443),
        ("100.100.100.200", 80),
        ("169.254.169.254", 80),
    ]
    assert [place for place in closed if reach(shared, *place) == "open"] == []


def test_nobody_but_the_entrance_reaches_a_runtime(shared: Environment, enforcing: str) -> None:
    """Lost otherwise: any pod of the cluster can knock at every workspace."""
    kube, address = shared.kube, shared.pod("alice")["status"]["podIP"]
    kube.ask("delete", "networkpolicy", "probe", f"--namespace={enforcing}")
    look = kube.exec(enforcing, "probe", "python3", "-c", TRY, address, "4096")
    assert look.stdout.strip() == "closed"


def proved(place: Landscape, allowed: set[Way], denied: set[Way]) -> None:
    """Check what the rules let through, and that without them pods reach all that is denied."""
    table = allowed | denied
    reached: set[Way] = set()

    def as_written() -> bool:
        nonlocal reached
        reached = place.reached(table)
        return reached == allowed

    try:
        until("the cluster enforces the table", as_written, 60, 1)
    except AssertionError:
        assert sorted(map(str, reached - allowed)) == [], "these are open"
        assert sorted(map(str, allowed - reached)) == [], "these are closed"
    for namespace in (place.namespaces[part] for part in ("default", "lab", "front")):
        place.environment.kube.ask("delete", "networkpolicies", "--all", f"-n={namespace}")
    # What comes from outside a machine's own firewall may keep out as well.
    of_pods = {row for row in denied if row.source in PODS}

    def all_open() -> bool:
        closed = sorted(map(str, of_pods - place.reached(of_pods)))
        assert closed == [], f"closed by something else: {closed}"
        return True

    until("without rules all is open to pods", all_open, 60, 1)


@pytest.mark.usefixtures("enforcing")
def test_the_table_of_who_may_reach_whom_holds_for_real_connections(
    make: Maker, figure: Callable[[str], None]
) -> None:
    """Lost otherwise: the rules mean something else to the cluster than to their evaluation.

    Deleting the rules then shows that each closed connection was closed by them, and the next
    run closes them again.
    """
    environment = make("table")
    configure(environment)
    environment.up()
    allowed, denied = {way(row) for row in ALLOWED}, {way(row) for row in DENIED}
    with landscape(environment, [*allowed, *denied]) as place:
        here = {row for row in allowed | denied if place.can_try(row)}
        figure(
            f"{len(here)} of {len(allowed | denied)} connections tried; not here: "
            + ", ".join(sorted(map(str, (allowed | denied) - here)))
        )
        proved(place, allowed & here, denied & here)
        environment.up()
        until("the rules are back", lambda: place.reached(here) == allowed & here, 60, 1)
