"""A NAS file system for shared files, reachable from the environment's own vSwitches only.

Leaves out: the volumes on it, which Kubernetes objects describe.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi
import pulumi_alicloud as alicloud

from fleet.alicloud.config_network import Nas


@dataclass(frozen=True, kw_only=True, slots=True)
class NasArgs:
    """What the file system is to be, and who mounts it."""

    nas: Nas
    zone: str
    vpc_id: pulumi.Input[str]
    vswitch_id: pulumi.Input[str]
    sources: Mapping[str, pulumi.Input[str]]
    """Networks that mount it, by a stable name."""
    tags: Mapping[str, str] = field(default_factory=dict[str, str])


class SharedFiles(pulumi.ComponentResource):
    """The file system and its mount target; or the one that is there."""

    server: pulumi.Output[str]
    """Domain to mount from."""
    path: str
    """Folder on it."""

    def __init__(
        self, name: str, args: NasArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("opencode-fleet:nas:SharedFiles", name, None, opts)
        existing = args.nas.existing
        if existing is not None:
            self.server, self.path = pulumi.Output.from_input(existing.server), existing.path
        else:
            self.server, self.path = self._declare(name, args), "/"
        self.register_outputs({"server": self.server})

    def _declare(self, name: str, args: NasArgs) -> pulumi.Output[str]:
        child = pulumi.ResourceOptions(parent=self)
        system = alicloud.nas.FileSystem(
            f"{name}-files",
            description=name,
            protocol_type="NFS",
            file_system_type="standard",
            storage_type=args.nas.storage_type,
            encrypt_type=1,
            zone_id=args.zone,
            # The only way back after a mistake: standard NAS has no snapshots.
            recycle_bin={"status": "Enable", "reserved_days": args.nas.recycle_bin_days},
            tags=args.tags,
            # Nearly every argument would replace it, and everybody's files with it.
            opts=pulumi.ResourceOptions(
                parent=self,
                retain_on_delete=True,
                ignore_changes=["zone_id", "storage_type", "encrypt_type", "kms_key_id"],
            ),
        )
        group = alicloud.nas.AccessGroup(
            f"{name}-mounts",
            access_group_name=name,
            access_group_type="Vpc",
            file_system_type="standard",
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
        )
        for source, cidr in args.sources.items():
            alicloud.nas.AccessRule(
                f"{name}-mounts-from-{source}",
                access_group_name=group.access_group_name,
                source_cidr_ip=cidr,
                rw_access_type="RDWR",
                # The kubelet is root and gives files to their users: it must stay root.
                user_access_type="no_squash",
                priority=1,
                opts=child,
            )
        target = alicloud.nas.MountTarget(
            f"{name}-mount-target",
            file_system_id=system.id,
            access_group_name=group.access_group_name,
            vpc_id=args.vpc_id,
            vswitch_id=args.vswitch_id,
            network_type="Vpc",
            opts=child,
        )
        return target.mount_target_domain
