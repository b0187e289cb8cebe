"""The printed policy: enough for what is made, nothing beyond it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from fleet.alicloud.config import AckCluster, VmCluster
from fleet.alicloud.ram_actions import ACTIONS
from fleet.alicloud.ram_policy import LIMIT, features, ram_policy
from tests.support.clusters import ack, vm

EVERYTHING: dict[str, Any] = {
    "nas": {},
    "dns": {"zone": "example.com"},
    "registry": {
        "server": "r.example.com",
        "username": "u",
        "acr": {"instanceId": "cri-t4n0abcd1234efgh"},
    },
}
SCHEDULE = {"start": "0 8 * * *", "stop": "0 20 * * *", "hoursPerWeek": 84}
ROLE = {"ramRole": {"actions": ["cr:PullRepository"], "resources": ["acs:cr:*:*:r"]}}
LARGEST = [vm(instance=ROLE, schedule=SCHEDULE, **EVERYTHING), ack(**EVERYTHING)]


def _allowed(cluster: VmCluster | AckCluster) -> set[str]:
    documents = ram_policy(cluster, "fleet-t").values()
    return {
        action
        for document in documents
        for statement in document["Statement"]
        for action in statement["Action"]
    }


def test_every_action_is_named_in_full_and_of_a_service_that_exists() -> None:
    for actions in ACTIONS.values():
        for action in actions:
            assert re.fullmatch(r"(vpc|ecs|nas|alidns|cs|slb|ram|fc|cr):[A-Z][A-Za-z]+", action)


def test_no_mistake_can_wipe_a_boot_disk() -> None:
    assert not [a for actions in ACTIONS.values() for a in actions if "ReplaceSystemDisk" in a]


@pytest.mark.parametrize("cluster", [vm(), ack(), *LARGEST])
def test_every_policy_fits_and_only_allows(cluster: VmCluster | AckCluster) -> None:
    for document in ram_policy(cluster, "fleet-t").values():
        assert len(json.dumps(document, separators=(",", ":"))) <= LIMIT
        assert document["Version"] == "1"
        assert {statement["Effect"] for statement in document["Statement"]} == {"Allow"}


@pytest.mark.parametrize("cluster", [vm(), ack(), *LARGEST])
def test_the_policies_hold_exactly_the_features_actions(cluster: VmCluster | AckCluster) -> None:
    wanted = {action for feature in features(cluster) for action in ACTIONS[feature]}
    assert _allowed(cluster) == wanted


def test_small_environments_take_one_policy() -> None:
    assert list(ram_policy(vm(), "fleet-t")) == ["opencode-fleet"]


def test_a_reused_network_is_only_looked_at() -> None:
    reuse = {"vpcId": "vpc-t4n0abcd1234efgh", "vswitchIds": ["vsw-t4n0abcd1234efgh"]}
    allowed = _allowed(vm(network={"reuse": reuse}))
    assert "vpc:DescribeVpcs" in allowed
    assert not {"vpc:CreateVpc", "vpc:DeleteVpc", "vpc:DeleteVSwitch"} & allowed


def test_a_reused_machine_cannot_be_deleted() -> None:
    allowed = _allowed(vm(instance={"id": "i-t4n0abcd1234efgh"}))
    assert "ecs:RunCommand" in allowed
    assert not {"ecs:DeleteInstance", "ecs:RunInstances", "vpc:CreateVpc"} & allowed


def test_one_machine_needs_nothing_of_managed_kubernetes() -> None:
    assert not [action for action in _allowed(vm()) if action.startswith(("cs:", "slb:", "fc:"))]


def test_roles_are_made_only_when_asked_for() -> None:
    assert "ram:CreateRole" not in _allowed(vm())
    assert "ram:CreateRole" in _allowed(vm(instance=ROLE))
    assert "ram:CreateRole" in _allowed(vm(schedule=SCHEDULE))
    existing = {"ramRole": {"existingName": "ops"}}
    assert "ram:CreateRole" not in _allowed(vm(instance=existing))


def test_every_feature_can_be_reached() -> None:
    reuse = {"vpcId": "vpc-t4n0abcd1234efgh", "vswitchIds": ["vsw-t4n0abcd1234efgh"]}
    clusters = [*LARGEST, vm(network={"reuse": reuse}), vm(instance={"id": "i-t4n0abcd1234efgh"})]
    assert {feature for cluster in clusters for feature in features(cluster)} == set(ACTIONS)


def test_rights_are_of_one_region_one_zone_and_of_what_is_made_here() -> None:
    cluster = vm(instance=ROLE, schedule=SCHEDULE, **EVERYTHING)
    reach: dict[str, Any] = {}
    for document in ram_policy(cluster, "fleet-t").values():
        for statement in document["Statement"]:
            services = {action.partition(":")[0] for action in statement["Action"]}
            assert len(services) == 1
            reach[services.pop()] = statement["Resource"]
    regional = {service: f"acs:{service}:ap-southeast-1:*:*" for service in sorted(reach)}
    assert reach == {
        **{key: regional[key] for key in ("cr", "ecs", "fc", "nas", "vpc")},
        "alidns": "acs:alidns:*:*:domain/example.com",
        "ram": ["acs:ram:*:*:role/fleet-t-*", "acs:ram:*:*:policy/fleet-t-*"],
    }


def test_a_role_of_yours_may_be_given_to_the_machine_and_no_other() -> None:
    cluster = vm(instance={"ramRole": {"existingName": "puller"}})
    statements = ram_policy(cluster, "fleet-t")["opencode-fleet"]["Statement"]
    [ram] = [item for item in statements if item["Action"] == ["ram:PassRole"]]
    assert ram["Resource"][-1] == "acs:ram:*:*:role/puller"
