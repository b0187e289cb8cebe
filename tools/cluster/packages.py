"""What the cluster takes from the distribution: installed when missing, no service started.

A machine that has the programs already, from wherever, is left as it is.
"""

import shutil
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tools.cluster.commands import attempt, environment, run
from tools.cluster.errors import ClusterError

_POLICY = Path("/usr/sbin/policy-rc.d")
_CNI_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"), Path("/usr/libexec/cni"))
_CNI_NEEDED = ("bridge", "host-local")
# Program -> Debian package.
_CLUSTER = {
    "containerd": "containerd",
    "ctr": "containerd",
    "containerd-shim-runc-v2": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "ss": "iproute2",
    "haproxy": "haproxy",
    "mount": "mount",
}
_DOCKER = {"dockerd": "docker.io", "docker": "docker.io", "iptables": "iptables"}
# Units these packages bring; disabled again when this package installed them.
_UNITS = {
    "containerd": ("containerd.service",),
    "haproxy": ("haproxy.service",),
    "docker.io": ("docker.service", "docker.socket"),
}
_ELF_INTERPRETER = 3


def _which(program: str) -> str | None:
    return shutil.which(program, path=environment()["PATH"])


def cni_programs() -> Path | None:
    """The folder of the CNI plugins; None when they are not installed."""
    for folder in _CNI_FOLDERS:
        if all((folder / name).exists() for name in _CNI_NEEDED):
            return folder
    return None


@contextmanager
def _no_service_starts() -> Generator[None]:
    """Packages installed meanwhile do not start their services (invoke-rc.d asks policy-rc.d)."""
    if _POLICY.exists():
        yield
        return
    _POLICY.write_text("#!/bin/sh\nexit 101\n", encoding="ascii")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink(missing_ok=True)


def _apt(*words: str) -> list[str]:
    return ["apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300", *words]


def _install(packages: Sequence[str]) -> None:
    env = {**environment(), "DEBIAN_FRONTEND": "noninteractive"}
    command = _apt("install", "--no-install-recommends", *packages)
    with _no_service_starts():
        if attempt(command, env=env).code != 0:
            # Package lists are missing on a fresh machine, or name versions that are gone.
            attempt(_apt("update"), env=env)
            run(f"install {' '.join(packages)}", command, env=env)
    units = [unit for package in packages for unit in _UNITS.get(package, ())]
    if units:
        # Installing also marks services to start at the next boot; nobody asked for that.
        attempt(["deb-systemd-helper", "disable", *units])


def _ensure(needed: dict[str, str], extra: Sequence[str], tell: Callable[[str], None]) -> None:
    missing = {package for program, package in needed.items() if _which(program) is None}
    packages = sorted(missing.union(extra))
    if not packages:
        return
    if _which("apt-get") is None:
        message = (
            f"packages: {', '.join(packages)} missing and there is no apt-get here: install these "
            "programs with the system's own package manager, then run this again"
        )
        raise ClusterError(message)
    tell(f"installing Debian packages: {' '.join(packages)}")
    _install(packages)
    still = [program for program in needed if _which(program) is None]
    if still:
        message = f"packages: {', '.join(still)} still missing after installing {packages}"
        raise ClusterError(message)


def ensure_cluster(tell: Callable[[str], None]) -> Path:
    """Have everything the cluster runs with; the folder of the CNI plugins.

    Raises ClusterError when a package cannot be installed.
    """
    extra = [] if cni_programs() else ["containernetworking-plugins"]
    _ensure(_CLUSTER, extra, tell)
    folder = cni_programs()
    if folder is None:
        looked = ", ".join(map(str, _CNI_FOLDERS))
        message = f"packages: no CNI plugins (bridge, host-local) in {looked}"
        raise ClusterError(message)
    return folder


def ensure_docker(tell: Callable[[str], None]) -> None:
    """Have dockerd and its client."""
    _ensure(_DOCKER, (), tell)


def _is_static(program: Path) -> bool:
    """Whether a 64-bit little-endian ELF program needs no loader (has no PT_INTERP header)."""
    data = program.read_bytes()
    if data[:6] != b"\x7fELF\x02\x01":
        return False
    offset = int.from_bytes(data[32:40], "little")
    size, count = (int.from_bytes(data[at : at + 2], "little") for at in (54, 56))
    kinds = (data[offset + i * size : offset + i * size + 4] for i in range(count))
    return all(int.from_bytes(kind, "little") != _ELF_INTERPRETER for kind in kinds)


def ensure_busybox(cache: Path) -> Path:
    """A static BusyBox: the machine's own, or the one of Debian's package, unpacked into `cache`.

    Not installed: that package would push out the dynamic one that others may depend on.
    """
    kept = cache / "busybox"
    if kept.exists():
        return kept
    cache.mkdir(parents=True, exist_ok=True)
    own = _which("busybox")
    part = kept.with_suffix(".part")
    if own is not None and _is_static(Path(own)):
        shutil.copyfile(own, part)
    else:
        with tempfile.TemporaryDirectory() as folder:
            # apt downloads as its own user.
            Path(folder).chmod(0o777)
            _download_busybox(Path(folder))
            shutil.copyfile(Path(folder, "out/bin/busybox"), part)
    part.chmod(0o755)
    part.replace(kept)
    return kept


def _download_busybox(folder: Path) -> None:
    download = _apt("download", "busybox-static")
    if attempt(download, cwd=folder).code != 0:
        attempt(_apt("update"))
        run("download busybox-static", download, cwd=folder)
    package = next(folder.glob("*.deb"))
    run("unpack busybox-static", ["dpkg-deb", "-x", package, folder / "out"])
    usr = folder / "out/usr/bin/busybox"
    if usr.exists():
        (folder / "out/bin").mkdir(exist_ok=True)
        usr.replace(folder / "out/bin/busybox")
