"""Mounts below the cluster's folders, and what its pods leave elsewhere on the machine."""

import re
import shutil
from pathlib import Path

from tools.cluster import addresses
from tools.cluster.commands import attempt
from tools.cluster.layout import Layout

_OCTAL = re.compile(r"\\([0-7]{3})")
# Hard-wired in the programs that use them; removed at the end only when a start of ours made them.
_SHARED = (
    Path("/var/lib/kubelet/device-plugins"),
    Path("/var/lib/kubelet"),
    Path("/var/log/containers"),
    Path("/var/lib/cni/results"),
    Path("/var/lib/cni"),
    Path("/run/containerd/s"),
    Path("/run/containerd"),
)
_CGROUPS = Path("/sys/fs/cgroup")


def below(folder: Path, mountinfo: str) -> list[Path]:
    """Mount points at or below `folder`, latest first, from the text of /proc/self/mountinfo."""
    points = [
        Path(_OCTAL.sub(lambda found: chr(int(found[1], 8)), line.split()[4]))
        for line in mountinfo.splitlines()
        if line.strip()
    ]
    return [point for point in reversed(points) if point == folder or folder in point.parents]


def left(layout: Layout) -> list[Path]:
    """Mounts the cluster still has."""
    info = Path("/proc/self/mountinfo").read_text(encoding="utf-8")
    return [point for folder in (layout.run, layout.state) for point in below(folder, info)]


def unmount_all(layout: Layout) -> None:
    """Unmount everything below the cluster's folders; what is busy leaves the tree all the same."""
    for point in left(layout):
        if attempt(["umount", str(point)]).code != 0:
            attempt(["umount", "-l", str(point)])


def note_shared(layout: Layout) -> None:
    """Note, before the first process starts, which shared folders are not there yet."""
    note = layout.run / "made-folders"
    if not note.exists():
        missing = [str(path) for path in _SHARED if not path.exists()]
        note.write_text("\n".join(missing), encoding="utf-8")


def _sockets_of_shims(layout: Layout) -> list[Path]:
    bundles = layout.run / "containerd/io.containerd.runtime.v2.task"
    addresses_found = (path.read_text(encoding="utf-8") for path in bundles.glob("*/*/address"))
    return [Path(text.strip().removeprefix("unix://")) for text in addresses_found]


def _pod_names(layout: Layout) -> set[str]:
    """The names containerd knows pods by, present and past of this run."""
    roots = (layout.run / "containerd", layout.containerd)
    folders = (root / "io.containerd.grpc.v1.cri/sandboxes" for root in roots)
    return {path.name for folder in folders for path in folder.glob("*")}


def remove_traces(layout: Layout) -> None:
    """Remove what is ours in shared folders, then those folders a start of ours made, if empty."""
    pods = _pod_names(layout)
    for path in _sockets_of_shims(layout):
        path.unlink(missing_ok=True)
    for link in Path("/var/log/containers").glob("*.log"):
        if link.is_symlink() and layout.log in link.readlink().parents:
            link.unlink()
    for result in Path("/var/lib/cni/results").glob("*"):
        ours = result.name.startswith(f"{addresses.NETWORK_NAME}-")
        if ours or any(pod in result.name for pod in pods):
            result.unlink()
    shutil.rmtree(layout.addresses, ignore_errors=True)
    note = layout.run / "made-folders"
    made = note.read_text(encoding="utf-8").splitlines() if note.exists() else []
    if "/var/lib/kubelet" in made:
        for name in ("kubelet.sock", "kubelet_internal_checkpoint"):
            Path("/var/lib/kubelet/device-plugins", name).unlink(missing_ok=True)
    for path in made:
        if Path(path).is_dir() and not any(Path(path).iterdir()):
            Path(path).rmdir()
    note.unlink(missing_ok=True)


def remove_cgroups(*names: str) -> None:
    """Remove these top-level control groups in every hierarchy; they hold no process any more."""
    roots = [_CGROUPS, *(path for path in _CGROUPS.iterdir() if path.is_dir())]
    for top in (root / name for root in roots for name in names):
        if not top.is_dir():
            continue
        groups = sorted(path for path in top.rglob("*") if path.is_dir())
        for group in [*reversed(groups), top]:
            try:
                group.rmdir()
            except OSError:
                continue
