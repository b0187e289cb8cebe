"""Rules for resources on Alibaba Cloud; each returns one line for each offence.

Leaves out: what only Pulumi's own options say (retention, secrets), which tests of this project
check.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from types import MappingProxyType
from typing import Any

from policy.declared import Declared, Rule, of_kind

ADMIN_PORTS = frozenset({22, 6443})
NEVER_PORTS = frozenset({4096, 8472, 10250, 2379, 2380})
PUBLIC_PORTS = frozenset({80, 443})
_WIDEST_ADMIN = 8


def openings_are_narrow(resources: Sequence[Declared]) -> Iterator[str]:
    """One port a rule; administration never from the world; runtimes and node ports never."""
    for rule in of_kind(resources, "alicloud", "SecurityGroupRule"):
        if rule.inputs["type"] != "ingress" or rule.inputs["policy"] != "accept":
            continue
        first, last = (int(part) for part in rule.inputs["portRange"].split("/"))
        wide = ipaddress.ip_network(rule.inputs["cidrIp"]).prefixlen < _WIDEST_ADMIN
        if first != last:
            yield f"{rule.name}: opens {first} to {last}"
        elif first in NEVER_PORTS:
            yield f"{rule.name}: opens {first}"
        elif wide and first not in PUBLIC_PORTS:
            yield f"{rule.name}: opens {first} to the world"


def openings_are_unique(resources: Sequence[Declared]) -> Iterator[str]:
    """Two resources for one cloud rule share it: deleting one deletes both."""
    seen: set[tuple[Any, ...]] = set()
    for rule in of_kind(resources, "alicloud", "SecurityGroupRule"):
        keys = ("securityGroupId", "type", "ipProtocol", "portRange", "cidrIp", "policy")
        known = tuple(rule.inputs[key] for key in keys)
        if known in seen:
            yield f"{rule.name}: a second rule for {known}"
        seen.add(known)


def groups_are_closed_inside(resources: Sequence[Declared]) -> Iterator[str]:
    """Members of a security group do not talk to each other unasked."""
    for group in of_kind(resources, "alicloud", "SecurityGroup"):
        if group.inputs.get("innerAccessPolicy") != "Drop":
            yield f"{group.name}: members reach each other"


def nobody_logs_in_by_password(resources: Sequence[Declared]) -> Iterator[str]:
    """No password on a machine or node pool."""
    for resource in resources:
        for key in ("password", "kmsEncryptedPassword", "passwordInherit"):
            if resource.typ.startswith("alicloud:") and key in resource.inputs:
                yield f"{resource.name}: {key}"


def metadata_wants_a_token(resources: Sequence[Declared]) -> Iterator[str]:
    """A forged request of a workspace's server must not read the machine's identity."""
    for machine in of_kind(resources, "alicloud", "Instance"):
        if machine.inputs.get("httpTokens") != "required":
            yield f"{machine.name}: metadata without a token"
    for pool in of_kind(resources, "alicloud", "NodePool"):
        if pool.inputs.get("instanceMetadataOptions") != {"httpTokens": "required"}:
            yield f"{pool.name}: metadata without a token"


def machines_have_no_second_address(resources: Sequence[Declared]) -> Iterator[str]:
    """A bandwidth on the machine would give it an address of its own, past the plan."""
    for machine in of_kind(resources, "alicloud", "Instance"):
        if machine.inputs.get("internetMaxBandwidthOut"):
            yield f"{machine.name}: public address of its own"


def disks_are_encrypted(resources: Sequence[Declared]) -> Iterator[str]:
    """Every disk and file system with data on it."""
    for resource in resources:
        kind = resource.typ.rsplit(":", 1)[-1]
        key = {
            "EcsDisk": "encrypted",
            "Instance": "systemDiskEncrypted",
            "NodePool": "systemDiskEncrypted",
            "FileSystem": "encryptType",
        }.get(kind)
        if key is not None and not resource.inputs.get(key):
            yield f"{resource.name}: not encrypted"


def rights_are_named(resources: Sequence[Declared]) -> Iterator[str]:
    """No policy allows everything."""
    for policy in of_kind(resources, "alicloud", "Policy"):
        text = policy.inputs["policyDocument"]
        if '"*"' in text or ":*" in text.split('"Resource"')[0]:
            yield f"{policy.name}: a wildcard action or resource"


RULES: MappingProxyType[str, Rule] = MappingProxyType(
    {
        rule.__name__: rule
        for rule in (
            openings_are_narrow,
            openings_are_unique,
            groups_are_closed_inside,
            nobody_logs_in_by_password,
            metadata_wants_a_token,
            machines_have_no_second_address,
            disks_are_encrypted,
            rights_are_named,
        )
    }
)
"""Every rule by its name."""
