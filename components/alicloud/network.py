"""The private network of an environment, and what may enter it.

Makes VPC, vSwitches, security group, rules, public address and, for ACK, the way out (NAT); or
takes over the ids of a network that is already there, checked and never changed. Leaves out:
binding the address to a machine (`vm`), and which networks there are (`fleet.alicloud`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi
import pulumi_alicloud as alicloud

from components.alicloud.existing_network import (
    existing_address,
    existing_security_group,
    existing_switches,
)
from fleet.alicloud.config_network import ReusedNetwork
from fleet.alicloud.network_plan import Opening, SwitchPlan


@dataclass(frozen=True, kw_only=True, slots=True)
class EntranceArgs:
    """How a machine is reached from outside."""

    openings: tuple[Opening, ...]
    address_id: str | None = None
    """A public address that is there already."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entrance:
    """Security group and public address of a machine."""

    security_group_id: pulumi.Output[str]
    address_id: pulumi.Output[str]
    """The public address's allocation id."""
    address: pulumi.Output[str]
    """The public address itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkArgs:
    """What the network is to be; see `fleet.alicloud.network_plan`."""

    vpc_cidr: str
    zones: tuple[str, ...]
    switches: tuple[SwitchPlan, ...] = ()
    reuse: ReusedNetwork | None = None
    inner: Mapping[str, str] = field(default_factory=dict[str, str])
    """What the cluster uses inside, by the keys that say it: no VPC may overlap it."""
    entrance: EntranceArgs | None = None
    """None where a load balancer is the way in (`ack`)."""
    bandwidth: int = 10
    make_nat: bool = False
    protect: bool = False
    tags: Mapping[str, str] = field(default_factory=dict[str, str])


class Network(pulumi.ComponentResource):
    """VPC, vSwitches, security group and public address of one environment."""

    vpc_id: pulumi.Output[str]
    """The VPC's id."""
    vpc_cidr: pulumi.Output[str]
    """The VPC's addresses."""
    node_switch_ids: pulumi.Output[list[str]]
    """vSwitches for machines, in the order of the zones."""
    pod_switch_ids: pulumi.Output[list[str]]
    """vSwitches for pods, in the order of the zones; empty on one machine."""
    entrance: Entrance | None
    """The way in that was asked for."""

    def __init__(
        self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("opencode-fleet:network:Network", name, None, opts)
        self._name = name
        self._args = args
        self._child = pulumi.ResourceOptions(parent=self)
        if args.reuse is None:
            self._declare_vpc()
        else:
            self._find(args.reuse)
        self.entrance = self._declare_entrance(args.entrance) if args.entrance else None
        if args.make_nat and args.reuse is None:
            self._declare_nat()
        address = self.entrance.address if self.entrance else None
        self.register_outputs({"vpcId": self.vpc_id, "address": address})

    def _declare_vpc(self) -> None:
        args, name = self._args, self._name
        vpc = alicloud.vpc.Network(
            f"{name}-vpc",
            vpc_name=name,
            cidr_block=args.vpc_cidr,
            tags=args.tags,
            opts=self._child,
        )
        made = {
            (plan.role, plan.zone): alicloud.vpc.Switch(
                f"{name}-{plan.role}-{plan.zone}",
                vswitch_name=f"{name}-{plan.role}-{plan.zone}",
                vpc_id=vpc.id,
                cidr_block=plan.cidr,
                zone_id=plan.zone,
                tags=args.tags,
                opts=self._child,
            ).id
            for plan in args.switches
        }
        self.vpc_id, self.vpc_cidr = vpc.id, pulumi.Output.from_input(args.vpc_cidr)
        self.node_switch_ids = _ordered(made, "node", args.zones)
        self.pod_switch_ids = _ordered(made, "pod", args.zones)

    def _find(self, reuse: ReusedNetwork) -> None:
        invoke = pulumi.InvokeOutputOptions(parent=self)
        existing = existing_switches(reuse, self._args.zones, self._args.inner, invoke)
        self.vpc_id = pulumi.Output.from_input(reuse.vpc_id)
        self.vpc_cidr = existing.vpc_cidr
        self.node_switch_ids = existing.node_switch_ids
        self.pod_switch_ids = existing.pod_switch_ids

    def _declare_entrance(self, wanted: EntranceArgs) -> Entrance:
        group_id = self._security_group(wanted.openings)
        if wanted.address_id is None:
            made = self._eip("address", self._args.bandwidth)
            address_id, address = made.id, made.ip_address
        else:
            invoke = pulumi.InvokeOutputOptions(parent=self)
            address_id = pulumi.Output.from_input(wanted.address_id)
            address = existing_address(wanted.address_id, invoke)
        return Entrance(security_group_id=group_id, address_id=address_id, address=address)

    def _security_group(self, openings: tuple[Opening, ...]) -> pulumi.Output[str]:
        args, name = self._args, self._name
        if args.reuse is not None and args.reuse.security_group_id is not None:
            invoke = pulumi.InvokeOutputOptions(parent=self)
            return existing_security_group(args.reuse, invoke)
        group = alicloud.ecs.SecurityGroup(
            f"{name}-group",
            security_group_name=name,
            description="opencode-fleet: what may reach the machine",
            vpc_id=self.vpc_id,
            security_group_type="normal",
            # Members of a group talk to each other freely unless told otherwise.
            inner_access_policy="Drop",
            tags=args.tags,
            opts=self._child,
        )
        for opening in openings:
            alicloud.ecs.SecurityGroupRule(
                f"{name}-in-{opening.port}-{opening.cidr.replace('/', '-')}",
                security_group_id=group.id,
                type="ingress",
                ip_protocol="tcp",
                port_range=f"{opening.port}/{opening.port}",
                cidr_ip=opening.cidr,
                # The default, internet, is for groups outside of a VPC.
                nic_type="intranet",
                policy="accept",
                priority=1,
                description=opening.why,
                opts=self._child,
            )
        return group.id

    def _eip(self, role: str, bandwidth: int) -> alicloud.ecs.EipAddress:
        return alicloud.ecs.EipAddress(
            f"{self._name}-{role}",
            address_name=f"{self._name}-{role}",
            bandwidth=str(bandwidth),
            # Accounts of the Chinese and of the international site both accept this pair. Another
            # pair would replace the address.
            internet_charge_type="PayByTraffic",
            payment_type="PayAsYouGo",
            deletion_protection=self._args.protect,
            tags=self._args.tags,
            opts=pulumi.ResourceOptions(parent=self, protect=self._args.protect),
        )

    def _declare_nat(self) -> None:
        """Give machines without public addresses a way out, kept in this stack's state.

        ACK would make one by itself, outside of the state, and leave it behind.
        """
        args, name = self._args, self._name
        first = self.node_switch_ids.apply(lambda ids: ids[0])
        gateway = alicloud.vpc.NatGateway(
            f"{name}-nat",
            nat_gateway_name=name,
            vpc_id=self.vpc_id,
            vswitch_id=first,
            nat_type="Enhanced",
            payment_type="PayAsYouGo",
            internet_charge_type="PayByLcu",
            network_type="internet",
            tags=args.tags,
            opts=self._child,
        )
        address = self._eip("nat-address", args.bandwidth)
        bound = alicloud.ecs.EipAssociation(
            f"{name}-nat-binding",
            allocation_id=address.id,
            instance_id=gateway.id,
            instance_type="Nat",
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
        )
        for plan in args.switches:
            index = args.zones.index(plan.zone)
            ids = self.node_switch_ids if plan.role == "node" else self.pod_switch_ids
            alicloud.vpc.SnatEntry(
                f"{name}-out-{plan.role}-{plan.zone}",
                snat_entry_name=f"{name}-{plan.role}-{plan.zone}",
                snat_table_id=gateway.snat_table_ids,
                source_vswitch_id=_at(ids, index),
                snat_ip=address.ip_address,
                # The entry is refused while its address is not bound to the gateway.
                opts=pulumi.ResourceOptions(parent=self, depends_on=[bound]),
            )


def _ordered(
    made: Mapping[tuple[str, str], pulumi.Output[str]], role: str, zones: tuple[str, ...]
) -> pulumi.Output[list[str]]:
    ids = [made[role, zone] for zone in zones if (role, zone) in made]
    return pulumi.Output.all(*ids).apply(list)


def _at(ids: pulumi.Output[list[str]], index: int) -> pulumi.Output[str]:
    return ids.apply(lambda known: known[index])
