"""Records in Alibaba Cloud DNS for an environment's hosts.

Leaves out: the zone, which is yours, and names that need no zone (`fleet.alicloud.addresses`).
"""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_alicloud as alicloud

from fleet.alicloud.addresses import record_name


@dataclass(frozen=True, kw_only=True, slots=True)
class DnsArgs:
    """Which hosts, and where they point."""

    zone: str
    hosts: tuple[str, ...]
    """Full names; `*.fleet.example.com` covers all users."""
    address: pulumi.Input[str]
    ttl: int = 600


class DnsRecords(pulumi.ComponentResource):
    """One A record a host."""

    hosts: list[str]
    """What now resolves."""

    def __init__(
        self, name: str, args: DnsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("opencode-fleet:dns:DnsRecords", name, None, opts)
        self.hosts = sorted(set(args.hosts))
        for host in self.hosts:
            relative = record_name(host, args.zone)
            alicloud.dns.AlidnsRecord(
                f"{name}-{relative.replace('*', 'any').replace('@', 'zone')}",
                domain_name=args.zone,
                rr=relative,
                type="A",
                value=args.address,
                ttl=args.ttl,
                remark="opencode-fleet",
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.register_outputs({"hosts": self.hosts})
