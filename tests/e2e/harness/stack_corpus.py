"""A stack file with every key, and every way to break one of them, with the message to expect.

Wrong types, unknown keys and missing keys are generated from the file and its models; rules that
span keys are written out in the tests.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from fleet.config import StackConfig

Path = tuple[str | int, ...]

WHOLE: dict[str, Any] = {
    "cluster": {"kind": "existing", "context": "somewhere"},
    "image": {
        "mode": "buildkit",
        "opencodeVersion": "1.18.33",
        "repository": "registry.example.com/team/runtime",
        "push": True,
        "platforms": ["linux/amd64", "linux/arm64"],
        "npmRegistry": "https://npm.example.com",
        "debianMirror": "https://debian.example.com",
        "extraToolchains": ["go"],
        "pullSecret": "registry",
        "builder": {"name": "remote"},
        "cacheFrom": ["type=registry,ref=registry.example.com/cache"],
        "cacheTo": ["type=inline"],
        "timeoutMinutes": 20,
        "retries": 2,
    },
    "access": {
        "domain": "fleet.example.com",
        "tls": "certManager",
        "port": 8443,
        "route": "httpRoute",
        "gateway": {"name": "public", "namespace": "gateways"},
        "clusterIssuer": "letsencrypt",
        "controller": {"namespace": "ingress-nginx", "podLabels": {"app": "nginx"}},
    },
    "model": {
        "provider": "openai",
        "baseUrl": "https://api.openai.com/v1",
        "name": "gpt-5",
        "smallName": "gpt-5-mini",
        "contextTokens": 100_000,
        "outputTokens": 10_000,
        "apiKey": "modelApiKey",
    },
    "profiles": {
        "large": {
            "cpu": {"request": "500m", "limit": "4"},
            "memory": {"request": "1Gi", "limit": "4Gi"},
            "storage": "20Gi",
            "ephemeralStorage": "8Gi",
        }
    },
    "scenes": {"coding": {"path": "scenes/coding"}, "nas": {"nasPath": "scenes/nas"}},
    "pools": {"team": {"quota": {"cpu": "10", "memory": "20Gi", "storage": "500Gi"}}},
    "storage": {
        "mode": "shared",
        "className": "fast",
        "shared": {
            "size": "100Gi",
            "nas": {"server": "nas.example.com", "path": "/share", "driver": "nfs"},
        },
    },
    "network": {
        "allow": [{"cidr": "10.1.2.3/32", "port": 8000}],
        "deny": ["203.0.113.0/24"],
        "dns": {"namespace": "kube-system", "podLabels": {"k8s-app": "kube-dns"}},
    },
    "users": [
        {
            "id": "alice",
            "displayName": "Alice",
            "scenes": ["coding", "nas"],
            "profile": "large",
            "pool": "team",
            "state": "active",
            "passwordVersion": 3,
        },
        {"id": "bob"},
    ],
    "purge": ["carol"],
}

# Keys whose mappings are named by the operator: any key is right there.
_NAMED = frozenset({"profiles", "scenes", "pools", "podLabels"})
_REQUIRED: tuple[Path, ...] = (
    ("cluster",),
    ("cluster", "kind"),
    ("cluster", "context"),
    ("access",),
    ("access", "domain"),
    ("access", "tls"),
    ("access", "gateway", "name"),
    ("access", "gateway", "namespace"),
    ("access", "controller", "namespace"),
    ("model", "provider"),
    ("model", "baseUrl"),
    ("model", "name"),
    ("profiles", "large", "cpu", "request"),
    ("profiles", "large", "cpu", "limit"),
    ("profiles", "large", "memory", "request"),
    ("profiles", "large", "memory", "limit"),
    ("storage", "shared", "nas", "server"),
    ("network", "allow", 0, "cidr"),
    ("network", "allow", 0, "port"),
    ("network", "dns", "namespace"),
    ("users",),
    ("users", 1, "id"),
)


@dataclass(frozen=True, kw_only=True)
class Broken:
    """A broken stack file and the beginning of a line it must give."""

    name: str
    config: dict[str, Any]
    expected: str


def written(path: Path) -> str:
    """Return a path as problem lines write it."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def changed(path: Path, value: object) -> dict[str, Any]:
    """Return the whole file with one value replaced; `...` removes it."""
    config = copy.deepcopy(WHOLE)
    place: Any = config
    for part in path[:-1]:
        place = place[part]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return config


def walk(value: object, path: Path = ()) -> Iterator[tuple[Path, object]]:
    """Yield every place of a file with its value."""
    if path:
        yield path, value
    if isinstance(value, dict):
        for key, item in cast("dict[str, object]", value).items():
            yield from walk(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(cast("list[object]", value)):
            yield from walk(item, (*path, index))


def _wrong(value: object) -> tuple[object, str]:
    if isinstance(value, dict):
        return "text", "text: a mapping is expected: "
    if isinstance(value, list):
        return "text", "text: a list is expected: "
    if isinstance(value, bool):
        return [1], "a list: true or false is expected: "
    if isinstance(value, int):
        return "seven", "seven: a whole number is expected: "
    return {"a": 1}, "a mapping: "


def generated() -> Iterator[Broken]:
    """Yield a wrong type for every key, an unknown key for every mapping, every missing key."""
    for path, value in walk(WHOLE):
        bad, said = _wrong(value)
        key = written(path)
        yield Broken(name=f"type-{key}", config=changed(path, bad), expected=f"{key}: {said}")
        if isinstance(value, dict) and path[-1] not in _NAMED:
            inner = (*path, "colour")
            expected = f"{written(inner)}: a text: unknown key: "
            yield Broken(name=f"key-{key}", config=changed(inner, "blue"), expected=expected)
    for path in _REQUIRED:
        key = written(path)
        expected = f"{key}: missing: this key is required: add it"
        if path == ("cluster", "kind"):
            expected = f"{key}: "
        yield Broken(name=f"missing-{key}", config=changed(path, ...), expected=expected)


def unwritten() -> set[str]:
    """Return top-level keys of the models that the whole file lacks."""
    keys = {field.alias or name for name, field in StackConfig.model_fields.items()}
    return keys - WHOLE.keys()
