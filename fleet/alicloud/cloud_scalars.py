"""The scalar types of the Alibaba Cloud part of a stack file: one named rule each.

Leaves out: rules that span several fields (`fleet.alicloud.rules`).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, Field

from fleet.alicloud.clock import cron, time_zone
from fleet.values.model import broken


def _matching(pattern: str, rule: str, change: str) -> Callable[[str], str]:
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise broken(rule, change)
        return value

    return check


def _resource_id(what: str, prefix: str) -> Callable[[str], str]:
    return _matching(
        rf"{prefix}-[a-z0-9]{{8,40}}",
        f"a {what} is named by its id, {prefix}- and letters or digits",
        f"copy it from the console, e.g. {prefix}-t4n0abcd1234efgh5678",
    )


def _ipv4_cidr(value: str) -> str:
    try:
        network = ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise broken("not a network in CIDR form", "write it like 203.0.113.7/32") from None
    if network.version != 4:  # noqa: PLR2004
        raise broken(
            "the security groups made here have IPv4 rules only", "write it like 203.0.113.7/32"
        )
    if str(network) != value:
        raise broken("the address has bits set behind the prefix", f"write it like {network}")
    return value


def _readable_key(value: str) -> str:
    # Few stack files have one: the parser is loaded for those only.
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_ssh_public_key  # noqa: PLC0415

    try:
        load_ssh_public_key(value.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise broken(
            "the key is damaged: its letters are no key of the kind it names",
            "paste the whole line of ~/.ssh/id_ed25519.pub",
        ) from None
    return value


RegionId = Annotated[
    str,
    AfterValidator(
        _matching(
            r"[a-z]{2,3}(-[a-z]+)+(-[0-9]+)?",
            "a region is named by its id",
            "write it like ap-southeast-1 or cn-hongkong",
        )
    ),
]
ZoneId = Annotated[
    str,
    AfterValidator(
        _matching(
            r"[a-z]{2,3}(-[a-z]+)+(-[0-9]+[a-z]|-[a-z])",
            "a zone is its region's id and a letter",
            "write it like ap-southeast-1c or cn-hongkong-b",
        )
    ),
]
VpcId = Annotated[str, AfterValidator(_resource_id("VPC", "vpc"))]
VswitchId = Annotated[str, AfterValidator(_resource_id("vSwitch", "vsw"))]
SecurityGroupId = Annotated[str, AfterValidator(_resource_id("security group", "sg"))]
EipId = Annotated[str, AfterValidator(_resource_id("public address", "eip"))]
InstanceId = Annotated[str, AfterValidator(_resource_id("machine", "i"))]
DiskId = Annotated[str, AfterValidator(_resource_id("disk", "d"))]
RegistryId = Annotated[str, AfterValidator(_resource_id("registry instance", "cri"))]
InstanceType = Annotated[
    str,
    AfterValidator(
        _matching(
            r"ecs\.[a-z0-9-]+\.[a-z0-9]+",
            "an instance type is ecs., a family and a size",
            "write it like ecs.g7.xlarge",
        )
    ),
]
ImageId = Annotated[
    str,
    AfterValidator(
        _matching(
            r"[A-Za-z0-9_.-]{5,128}",
            "an image is named by its id",
            "write it like ubuntu_24_04_x64_20G_alibase_20260916.vhd",
        )
    ),
]
Sha256 = Annotated[
    str,
    AfterValidator(
        _matching(
            r"[0-9a-f]{64}",
            "a SHA-256 checksum is 64 of 0-9 a-f",
            "copy the line of the file k3s out of the release's sha256sum-amd64.txt",
        )
    ),
]
K3sVersion = Annotated[
    str,
    AfterValidator(
        _matching(
            r"v1\.[0-9]{2}\.[0-9]{1,2}\+k3s[0-9]",
            "a k3s version is pinned in full",
            "write it like v1.35.5+k3s1",
        )
    ),
]
HttpsUrl = Annotated[
    str,
    Field(max_length=512),
    AfterValidator(
        _matching(
            r"https://[a-z0-9.-]+(:[0-9]+)?(/[A-Za-z0-9._~%+-]*)*",
            "the address is https:// without user, query or fragment",
            "write it like https://mirror.example.com/k3s",
        )
    ),
]
RegistryHost = Annotated[
    str,
    AfterValidator(
        _matching(
            r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]+)?",
            "a registry is a host name without scheme or path",
            "write it like registry.example.com",
        )
    ),
]
SshPublicKey = Annotated[
    str,
    AfterValidator(
        _matching(
            r"(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)) \S+( \S+)?",
            "this is no OpenSSH public key (one line; never the private one)",
            "paste the content of ~/.ssh/id_ed25519.pub",
        )
    ),
    AfterValidator(_readable_key),
]
AddressRange = Annotated[str, AfterValidator(_ipv4_cidr)]
"""Addresses that may connect."""
Cron = Annotated[str, AfterValidator(cron)]
TimeZone = Annotated[str, AfterValidator(time_zone)]
Email = Annotated[
    str,
    AfterValidator(
        _matching(
            r"[^@\s]+@[a-z0-9-]+(\.[a-z0-9-]+)+",
            "not an e-mail address",
            "write the address that should hear of expiring certificates",
        )
    ),
]
CloudName = Annotated[
    str,
    AfterValidator(
        _matching(
            r"[a-z][a-z0-9-]{0,28}[a-z0-9]",
            "a name has 2 to 30 of a-z 0-9 and hyphens and starts with a letter",
            "write it like fleet",
        )
    ),
]
EnvName = Annotated[str, Field(min_length=1, max_length=64)]
"""Name of a profile of the aliyun command line."""
