"""The machines behind instances: Cloud Assistant brings them a script, and they do what it says.

The script's own files and programs run for real in a folder (`tests.support.machine`). Of what k3s
would bring, there is an authority and nothing else. A disk's content outlives its machine.
"""

from __future__ import annotations

import base64
import io
import re
import shutil
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fleet.alicloud.machine_settings import DATA
from tests.support.fakes.cloud.alibaba import Cloud
from tests.support.fakes.ecs_api import Reply
from tests.support.machine import DISK_BYTES, FolderMachine, folder_machine

_PIECE = re.compile(r"echo -n '([A-Za-z0-9+/=]*)' >(\S+)")
_ARCHIVE = re.compile(r"<<'END'[^\n]*\n([A-Za-z0-9+/=\n]+)\nEND")
# The pinned checksum is of the real k3s, which is not here.
_CHECKSUM = """#!/bin/bash
case "$*" in *--check*) exit 0 ;; *) exec /usr/bin/sha256sum "$@" ;; esac
"""


def _nothing(machine: FolderMachine) -> None:
    del machine


@dataclass(kw_only=True)
class Machines:
    """All machines of a cloud, and the API that brings them scripts."""

    cloud: Cloud
    folder: Path
    authorities: Path
    """Folder with the authorities that k3s makes at its first start."""
    machines: dict[str, FolderMachine] = field(default_factory=dict[str, FolderMachine])
    pieces: dict[str, str] = field(default_factory=dict[str, str])
    runs: dict[str, tuple[int, str]] = field(default_factory=dict[str, tuple[int, str]])
    on_ready: Callable[[FolderMachine], None] = _nothing
    """What a k3s that has started does."""
    faults: list[Reply] = field(default_factory=list[Reply])
    """What the API answers to the next calls instead."""
    scripts: int = 0
    """How many scripts ran, each sent whole."""

    def answer(self, action: str, sent: Mapping[str, str]) -> Reply:
        """Answer a call of the ECS API."""
        if action == "RunCommand" and self.faults:
            return self.faults.pop(0)
        if action == "RunCommand":
            instance = sent["InstanceId.1"]
            known = {held.id for held in self.cloud.of("Instance")} | set(self.cloud.yours)
            if instance not in known:
                return 404, {"Code": "InvalidInstance.NotFound", "Message": instance}
            run = f"t-{len(self.runs) + 1}"
            self.runs[run] = self._run(instance, sent["CommandContent"])
            return 200, {"InvokeId": run}
        code, output = self.runs[sent["InvokeId"]]
        result = {
            "InvocationStatus": "Failed" if code else "Success",
            "ExitCode": code,
            "Output": output,
        }
        return 200, {"Invocation": {"InvocationResults": {"InvocationResult": [result]}}}

    def machine(self, instance: str) -> FolderMachine:
        """Return a machine, as new where it was not there yet."""
        if instance not in self.machines:
            made = folder_machine(self.folder / instance)
            checksum = made.tools / "sha256sum"
            checksum.write_text(_CHECKSUM)
            checksum.chmod(0o755)
            (made.root / "etc/ssh").mkdir()
            key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGludmVudGVk root@fleet\n"
            (made.root / "etc/ssh/ssh_host_ed25519_key.pub").write_text(key)
            self.machines[instance] = made
        return self.machines[instance]

    def _run(self, instance: str, content: str) -> tuple[int, str]:
        script = base64.b64decode(content).decode()
        piece = _PIECE.search(script)
        if piece is not None:
            self.pieces[piece[2]] = piece[1]
            return 0, ""
        if script.splitlines()[2].startswith("cat "):
            names = script.splitlines()[2].split(" | ")[0].split()[1:]
            script = base64.b64decode("".join(self.pieces[name] for name in names)).decode()
        self.scripts += 1
        machine = self.machine(instance)
        archive = _ARCHIVE.search(script)
        assert archive is not None, script[:400]
        with tarfile.open(fileobj=io.BytesIO(base64.b64decode(archive[1]))) as files:
            files.extractall(machine.root, filter="data")
        self._attach(instance, machine)
        booted = machine.run("bootstrap.sh")
        if booted.returncode != 0:
            return booted.returncode, booted.stderr
        self.on_ready(machine)
        granted = machine.run("grant-access.sh")
        return granted.returncode, booted.stderr + granted.stderr + granted.stdout

    def _attach(self, instance: str, machine: FolderMachine) -> None:
        """Put the disk that the cloud has attached where the machine looks for it."""
        disk = self.cloud.attached_disk(instance)
        data = self.folder / "disks" / f"{disk or instance}.data"
        place = machine.path(DATA)
        if not place.exists():
            tls = data / "k3s/server/tls"
            if not tls.exists():
                shutil.copytree(self.authorities, tls)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(data)
        if disk is not None:
            image = self.folder / "disks" / f"{disk}.img"
            if not image.exists():
                with image.open("wb") as file:
                    file.truncate(DISK_BYTES)
            named = machine.disk.with_name(f"virtio-{disk.removeprefix('d-')}")
            if not named.is_symlink():
                named.symlink_to(image)
