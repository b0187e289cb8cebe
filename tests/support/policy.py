"""Rules that hold for everything a program declares, as plain functions over the record.

Each returns one line for each offence. Leaves out: what the SDK or the engine would refuse
(`engine`), and rules of Kubernetes objects.
"""

from __future__ import annotations

import base64
import gzip
import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, cast

from tests.support.recorded import Recorded

Rule = Callable[[Sequence[Recorded]], Iterator[str]]

ADMIN_PORTS = frozenset({22, 6443})
NEVER_PORTS = frozenset({4096, 8472, 10250, 2379, 2380})
PUBLIC_PORTS = frozenset({80, 443})
_WIDEST_ADMIN = 8
_KEEPS_DATA = ("EcsDisk", "FileSystem", "RegistryEnterpriseRepo")


def openings_are_narrow(resources: Sequence[Recorded]) -> Iterator[str]:
    """One port a rule; administration never from the world; runtimes and node ports never."""
    for rule in _kind(resources, "SecurityGroupRule"):
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


def openings_are_unique(resources: Sequence[Recorded]) -> Iterator[str]:
    """Two resources for one cloud rule share it: deleting one deletes both."""
    seen: set[tuple[Any, ...]] = set()
    for rule in _kind(resources, "SecurityGroupRule"):
        keys = ("securityGroupId", "type", "ipProtocol", "portRange", "cidrIp", "policy")
        known = tuple(rule.inputs[key] for key in keys)
        if known in seen:
            yield f"{rule.name}: a second rule for {known}"
        seen.add(known)


def groups_are_closed_inside(resources: Sequence[Recorded]) -> Iterator[str]:
    """Members of a security group do not talk to each other unasked."""
    for group in _kind(resources, "SecurityGroup"):
        if group.inputs.get("innerAccessPolicy") != "Drop":
            yield f"{group.name}: members reach each other"


def nobody_logs_in_by_password(resources: Sequence[Recorded]) -> Iterator[str]:
    """No password on a machine or node pool."""
    for resource in resources:
        for key in ("password", "kmsEncryptedPassword", "passwordInherit"):
            if resource.package == "alicloud" and key in resource.inputs:
                yield f"{resource.name}: {key}"


def metadata_wants_a_token(resources: Sequence[Recorded]) -> Iterator[str]:
    """A forged request of a workspace's server must not read the machine's identity."""
    for machine in _kind(resources, "Instance"):
        if machine.inputs.get("httpTokens") != "required":
            yield f"{machine.name}: metadata without a token"
    for pool in _kind(resources, "NodePool"):
        if pool.inputs.get("instanceMetadataOptions") != {"httpTokens": "required"}:
            yield f"{pool.name}: metadata without a token"


def machines_have_no_second_address(resources: Sequence[Recorded]) -> Iterator[str]:
    """A bandwidth on the machine would give it an address of its own, past the plan."""
    for machine in _kind(resources, "Instance"):
        if machine.inputs.get("internetMaxBandwidthOut"):
            yield f"{machine.name}: public address of its own"


def disks_are_encrypted(resources: Sequence[Recorded]) -> Iterator[str]:
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


def data_is_retained(resources: Sequence[Recorded]) -> Iterator[str]:
    """`destroy` never takes what users wrote."""
    for kind in _KEEPS_DATA:
        for resource in _kind(resources, kind):
            if not resource.options.retain_on_delete:
                yield f"{resource.name}: deleted by destroy"


def user_data_holds_no_secret(resources: Sequence[Recorded]) -> Iterator[str]:
    """Anything on the machine reads user data and commands: no key, no secret value."""
    secrets = [value for resource in resources for value in _secret_values(resource)]
    for resource in resources:
        environment = resource.inputs.get("environment", {})
        sent = {"userData": resource.inputs.get("userData"), **_sent(environment)}
        for key, value in sent.items():
            if value is None:
                continue
            text = decoded(str(value))
            if "PRIVATE KEY" in text or any(secret in text for secret in secrets):
                yield f"{resource.name}: a secret in {key}"


def keys_are_secret(resources: Sequence[Recorded]) -> Iterator[str]:
    """Private keys and passwords are marked, so that the state encrypts them."""
    for resource in resources:
        for key, value in _flat(resource.inputs):
            if "PRIVATE KEY-----" in str(value) and not resource.is_secret(key):
                yield f"{resource.name}: {key} is not marked secret"


def rights_are_named(resources: Sequence[Recorded]) -> Iterator[str]:
    """No policy allows everything."""
    for policy in _kind(resources, "Policy"):
        text = policy.inputs["policyDocument"]
        if '"*"' in text or ":*" in text.split('"Resource"')[0]:
            yield f"{policy.name}: a wildcard action or resource"


POLICIES = MappingProxyType(
    {
        rule.__name__: rule
        for rule in cast(
            "tuple[Rule, ...]",
            (
                openings_are_narrow,
                openings_are_unique,
                groups_are_closed_inside,
                nobody_logs_in_by_password,
                metadata_wants_a_token,
                machines_have_no_second_address,
                disks_are_encrypted,
                data_is_retained,
                user_data_holds_no_secret,
                keys_are_secret,
                rights_are_named,
            ),
        )
    }
)


def offences(resources: Sequence[Recorded]) -> list[str]:
    """Return every offence against every policy."""
    return [line for rule in POLICIES.values() for line in rule(resources)]


def decoded(text: str) -> str:
    """Return user data or a command as the machine reads it, archives opened."""
    raw = base64.b64decode(text)
    if raw[:2] == b"\x1f\x8b":
        return gzip.decompress(raw).decode()
    script = raw.decode()
    if "<<'END'" in script:
        packed = script.split("<<'END'", 1)[1].split("\n", 1)[1].split("\nEND", 1)[0]
        script += gzip.decompress(base64.b64decode(packed)).decode()
    return script


def _sent(environment: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in environment.items() if key == "FLEET_COMMAND"}


def _kind(resources: Sequence[Recorded], kind: str) -> Iterator[Recorded]:
    found = (r for r in resources if r.package == "alicloud" and not r.is_provider)
    return (r for r in found if r.typ.rsplit(":", 1)[-1] == kind)


def _secret_values(resource: Recorded) -> Iterator[str]:
    flat = dict(_flat(resource.inputs))
    shortest = 6
    for key, value in flat.items():
        # One secret variable marks all of a command's environment, its public host included.
        marked = resource.is_secret(key) and not re.fullmatch(r"[0-9.]+", str(value))
        if marked and isinstance(value, str) and len(value) >= shortest:
            yield value


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in cast("dict[str, Any]", value).items():
            yield from _flat(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for n, inner in enumerate(cast("list[Any]", value)):
            yield from _flat(inner, f"{path}.{n}")
    else:
        yield path, value
