"""Kernel settings the cluster needs, and giving back the values that were there before it."""

import json
from pathlib import Path

from tools.cluster.errors import ClusterError
from tools.cluster.pki import write_private
from tools.cluster.processes import boot_id

_ROOT = Path("/proc/sys")

# The lowest value that will do; a higher one stays.
_AT_LEAST = {
    # Every container's agent and every file watcher takes one; the kernel's default is 128.
    "fs/inotify/max_user_instances": 8192,
    "fs/inotify/max_user_watches": 524288,
}
_EXACTLY = {
    "net/ipv4/ip_forward": 1,
    # Without it, traffic between pods of this one bridge would go around the Service rules.
    "net/bridge/bridge-nf-call-iptables": 1,
}
# The kubelet sets these itself at start (see "Kernel settings" of its configuration).
_CHANGED_BY_KUBELET = (
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
)


def _read(name: str, root: Path) -> str | None:
    try:
        return (root / name).read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None


def _remember(record: Path, root: Path, boot: str) -> None:
    # A record of this boot holds the values from before the first start: later ones are our own.
    if record.exists() and json.loads(record.read_text(encoding="utf-8"))["boot"] == boot:
        return
    names = (*_AT_LEAST, *_EXACTLY, *_CHANGED_BY_KUBELET)
    values = {name: value for name in names if (value := _read(name, root)) is not None}
    write_private(record, json.dumps({"boot": boot, "values": values}).encode())


def apply(record: Path, *, root: Path = _ROOT, boot: str | None = None) -> None:
    """Set what the cluster needs, after noting in `record` what was set before.

    Raises ClusterError when the kernel lacks a setting.
    """
    _remember(record, root, boot or boot_id())
    for name, wanted in _AT_LEAST.items():
        if int(_read(name, root) or wanted) < wanted:
            (root / name).write_text(str(wanted), encoding="ascii")
    missing = [name for name in _EXACTLY if not (root / name).exists()]
    if missing:
        message = (
            f"kernel: no setting {', '.join(missing)}: load the module behind it "
            "(br_netfilter), or use a kernel that has it"
        )
        raise ClusterError(message)
    for name, wanted in _EXACTLY.items():
        if _read(name, root) != str(wanted):
            (root / name).write_text(str(wanted), encoding="ascii")


def restore(record: Path, *, root: Path = _ROOT, boot: str | None = None) -> None:
    """Give back the noted values and drop the note; one from an earlier boot is only dropped."""
    if not record.exists():
        return
    noted = json.loads(record.read_text(encoding="utf-8"))
    if noted["boot"] == (boot or boot_id()):
        for name, value in noted["values"].items():
            if _read(name, root) != value:
                (root / name).write_text(str(value), encoding="ascii")
    record.unlink()
