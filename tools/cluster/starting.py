"""`up`: from whatever state the machine is in to a cluster that works; safe to repeat."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tools.cluster import (
    addresses,
    binaries,
    credentials,
    files,
    images,
    kubeconfig,
    machine,
    mounts,
    network,
    packages,
    sysctls,
    waiting,
)
from tools.cluster.api import Api
from tools.cluster.commands import attempt, run
from tools.cluster.components import Component, Components
from tools.cluster.errors import ClusterError
from tools.cluster.layout import Layout
from tools.cluster.pods import shims
from tools.cluster.processes import Record, Records, alive, end, last_lines, start, started_at

Tell = Callable[[str], None]
_AGAIN = "what was done stays done: running the same command again continues"


@dataclass(frozen=True, slots=True)
class Launcher:
    """Starts components and waits for them."""

    layout: Layout
    records: Records

    def ensure(
        self,
        component: Component,
        ready: Callable[[], bool],
        *,
        timeout: float = 60,
        listeners: tuple[tuple[str, int], ...] = (),
    ) -> bool:
        """Have the component running as it is configured now, and ready; True when it was started.

        Raises ClusterError with its last log lines when it ends or is not ready in time.
        """
        name, fingerprint = component.name, component.fingerprint()
        record = self.records.read(name)
        started = record is None or record.fingerprint != fingerprint
        wanted = listeners or machine.LISTENERS.get(name, ())
        if record is not None and started:
            # Asked first: one that works is not ended for one that could not start.
            machine.require_free_ports(name, wanted, record.identity.pid)
            end([record.identity], grace=20)
        if record is None or started:
            machine.require_free_ports(name, wanted)
            identity = start(component.argv, self.layout.log_of(name), component.env)
            record = Record(identity, fingerprint)
            self.records.write(name, record)
        identity = record.identity
        if not waiting.until(lambda: ready() or not alive(identity), timeout) or not alive(
            identity
        ):
            what = f"not ready within {timeout:g} s" if alive(identity) else "ended"
            log = self.layout.log_of(name)
            message = f"{name}: {what}; {_AGAIN}; the last lines of {log}:\n{last_lines(log, 8)}"
            raise ClusterError(message)
        return started

    def started_at(self, name: str) -> float:
        """When the component's process started, in seconds since the epoch."""
        record = self.records.read(name)
        return time.time() if record is None else started_at(record.identity)


def prepare(layout: Layout, tell: Tell) -> tuple[Path, Path]:
    """Check the machine and install what is missing; the folders of our programs and of CNI's."""
    machine.require_root_linux()
    records = Records(layout.records)
    machine.require_own(layout, records)
    machine.require_no_other_kubernetes(records)
    cni_programs = packages.ensure_cluster(tell)
    return binaries.ensure(layout.programs, tell), cni_programs


def start_containerd(layout: Layout, parts: Components) -> Launcher:
    """Have containerd running; it alone is enough for the Docker daemon."""
    launcher = Launcher(layout, Records(layout.records))
    ping = ["ctr", "--address", layout.containerd_socket, "version"]
    launcher.ensure(parts.containerd(), lambda: attempt(ping, timeout=10).code == 0)
    return launcher


def lay_out(layout: Layout, cni_programs: Path, port: int) -> credentials.Credentials:
    """Folders, kernel settings, bridge, certificates and configuration files."""
    files.make_folders(layout)
    machine.remember_state_folder(layout)
    mounts.note_shared(layout)
    for module in ("br_netfilter", "overlay"):
        # Built into some kernels, where there is nothing to load.
        attempt(["modprobe", module])
    sysctls.apply(layout.run / "sysctls.json")
    mtu = network.up_bridge()
    network.up_firewall()
    held = credentials.ensure(layout.pki)
    files.write_configs(layout, held, cni_programs, mtu, port)
    return held


