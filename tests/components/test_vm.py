"""The machine: how it is guarded, how its cluster is reached, what is kept."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fleet.alicloud.machine_plan import retained
from tests.support.cloud_world import LOGIN_KEY, declare
from tests.support.clusters import vm
from tests.support.policy import decoded, offences
from tests.support.recorded import Recorded

KEY = f"{LOGIN_KEY} me@laptop"
MACHINE = "i-t4n0abcd1234efgh"


def _instance(**changes: Any) -> Recorded:
    return declare(vm(instance=changes)).one("Instance")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"production": True},
        {"dataDisk": None},
        {"instance": {"spot": {}}, "nas": {}},
        {
            "instance": {
                "ramRole": {"actions": ["cr:PullRepository"], "resources": ["acs:cr:*:*:r"]}
            }
        },
        {"schedule": {"start": "0 8 * * *", "stop": "0 20 * * *", "hoursPerWeek": 84}},
    ],
)
def test_every_policy_holds(changes: dict[str, Any]) -> None:
    assert offences(declare(vm(**changes)).resources) == []


def test_no_changed_key_replaces_the_machine_but_a_new_generation_does() -> None:
    options = _instance(generation=4).options

    assert {"imageId", "userData", "systemDiskCategory", "spotStrategy"} <= set(
        options.ignore_changes
    )
    assert options.replacement_trigger == 4
    assert options.delete_before_replace


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, True),
        ({"instance": {"generation": 2}}, False),
        ({"dataDisk": {"id": "d-t4n0abcd1234efgh"}}, False),
    ],
)
def test_a_machine_may_format_only_the_disk_that_is_made_with_it(
    changes: dict[str, Any], told: bool
) -> None:
    made = declare(vm(**changes))
    sent = made.one("Command").inputs["environment"]["FLEET_COMMAND"]
    for text in (made.one("Instance").inputs["userData"], sent):
        assert ("FLEET_DISK_MAY_FORMAT=1" in decoded(text)) is told


def test_a_new_image_can_never_wipe_the_boot_disk_in_place() -> None:
    provider = declare(vm()).one("pulumi:providers:alicloud")

    assert json.loads(provider.inputs["features"]) == {
        "ecsInstance": {"replaceOnImageUpdate": True}
    }


def test_production_cannot_be_deleted_by_mistake() -> None:
    made = declare(vm(production=True))

    assert made.one("Instance").options.protect
    assert made.one("Instance").inputs["deletionProtection"] is True
    assert made.one("EcsDisk").options.protect
    assert not declare(vm()).one("Instance").options.protect


def test_a_spot_machine_keeps_its_disk_when_it_is_taken_away() -> None:
    machine = _instance(spot={})
    assert machine.inputs["spotStrategy"] == "SpotAsPriceGo"
    assert machine.inputs["spotInterruptionBehavior"] == "Stop"
    assert machine.inputs["deletionProtection"] is False


def test_a_price_limit_is_passed_on() -> None:
    machine = _instance(spot={"priceLimit": 0.3})
    assert machine.inputs["spotStrategy"] == "SpotWithPriceLimit"
    assert machine.inputs["spotPriceLimit"] == 0.3


@pytest.mark.parametrize(
    ("power", "status", "mode"),
    [("running", "Running", None), ("stopped", "Stopped", "StopCharging"), (None, None, None)],
)
def test_power_is_left_alone_unless_asked_for(
    power: str | None, status: str | None, mode: str | None
) -> None:
    machine = _instance(power=power)
    assert machine.inputs.get("status") == status
    assert machine.inputs.get("stoppedMode") == mode


def test_your_own_key_is_used_and_its_name_follows_it() -> None:
    made = declare(vm(instance={"sshKey": {"publicKey": KEY}}))
    pair = made.one("EcsKeyPair")

    assert pair.inputs["publicKey"] == KEY
    assert pair.inputs["keyPairName"].startswith("fleet-test-")
    assert made.one("Instance").inputs["keyName"] == pair.inputs["keyPairName"]
    assert "login_key" not in made.exports


def test_a_key_pair_that_is_there_is_only_named() -> None:
    made = declare(vm(instance={"sshKey": {"existingName": "ops"}}))
    assert made.of_type("EcsKeyPair") == []
    assert made.one("Instance").inputs["keyName"] == "ops"


def test_a_generated_key_is_a_secret() -> None:
    made = declare(vm())
    assert made.exports["login_key"].startswith("-----BEGIN OPENSSH PRIVATE KEY")
    assert {"kubeconfig", "login_key"} <= made.secret_exports


def test_the_data_disk_outlives_the_machine_and_keeps_its_place() -> None:
    made = declare(vm())
    disk = made.one("EcsDisk")

    assert disk.options.retain_on_delete
    assert {"zoneId", "encrypted", "snapshotId"} <= set(disk.options.ignore_changes)
    assert disk.inputs["deleteWithInstance"] is False
    assert made.one("EcsDiskAttachment").options.delete_before_replace
    assert "data disk (keep: true)" in retained(vm())


def test_a_disk_that_is_not_to_be_kept_goes_with_the_environment() -> None:
    cluster = vm(dataDisk={"keep": False, "snapshotDays": 0})
    made = declare(cluster)
    assert not made.one("EcsDisk").options.retain_on_delete
    assert made.of_type("AutoSnapshotPolicy") == []
    assert retained(cluster) == ()


def test_a_disk_from_before_is_attached_and_not_owned() -> None:
    made = declare(vm(dataDisk={"id": "d-t4n0abcd1234efgh"}))
    assert made.of_type("EcsDisk") == []
    assert made.one("EcsDiskAttachment").inputs["diskId"] == "d-t4n0abcd1234efgh"
    assert made.exports["identifier"] == "d-t4n0abcd1234efgh"


def test_snapshots_are_taken_every_night() -> None:
    policy = declare(vm()).one("AutoSnapshotPolicy")
    assert policy.inputs["repeatWeekdays"] == ["1", "2", "3", "4", "5", "6", "7"]
    assert policy.inputs["retentionDays"] == 7


def test_a_role_made_here_allows_what_is_named() -> None:
    role = {"actions": ["cr:PullRepository"], "resources": ["acs:cr:*:*:repository/fleet/*"]}
    made = declare(vm(instance={"ramRole": role}))

    statement = json.loads(made.one("Policy").inputs["policyDocument"])["Statement"]
    assert statement == [
        {"Effect": "Allow", "Action": role["actions"], "Resource": role["resources"]}
    ]
    attachment = made.one("RamRoleAttachment").inputs
    assert attachment["ramRoleName"] == "fleet-test-machine"
    assert json.loads(attachment["instanceId"]) == ["fleet-test-instance-id"]


def test_by_default_the_machine_has_no_rights_in_the_account() -> None:
    made = declare(vm())
    assert made.of_type("RamRoleAttachment") == []
    assert made.of_type("Role") == []


def test_a_schedule_starts_and_stops_this_machine_only() -> None:
    schedule = {"start": "0 8 * * MON-FRI", "stop": "0 20 * * MON-FRI", "hoursPerWeek": 60}
    made = declare(vm(schedule=schedule))

    configs = {
        t.inputs["triggerName"]: json.loads(t.inputs["triggerConfig"])
        for t in made.of_type("V3Trigger")
    }
    assert configs["start"]["cronExpression"] == "CRON_TZ=Asia/Singapore 0 0 8 * * MON-FRI"
    assert configs["stop"]["payload"] == "stop"
    statement = json.loads(made.one("Policy").inputs["policyDocument"])["Statement"][0]
    assert statement["Action"] == ["ecs:StartInstance", "ecs:StopInstance"]
    assert statement["Resource"] == ["acs:ecs:*:*:instance/fleet-test-instance-id"]


def test_destroy_can_go_backwards_through_the_references() -> None:
    made = declare(vm(nas={}))
    order = {r.urn: r.options.depends_on for r in made.resources}

    def before(kind: str, other: str) -> bool:
        return made.one(other).urn in order[made.one(kind).urn]

    assert before("EipAssociation", "EipAddress")
    assert before("EipAssociation", "Instance")
    assert before("EcsDiskAttachment", "Instance")
    assert before("Instance", "Switch")
    assert before("Instance", "SecurityGroup")
    assert before("Instance", "EcsKeyPair")
    assert before("MountTarget", "Switch")
    assert before("Switch", "alicloud:vpc/network:Network")
