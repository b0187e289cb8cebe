"""Network rules tried by connections, on clusters that enforce them.

The rules themselves are proved by evaluation in the unit tests; here the suite first finds out
whether this cluster enforces NetworkPolicy at all, and says so when it does not.
"""

from __future__ import annotations

import pytest

from tests.e2e.harness.environment import Environment
from tests.e2e.harness.kube import Kube, Live
from tests.e2e.harness.model_pod import PORT, ModelPod
from tests.e2e.harness.waiting import until

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
    address = model.addresses[1]
    look = ("python3", "-c", TRY, address, str(PORT))
    first = until(
        "the probe runs",
        lambda: kube.exec(namespace, "probe", *look).stdout.strip() or None,
        60,
    )
    if first == "open":
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
