"""The shipped cloud files through the real engine, against a cloud that is not there.

`fleet` is started as an operator starts it; nothing is handed in that the program forgot. The
variants, the failures and the edits take minutes: `make cloud-test`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fakes.cloud.cases import retain
from tests.support.fakes.cloud.world import World, missing, world

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))
URLS = "https://fleet.example.com\n" + "".join(
    f"  sign in as {user}, password: fleet password {user} -s NAME\n" for user in ("alice", "bob")
)
PUSHED = {"image.push": True, "image.repository": "registry.example.com/team/runtime"}


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as fresh:
        yield fresh


def told(text: str) -> str:
    """Return what a command printed, but what the engine added one by one."""
    return "".join(
        line for line in text.splitlines(keepends=True) if not line.startswith("environment: ")
    )


def test_a_machine_comes_stays_and_goes_but_for_its_disk(made: World) -> None:
    made.write("alicloud-vm", {})
    first = made.up()
    assert told(first.out) == "created   alice, bob\npool default: created\n" + URLS.replace(
        "NAME", "alicloud-vm"
    )
    # The image was carried to the address of the machine, whose keys were known.
    log = (made.folder.parent / "ssh.log").read_text()
    assert f"root@{made.cloud.address}" in log
    assert "StrictHostKeyChecking=yes" in log
    [disk] = made.cloud.of("EcsDisk")

    again = made.up()
    assert told(again.out) == "nothing changed\n" + URLS.replace("NAME", "alicloud-vm")
    assert made.changed() == []

    status = made.fleet("status")
    assert status.code == 0, status.said
    assert "alice  active  Ready" in status.out

    gone = made.destroy()
    assert gone.out == (
        "alicloud-vm: destroyed, its cluster too; retained in the cloud, which goes on charging"
        " for it:\n"
        f"  data disk {disk.id} (keep: true)\n"
        "  snapshots of the data disk, until their days are over\n"
        "to bring everybody's work back, name that disk before the next `fleet up`:"
        " cluster.dataDisk: {id: d-…}\n"
    )
    assert [held.id for held in made.cloud.things.values()] == [disk.id]


@pytest.mark.cloud
def test_work_comes_back_with_the_disk_that_destroy_left(made: World) -> None:
    made.write("alicloud-vm", {})
    made.up()
    [disk], [machine] = made.cloud.of("EcsDisk"), made.cloud.of("Instance")
    made.destroy()
    retain(made, disk)
    made.edit("cluster.dataDisk", {"id": disk.id})
    assert told(made.up().out).startswith("created   alice, bob\n")
    [newer] = made.cloud.of("Instance")
    assert newer.id != machine.id
    # The file system of before, not a new one: the script refuses to format under `dataDisk.id`.
    assert made.cloud.attached_disk(newer.id) == disk.id


@pytest.mark.cloud
def test_managed_kubernetes_comes_stays_and_goes(made: World) -> None:
    made.write("alicloud-ack", {**PUSHED, "cluster.production": False})
    assert told(made.up().out) == "created   alice, bob\npool default: created\n" + URLS.replace(
        "NAME", "alicloud-ack"
    )
    assert set(made.charts) == {"traefik"}

    assert told(made.up().out) == "nothing changed\n" + URLS.replace("NAME", "alicloud-ack")
    assert made.changed() == []

    gone = made.destroy()
    assert gone.out == (
        "alicloud-ack: destroyed, its cluster too; retained in the cloud, which goes on charging"
        " for it:\n"
        "  ESSD disks of users' volumes (reclaim policy Retain)\n"
        "  Log Service projects of the control plane and the audit log\n"
        "users' disks are in the console under Disks; snapshots and logs are separate\n"
    )
    assert made.cloud.things == {}


@pytest.mark.cloud
def test_what_production_protects_is_not_destroyed_by_half(made: World) -> None:
    made.write("alicloud-ack", PUSHED)
    made.up()
    before = set(made.cloud.things)

    refused = made.fleet("destroy", "--yes")

    assert refused.code == 2
    assert refused.err.startswith(
        "cluster.production: true: this environment is protected from deletion ("
    )
    assert refused.err.endswith(
        "nothing was deleted: write production: false, run fleet up -s alicloud-ack, then destroy\n"
    )
    assert set(made.cloud.things) == before
