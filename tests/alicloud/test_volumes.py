"""Users' volumes on the k3s machine: real file systems on real loop devices, claims in a fake API.

The program is the one that the machine runs. A claim that is full is its user's own trouble.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from fleet.alicloud.machine.volumes import CLASS, DRIVER, Api, Disk, Keeper, RefusedError, size_of
from fleet.alicloud.machine_settings import STORAGE_CLASS
from tests.support.fakes.api_server import TOKEN, ApiServer, api_server
from tests.support.machine import tool

MIB = 1 << 20
CAP_SYS_RESOURCE = 24
NAME = "pvc-uid-of-alice"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A data disk of 128 MiB, 16 of them k3s' own."""
    image, folder = tmp_path / "disk.img", tmp_path / "data"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(128 * MIB)
    subprocess.run([tool("mkfs.ext4"), "-q", "-m", "0", str(image)], check=True)
    mounted = subprocess.run(
        ["mount", "-o", "loop", str(image), str(folder)],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"no loop devices or no mounts here (both take root): {mounted.stderr}")
    made = Disk(folder / "volumes", 16 * MIB)
    yield made
    _unmount(made)
    subprocess.run(["umount", str(folder)], check=True)  # noqa: S607


def _unmount(disk: Disk) -> None:
    for place in disk.folder.glob("*"):
        if place.is_mount():
            subprocess.run(["umount", str(place)], check=True)  # noqa: S607


def _fill(place: Path) -> int:
    """Write until the volume is full; return how much fitted."""
    written = 0
    with (place / "work").open("ab", buffering=0) as file:
        while True:
            try:
                written += file.write(bytes(MIB))
            except OSError:
                return written


# The disk


def test_a_volume_holds_its_size_and_no_more(disk: Disk) -> None:
    place = disk.make(NAME, 20 * MIB)
    before = os.statvfs(disk.folder).f_bavail

    assert 12 * MIB < _fill(place) < 20 * MIB

    # All blocks were there from the beginning: a full volume takes nothing from anybody.
    assert os.statvfs(disk.folder).f_bavail == before


def test_everybody_may_write_to_a_volume_as_to_a_folder_before(disk: Disk) -> None:
    assert disk.make(NAME, 8 * MIB).stat().st_mode & 0o777 == 0o777


def _may_grow() -> bool:
    held = re.search(r"CapEff:\s*(\w+)", Path("/proc/self/status").read_text())
    return held is not None and bool(int(held[1], 16) & 1 << CAP_SYS_RESOURCE)


online = pytest.mark.skipif(
    not _may_grow(), reason="ext4 grows while mounted only with CAP_SYS_RESOURCE"
)


def test_a_growth_that_was_cut_off_is_finished_by_the_next_mount(disk: Disk) -> None:
    (disk.make(NAME, 8 * MIB) / "thesis.txt").write_text("three years")
    with (disk.folder / f"{NAME}.img").open("ab") as file:
        os.posix_fallocate(file.fileno(), 8 * MIB, 32 * MIB)
    _unmount(disk)

    assert disk.mount_all() == []
    assert (disk.folder / NAME / "thesis.txt").read_text() == "three years"
    assert _fill(disk.folder / NAME) > 24 * MIB


def test_a_growth_that_the_kernel_refuses_is_tried_again(disk: Disk) -> None:
    disk.make(NAME, 8 * MIB)
    for _ in range(2):
        # Done where the kernel lets a file system grow while it is mounted, refused elsewhere.
        with suppress(RefusedError):
            disk.grow(NAME, 16 * MIB)
    assert (disk.folder / f"{NAME}.img").stat().st_size == 16 * MIB


@online
def test_a_volume_grows_while_it_is_in_use(disk: Disk) -> None:
    place = disk.make(NAME, 8 * MIB)
    with (place / "open").open("w") as file:
        file.write("three years")
        disk.grow(NAME, 40 * MIB)
        file.write(" and a day")

    assert _fill(place) > 24 * MIB
    assert (place / "open").read_text() == "three years and a day"


def test_the_share_of_k3s_is_never_given_away(disk: Disk) -> None:
    disk.make(NAME, 60 * MIB)
    with pytest.raises(RefusedError, match=r"for volumes, .* are wanted: raise cluster\.dataDisk"):
        disk.make("pvc-of-bob", 60 * MIB)
    with pytest.raises(RefusedError, match=r"raise cluster\.dataDisk\.sizeGib"):
        disk.grow(NAME, 120 * MIB)

    assert os.statvfs(disk.folder).f_bavail * os.statvfs(disk.folder).f_frsize >= 16 * MIB
    assert sorted(path.name for path in disk.folder.iterdir()) == [NAME, f"{NAME}.img"]


def test_after_a_reboot_all_volumes_are_mounted_with_what_was_in_them(disk: Disk) -> None:
    (disk.make(NAME, 8 * MIB) / "thesis.txt").write_text("three years")
    _unmount(disk)

    assert disk.mount_all() == []
    assert (disk.folder / NAME / "thesis.txt").read_text() == "three years"
    assert disk.mount_all() == []


def test_a_damaged_volume_is_not_mounted_and_no_bare_folder_stands_in_its_place(
    disk: Disk,
) -> None:
    disk.make(NAME, 8 * MIB)
    _unmount(disk)
    with (disk.folder / f"{NAME}.img").open("r+b") as file:
        file.write(bytes(64 * 1024))

    assert disk.mount_all() == [
        f"volume {NAME} is damaged: stop k3s and run: e2fsck {disk.folder}/{NAME}.img"
    ]
    assert not (disk.folder / NAME).exists()


