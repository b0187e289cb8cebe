"""The data disk's script on real loop devices: nothing that holds data is formatted.

It runs as on the machine, in a root folder with mounts of its own; all tools are real but systemctl
and sleep. A run that ends is a machine that is shut down; a new root folder is a new machine. Long
because every kind of content that a disk can hold is made here.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
import subprocess
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet.alicloud.cloud_init import SCRIPTS
from fleet.alicloud.machine_plan import disk_is_new
from fleet.alicloud.machine_settings import DATA, environment
from tests.support.clusters import vm
from tests.support.machine import SERIAL, bootstrap, tool

MIB = 1 << 20
SIZE = 67 * MIB
CAP_SYS_RESOURCE = 24
NEW, OLD = {"disk_may_be_formatted": True}, {"disk_may_be_formatted": False}
_BOUND = ("bin", "lib", "lib64", "sbin", "usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "sys")

Result = subprocess.CompletedProcess[str]


class Disk:
    """A sparse file, and a loop device on it while it is attached."""

    def __init__(self, image: Path) -> None:
        self.image, self.device = image, ""
        self.resize(SIZE)

    def resize(self, size: int) -> None:
        self.image.touch()
        os.truncate(self.image, size)

    def write(self, at: int, data: bytes) -> None:
        """Write; a negative place counts from the end."""
        with self.image.open("r+b") as file:
            file.seek(at, os.SEEK_SET if at >= 0 else os.SEEK_END)
            file.write(data)

    def attach(self) -> None:
        self.device = _ran(tool("losetup"), "--find", "--show", str(self.image)).stdout.strip()

    def detach(self) -> None:
        if self.device:
            _ran(tool("losetup"), "--detach", self.device)
            self.device = ""

    def content(self) -> str:
        """Return a hash of what was written, holes left out."""
        digest = hashlib.sha256()
        with self.image.open("rb") as file:
            end = 0
            while True:
                try:
                    start = os.lseek(file.fileno(), end, os.SEEK_DATA)
                except OSError:
                    return digest.hexdigest()
                end = os.lseek(file.fileno(), start, os.SEEK_HOLE)
                # The kernel may join and split what it stores: by whole steps, zeros left out.
                for at in range(start // MIB * MIB, end, MIB):
                    file.seek(at)
                    data = file.read(MIB).rstrip(b"\0")
                    if data:
                        digest.update(b"%d %s" % (at, data))
                end = -(-end // MIB) * MIB


class Machine:
    """The machine's own root folder; the disk is at its place while the script runs."""

    def __init__(self, root: Path, disk: Disk) -> None:
        self.root, self.disk = root, disk
        for folder in (*_BOUND, "etc/opencode-fleet", "dev", "proc", "run", "tmp", "tools"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        (root / "etc/mtab").symlink_to("/proc/mounts")
        self.fstab.write_text("UUID=1 / ext4 defaults 0 1\n")
        for name in ("systemctl", "sleep"):
            (root / "tools" / name).write_text("#!/bin/sh\nexit 0\n")
            (root / "tools" / name).chmod(0o755)
        script = root / SCRIPTS.lstrip("/") / "prepare-disk.sh"
        script.parent.mkdir(parents=True)
        script.write_text(Path("fleet/alicloud/files/prepare-disk.sh").read_text())

    @property
    def fstab(self) -> Path:
        return self.root / "etc/fstab"

    def run(self, settings: dict[str, Any], then: str = "true", **variables: str) -> Result:
        """Run the script, then a command on the machine whose output ends the result's."""
        settings_file = self.root / "etc/opencode-fleet/bootstrap.env"
        settings_file.write_text(environment(bootstrap(**settings)))
        attached_here = not self.disk.device
        if attached_here:
            self.disk.attach()
        node = Path(self.disk.device).stat().st_rdev
        lines = [
            f"cd {self.root}",
            *(f"mount --bind /{bind} {bind}" for bind in _BOUND if Path("/", bind).exists()),
            "mount -t proc proc proc",
            "mount -t tmpfs tmpfs dev",
            "mknod dev/null c 1 3; mknod dev/zero c 1 5; mknod dev/urandom c 1 9",
            f"mknod dev/data b {os.major(node)} {os.minor(node)}",
            "ln -s /proc/self/fd dev/fd",
            f"mkdir -p dev/disk/by-id && ln -s ../../data dev/disk/by-id/virtio-{SERIAL}",
            f"chroot . /bin/bash -c 'bash {SCRIPTS}/prepare-disk.sh && {{ {then}; }}'",
        ]
        try:
            return subprocess.run(
                [tool("unshare"), "--mount", "bash", "-ec", "\n".join(lines)],
                env={"PATH": "/tools:/usr/sbin:/usr/bin:/sbin:/bin", "FLEET_DISK_WAIT": "1"}
                | variables,
                capture_output=True,
                text=True,
                check=False,
            )
        finally:
            if attached_here:
                self.disk.detach()


def _ran(*command: str) -> Result:
    return subprocess.run(command, capture_output=True, text=True, check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    made = Disk(tmp_path / "disk.img")
    try:
        made.attach()
        _ran(tool("unshare"), "--mount", "true")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no loop devices or no mounts here (both take root): {error.stderr.strip()}")
    finally:
        made.detach()
    yield made
    made.detach()


@pytest.fixture
def machine(tmp_path: Path, disk: Disk) -> Machine:
    return Machine(tmp_path / "root", disk)


def _ext4(disk: Disk, *options: str) -> None:
    """Make a file system with one file that somebody needs."""
    source = disk.image.parent / "work"
    source.mkdir(exist_ok=True)
    (source / "thesis.txt").write_text("three years")
    _ran(tool("mkfs.ext4"), "-q", "-F", "-d", str(source), *options, str(disk.image))


READ = f"cat {DATA}/thesis.txt"


def _refused(machine: Machine, settings: dict[str, Any], seen: str, **variables: str) -> None:
    """The script refuses in one line that says disk, finding and what to do; nothing is written."""
    before, fstab = machine.disk.content(), machine.fstab.read_text()
    result = machine.run(settings, **variables)

    assert result.returncode == 1, result.stdout + result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("opencode-fleet:")]
    assert len(lines) == 1, result.stderr
    assert f"data disk {SERIAL} (/dev/disk/by-id/virtio-{SERIAL}) " in lines[0]
    assert re.search(seen, lines[0]), lines[0]
    assert re.search(r"; not formatted: .*(mkfs\.ext4 |e2fsck |console|attach )", lines[0])
    assert machine.disk.content() == before
    assert machine.fstab.read_text() == fstab


# What may be formatted


def test_a_new_empty_disk_is_formatted_and_mounted(machine: Machine) -> None:
    result = machine.run(NEW, f"findmnt -n -o FSTYPE,LABEL {DATA}")

    assert result.returncode == 0, result.stderr
    assert result.stdout.split()[-2:] == ["ext4", "fleet-data"]
    assert machine.fstab.read_text().count(DATA) == 1


@pytest.mark.parametrize("variables", [{}, {"FLEET_DISK_MAY_FORMAT": "1"}])
def test_an_empty_disk_that_was_there_before_is_refused(
    machine: Machine, variables: dict[str, str]
) -> None:
    _refused(machine, OLD, "is empty, but was not made with this machine", **variables)


def test_the_line_that_refuses_an_empty_disk_says_how_to_format_it(machine: Machine) -> None:
    refused = machine.run(OLD).stderr
    command = re.search(r"run '(mkfs\.ext4 .*?) /dev", refused)
    assert command, refused
    _ran(tool("mkfs.ext4"), "-q", *command[1].split()[1:], str(machine.disk.image))
    assert machine.run(OLD).returncode == 0


def test_a_disk_wiped_under_a_machine_that_had_it_is_refused(machine: Machine) -> None:
    machine.run(NEW)
    machine.disk.resize(0)
    machine.disk.resize(SIZE)
    _refused(machine, NEW, r"is empty, but /etc/fstab mounts UUID=\S+ at /srv/opencode-fleet")


@pytest.mark.parametrize(
    ("changes", "new"),
    [
        ({}, True),
        ({"instance": {"generation": 2}}, False),
        ({"dataDisk": {"id": "d-t4n0abcd1234efgh"}}, False),
        ({"dataDisk": None}, False),
        ({"instance": {"id": "i-t4n0abcd1234efgh"}}, False),
    ],
)
def test_only_a_disk_made_with_the_first_machine_is_new(changes: dict[str, Any], new: bool) -> None:
    assert disk_is_new(vm(**changes)) is new


def test_a_machine_is_told_what_it_may_do_and_nothing_otherwise() -> None:
    assert "FLEET_DISK_MAY_FORMAT=1\n" in environment(bootstrap(**NEW))
    assert "FORMAT" not in environment(bootstrap(**OLD))


# What holds data


@pytest.mark.parametrize("settings", [NEW, OLD])
def test_a_disk_with_work_on_it_is_mounted(machine: Machine, settings: dict[str, Any]) -> None:
    _ext4(machine.disk)
    result = machine.run(settings, READ)
    assert result.returncode == 0, result.stderr
    assert result.stdout.endswith("three years")


@pytest.mark.parametrize("damage", [os.urandom(4096), bytes(4096)], ids=["noise", "zeros"])
@pytest.mark.parametrize("block", [1024, 4096])
def test_a_damaged_ext4_is_left_for_e2fsck(machine: Machine, damage: bytes, block: int) -> None:
    machine.disk.resize(200 * MIB)
    _ext4(machine.disk, "-b", str(block))
    machine.disk.write(0, damage)

    _refused(machine, NEW, r"a superblock of ext4 at byte \d+; .* run 'e2fsck ")

    repair = [tool("e2fsck"), "-f", "-y", str(machine.disk.image)]
    repaired = subprocess.run(repair, capture_output=True, text=True, check=False)
    assert repaired.returncode == 1, repaired.stdout
    assert machine.run(OLD, READ).stdout.endswith("three years")


@pytest.mark.parametrize(("block", "size"), [(1024, 250), (2048, 250), (4096, 700)])
def test_one_copy_of_a_superblock_is_enough_to_refuse(
    machine: Machine, tmp_path: Path, block: int, size: int
) -> None:
    original = Disk(tmp_path / "original.img")
    original.resize(size * MIB)
    _ext4(original, "-b", str(block))
    listed = _ran(tool("dumpe2fs"), str(original.image)).stdout
    copies = [int(number) for number in re.findall(r"Backup superblock at (\d+)", listed)]
    assert len(copies) >= 3
    for copy in copies:
        machine.disk.resize(0)
        machine.disk.resize(size * MIB)
        with original.image.open("rb") as file:
            file.seek(copy * block)
            machine.disk.write(copy * block, file.read(1024))
        _refused(machine, NEW, f"superblock of ext4 at byte {copy * block // 4096 * 4096}; ")


@pytest.mark.parametrize("group", [49, 125, 2187])
def test_copies_are_looked_for_on_a_large_disk_as_well(machine: Machine, group: int) -> None:
    machine.disk.resize(1 << 40)
    machine.disk.write(group * 128 * MIB, b"a")
    _refused(machine, NEW, f"has no file system that is known, but data from byte {group << 27} on")


@pytest.mark.parametrize("at", [0, 7 * MIB, 16 * MIB, SIZE // 4, SIZE // 2, -1])
def test_raw_data_is_refused(machine: Machine, at: int) -> None:
    machine.disk.write(at, b"r")
    _refused(machine, NEW, r"has no file system that is known, but data from byte \d+ on")


def _swap(disk: Disk) -> None:
    _ran(tool("mkswap"), str(disk.image))


def _ext3(disk: Disk) -> None:
    _ran(tool("mke2fs"), "-q", "-F", "-t", "ext3", str(disk.image))


def _xfs(disk: Disk) -> None:
    """The superblock of an XFS of 16384 blocks."""
    fields = bytearray(512)
    struct.pack_into(">4sIQ", fields, 0, b"XFSB", 4096, 16384)
    struct.pack_into(">Q", fields, 48, 8192)
    # Real-time extent, blocks a group, groups; blocks of the log, version, sizes.
    struct.pack_into(">III", fields, 80, 1, 4096, 4)
    struct.pack_into(">IHHHH", fields, 96, 1000, 0x4, 512, 256, 16)
    # Logarithms of block, sector, inode, inodes a block, blocks a group; share of inodes.
    fields[120:128] = bytes([12, 9, 8, 4, 12, 0, 0, 25])
    disk.write(0, bytes(fields))


def _mbr(disk: Disk) -> None:
    entry = bytes([0, 1, 1, 0, 0x83, 1, 1, 1, 1, 0, 0, 0, 9, 0, 0, 0])
    disk.write(446, entry.ljust(64, b"\0") + b"\x55\xaa")


def _gpt_copy(disk: Disk) -> None:
    """Only the second table, as when the first blocks were overwritten."""
    last = SIZE // 512 - 1
    entries = bytes(128 * 128)
    table = _gpt_header(last, 1, last - 32, entries)
    disk.write(-33 * 512, entries + table)


def _gpt(disk: Disk) -> None:
    entries = bytes(128 * 128)
    protective = bytes([0, 0, 2, 0, 0xEE, 0xFF, 0xFF, 0xFF, 1, 0, 0, 0]) + struct.pack(
        "<I", SIZE // 512 - 1
    )
    disk.write(446, protective.ljust(64, b"\0") + b"\x55\xaa")
    disk.write(512, _gpt_header(1, SIZE // 512 - 1, 2, entries))
    _gpt_copy(disk)


def _gpt_header(here: int, other: int, first_entry: int, entries: bytes) -> bytes:
    def packed(checksum: int) -> bytes:
        return struct.pack(
            "<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, checksum, 0, here, other, 34,
            SIZE // 512 - 34, b"f" * 16, first_entry, 128, 128, zlib.crc32(entries),
        )  # fmt: skip

    return packed(zlib.crc32(packed(0))).ljust(512, b"\0")


def _lvm(disk: Disk) -> None:
    label = struct.pack("<I8s", 32, b"LVM2 001") + b"a" * 32
    label = label.ljust(512 - 20, b"\0")
    checksum = zlib.crc32(label, 0xF597A6CF ^ 0xFFFFFFFF) ^ 0xFFFFFFFF
    disk.write(512, struct.pack("<8sQI", b"LABELONE", 1, checksum) + label)


def _luks(disk: Disk) -> None:
    disk.write(0, b"LUKS\xba\xbe" + struct.pack(">H", 1) + b"aes".ljust(32, b"\0"))


def _raid(disk: Disk) -> None:
    """Metadata 1.0, which is at the end."""
    disk.write(-8192, struct.pack("<III", 0xA92B4EFC, 1, 0) + b"member".ljust(244, b"\0"))


@pytest.mark.parametrize(
    ("make", "seen"),
    [
        (_swap, "holds swap, not ext4"),
        (_ext3, "holds ext3, not ext4"),
        (_xfs, "holds xfs, not ext4"),
        (_mbr, r"holds a partition table \(dos\), not ext4"),
        (_gpt, r"holds a partition table \(gpt\), not ext4"),
        (_gpt_copy, "has no file system that is known, but data from byte "),
        (_lvm, "holds LVM2_member, not ext4"),
        (_luks, "holds crypto_LUKS, not ext4"),
        (_raid, "holds linux_raid_member, not ext4|has no file system that is known, but data"),
    ],
    ids=lambda value: value.__name__.strip("_") if callable(value) else "",
)
def test_what_serves_something_else_is_refused(
    machine: Machine, make: Callable[[Disk], None], seen: str
) -> None:
    make(machine.disk)
    _refused(machine, NEW, seen)


@pytest.mark.parametrize("readable", [0, 4 * MIB, SIZE - MIB])
def test_a_disk_that_cannot_be_read_is_refused(machine: Machine, readable: int) -> None:
    # A loop device answers with an I/O error behind the end of a file that became shorter.
    machine.disk.attach()
    machine.disk.resize(readable)
    _refused(machine, NEW, r"cannot be read at byte \d+; .*console")


# What happens again and again


def test_the_script_runs_again_on_the_disk_it_formatted(machine: Machine) -> None:
    again = f"echo three years >{DATA}/thesis.txt && bash {SCRIPTS}/prepare-disk.sh"
    first = machine.run(NEW, again)
    assert first.returncode == 0, first.stderr

    after_a_reboot = machine.run(NEW, READ)

    assert after_a_reboot.stdout.endswith("three years\n"), after_a_reboot.stderr
    assert machine.fstab.read_text().count(DATA) == 1


def test_the_next_generation_gets_the_disk_as_it_is(machine: Machine, tmp_path: Path) -> None:
    machine.run(NEW, f"echo three years >{DATA}/thesis.txt")
    next_machine = Machine(tmp_path / "next", machine.disk)
    result = next_machine.run(OLD, READ)
    assert result.stdout.endswith("three years\n"), result.stderr


def _may_grow() -> bool:
    held = re.search(r"CapEff:\s*(\w+)", Path("/proc/self/status").read_text())
    return held is not None and bool(int(held[1], 16) & 1 << CAP_SYS_RESOURCE)


def test_a_grown_disk_is_used_whole(machine: Machine) -> None:
    """Growing while mounted; `test_cloud_init_scripts` has the same without a mount."""
    if not _may_grow():
        pytest.skip("ext4 grows while mounted only with CAP_SYS_RESOURCE, which is missing here")
    size = f"df --output=size --block-size=1M {DATA} | tail -n 1"
    small = int(machine.run(NEW, size).stdout.split()[-1])
    machine.disk.resize(3 * SIZE)
    assert int(machine.run(NEW, size).stdout.split()[-1]) > 2 * small


def test_another_disk_than_before_is_refused(machine: Machine) -> None:
    machine.run(NEW)
    _ext4(machine.disk)
    _refused(machine, NEW, r"holds ext4 with UUID=\S+, but /etc/fstab mounts UUID=\S+ at /srv")


def test_a_disk_that_cannot_be_mounted_is_refused(machine: Machine) -> None:
    _ext4(machine.disk, "-O", "^metadata_csum")
    # An incompatible feature that no kernel knows.
    machine.disk.write(1024 + 0x60 + 3, b"\x40")
    result = machine.run(OLD)
    assert result.returncode == 1
    assert "holds ext4 that cannot be mounted" in result.stderr


def test_a_disk_that_is_not_attached_is_told(machine: Machine) -> None:
    result = machine.run(NEW | {"disk_serial": "t4nelsewhere"})
    assert result.returncode == 1
    assert "data disk t4nelsewhere is not attached" in result.stderr


def test_without_a_serial_no_disk_is_touched(machine: Machine) -> None:
    before = machine.disk.content()
    result = machine.run(NEW | {"disk_serial": None})
    assert result.returncode == 0, result.stderr
    assert "is on the boot disk" in result.stdout
    assert machine.disk.content() == before
