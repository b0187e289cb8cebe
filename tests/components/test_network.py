"""The network: what is made, what is open, what is found and refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from fleet.alicloud.machine_plan import retained
from policy.alicloud import openings_are_narrow, openings_are_unique
from tests.support.cloud_world import declare, engine
from tests.support.clusters import ack, vm
from tests.support.recorded import Recorded
from tests.support.recording import Answer, Engine

VPC, VSWITCH = "vpc-t4n0abcd1234efgh", "vsw-t4n0abcd1234efgh"
REUSE: dict[str, Any] = {"vpcId": VPC, "vswitchIds": [VSWITCH]}
GROUP = "sg-t4n0abcd1234efgh"
EIP = "eip-t4n0abcd1234efgh"


def _open(resources: list[Recorded]) -> set[tuple[str, str]]:
    return {(rule.inputs["portRange"], rule.inputs["cidrIp"]) for rule in resources}


def test_only_the_named_networks_reach_the_machine() -> None:
    made = declare(vm())

    assert _open(made.of_type("SecurityGroupRule")) == {
        ("22/22", "203.0.113.7/32"),
        ("6443/6443", "203.0.113.7/32"),
        ("80/80", "203.0.113.0/24"),
        ("443/443", "203.0.113.0/24"),
    }
    assert {rule.inputs["nicType"] for rule in made.of_type("SecurityGroupRule")} == {"intranet"}
    assert {rule.inputs["type"] for rule in made.of_type("SecurityGroupRule")} == {"ingress"}


def test_without_web_networks_workspaces_are_reached_by_tunnel_only() -> None:
    made = declare(vm(webCidrs=[]))

    assert {port for port, _ in _open(made.of_type("SecurityGroupRule"))} == {"22/22", "6443/6443"}


def test_certificate_challenges_open_port_80_and_nothing_else() -> None:
    made = declare(vm(webCidrs=[], network={"acmeOpen": True}))

    world = {port for port, cidr in _open(made.of_type("SecurityGroupRule")) if cidr == "0.0.0.0/0"}
    assert world == {"80/80"}


def test_a_network_named_twice_makes_one_rule() -> None:
    twice = ["203.0.113.7/32", "203.0.113.7/32"]
    made = declare(vm(adminCidrs=twice, webCidrs=["0.0.0.0/0"], network={"acmeOpen": True}))

    assert list(openings_are_unique(made.resources)) == []
    assert len(made.of_type("SecurityGroupRule")) == 4


def test_neither_runtimes_nor_node_ports_are_ever_open() -> None:
    made = declare(vm(webCidrs=["0.0.0.0/0"]))

    assert list(openings_are_narrow(made.resources)) == []


def test_the_address_is_charged_by_traffic_and_protected_in_production() -> None:
    made = declare(vm(production=True, network={"address": {"bandwidth": 30}}))

    address = made.one("EipAddress")
    assert address.inputs["bandwidth"] == "30"
    assert address.inputs["internetChargeType"] == "PayByTraffic"
    assert address.inputs["paymentType"] == "PayAsYouGo"
    assert address.inputs["deletionProtection"] is True
    assert address.options.protect


def test_a_managed_cluster_gets_switches_for_nodes_and_pods_in_every_zone() -> None:
    made = declare(ack())

    cidrs = {s.name: s.inputs["cidrBlock"] for s in made.of_type("Switch")}
    assert cidrs == {
        "fleet-test-node-ap-southeast-1b": "172.20.0.0/19",
        "fleet-test-node-ap-southeast-1c": "172.20.32.0/19",
        "fleet-test-pod-ap-southeast-1b": "172.20.128.0/19",
        "fleet-test-pod-ap-southeast-1c": "172.20.160.0/19",
    }
    assert made.of_type("SecurityGroupRule") == []


def test_a_managed_clusters_way_out_is_in_our_state() -> None:
    made = declare(ack())

    assert made.one("NatGateway").inputs["natType"] == "Enhanced"
    assert made.one("EipAssociation").inputs["instanceType"] == "Nat"
    bound = made.one("EipAssociation").urn
    entries = made.of_type("SnatEntry")
    assert len(entries) == 4
    assert all(bound in entry.options.depends_on for entry in entries)


def _found(
    zone: str = "ap-southeast-1c", vpc: str = VPC, more: Mapping[str, Answer] | None = None
) -> Engine:
    switch = {"id": VSWITCH, "vpcId": vpc, "zoneId": zone, "cidrBlock": "10.9.1.0/24"}
    answers: dict[str, Answer] = {
        "networks": lambda _: {"vpcs": [{"id": VPC, "cidrBlock": "10.9.0.0/16"}]},
        "switches": lambda _: {"vswitches": [switch]},
    }
    return engine(**answers, **(more or {}))


def _groups(vpc: str) -> Mapping[str, Answer]:
    return {"groups": lambda _: {"groups": [{"id": GROUP, "vpcId": vpc}]}}


def test_a_reused_network_is_not_in_the_state() -> None:
    cluster = vm(network={"reuse": REUSE})
    made = declare(cluster, _found())

    assert made.of_type("Network") == [made.one("opencode-fleet:network:Network")]
    assert made.of_type("Switch") == []
    assert made.one("Instance").inputs["vswitchId"] == "vsw-t4n0abcd1234efgh"
    assert "network vpc-t4n0abcd1234efgh (yours)" in retained(cluster)


def test_a_reused_security_group_gets_no_rules_of_ours() -> None:
    world = _found(more=_groups(VPC))
    made = declare(vm(network={"reuse": {**REUSE, "securityGroupId": GROUP}}), world)

    assert made.of_type("SecurityGroup") == []
    assert made.of_type("SecurityGroupRule") == []
    assert made.one("Instance").inputs["securityGroups"] == [GROUP]


def test_a_reused_address_is_bound_and_not_owned() -> None:
    held = {"id": EIP, "ipAddress": "198.51.100.77"}
    made = declare(
        vm(network={"address": {"id": EIP}}), engine(addresses=lambda _: {"addresses": [held]})
    )

    assert made.of_type("EipAddress") == []
    assert made.one("EipAssociation").inputs["allocationId"] == EIP
    assert made.exports["address"] == "198.51.100.77"


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (_found(zone="ap-southeast-1a"), "it is in ap-southeast-1a, the machines go to"),
        (_found(vpc="vpc-other"), "it is part of vpc-other, not of vpc-t4n0abcd1234efgh"),
        (
            engine(networks=lambda _: {"vpcs": []}, switches=lambda _: {"vswitches": []}),
            "no such .* in this region",
        ),
    ],
)
def test_a_network_that_does_not_fit_is_refused(found: Engine, message: str) -> None:
    with pytest.raises(ValueError, match=rf"cluster\.network\.reuse.*{message}"):
        declare(vm(network={"reuse": REUSE}), found)


def test_a_security_group_of_another_vpc_is_refused() -> None:
    world = _found(more=_groups("vpc-other"))
    with pytest.raises(ValueError, match="it is part of vpc-other"):
        declare(vm(network={"reuse": {**REUSE, "securityGroupId": GROUP}}), world)


def test_an_address_that_is_not_there_is_refused() -> None:
    world = engine(addresses=lambda _: {"addresses": []})
    with pytest.raises(ValueError, match=r"cluster\.network\.address\.id: eip-.*no such public"):
        declare(vm(network={"address": {"id": EIP}}), world)
