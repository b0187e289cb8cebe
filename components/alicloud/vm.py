"""One ECS instance for k3s, with its disks, key, address and role.

Guards: no changed key replaces the machine or wipes a disk; a new generation does, by name. Leaves
out: what runs on it (`fleet.alicloud.cloud_init`), the way into its cluster (`vm_access`), network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi
import pulumi_alicloud as alicloud
import pulumi_tls as tls

from components.alicloud.ram import assume_role_document, declare_policy
from fleet.alicloud.config_vm import DataDisk, Instance, RamRole, Spot
from fleet.alicloud.machine_plan import (
    HELD_FOR_EVER,
    HELD_UNTIL_NEXT_GENERATION,
    key_pair_name,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class DiskArgs:
    """The data disk: made here, or one kept from before."""

    zone: str
    disk: DataDisk
    production: bool
    tags: Mapping[str, str] = field(default_factory=dict[str, str])


class DataVolume(pulumi.ComponentResource):
    """The disk that outlives the machine, with its snapshots."""

    disk_id: pulumi.Output[str]
    """The disk's id."""

    def __init__(
        self, name: str, args: DiskArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("opencode-fleet:vm:DataVolume", name, None, opts)
        if args.disk.id is not None:
            self.disk_id = pulumi.Output.from_input(args.disk.id)
        else:
            self.disk_id = alicloud.ecs.EcsDisk(
                f"{name}-disk",
                disk_name=f"{name}-data",
                zone_id=args.zone,
                category=args.disk.category,
                size=args.disk.size_gib,
                encrypted=args.disk.encrypted,
                delete_with_instance=False,
                delete_auto_snapshot=False,
                payment_type="PayAsYouGo",
                tags=args.tags,
                opts=pulumi.ResourceOptions(
                    parent=self,
                    protect=args.production,
                    retain_on_delete=args.disk.keep,
                    ignore_changes=list(HELD_FOR_EVER),
                ),
            ).id
        if args.disk.snapshot_days:
            self._declare_snapshots(name, args)
        self.register_outputs({"diskId": self.disk_id})

    def _declare_snapshots(self, name: str, args: DiskArgs) -> None:
        child = pulumi.ResourceOptions(parent=self)
        policy = alicloud.ecs.AutoSnapshotPolicy(
            f"{name}-snapshots",
            auto_snapshot_policy_name=f"{name}-data",
            repeat_weekdays=[str(day) for day in range(1, 8)],
            # At three in the morning, Chinese time.
            time_points=["3"],
            retention_days=args.disk.snapshot_days,
            tags=args.tags,
            opts=child,
        )
        alicloud.ecs.EcsAutoSnapshotPolicyAttachment(
            f"{name}-snapshots-of-disk",
            auto_snapshot_policy_id=policy.id,
            disk_id=self.disk_id,
            opts=child,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class MachineArgs:
    """What the machine is to be."""

    instance: Instance
    production: bool
    vswitch_id: pulumi.Input[str]
    security_group_id: pulumi.Input[str]
    address_id: pulumi.Input[str]
    user_data: pulumi.Input[str]
    disk_id: pulumi.Input[str] | None = None
    tags: Mapping[str, str] = field(default_factory=dict[str, str])


class Machine(pulumi.ComponentResource):
    """The instance, its key pair, disk, address and role."""

    instance_id: pulumi.Output[str]
    """The instance's id."""
    private_key: pulumi.Output[str | None]
    """The generated login key, secret; it holds None when the key is yours."""
    settled: list[pulumi.Resource]
    """What must be there before the machine is talked to."""

    def __init__(
        self, name: str, args: MachineArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("opencode-fleet:vm:Machine", name, None, opts)
        self._name = name
        self._args = args
        self._child = pulumi.ResourceOptions(parent=self)
        self.private_key, key_name = self._key()
        machine = self._instance(key_name)
        self.instance_id = machine.id
        self.settled = [self._bind_address(), *self._attach_disk()]
        if args.instance.ram_role is not None:
            self._give_role(args.instance.ram_role)
        self.register_outputs({"instanceId": self.instance_id})

    def _key(self) -> tuple[pulumi.Output[str | None], pulumi.Input[str]]:
        wanted = self._args.instance.ssh_key
        yours = pulumi.Output[str | None].from_input(None)
        if wanted.existing_name is not None:
            return yours, wanted.existing_name
        if wanted.public_key is not None:
            name = key_pair_name(self._name, wanted.public_key)
            return yours, self._key_pair(name, wanted.public_key)
        made = tls.PrivateKey(f"{self._name}-login", algorithm="ED25519", opts=self._child)
        public = made.public_key_openssh.apply(str.strip)
        name = public.apply(lambda key: key_pair_name(self._name, key))
        return made.private_key_openssh, self._key_pair(name, public)

    def _key_pair(
        self, name: pulumi.Input[str], public_key: pulumi.Input[str]
    ) -> pulumi.Output[str]:
        return alicloud.ecs.EcsKeyPair(
            f"{self._name}-key",
            key_pair_name=name,
            public_key=public_key,
            tags=self._args.tags,
            opts=self._child,
        ).key_pair_name

    def _instance(self, key_name: pulumi.Input[str]) -> alicloud.ecs.Instance:
        args, wanted = self._args, self._args.instance
        spot = _spot(wanted.spot)
        return alicloud.ecs.Instance(
            f"{self._name}-instance",
            instance_name=self._name,
            host_name=self._name,
            description="opencode-fleet: k3s",
            instance_type=wanted.type,
            image_id=wanted.image,
            vswitch_id=args.vswitch_id,
            security_groups=[args.security_group_id],
            key_name=key_name,
            user_data=args.user_data,
            system_disk_category=wanted.system_disk.category,
            system_disk_size=wanted.system_disk.size_gib,
            system_disk_encrypted=wanted.system_disk.encrypted,
            instance_charge_type="PostPaid",
            spot_strategy=spot.strategy,
            spot_price_limit=spot.limit,
            spot_interruption_behavior=spot.interruption,
            status={"running": "Running", "stopped": "Stopped"}.get(wanted.power or ""),
            stopped_mode="StopCharging" if wanted.power == "stopped" else None,
            http_endpoint="enabled",
            http_tokens="required",
            maintenance_action="AutoRecover",
            # The cloud refuses it on spot machines.
            deletion_protection=args.production and wanted.spot is None,
            tags=args.tags,
            volume_tags=args.tags,
            opts=pulumi.ResourceOptions(
                parent=self,
                protect=args.production,
                ignore_changes=list(HELD_UNTIL_NEXT_GENERATION),
                replacement_trigger=wanted.generation,
                # Disk and address can serve one machine at a time.
                delete_before_replace=True,
            ),
        )

    def _bind_address(self) -> pulumi.Resource:
        return alicloud.ecs.EipAssociation(
            f"{self._name}-address-binding",
            allocation_id=self._args.address_id,
            instance_id=self.instance_id,
            instance_type="EcsInstance",
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
        )

    def _attach_disk(self) -> list[pulumi.Resource]:
        if self._args.disk_id is None:
            return []
        return [
            alicloud.ecs.EcsDiskAttachment(
                f"{self._name}-disk-attachment",
                disk_id=self._args.disk_id,
                instance_id=self.instance_id,
                delete_with_instance=False,
                opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
            )
        ]

    def _give_role(self, wanted: RamRole) -> None:
        name = self._name
        role_name: pulumi.Input[str] = wanted.existing_name or ""
        if wanted.existing_name is None:
            role = alicloud.ram.Role(
                f"{name}-role",
                role_name=f"{name}-machine",
                description="opencode-fleet: what the k3s machine may do",
                assume_role_policy_document=assume_role_document("ecs.aliyuncs.com"),
                opts=self._child,
            )
            declare_policy(f"{name}-machine", role, wanted.actions, wanted.resources, self._child)
            role_name = role.role_name
        alicloud.ecs.RamRoleAttachment(
            f"{name}-role-of-machine",
            ram_role_name=role_name,
            instance_id=pulumi.Output.json_dumps([self.instance_id]),
            opts=self._child,
        )


@dataclass(frozen=True)
class _SpotTerms:
    strategy: str = "NoSpot"
    limit: float | None = None
    interruption: str | None = None


def _spot(wanted: Spot | None) -> _SpotTerms:
    if wanted is None:
        return _SpotTerms()
    strategy = "SpotAsPriceGo" if wanted.price_limit is None else "SpotWithPriceLimit"
    # The default, Terminate, deletes the boot disk too.
    return _SpotTerms(strategy, wanted.price_limit, "Stop")
