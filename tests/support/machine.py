"""A machine that is only a folder: the real scripts run in it, with the dangerous tools replaced.

Owns: laying out the folder, stand-ins for what would touch the host (systemctl, mount, curl …),
running a script in it. Real are bash, coreutils, blkid, mkfs.ext4, resize2fs, openssl, tar. Leaves
out: what is right (the tests).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from fleet.alicloud.cloud_init import SCRIPTS, bootstrap_files
from fleet.alicloud.machine_settings import Bootstrap

SERIAL = "t4n0abcd1234efgh"
# An invented k3s; of a cluster's objects it keeps the names of role bindings.
K3S = """#!/bin/bash
folder="${FLEET_CALLS:-/tmp/calls}.bindings"
kind=clusterrolebinding.rbac.authorization.k8s.io
mkdir -p "$folder"
case "$1 $2 $3" in
  "kubectl apply -f") touch "$folder/$(sed -n 's/^  name: //p')" ;;
  "kubectl get clusterrolebindings")
    ls "$folder" | sed "s,^,$kind/," ;;
  "kubectl delete "*)
    for name in "${@:3}"; do rm -f "$folder/${name#"$kind/"}"; done ;;
esac
exit 0
"""
K3S_SHA256 = hashlib.sha256(K3S.encode()).hexdigest()
DISK_BYTES = 8 * 1024 * 1024

_PACKAGES = {
    "nft": "nftables",
    "mkfs.ext4": "e2fsprogs",
    "mke2fs": "e2fsprogs",
    "e2fsck": "e2fsprogs",
    "dumpe2fs": "e2fsprogs",
    "blkid": "util-linux",
    "mkswap": "util-linux",
    "unshare": "util-linux",
    "losetup": "mount",
}
_LOGGED = ("systemctl", "swapoff", "modprobe", "sysctl", "sshd", "mount", "apt-get")
# A folder is never a mount point of its own; the stand-in remembers what was mounted.
_MOUNTPOINT = 'grep -qx "mount ${2#"$FLEET_ROOT"}" "$FLEET_CALLS.mounted"'
_CURL = """
while [ $# -gt 1 ]; do [ "$1" = --output ] && out="$2"; shift; done
echo "curl $1" >>"$FLEET_CALLS"
[ -f "$FLEET_DOWNLOAD" ] && cp "$FLEET_DOWNLOAD" "$out"
"""


def bootstrap(**changes: object) -> Bootstrap:
    """Return the settings of an invented machine whose k3s is a two-line script."""
    base: dict[str, object] = {
        "node_name": "fleet-test",
        "sans": ("198.51.100.10", "fleet.example.com"),
        "k3s_version": "v1.35.5+k3s1",
        "k3s_sha256": K3S_SHA256,
        "k3s_urls": ("https://mirror.example.com/k3s",),
        "vpc_cidr": "172.20.0.0/16",
        "disk_serial": SERIAL,
        "disk_may_be_formatted": True,
    }
    return Bootstrap(**(base | changes))  # type: ignore[arg-type]


@dataclass(frozen=True)
class FolderMachine:
    """A machine's file system in a folder, and the calls its scripts made."""

    root: Path
    tools: Path

    @property
    def disk(self) -> Path:
        return self.root / "dev/disk/by-id" / f"virtio-{SERIAL}"

    @property
    def bindings(self) -> set[str]:
        """Role bindings in the invented cluster."""
        folder = self.tools / "calls.bindings"
        return {path.name for path in folder.iterdir()} if folder.exists() else set()

    def bind(self, *names: str) -> None:
        """Have these role bindings and no others."""
        folder = self.tools / "calls.bindings"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name in names:
            (folder / name).touch()

    @property
    def calls(self) -> list[str]:
        log = self.tools / "calls"
        return log.read_text().splitlines() if log.exists() else []

    def path(self, absolute: str) -> Path:
        return self.root / absolute.lstrip("/")

    def write(self, machine: Bootstrap) -> None:
        """Lay out the files as cloud-init would."""
        for file in bootstrap_files(machine):
            target = self.path(file.path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(file.content)
            target.chmod(int(file.mode, 8))

    def run(self, script: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run one of the machine's scripts; the log of calls starts anew."""
        (self.tools / "calls").unlink(missing_ok=True)
        known = {
            "PATH": f"{self.tools}:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin",
            "FLEET_ROOT": str(self.root),
            "FLEET_CALLS": str(self.tools / "calls"),
            "FLEET_DOWNLOAD": str(self.tools / "download"),
            "FLEET_DISK_WAIT": "1",
            "FLEET_READY_WAIT": "1",
        }
        return subprocess.run(
            ["/bin/bash", str(self.path(f"{SCRIPTS}/{script}"))],
            env=known | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def snapshot(self) -> dict[str, str]:
        """Return every file's content hash and mode, but those that carry the time."""
        return {
            str(path.relative_to(self.root)): f"{path.stat().st_mode:o} {_digest(path)}"
            for path in sorted(self.root.rglob("*"))
            if path.is_file() and path.name != "ready" and path != self.disk
        }


def folder_machine(folder: Path) -> FolderMachine:
    """Make an empty machine with an empty data disk."""
    machine = FolderMachine(folder / "root", folder / "tools")
    machine.tools.mkdir(parents=True)
    for name in _LOGGED:
        remember = 'echo "mount ${1#"$FLEET_ROOT"}" >>"$FLEET_CALLS.mounted"'
        extra = remember if name == "mount" else ""
        _tool(machine.tools / name, f'echo "{name} $*" >>"$FLEET_CALLS"\n{extra}')
    _tool(machine.tools / "mountpoint", _MOUNTPOINT)
    _tool(machine.tools / "curl", _CURL)
    _tool(machine.tools / "sleep", "exit 0")
    # The disk is a file here.
    _tool(machine.tools / "blockdev", 'stat --dereference --format %s "$2"')
    (machine.tools / "calls.mounted").touch()
    (machine.tools / "download").write_text(K3S)
    (machine.root / "etc").mkdir(parents=True)
    (machine.root / "etc/fstab").write_text("UUID=1 / ext4 defaults 0 1\n/swap none swap sw 0 0\n")
    machine.disk.parent.mkdir(parents=True)
    with machine.disk.open("wb") as disk:
        disk.truncate(DISK_BYTES)
    return machine


def authority(folder: Path, name: str, days: int = 10) -> None:
    """Make a certificate authority with real keys, as k3s would."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [tool("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", str(days), "-subj", f"/CN={name}",
         "-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.crt")],
        check=True, capture_output=True, env={"PATH": os.environ["PATH"]},
    )  # fmt: skip


def certificate_request(folder: Path, subject: str) -> str:
    """Make a certificate request with a real key."""
    result = subprocess.run(
        [tool("openssl"), "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-subj", subject, "-keyout", str(folder / "request.key")],
        check=True, capture_output=True, text=True, env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    return result.stdout


def tool(name: str) -> str:
    """Return the path of a program this machine must have; fail with what to install."""
    path = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    assert path, f"{name} is missing; Debian: apt-get install {_PACKAGES.get(name, name)}"
    return path


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _tool(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/bash\n{script}\n")
    path.chmod(0o755)
