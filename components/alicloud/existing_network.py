"""Looking up what the user already has, and refusing what does not fit.

Nothing found here enters the state: `destroy` leaves it alone. Leaves out: machines (`vm`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_alicloud as alicloud
from pulumi_alicloud.ecs import GetEipAddressesResult, GetSecurityGroupsResult
from pulumi_alicloud.vpc import GetNetworksResult, GetSwitchesResult

from fleet.alicloud.addresses import overlap, overlaps_reserved
from fleet.alicloud.config_network import ReusedNetwork
from fleet.errors import Problem


@dataclass(frozen=True, kw_only=True, slots=True)
class ExistingNetwork:
    """Ids of a network that is there, checked."""

    vpc_cidr: pulumi.Output[str]
    node_switch_ids: pulumi.Output[list[str]]
    pod_switch_ids: pulumi.Output[list[str]]


def existing_switches(
    reuse: ReusedNetwork,
    zones: tuple[str, ...],
    inner: Mapping[str, str],
    invoke: pulumi.InvokeOutputOptions,
) -> ExistingNetwork:
    """Look up the VPC and its vSwitches; a run stops where one is missing or in another zone."""
    vpcs = alicloud.vpc.get_networks_output(ids=[reuse.vpc_id], opts=invoke)
    wanted = [*reuse.vswitch_ids, *reuse.pod_vswitch_ids]
    switches = alicloud.vpc.get_switches_output(ids=wanted, opts=invoke)

    def checked(ids: tuple[str, ...], key: str) -> pulumi.Output[list[str]]:
        return switches.apply(lambda found: check_switches(found, ids, zones, reuse.vpc_id, key))

    return ExistingNetwork(
        vpc_cidr=vpcs.apply(lambda found: check_vpc(found, reuse.vpc_id, inner)),
        node_switch_ids=checked(reuse.vswitch_ids, "reuse.vswitchIds"),
        pod_switch_ids=checked(reuse.pod_vswitch_ids, "reuse.podVswitchIds"),
    )


def existing_security_group(
    reuse: ReusedNetwork, invoke: pulumi.InvokeOutputOptions
) -> pulumi.Output[str]:
    """Look up the security group; a run stops where it is missing or of another VPC."""
    wanted = reuse.security_group_id or ""
    groups = alicloud.ecs.get_security_groups_output(ids=[wanted], opts=invoke)
    return groups.apply(lambda found: check_security_group(found, wanted, reuse.vpc_id))


def existing_address(address_id: str, invoke: pulumi.InvokeOutputOptions) -> pulumi.Output[str]:
    """Look up a public address; a run stops where it is missing or bound to something."""
    addresses = alicloud.ecs.get_eip_addresses_output(ids=[address_id], opts=invoke)
    return addresses.apply(lambda result: check_address(result, address_id))


def check_vpc(found: GetNetworksResult, vpc_id: str, inner: Mapping[str, str]) -> str:
    """Return the addresses of the one VPC found; `inner` are the cluster's own, by their keys."""
    if len(found.vpcs) != 1:
        raise _refused(
            "reuse.vpcId", vpc_id, "no such VPC in this region", "copy the id from the console"
        )
    cidr = found.vpcs[0].cidr_block
    if met := overlaps_reserved(cidr):
        raise _refused(
            "reuse.vpcId", vpc_id, f"its addresses {cidr} overlap {met}", "use another VPC"
        )
    for key, range_ in inner.items():
        if overlap(cidr, range_):
            raise _refused(
                "reuse.vpcId",
                vpc_id,
                f"its addresses {cidr} overlap {range_}, which the cluster uses inside",
                f"write another private network in {key}, or use another VPC",
            )
    return cidr


def check_switches(
    found: GetSwitchesResult, ids: tuple[str, ...], zones: tuple[str, ...], vpc_id: str, key: str
) -> list[str]:
    """Return `ids` when each is a vSwitch of the VPC in the zone at its place."""
    by_id = {switch.id: switch for switch in found.vswitches}
    for vswitch_id, zone in zip(ids, zones, strict=False):
        switch = by_id.get(vswitch_id)
        if switch is None:
            raise _refused(
                key, vswitch_id, "no such vSwitch in this region", "copy the id from the console"
            )
        if switch.vpc_id != vpc_id:
            raise _refused(
                key, vswitch_id, f"it is part of {switch.vpc_id}, not of {vpc_id}", "use one of it"
            )
        if switch.zone_id != zone:
            raise _refused(
                key,
                vswitch_id,
                f"it is in {switch.zone_id}, the machines go to {zone}",
                "use one of that zone, or change the zone",
            )
    return list(ids)


def check_security_group(found: GetSecurityGroupsResult, group_id: str, vpc_id: str) -> str:
    """Return `group_id` when it is a security group of the VPC."""
    if len(found.groups) != 1:
        raise _refused(
            "reuse.securityGroupId",
            group_id,
            "no such security group in this region",
            "copy the id from the console",
        )
    if found.groups[0].vpc_id != vpc_id:
        raise _refused(
            "reuse.securityGroupId",
            group_id,
            f"it is part of {found.groups[0].vpc_id}, not of {vpc_id}",
            "use a group of that VPC, or leave it out",
        )
    return group_id


def check_address(found: GetEipAddressesResult, address_id: str) -> str:
    """Return the address itself when there is exactly one."""
    if len(found.addresses) != 1:
        raise _refused(
            "address.id",
            address_id,
            "no such public address in this region",
            "copy the id from the console",
        )
    return found.addresses[0].ip_address


def _refused(key: str, value: str, rule: str, change: str) -> Exception:
    return ValueError(str(Problem(f"cluster.network.{key}", value, rule, change)))
