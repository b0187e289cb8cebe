"""Whether this machine can and may run the cluster: checked before anything is changed."""

import os
import platform
import socket
import time
from collections.abc import Mapping
from pathlib import Path

from tools.cluster import addresses
from tools.cluster.commands import attempt
from tools.cluster.errors import WRONG_INPUT, ClusterError
from tools.cluster.layout import Layout
from tools.cluster.pods import shims
from tools.cluster.processes import Records

_KUBELET_SOCKET = Path("/var/lib/kubelet/device-plugins/kubelet.sock")

# Component -> the addresses it will listen on.
LISTENERS: Mapping[str, tuple[tuple[str, int], ...]] = {
    "etcd": (
        (addresses.LOOPBACK, addresses.ETCD_CLIENT_PORT),
        (addresses.LOOPBACK, addresses.ETCD_PEER_PORT),
    ),
    "kube-apiserver": ((addresses.LOOPBACK, addresses.API_PORT),),
    "kube-controller-manager": ((addresses.LOOPBACK, addresses.CONTROLLER_MANAGER_PORT),),
    "kube-scheduler": ((addresses.LOOPBACK, addresses.SCHEDULER_PORT),),
    "kube-proxy": (
        (addresses.LOOPBACK, addresses.PROXY_HEALTH_PORT),
        (addresses.LOOPBACK, addresses.PROXY_METRICS_PORT),
    ),
    "kubelet": (
        (addresses.NODE_IP, addresses.KUBELET_PORT),
        (addresses.LOOPBACK, addresses.KUBELET_HEALTH_PORT),
    ),
    "coredns": (
        (addresses.NODE_IP, addresses.DNS_PORT),
        (addresses.LOOPBACK, addresses.DNS_HEALTH_PORT),
        (addresses.LOOPBACK, addresses.DNS_READY_PORT),
    ),
}


def require_root_linux() -> None:
    """Raise ClusterError, wrong input, anywhere but as root on Linux."""
    if platform.system() != "Linux":
        message = (
            f"local cluster: runs on Linux only, this is {platform.system()}: use a kubeconfig "
            "context of another cluster (kind, k3d, Docker Desktop, …) instead"
        )
        raise ClusterError(message, exit_code=WRONG_INPUT)
    if os.geteuid() != 0:
        message = (
            "local cluster: needs root (it makes a bridge, mounts and containers): run it as root, "
            "or use a kubeconfig context of another cluster instead"
        )
        raise ClusterError(message, exit_code=WRONG_INPUT)


def answers(host: str, port: int) -> bool:
    """Whether something accepts connections there."""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


def _free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def _owner(host: str, port: int) -> str:
    """Who listens there, as `"NAME",pid=N,fd=N`; empty when that cannot be told."""
    # The same port of another address can be another component's: the front door passes on to the
    # API server under the API server's own number.
    every = ("0.0.0.0", "[::]")  # noqa: S104 - as `ss` writes them; nothing is bound here
    places = " or ".join(f"src {place}:{port}" for place in (host, *every))
    said = attempt(["ss", "-ltnpH", f"( {places} )"]).out
    return said.partition("users:((")[2].partition(")")[0]


def require_free_ports(
    component: str, wanted: tuple[tuple[str, int], ...], own: int | None = None
) -> None:
    """Raise ClusterError when somebody else than process `own` listens where a component will."""
    for host, port in wanted:
        # The kernel takes a moment to give back the port of a process that was just ended.
        if any(_free(host, port) or time.sleep(0.2) for _ in range(1 if own else 10)):
            continue
        owner = _owner(host, port)
        if own is not None and f"pid={own}," in owner:
            continue
        change = "free it"
        if component == "front-door" and host == addresses.LOOPBACK:
            change = "free it, or choose another one with --port"
        by = f" by {owner}" if owner else ""
        message = f"{component}: {host}:{port} is in use{by}: {change}, then run this again"
        raise ClusterError(message)


def _another_kubelet() -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(_KUBELET_SOCKET))
        except OSError:
            return False
        return True


def require_own(layout: Layout, records: Records) -> None:
    """Raise ClusterError when what runs here is another user's local cluster."""
    note = layout.run / "state-folder"
    owner = note.read_text(encoding="utf-8") if note.exists() else str(layout.state)
    if owner != str(layout.state) and something_runs(layout, records):
        message = (
            f"local cluster: the one that runs on this machine has its state in {owner}: stop it "
            "first, with the HOME and XDG_DATA_HOME it was started with; there is one at a time"
        )
        raise ClusterError(message)


def require_no_other_kubernetes(records: Records) -> None:
    """Raise ClusterError when this machine is a Kubernetes node already."""
    if records.read("kubelet") is None and _another_kubelet():
        message = (
            "local cluster: this machine is a node of another Kubernetes already (a kubelet "
            "answers): use that cluster's kubeconfig context, or stop it first"
        )
        raise ClusterError(message)


def something_runs(layout: Layout, records: Records) -> bool:
    """Whether anything of the cluster runs."""
    return bool(shims(layout)) or any(records.read(name) for name in records.names())


def remember_state_folder(layout: Layout) -> None:
    """Note whose cluster runs here."""
    layout.run.mkdir(parents=True, exist_ok=True, mode=0o700)
    (layout.run / "state-folder").write_text(str(layout.state), encoding="utf-8")
