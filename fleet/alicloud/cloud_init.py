"""What a machine is told at its first boot: files, packages, one script.

Renders cloud-init user data and, from the same files, the command that brings a running machine to
the wanted state. Contains no secret: user data is readable by anything on the machine and anybody
with read access to the account. Leaves out: declaring the machine (`components.alicloud.vm`).
"""

from __future__ import annotations

import base64
import gzip
import io
import tarfile
from dataclasses import dataclass
from importlib.resources import files

import yaml

from fleet.alicloud import machine_settings as settings
from fleet.alicloud.machine_settings import ETC, Bootstrap

SCRIPTS = "/usr/local/lib/opencode-fleet"
# 32 KB of user data before base64 are documented, 16 KB on older pages, so that one holds here. A
# command travels in several calls, and between two processes as a variable of 128 KB at most.
USER_DATA_LIMIT, COMMAND_LIMIT = 16 * 1024, 96 * 1024
PACKAGES = (
    "ca-certificates",
    "curl",
    "nfs-common",
    "nftables",
    "openssl",
    "python3",
    "unattended-upgrades",
)

_SCRIPT_FILES = (
    "bootstrap.sh",
    "prepare-disk.sh",
    "install-k3s.sh",
    "grant-access.sh",
    "renew-certificates.sh",
)
_UNITS = (
    "k3s.service",
    "opencode-fleet-firewall.service",
    "opencode-fleet-mounts.service",
    "opencode-fleet-volumes.service",
    "opencode-fleet-certificates.service",
    "opencode-fleet-certificates.timer",
)


@dataclass(frozen=True)
class File:
    """One file of the machine."""

    path: str
    content: str
    mode: str = "0644"


def bootstrap_files(machine: Bootstrap) -> tuple[File, ...]:
    """Return every file of the machine, in a fixed order."""
    made = [
        *(File(f"{SCRIPTS}/{name}", _shipped(name), "0755") for name in _SCRIPT_FILES),
        File(f"{SCRIPTS}/volumes.py", _program("volumes.py")),
        File(f"{ETC}/bootstrap.env", settings.environment(machine)),
        File(f"{ETC}/firewall.nft", settings.firewall(machine)),
        File(f"{ETC}/audit-policy.yaml", _shipped("audit-policy.yaml"), "0600"),
        File(f"{ETC}/manifests/storage-class.yaml", _shipped("storage-class.yaml")),
        File(f"{ETC}/manifests/traefik.yaml", settings.traefik(machine)),
        File("/etc/rancher/k3s/config.yaml", settings.k3s_config(machine), "0600"),
        *(File(f"/etc/systemd/system/{name}", _shipped(name)) for name in _UNITS),
        File("/etc/sysctl.d/90-opencode-fleet.conf", _shipped("sysctl.conf")),
    ]
    if machine.own_machine:
        made += [
            File("/etc/ssh/sshd_config.d/10-opencode-fleet.conf", _shipped("sshd.conf"), "0600"),
            File("/etc/apt/apt.conf.d/52opencode-fleet", settings.updates(machine)),
        ]
    if machine.registry_mirrors:
        made.append(File("/etc/rancher/k3s/registries.yaml", settings.registries(machine), "0600"))
    return tuple(made)


def cloud_config(machine: Bootstrap) -> str:
    """Return the `#cloud-config` document in plain text."""
    document = {
        "package_update": True,
        "packages": list(PACKAGES),
        "ssh_pwauth": False,
        "write_files": [
            {"path": file.path, "permissions": file.mode, "content": file.content}
            for file in bootstrap_files(machine)
        ],
        "runcmd": [[f"{SCRIPTS}/bootstrap.sh"]],
    }
    return "#cloud-config\n" + yaml.safe_dump(document, sort_keys=False, width=4096)


def user_data(machine: Bootstrap) -> str:
    """Return the user data as the cloud wants it: gzip, then base64.

    Raises ValueError when it is over the limit.
    """
    packed = gzip.compress(cloud_config(machine).encode(), mtime=0)
    if len(packed) > USER_DATA_LIMIT:
        raise ValueError(f"user data has {len(packed)} bytes, the limit is {USER_DATA_LIMIT}")
    return base64.b64encode(packed).decode()


def access_command(machine: Bootstrap, request: str, generation: int) -> str:
    """Return the script for a running machine: wait, bring it up to date, grant access (base64).

    `request` is the PEM certificate request; it is public. The script's answer is a line that
    starts with `ANSWER`. Raises ValueError when it is over the limit.
    """
    payload = (*bootstrap_files(machine), File(f"{ETC}/access.csr", request))
    packages = " ".join(PACKAGES)
    script = "\n".join(
        (
            "#!/bin/bash",
            f"# access generation {generation}",
            "set -euo pipefail",
            "umask 022",
            "! command -v cloud-init >/dev/null || cloud-init status --wait >/dev/null || true",
            "export DEBIAN_FRONTEND=noninteractive",
            f"dpkg -s {packages} >/dev/null 2>&1 ||"
            f" {{ apt-get -q update && apt-get -q -y install {packages}; }} >&2",
            f"base64 -d <<'END' | tar -xzp -C /\n{_archive(payload)}\nEND",
            f"{SCRIPTS}/bootstrap.sh >&2",
            f"{SCRIPTS}/grant-access.sh",
            "",
        )
    )
    encoded = base64.b64encode(script.encode()).decode()
    if len(encoded) > COMMAND_LIMIT:
        raise ValueError(f"the command has {len(encoded)} bytes, the limit is {COMMAND_LIMIT}")
    return encoded


def _shipped(name: str) -> str:
    return (files("fleet.alicloud") / "files" / name).read_text(encoding="utf-8")


def _program(name: str) -> str:
    return (files("fleet.alicloud.machine") / name).read_text(encoding="utf-8")


def _archive(payload: tuple[File, ...]) -> str:
    """Pack files so that equal content gives equal bytes, wherever and whenever."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for file in payload:
            data = file.content.encode()
            entry = tarfile.TarInfo(file.path.lstrip("/"))
            entry.size, entry.mode = len(data), int(file.mode, 8)
            archive.addfile(entry, io.BytesIO(data))
    return base64.b64encode(gzip.compress(raw.getvalue(), mtime=0)).decode()
