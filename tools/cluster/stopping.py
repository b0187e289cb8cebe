"""`stop` and `delete`: nothing of the cluster left running, mounted or wired; data kept or not."""

import shutil
from collections.abc import Callable
from pathlib import Path

from tools.cluster import binaries, docker, kubeconfig, machine, mounts, network, pods, sysctls
from tools.cluster.commands import attempt
from tools.cluster.components import STOP_ORDER
from tools.cluster.errors import WRONG_INPUT, ClusterError
from tools.cluster.layout import Layout
from tools.cluster.processes import Identity, Records, command_lines, end, identify

Tell = Callable[[str], None]
DELETE_COMMAND = "python -m tools.cluster delete --yes-delete-all-data"
# etcd and the daemon write out what they hold. The others hold nothing; the API server would wait
# a minute for every open watch.
_GRACE_SECONDS = {"etcd": 20.0, docker.NAME: 20.0}
_SHORT_GRACE_SECONDS = 3.0


def size_of(path: Path) -> str:
    """How much disk a folder takes, as `du -sh` says it."""
    return attempt(["du", "-sh", str(path)]).out.split("\t")[0] or "0"


def _strays(layout: Layout) -> list[Identity]:
    """Processes of ours without a record: of a start that was killed between two steps."""
    strays: list[Identity] = []
    configs = {str(layout.config / name) for name in ("containerd.toml", "front-door.cfg")}
    configs.add(f"--data-root={layout.docker}")
    for pid, words in command_lines():
        program = Path(words[0])
        # kubectl is the user's, for whom its path is printed.
        ours = layout.programs in program.parents and program.name != "kubectl"
        watcher = "tools.cluster.door_watcher" in words and str(layout.door_socket) in words
        if ours or watcher or configs.intersection(words):
            known = identify(pid)
            if known is not None:
                strays.append(known)
    return strays


def _end_component(records: Records, name: str) -> bool:
    record = records.read(name)
    if record is not None:
        end([record.identity], grace=_GRACE_SECONDS.get(name, _SHORT_GRACE_SECONDS))
    records.forget(name)
    return record is not None


def stop_docker(layout: Layout) -> bool:
    """End our Docker daemon; False when it did not run."""
    return _end_component(Records(layout.records), docker.NAME)


def stop(layout: Layout, tell: Tell) -> None:
    """End everything and take away mounts, rules, bridge and control groups; keep the data.

    Raises ClusterError naming what is still there.
    """
    machine.require_root_linux()
    records = Records(layout.records)
    machine.require_own(layout, records)
    ran = machine.something_runs(layout, records)
    for name in STOP_ORDER[: STOP_ORDER.index("kubelet") + 1]:
        _end_component(records, name)
    stop_docker(layout)
    pods.end_all(layout)
    for name in (*STOP_ORDER[STOP_ORDER.index("kubelet") + 1 :], "containerd"):
        _end_component(records, name)
    end(_strays(layout), grace=_SHORT_GRACE_SECONDS)
    pods.end_all(layout)
    network.down()
    mounts.unmount_all(layout)
    mounts.remove_traces(layout)
    mounts.remove_cgroups("kubepods", "opencode-fleet-engine")
    sysctls.restore(layout.run / "sysctls.json")
    left = [*network.leftovers(), *map(str, mounts.left(layout))]
    if left:
        message = f"stop: still there: {', '.join(left)}: running stop again continues"
        raise ClusterError(message)
    shutil.rmtree(layout.run, ignore_errors=True)
    tell("the local cluster is stopped" if ran else "the local cluster was not running")


def tell_kept(layout: Layout, tell: Tell) -> None:
    """Say which data is kept, where, how much, and how to delete it."""
    if not layout.state.exists():
        tell("no data is kept")
        return
    volumes = sum(1 for _ in layout.volumes.glob("*"))
    tell(
        f"kept in {layout.state} ({size_of(layout.state)}): {volumes} volumes "
        f"({size_of(layout.volumes)}), the cluster's objects, images ({size_of(layout.containerd)})"
    )
    tell(f"start it again: python -m tools.cluster up · delete it for ever: {DELETE_COMMAND}")


def refuse_delete(layout: Layout) -> ClusterError:
    """What `delete` answers without its flag: what would be lost."""
    volumes = sorted(path.name for path in layout.volumes.glob("*"))
    listed = "".join(f"\n  volume {name}" for name in volumes) or "\n  no volumes"
    message = (
        f"delete: would delete for ever {layout.state} ({size_of(layout.state)}), with:{listed}"
        f"\n  the cluster's objects and images\nto do so: {DELETE_COMMAND}"
    )
    return ClusterError(message, exit_code=WRONG_INPUT)


def delete(layout: Layout, tell: Tell) -> None:
    """Stop, then delete all state and the kubeconfig context; the compiled programs stay.

    Raises ClusterError when a mount below the state is left: deleting would go through it.
    """
    stop(layout, tell)
    programs = binaries.find(layout.programs)
    kubectl = programs / "kubectl" if programs else Path(shutil.which("kubectl") or "kubectl")
    kubeconfig.remove(kubectl, kubeconfig.path_of())
    size = size_of(layout.state)
    if layout.state.exists():
        shutil.rmtree(layout.state)
    tell(f"deleted {layout.state} ({size}); the compiled programs stay in {layout.programs}")
