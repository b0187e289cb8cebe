"""Variants, edits and failures of the cloud files, through the real engine (`make cloud-test`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.fakes.cloud.alibaba import Fault
from tests.support.fakes.cloud.cases import PUSHED, VARIANTS, lay_mine
from tests.support.fakes.cloud.kinds import KINDS
from tests.support.fakes.cloud.world import World, missing, world

pytestmark = [
    pytest.mark.cloud,
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]
DATA = {typ for typ, kind in KINDS.items() if kind.holds_data} | {
    "kubernetes:core/v1:PersistentVolumeClaim",
    "kubernetes:core/v1:Namespace",
}


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as fresh:
        lay_mine(fresh)
        yield fresh


def _left(made: World) -> set[str]:
    return {held.typ.rsplit(":", 1)[-1] for held in made.cloud.things.values()}


def _no_data_was_touched(made: World) -> None:
    assert not [event for event in made.record.of("delete") if event.typ in DATA]


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_comes_stays_and_goes(made: World, name: str) -> None:
    variant = VARIANTS[name]
    made.write(variant.file, variant.changes)
    for key in variant.secrets:
        made.seal(key, "invented")
    mine = dict(made.cloud.yours)
    made.up()

    made.up()
    assert made.changed() == []

    if made.content["cluster"].get("production"):
        made.edit("cluster.production", False)
        made.up()
        assert not made.record.of("create")
        assert not made.record.of("delete")
    made.destroy()
    assert _left(made) == set(variant.kept)
    assert made.cloud.yours == mine
    _no_data_was_touched(made)


# -- what an edit changes


EDITS: tuple[tuple[str, object, set[str]], ...] = (
    (
        "cluster.adminCidrs",
        ["203.0.113.7/32", "203.0.113.9/32"],
        {"create SecurityGroupRule"},
    ),
    ("cluster.network.address.bandwidth", 20, {"update EipAddress"}),
    ("cluster.instance.type", "ecs.g7.xlarge", {"update Instance"}),
    ("cluster.dataDisk.sizeGib", 200, {"update EcsDisk"}),
    ("cluster.instance.systemDisk.sizeGib", 60, {"update Instance"}),
    ("cluster.dataDisk.encrypted", False, set()),
    ("cluster.instance.image", "ubuntu_22_04_x64_20G_alibase_20260916.vhd", set()),
    ("cluster.instance.systemDisk.category", "cloud_auto", set()),
    ("cluster.k3s.accessGeneration", 2, {"update Command"}),
    ("cluster.k3s.registryMirrors", {"docker.io": ["https://m.example.com"]}, {"update Command"}),
    ("cluster.dataDisk.snapshotDays", 3, {"update AutoSnapshotPolicy"}),
    (
        "cluster.tags",
        {"team": "a"},
        {
            "update AutoSnapshotPolicy",
            "update EcsDisk",
            "update EcsKeyPair",
            "update EipAddress",
            "update Instance",
            "update Network",
            "update SecurityGroup",
            "update Switch",
        },
    ),
    ("users[2]", {"id": "carol"}, {"create Deployment", "create PersistentVolumeClaim"}),
    (
        "cluster.instance.generation",
        2,
        {
            f"{op} {kind}"
            for op in ("create", "delete")
            for kind in ("Instance", "EipAssociation", "EcsDiskAttachment")
        }
        | {"update Command"},
    ),
)


def test_each_edit_changes_what_it_should_and_nothing_that_holds_data(made: World) -> None:
    made.write("alicloud-vm", {})
    made.up()
    for path, value, wanted in EDITS:
        made.edit(path, value)
        made.up()
        kinds = {" ".join(line.split()[:2]) for line in made.changed()}
        cloud = {line for line in kinds if "carol" not in line}
        assert wanted <= kinds if path.startswith("users") else cloud == wanted, (path, kinds)
        _no_data_was_touched(made)

    [disk] = made.cloud.of("EcsDisk")
    assert disk.values["size"] == 200
    assert disk.values["encrypted"] is True


def test_a_former_users_data_is_deleted_when_its_id_is_typed(made: World) -> None:
    made.write("alicloud-vm", {"users": [{"id": "alice"}, {"id": "carol"}]})
    made.up()
    made.edit("users", [{"id": "alice"}])
    made.edit("purge", ["carol"])

    done = made.up()

    assert "purged    claim opencode-alicloud-vm--default/oc-carol" in done.out
    names = {item["metadata"]["name"] for item in made.api.of("persistentvolumeclaims")}
    assert names == {"oc-alice"}
    assert made.up().out.startswith("nothing changed\n")


# -- what fails once


VM_TYPES = [
    "Network",
    "Switch",
    "SecurityGroup",
    "SecurityGroupRule",
    "EipAddress",
    "EipAssociation",
    "EcsKeyPair",
    "EcsDisk",
    "EcsDiskAttachment",
    "Instance",
    "AutoSnapshotPolicy",
    "EcsAutoSnapshotPolicyAttachment",
]
ACK_TYPES = [
    "NatGateway",
    "SnatEntry",
    "ManagedKubernetes",
    "NodePool",
    "ApplicationLoadBalancer",
    "Acl",
]


def _broken(made: World, typ: str) -> None:
    fault = Fault(typ=f":{typ}", message="ServiceUnavailable: try again later", times=99)
    made.cloud.faults.append(fault)
    failed = made.fleet("up", "--yes", "--timeout", "20")
    made.cloud.faults.clear()
    assert failed.code == 1, failed.said
    assert "ServiceUnavailable: try again later" in failed.err
    assert failed.err.endswith(
        "the rest was done; mend the cause and run this again: it goes on from here\n"
    )
    assert "unknown provider" not in failed.err
    assert "Traceback" not in failed.err


def _written(made: World, typ: str) -> set[str]:
    if typ in VM_TYPES:
        made.write("alicloud-vm", {})
        return {"EcsDisk"}
    made.write("alicloud-ack", {**PUSHED, "cluster.production": False})
    return set()


@pytest.mark.parametrize("typ", [*VM_TYPES, *ACK_TYPES])
def test_a_creation_that_failed_is_completed_by_the_next_run(made: World, typ: str) -> None:
    _written(made, typ)
    _broken(made, typ)
    made.up()
    made.up()
    assert made.changed() == []


@pytest.mark.parametrize("typ", [*VM_TYPES, *ACK_TYPES])
def test_the_half_of_a_creation_that_failed_can_be_destroyed(made: World, typ: str) -> None:
    kept = _written(made, typ)
    _broken(made, typ)
    made.destroy()
    assert _left(made) <= kept


def test_a_machine_that_takes_no_commands_yet_is_waited_for(made: World) -> None:
    made.write("alicloud-vm", {})
    made.machines.faults += [(400, {"Code": "ClientNotRunning", "Message": "not yet"})] * 2
    made.up()


def test_a_bootstrap_that_failed_is_told_and_completed_by_the_next_run(made: World) -> None:
    made.write("alicloud-vm", {})
    made.machines.faults += [(403, {"Code": "Forbidden.RAM", "Message": "not allowed"})]
    failed = made.fleet("up", "--yes", "--timeout", "20")
    assert failed.code == 1
    assert "Cloud Assistant: RunCommand: Forbidden.RAM: not allowed" in failed.err
    made.up()


# -- what the cloud refuses, told word by word


@pytest.mark.parametrize(
    ("changes", "prepare", "said"),
    [
        (
            {},
            {"sold_out": {"ecs.g7.large"}},
            "create Instance fleet-alicloud-vm-instance: OperationDenied.NoStock: ecs.g7.large is"
            " sold out in the zone",
        ),
        (
            {},
            {"quotas": {"EipAddress": 0}},
            "create EipAddress fleet-alicloud-vm-address: QuotaExceeded: EipAddress: the account"
            " may have 0",
        ),
        (
            {
                "cluster.network": {
                    "reuse": {"vpcId": "vpc-nowhere00", "vswitchIds": ["vsw-nowhere00"]}
                }
            },
            {},
            "cluster.network.reuse.vpcId: vpc-nowhere00: no such VPC in this region: copy the id"
            " from the console",
        ),
        (
            {"cluster.dataDisk": {"id": "d-nowhere00000"}},
            {},
            "InvalidDiskId.NotFound: d-nowhere00000",
        ),
    ],
)
def test_what_the_cloud_refuses_is_told(
    made: World, changes: Mapping[str, Any], prepare: Mapping[str, Any], said: str
) -> None:
    for name, value in prepare.items():
        setattr(made.cloud, name, value)
    made.write("alicloud-vm", changes)
    failed = made.fleet("up", "--yes", "--timeout", "20")
    assert failed.code == 1, failed.said
    assert said in failed.err, failed.said
    assert "unknown provider" not in failed.err
    made.destroy()
    assert _left(made) <= {"EcsDisk"}
