"""A make-believe Alibaba Cloud: keeps what is made and refuses as the real one does.

What was there before is placed by a test (`Cloud.yours`). Leaves out: the facts of each kind
(`kinds`), the machine behind an instance (`assistant`).
"""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from tests.support.fakes.cloud.kinds import BY_NAME, KINDS, Kind
from tests.support.fakes.cloud.plugins import (
    UNKNOWN,
    Changes,
    Launch,
    Provider,
    Refused,
    Thing,
    Values,
    compare,
)
from tests.support.sdk_schema import unknown_to_sdk

REGION = "ap-southeast-1"
_MACHINE = "alicloud:ecs/instance:Instance"
_ATTACHMENT = "alicloud:ecs/ecsDiskAttachment:EcsDiskAttachment"


@dataclass(frozen=True, kw_only=True)
class Held:
    """A resource as the cloud holds it."""

    id: str
    typ: str
    name: str
    values: Values

    @property
    def kind(self) -> Kind:
        """Its kind's facts."""
        return KINDS[self.typ]


@dataclass(kw_only=True)
class Fault:
    """What the cloud says the next times that something of a type is made."""

    typ: str
    """The end of a type's name; empty for all."""
    message: str
    times: int = 1
    op: str = "create"


@dataclass(kw_only=True)
class Cloud:
    """An account in one region."""

    address: str = "198.51.100.10"
    """What the environment's public address will be."""
    api: str = "https://198.51.100.30:6443"
    """Where a managed cluster answers."""
    credential: Values = field(default_factory=dict[str, Any])
    """What a managed cluster gives to whoever asks for its kubeconfig."""
    things: dict[str, Held] = field(default_factory=dict[str, Held])
    yours: dict[str, Values] = field(default_factory=dict[str, Values])
    """What was there before, by id."""
    faults: list[Fault] = field(default_factory=list[Fault])
    quotas: dict[str, int] = field(default_factory=dict[str, int])
    """How many there may be of a type, by the end of its name."""
    sold_out: set[str] = field(default_factory=set[str])
    """Types of machines that cannot be had."""
    on_change: Callable[[], None] = lambda: None
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def of(self, typ: str) -> list[Held]:
        """Return what there is of a type, by the end of its name."""
        return [held for held in self.things.values() if held.typ.endswith(f":{typ}")]

    def one(self, typ: str) -> Held:
        """Return the only one of a type."""
        (held,) = self.of(typ)
        return held

    def fail(self, op: str, typ: str) -> None:
        """Raise Refused when a fault is due."""
        for fault in self.faults:
            if fault.op == op and fault.times > 0 and typ.endswith(fault.typ):
                fault.times -= 1
                raise Refused(fault.message)

    def attached_disk(self, machine: str) -> str | None:
        """Return the disk that a machine has."""
        return next(
            (
                held.values["diskId"]
                for held in self.things.values()
                if held.typ == _ATTACHMENT and held.values["instanceId"] == machine
            ),
            None,
        )


