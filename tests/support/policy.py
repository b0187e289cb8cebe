"""Rules that hold for everything a program declares, as plain functions over the record.

Each returns one line for each offence. Leaves out: what the SDK or the engine would refuse
(`engine`), and rules of Kubernetes objects.
"""

from __future__ import annotations

import base64
import gzip
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, cast

from policy.alicloud import RULES
from tests.support.recorded import Recorded

Rule = Callable[[Sequence[Recorded]], Iterator[str]]

_KEEPS_DATA = ("EcsDisk", "FileSystem", "RegistryEnterpriseRepo")


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


POLICIES: MappingProxyType[str, Rule] = MappingProxyType(
    {
        **RULES,
        **{
            rule.__name__: rule
            for rule in (data_is_retained, user_data_holds_no_secret, keys_are_secret)
        },
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
