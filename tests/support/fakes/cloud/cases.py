"""Variants of the shipped cloud files, and what was there before each of them.

Leaves out: running them (`tests/program`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.fakes.cloud.alibaba import Held
from tests.support.fakes.cloud.world import World

VPC, SWITCH, GROUP = "vpc-t4n0mine0001", "vsw-t4n0mine0001", "sg-t4n0mine0001"
ADDRESS, MACHINE, REGISTRY = "eip-t4n0mine0001", "i-t4n0mine0001", "cri-t4n0mine0001"
ZONE = "ap-southeast-1c"
LOGIN = {"server": "registry.example.com", "username": "puller"}
PUSHED = {"image.push": True, "image.repository": "registry.example.com/team/runtime"}


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A stack file that differs from a shipped one, and what it leaves behind."""

    file: str
    changes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    secrets: tuple[str, ...] = ()
    """Top-level keys that are sealed before."""
    kept: tuple[str, ...] = ()
    """Types of which something stays when it is destroyed."""


def lay_mine(world: World) -> None:
    """Place what an account may have had before."""
    here: dict[str, Any] = {
        VPC: {"cidrBlock": "172.30.0.0/16"},
        SWITCH: {"vpcId": VPC, "zoneId": ZONE, "cidrBlock": "172.30.0.0/24"},
        GROUP: {"vpcId": VPC},
        ADDRESS: {"ipAddress": world.cloud.address, "status": "Available"},
        MACHINE: {
            "availabilityZone": ZONE,
            "zoneId": ZONE,
            "status": "Running",
            "eip": world.cloud.address,
            "publicIp": "",
            "vpcId": VPC,
            "instanceType": "ecs.g7.large",
            "osType": "linux",
        },
        REGISTRY: {},
        "mine": {},
    }
    world.cloud.yours.update(
        {identity: {"region": "ap-southeast-1", **values} for identity, values in here.items()}
    )


def retain(world: World, *held: Held) -> None:
    """Have what an environment left behind as yours."""
    for item in held:
        world.cloud.yours[item.id] = dict(item.values)
        del world.cloud.things[f"{item.typ} {item.id}"]


def _vm(**more: Any) -> Variant:
    kept = more.pop("kept", ("EcsDisk",))
    return Variant(file="alicloud-vm", kept=kept, **more)


def _ack(changes: Mapping[str, Any] | None = None, **more: Any) -> Variant:
    base = {**PUSHED, "cluster.production": False}
    return Variant(file="alicloud-ack", changes={**base, **(changes or {})}, **more)


_SCHEDULE = {
    "start": "0 8 * * MON-FRI",
    "stop": "0 20 * * MON-FRI",
    "hoursPerWeek": 60,
}
_ACR = {"instanceId": REGISTRY}
VARIANTS: dict[str, Variant] = {
    "vm as shipped": _vm(),
    "vm without a data disk": _vm(changes={"cluster.dataDisk": None}, kept=()),
    "vm with a disk that goes": _vm(
        changes={"cluster.dataDisk": {"keep": False, "snapshotDays": 0}}, kept=()
    ),
    "vm in a network of yours": _vm(
        changes={"cluster.network": {"reuse": {"vpcId": VPC, "vswitchIds": [SWITCH]}}}
    ),
    "vm in a group of yours": _vm(
        changes={
            "cluster.network": {
                "reuse": {"vpcId": VPC, "vswitchIds": [SWITCH], "securityGroupId": GROUP}
            }
        }
    ),
    "vm with an address of yours": _vm(changes={"cluster.network.address": {"id": ADDRESS}}),
    "vm on a machine of yours": _vm(
        changes={"cluster.instance": {"id": MACHINE}, "cluster.dataDisk": None}, kept=()
    ),
    "vm by the clock": _vm(changes={"cluster.schedule": _SCHEDULE}),
    "vm with shared files": _vm(changes={"cluster.nas": {}}, kept=("EcsDisk", "FileSystem")),
    "vm with a role": _vm(
        changes={
            "cluster.instance.ramRole": {
                "actions": ["cr:PullRepository"],
                "resources": ["acs:cr:*:*:repository/fleet/*"],
            }
        }
    ),
    "vm with a key of yours": _vm(changes={"cluster.instance.sshKey": {"existingName": "mine"}}),
    "vm with its own zone": _vm(changes={"cluster.dns": {"zone": "example.com"}}),
    "vm from a registry": _vm(
        changes={
            "cluster.registry": LOGIN,
            **PUSHED,
        },
        secrets=("registryPassword",),
    ),
    "vm with Let's Encrypt": _vm(
        changes={
            "cluster.certificates": {"email": "ops@example.com"},
            "cluster.network.acmeOpen": True,
            "access.tls": "certManager",
            "access.clusterIssuer": "letsencrypt",
        }
    ),
    "vm with a certificate of yours": _vm(
        changes={"access.tls": "secret", "access.tlsSecretName": "wildcard"}
    ),
    "vm without TLS": _vm(changes={"access.tls": "none"}),
    "vm in production": _vm(changes={"cluster.production": True}),
    "ack as shipped": _ack(),
    "ack with shared files": _ack({"cluster.nas": {}}, kept=("FileSystem",)),
    "ack from the account's registry": _ack(
        {
            "cluster.registry": {
                "server": "acr.example.com",
                "username": "puller",
                "acr": _ACR,
            },
            "image.repository": "acr.example.com/fleet/runtime",
        },
        secrets=("registryPassword",),
        kept=("RegistryEnterpriseRepo",),
    ),
    "ack with its own zone": _ack({"cluster.dns": {"zone": "example.com"}}),
    "ack with Let's Encrypt by DNS": _ack(
        {
            "cluster.certificates": {
                "email": "ops@example.com",
                "dns01": {"groupName": "acme.example.com", "secretName": "alidns"},
            },
            "access.tls": "certManager",
            "access.clusterIssuer": "letsencrypt",
        }
    ),
    "ack for everybody": _ack({"cluster.webCidrs": ["0.0.0.0/0"]}),
    "ack from inside": _ack({"cluster.webCidrs": []}),
    "ack with a public API": _ack(
        {
            "cluster.controlPlane.publicEndpoint": True,
            "cluster.network.allowOpenAdmin": True,
        }
    ),
}
