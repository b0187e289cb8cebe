"""What runs, how much it takes, and whether it listens only where it may."""

from dataclasses import asdict, dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from tools.cluster import addresses, docker, files, waiting
from tools.cluster.api import Api
from tools.cluster.commands import attempt
from tools.cluster.components import STOP_ORDER
from tools.cluster.layout import Layout
from tools.cluster.pods import shims
from tools.cluster.processes import Records
from tools.cluster.stopping import size_of

COMPONENTS = ("containerd", *reversed(STOP_ORDER), docker.NAME)


@dataclass(frozen=True, slots=True)
class Status:
    """One look at the cluster; sizes in bytes, None where there is nothing to tell."""

    running: bool
    healthy: bool
    context: str
    front_door: str
    components: dict[str, int | None]
    node_ready: bool
    pods_ready: int
    pods_wanted: int
    memory: int
    listens_outside: list[str]
    state: str
    state_size: str
    volumes: int

    def as_data(self) -> dict[str, Any]:
        """The same as plain data, for --json."""
        return asdict(self)


def resident(pid: int) -> int:
    """Bytes of memory a process has to itself or shares, each shared page counted by its part."""
    for name, key in (("smaps_rollup", "Pss:"), ("status", "VmRSS:")):
        try:
            lines = Path(f"/proc/{pid}/{name}").read_text(encoding="utf-8").splitlines()
        except OSError:
            continue
        for line in lines:
            if line.startswith(key):
                return int(line.split()[1]) * 1024
    return 0


def outside(listing: str, pids: set[int]) -> list[str]:
    """Sockets of these processes that others than this machine and its pods could reach.

    `listing` is what `ss -ltunpH` prints.
    """
    open_to_others: list[str] = []
    for line in listing.splitlines():
        owners = {int(part.partition(",")[0]) for part in line.split("pid=")[1:]}
        fields = line.split()
        if not owners & pids or len(fields) < 5:  # noqa: PLR2004 - protocol … local address
            continue
        host = fields[4].rpartition(":")[0].partition("%")[0].strip("[]")
        local = host not in {"*", ""} and ip_address(host).is_loopback
        if not local and host != addresses.NODE_IP:
            open_to_others.append(f"{fields[0]} {fields[4]}")
    return open_to_others


def look(layout: Layout) -> Status:
    """The present state of the cluster; changes nothing."""
    records = Records(layout.records)
    components: dict[str, int | None] = {}
    for name in COMPONENTS:
        record = records.read(name)
        components[name] = record.identity.pid if record else None
    pids = {pid for pid in components.values() if pid is not None}
    pids |= {shim.pid for shim in shims(layout)}
    port = files.saved_port(layout)
    needed = {name: pid for name, pid in components.items() if name != docker.NAME}
    ready, pods = False, (0, 0)
    if components["kube-apiserver"] is not None:
        api = Api(layout.admin_kubeconfig)
        ready, pods = waiting.node_ready(api, 0), waiting.pods_ready(api, 0)
    open_ = outside(attempt(["ss", "-ltunpH"]).out, pids)
    whole = all(needed.values()) and ready and waiting.dns_ready() and waiting.door_answers(port)
    return Status(
        running=any(components.values()),
        healthy=whole and not open_,
        context=addresses.CONTEXT,
        front_door=f"http://{addresses.LOOPBACK}:{port}",
        components=components,
        node_ready=ready,
        pods_ready=pods[0],
        pods_wanted=pods[1],
        memory=sum(map(resident, pids)),
        listens_outside=open_,
        state=str(layout.state),
        state_size=size_of(layout.state) if layout.state.exists() else "0",
        volumes=sum(1 for _ in layout.volumes.glob("*")),
    )