class Alibaba(Provider):
    """The provider of the cloud's resources."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud, self.region = cloud, ""

    def configure(self, launch: Launch, values: Values) -> None:
        """Take the region."""
        del launch
        self.region = values["region"]

    def settings_change(self, before: Values, after: Values) -> Changes:
        """Another region is another account's worth of resources."""
        return compare(before, after, frozenset({"region"}))

    def check(self, thing: Thing) -> list[str]:
        """Return what the SDK's own types do not know, and names out of the cloud's bounds."""
        package = thing.typ.split(":", 1)[0]
        seen = SimpleNamespace(
            custom=True,
            package=package,
            is_provider=False,
            typ=thing.typ,
            name=thing.name,
            inputs=thing.inputs,
        )
        wrong = unknown_to_sdk(cast("Any", seen))
        wrong += [
            f"expected length of {key} to be in the range (2 - 128), got {value}"
            for key, value in thing.inputs.items()
            if key in {"instanceName", "vpcName", "vswitchName", "securityGroupName", "diskName"}
            and not 2 <= len(value) <= 128
        ]
        protocol = thing.inputs.get("ipProtocol", "tcp")
        if protocol not in {"tcp", "udp", "icmp", "icmpv6", "gre", "all"}:
            wrong.append(f"expected ip_protocol to be one of [tcp udp …], got {protocol}")
        return wrong

    def compare(self, thing: Thing, before: Values, state: Values) -> Changes:
        """Compare by what the provider replaces."""
        del state
        return compare(before, thing.inputs, KINDS[thing.typ].replaces)

    # -- making

    def create(self, thing: Thing) -> tuple[str, Values]:
        """Make it, unless the cloud would refuse."""
        cloud, kind, given = self.cloud, KINDS[thing.typ], thing.inputs
        cloud.fail("create", thing.typ)
        self._refuse_unknown(kind, given)
        self._refuse_taken(thing, kind)
        for typ, most in cloud.quotas.items():
            if thing.typ.endswith(typ) and len(cloud.of(typ)) >= most:
                raise Refused(f"QuotaExceeded: {typ}: the account may have {most}")
        self._refuse_sold_out(thing)
        self._refuse_placement(thing)
        number = next(cloud.numbers)
        made = given[kind.name] if not kind.prefix else f"{kind.prefix}-t4n0{number:08d}"
        outputs = {**given, **self._outputs(thing, made, number)}
        cloud.things[f"{thing.typ} {made}"] = Held(
            id=made, typ=thing.typ, name=thing.name, values=outputs
        )
        cloud.on_change()
        return made, outputs

    def _refuse_unknown(self, kind: Kind, given: Values) -> None:
        for key, target in kind.refers.items():
            for value in _ids(given.get(key)):
                words = target.lstrip("?").split()
                if not any(self._is_there(value, word) for word in words):
                    raise Refused(f"Invalid{key[0].upper()}{key[1:]}.NotFound: {value}")

    def _is_there(self, value: str, word: str) -> bool:
        cloud = self.cloud
        if value in cloud.yours:
            return cloud.yours[value].get("region", REGION) == self.region
        if word in BY_NAME:
            return f"{BY_NAME[word]} {value}" in cloud.things
        if word == "stb":
            return any(held.values.get("snatTableIds") == value for held in cloud.things.values())
        return value.startswith(f"{word}-") and any(
            held.id == value for held in cloud.things.values()
        )

    def _refuse_taken(self, thing: Thing, kind: Kind) -> None:
        alike = [held for held in self.cloud.things.values() if held.typ == thing.typ]
        for held in alike:
            if kind.name and held.values[kind.name] == thing.inputs[kind.name]:
                raise Refused(f"EntityAlreadyExists: {kind.name} {thing.inputs[kind.name]}")
            for key in kind.once:
                if held.values[key] == thing.inputs[key]:
                    raise Refused(f"{kind.refusal}: {thing.inputs[key]} is in use")
            if thing.typ.endswith("Rule") and held.values == thing.inputs:
                raise Refused("one rule in the cloud would have two resources")
        for key in kind.once:
            if self.cloud.yours.get(thing.inputs[key], {}).get("status") == "InUse":
                raise Refused(f"{kind.refusal}: {thing.inputs[key]} is in use")

    def _refuse_sold_out(self, thing: Thing) -> None:
        wanted = _ids(thing.inputs.get("instanceType")) + _ids(thing.inputs.get("instanceTypes"))
        if wanted and set(wanted) <= self.cloud.sold_out:
            raise Refused(f"OperationDenied.NoStock: {', '.join(wanted)} is sold out in the zone")

    def _refuse_placement(self, thing: Thing) -> None:
        if thing.typ == _ATTACHMENT:
            zones = {self._zone(thing.inputs["diskId"]), self._zone(thing.inputs["instanceId"])}
            if len(zones - {None}) > 1:
                raise Refused("InvalidInstance.ZoneNotMatch: disk and instance differ in zone")

    def _zone(self, identity: str) -> str | None:
        if identity in self.cloud.yours:
            return self.cloud.yours[identity].get("zoneId")
        held = self._held(identity)
        if "vswitchId" in held.values:
            return self._zone(held.values["vswitchId"])
        return held.values.get("zoneId")

    def _held(self, identity: str) -> Held:
        return next(held for held in self.cloud.things.values() if held.id == identity)

    def _outputs(self, thing: Thing, made: str, number: int) -> Values:
        match thing.typ.rsplit(":", 1)[-1]:
            case "EipAddress":
                own = thing.name.endswith("-address") and not thing.name.endswith("nat-address")
                return {"ipAddress": self.cloud.address if own else f"198.51.100.{20 + number % 9}"}
            case "Instance":
                return {"primaryIpAddress": "172.20.0.9", "systemDiskId": f"d-sys{number:08d}"}
            case "NatGateway":
                return {"snatTableIds": f"stb-t4n0{number:08d}"}
            case "MountTarget":
                return {"mountTargetDomain": f"0abc-{number}.{self.region}.nas.aliyuncs.com"}
            case "ManagedKubernetes":
                private = self.cloud.api.replace("127.", "127.", 1)
                known = {"apiServerInternet": self.cloud.api, "apiServerIntranet": private}
                return {"connections": [known]}
            case "ApplicationLoadBalancer":
                return {"address": self.cloud.address}
            case "Role":
                return {"arn": f"acs:ram::1:role/{made}"}
            case _:
                return {}

    # -- changing

    def update(self, thing: Thing, before: Values) -> Values:
        """Change it in place; a disk never shrinks."""
        self.cloud.fail("update", thing.typ)
        key = f"{thing.typ} {thing.id}"
        if key not in self.cloud.things:
            raise Refused(f"NotFound: {thing.id}")
        for size in ("size", "systemDiskSize"):
            if int(thing.inputs.get(size) or 0) < int(before.get(size) or 0):
                raise Refused(f"InvalidDiskSize.TooSmall: {thing.id} cannot shrink")
        held = self.cloud.things[key]
        outputs = {**held.values, **thing.inputs}
        self.cloud.things[key] = Held(id=held.id, typ=held.typ, name=held.name, values=outputs)
        return outputs

    def delete(self, thing: Thing) -> None:
        """Delete it, unless something needs it or it is protected."""
        self.cloud.fail("delete", thing.typ)
        key = f"{thing.typ} {thing.id}"
        held = self.cloud.things.get(key)
        if held is None:
            return
        flags = (held.values.get("deletionProtection"), held.values.get("deleteProtection"))
        if True in flags or "on" in flags:
            raise Refused(f"OperationDenied.DeletionProtection: {thing.id}")
        needed = [other for other in self.cloud.things.values() if self._needs(other, held)]
        if needed:
            names = ", ".join(sorted(other.name for other in needed))
            raise Refused(f"{held.kind.refusal}: {thing.id} is needed by {names}")
        del self.cloud.things[key]
        self.cloud.on_change()

    def _needs(self, other: Held, held: Held) -> bool:
        for key, target in other.kind.refers.items():
            same = {held.id, held.values.get("snatTableIds")} & set(_ids(other.values.get(key)))
            words = target.split()
            right = [w for w in words if held.id.startswith(f"{w}-") or BY_NAME.get(w) == held.typ]
            if same and (right or "stb" in words):
                return True
        return False

    def read(self, thing: Thing) -> Values | None:
        """Return what the cloud holds."""
        held = self.cloud.things.get(f"{thing.typ} {thing.id}")
        return held.values if held is not None else None

    # -- asking

    def call(self, token: str, arguments: Values) -> Values:
        """Answer a look-up: what is yours, in this region."""
        if token.endswith("getClusterCredential"):
            if not self.cloud.of("NodePool"):
                raise Refused("ErrorClusterNotReady: there is no node")
            return {"certificateAuthorities": [self.cloud.credential]}
        listed = {
            "getNetworks": "vpcs",
            "getSwitches": "vswitches",
            "getSecurityGroups": "groups",
            "getEipAddresses": "addresses",
            "getInstances": "instances",
        }
        for name, key in listed.items():
            if token.endswith(name):
                found = [
                    {"id": identity, **self.cloud.yours[identity]}
                    for identity in arguments["ids"]
                    if self.cloud.yours.get(identity, {}).get("region", REGION) == self.region
                    and identity in self.cloud.yours
                ]
                return {key: found, "ids": arguments["ids"]}
        return super().call(token, arguments)


def encoded(text: bytes | str) -> str:
    """Return a text in base64, as the cloud hands certificates out."""
    return base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


def _ids(value: Any) -> list[str]:
    if isinstance(value, list):
        return [item for item in cast("list[Any]", value) if item != UNKNOWN]
    if not isinstance(value, str) or value == UNKNOWN:
        return []
    # A list in JSON, of one that takes several.
    return json.loads(value) if value.startswith("[") else [value]