def test_a_creation_that_was_cut_off_begins_anew(disk: Disk) -> None:
    disk.folder.mkdir()
    (disk.folder / f"{NAME}.part").write_bytes(bytes(1000))
    assert disk.make(NAME, 8 * MIB).is_mount()
    assert not (disk.folder / f"{NAME}.part").exists()


@pytest.mark.parametrize(
    ("quantity", "size"),
    [("10Gi", 10 << 30), ("1500M", 1_500_000_256), ("4096", 4096), ("0.5Gi", 1 << 29)],
)
def test_sizes_are_read_as_kubernetes_writes_them(quantity: str, size: int) -> None:
    assert size_of(quantity) == size


def test_the_class_is_the_one_that_the_program_names() -> None:
    assert CLASS == STORAGE_CLASS
    shipped = Path("fleet/alicloud/files/storage-class.yaml").read_text()
    assert f"provisioner: {DRIVER}\n" in shipped
    assert "allowVolumeExpansion: true\n" in shipped
    assert re.search(rf"name: {CLASS}\n", shipped)


# The claims


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with api_server() as made:
        yield made


@pytest.fixture
def keeper(disk: Disk, server: ApiServer) -> Keeper:
    api = Api(server.address)
    api.headers["Authorization"] = f"Bearer {TOKEN}"
    return Keeper(disk, api)


def _claim(size: str = "8Mi", **changes: Any) -> dict[str, Any]:
    claim: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": "alice",
            "namespace": "pool",
            "uid": "uid-of-alice",
            "annotations": {"volume.kubernetes.io/selected-node": "fleet-test"},
        },
        "spec": {
            "storageClassName": CLASS,
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": size}},
        },
    }
    claim["spec"] |= changes
    return claim


def test_a_claim_that_waits_gets_a_volume_of_its_size(keeper: Keeper, server: ApiServer) -> None:
    server.put(_claim())
    keeper.settle()
    keeper.settle()

    [volume] = server.of("persistentvolumes")
    assert volume["metadata"]["name"] == NAME
    assert volume["spec"]["capacity"] == {"storage": "8Mi"}
    assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
    assert volume["spec"]["claimRef"]["uid"] == "uid-of-alice"
    assert Path(volume["spec"]["local"]["path"]).is_mount()


def test_a_claim_of_another_class_or_without_a_node_is_left_alone(
    keeper: Keeper, server: ApiServer
) -> None:
    waiting = _claim()
    del waiting["metadata"]["annotations"]
    other = _claim(storageClassName="local-path")
    other["metadata"]["name"] = "other"
    server.put(waiting, other)
    keeper.settle()
    assert not server.of("persistentvolumes")


@online
def test_a_claim_that_has_grown_gets_more_room(keeper: Keeper, server: ApiServer) -> None:
    server.put(_claim())
    keeper.settle()
    server.put(_claim("24Mi", volumeName=NAME))
    keeper.settle()

    [volume] = server.of("persistentvolumes")
    assert volume["spec"]["capacity"] == {"storage": "24Mi"}
    assert server.get("persistentvolumeclaims", "alice")["status"]["capacity"] == {
        "storage": "24Mi"
    }
    assert _fill(Path(volume["spec"]["local"]["path"])) > 16 * MIB


def test_a_folder_of_the_former_provisioner_grows_by_its_number(
    keeper: Keeper, server: ApiServer
) -> None:
    server.put(_claim("24Mi", volumeName="pvc-old"))
    server.put(_volume("pvc-old", "rancher.io/local-path"))
    keeper.settle()
    assert server.get("persistentvolumes", "pvc-old")["spec"]["capacity"] == {"storage": "24Mi"}


def test_what_has_no_room_is_told_at_the_claim_once(keeper: Keeper, server: ApiServer) -> None:
    server.put(_claim("1Gi"))
    keeper.settle()
    keeper.settle()

    assert not server.of("persistentvolumes")
    [event] = server.of("events")
    assert event["type"] == "Warning"
    assert event["involvedObject"]["name"] == "alice"
    assert re.fullmatch(
        r"the disk has 0\.1 GiB for volumes, 1\.0 GiB are wanted: raise "
        r"cluster\.dataDisk\.sizeGib, or purge users",
        event["message"],
    )


def _volume(name: str, driver: str, policy: str = "Retain", phase: str = "Bound") -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": driver}},
        "spec": {"capacity": {"storage": "8Mi"}, "persistentVolumeReclaimPolicy": policy},
        "status": {"phase": phase},
    }


@pytest.mark.parametrize(
    ("driver", "policy", "phase", "goes"),
    [
        (DRIVER, "Delete", "Released", True),
        (DRIVER, "Delete", "Bound", False),
        (DRIVER, "Retain", "Released", False),
        ("rancher.io/local-path", "Delete", "Released", False),
    ],
)
def test_only_a_volume_that_a_purge_gave_up_is_deleted(  # noqa: PLR0913, PLR0917
    keeper: Keeper, server: ApiServer, driver: str, policy: str, phase: str, goes: bool
) -> None:
    keeper.disk.make(NAME, 8 * MIB)
    server.put(_volume(NAME, driver, policy, phase))
    keeper.settle()

    assert (keeper.disk.folder / f"{NAME}.img").exists() is not goes
    assert bool(server.of("persistentvolumes")) is not goes


def test_a_volume_whose_record_was_lost_stays(keeper: Keeper) -> None:
    keeper.disk.make(NAME, 8 * MIB)
    keeper.settle()
    assert (keeper.disk.folder / NAME).is_mount()
