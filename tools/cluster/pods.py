"""Ending the containers of the cluster, whoever still knows of them.

Containers outlive kubelet and containerd: each pod hangs on a shim process of its own, found by the
socket of our containerd on its command line.
"""

import time
from pathlib import Path

from tools.cluster.layout import Layout
from tools.cluster.processes import Identity, alive, children, end, with_argument

# Long enough for a workspace to write its files; the kubelet is gone, so nobody else is asked.
GRACE_SECONDS = 10.0
_SHIM = "containerd-shim-runc-v2"


def shims(layout: Layout) -> list[Identity]:
    """The shim processes of our containerd."""
    return with_argument(_SHIM, str(layout.containerd_socket))


def _is_pause(process: Identity) -> bool:
    try:
        words = Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return words[0] == b"/bin/pause"


def end_all(layout: Layout) -> int:
    """End every container: workloads, then what holds their namespaces; how many there were."""
    roots = shims(layout)
    running = children(shim.pid for shim in roots)
    pauses = [process for process in running if _is_pause(process)]
    workloads = [process for process in running if process not in pauses]
    end(workloads, grace=GRACE_SECONDS)
    end(pauses, grace=2.0)
    # containerd takes the dead pods down and ends their shims; without it, they are ended here.
    deadline = time.monotonic() + 5.0
    while any(alive(shim) for shim in roots) and time.monotonic() < deadline:
        time.sleep(0.1)
    end([*children(shim.pid for shim in shims(layout)), *shims(layout)], grace=1.0)
    return len(workloads)