def _start_control_plane(launcher: Launcher, parts: Components, port: int) -> Api:
    loopback = addresses.LOOPBACK
    etcd_ready = waiting.listening(loopback, addresses.ETCD_CLIENT_PORT)
    launcher.ensure(parts.etcd(), etcd_ready)
    door = ((loopback, port), (addresses.NODE_IP, addresses.API_PORT))
    launcher.ensure(parts.front_door(), lambda: waiting.door_answers(port), listeners=door)
    api = Api(launcher.layout.admin_kubeconfig)
    launcher.ensure(parts.api_server(), api.healthy, timeout=120)
    scheduler = waiting.listening(loopback, addresses.SCHEDULER_PORT)
    launcher.ensure(parts.scheduler(), scheduler)
    manager = waiting.listening(loopback, addresses.CONTROLLER_MANAGER_PORT)
    launcher.ensure(parts.controller_manager(), manager)
    return api


def _apply_manifests(layout: Layout, programs: Path) -> None:
    text = "\n---\n".join(files.manifest(name) for name in ("access", "dns", "storage"))
    apply = ["apply", "--server-side", "--force-conflicts", "--field-manager=opencode-fleet-local"]
    kubectl = [programs / "kubectl", "--kubeconfig", layout.admin_kubeconfig]
    run("cluster services", [*kubectl, *apply, "-f", "-"], stdin=text, timeout=120)


def _require(condition: Callable[[], bool], timeout: float, what: str, log: Path) -> None:
    if not waiting.until(condition, timeout, pause=0.2):
        message = f"{what} within {timeout:g} s; {_AGAIN}; the last lines of {log}:\n"
        raise ClusterError(message + last_lines(log, 8))


def _start_node(launcher: Launcher, parts: Components, api: Api) -> None:
    layout = launcher.layout
    launcher.ensure(parts.kubelet(), waiting.kubelet_healthy)
    _apply_manifests(layout, parts.programs)
    # It asks for the node object at its start and would wait half a minute without.
    _require(lambda: waiting.node_exists(api), 60, "node: not there", layout.log_of("kubelet"))
    launcher.ensure(parts.kube_proxy(), waiting.proxy_healthy)
    launcher.ensure(parts.dns(), waiting.dns_ready)
    launcher.ensure(parts.provisioner(), lambda: True)
    launcher.ensure(parts.door_watcher(), lambda: True)
    since = launcher.started_at("kubelet")
    log = layout.log_of("kubelet")
    _require(lambda: waiting.node_ready(api, since), 90, "node: not Ready", log)
    log = layout.log_of("kube-apiserver")
    _require(lambda: waiting.has_default_storage(api), 30, "storage class: missing", log)


def _wait_for_pods(launcher: Launcher, api: Api, tell: Tell) -> None:
    since = launcher.started_at("kubelet")

    def all_ready() -> bool:
        ready, wanted = waiting.pods_ready(api, since)
        return ready == wanted

    _, wanted = waiting.pods_ready(api, since)
    if wanted == 0:
        return
    tell(f"waiting for {wanted} pods to run again")
    if not waiting.until(all_ready, 60, pause=0.3):
        ready, wanted = waiting.pods_ready(api, since)
        tell(f"pods: {ready} of {wanted} run again; the others are still starting or fail")


def up(layout: Layout, port: int | None, tell: Tell) -> int:
    """Bring the cluster up and into the user's kubeconfig; the front door's port.

    Raises ClusterError naming the part that failed.
    """
    begun = time.monotonic()
    programs, cni_programs = prepare(layout, tell)
    busybox = packages.ensure_busybox(layout.programs)
    door_port = port or files.saved_port(layout)
    resting = not shims(layout)
    tell("starting the local cluster")
    if resting:
        # Addresses of pods that a reboot or a crash ended; nobody would ever give them back.
        shutil.rmtree(layout.addresses, ignore_errors=True)
    held = lay_out(layout, cni_programs, door_port)
    parts = Components(layout, programs, held)
    launcher = start_containerd(layout, parts)
    images.ensure_own(layout, programs / "pause", busybox)
    api = _start_control_plane(launcher, parts, door_port)
    _start_node(launcher, parts, api)
    files.save_port(layout, door_port)
    kubeconfig.add(programs / "kubectl", kubeconfig.path_of(), held)
    if resting:
        _wait_for_pods(launcher, api, tell)
    tell(
        f"local cluster is up after {time.monotonic() - begun:.0f} s: context {addresses.CONTEXT}, "
        f"front door http://{addresses.LOOPBACK}:{door_port}"
    )
    return door_port
