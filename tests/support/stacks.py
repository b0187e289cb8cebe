"""Stack files for tests: a small valid one, one with every key, and one change to either."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

import yaml

from fleet.errors import InputError
from fleet.names import PROJECT
from fleet.stackfile.config import StackConfig
from fleet.stackfile.reading import Environment, Written, load, read
from fleet.stackfile.unsealing import unseal

Values = dict[str, Any]

SMALL: Values = {
    "cluster": {"kind": "existing", "context": "test"},
    "access": {"domain": "fleet.localhost", "tls": "none"},
    "users": [{"id": "alice"}, {"id": "bob"}],
}
OPTIONS: Values = {
    "env": {"SIZE": "large"},
    "secretEnv": {"LARGE_TOKEN": "jiraToken"},
    "mounts": [{"path": "/mnt/large", "configMap": "large"}],
    "models": {"default": "openai/gpt-5", "allowed": ["openai"]},
    "nodeSelector": {"size": "large"},
    "tolerations": [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}],
    "topologySpread": [{"key": "topology.kubernetes.io/zone", "maxSkew": 2, "required": True}],
    "runtimeClassName": "gvisor",
    "priorityClassName": "high",
    "resources": {"nvidia.com/gpu": 1},
    "hostUsers": False,
}
"""What a profile has beside its size."""
FULL: Values = {
    "cluster": {"kind": "existing", "context": "test"},
    "image": {
        "mode": "buildkit",
        "opencodeVersion": "1.18.33",
        "repository": "registry.example.com/team/runtime",
        "push": True,
        "platforms": ["linux/amd64", "linux/arm64"],
        "baseImage": "node:22-bookworm-slim",
        "npmRegistry": "https://npm.example.com",
        "pypiIndex": "https://pypi.example.com/simple",
        "debianMirror": "http://deb.example.com/debian",
        "extraToolchains": ["go"],
        "pullSecret": "registry-login",
        "builder": {"name": "remote"},
        "cacheFrom": ["type=registry,ref=registry.example.com/team/cache"],
        "cacheTo": ["type=inline"],
        "timeoutMinutes": 20,
        "retries": 2,
    },
    "access": {
        "domain": "fleet.localhost",
        "tls": "none",
        "port": 7080,
        "route": "ingress",
        "className": "nginx",
        "controller": {"namespace": "ingress-nginx", "podLabels": {"app": "controller"}},
        "signIn": {
            "mode": "password",
            "sessions": {"idle": "12h", "absolute": "7d", "version": 1},
        },
        "trustedProxies": ["10.0.0.0/8"],
    },
    "door": {
        "replicas": 2,
        "cpu": {"request": "50m", "limit": 1},
        "memory": {"request": "96Mi", "limit": "384Mi"},
        "notice": "Maintenance on Friday",
    },
    "idle": {
        "suspendAfter": "8h",
        "hours": {
            "zone": "Asia/Shanghai",
            "days": ["mon", "tue"],
            "start": "08:00",
            "end": "19:00",
        },
    },
    # A secret that the file has anyway.
    "agentControl": {"tokens": [{"name": "main", "secret": "modelApiKey"}]},
    "providers": {
        "openai": {
            "kind": "openai-compatible",
            "name": "Company",
            "baseUrl": "https://api.openai.com/v1",
            "apiKey": "modelApiKey",
            "options": {"timeout": 600000},
            "headers": {"X-Team": "fleet"},
            "models": {
                "gpt-5": {
                    "name": "GPT 5",
                    "contextTokens": 100000,
                    "outputTokens": 8000,
                    "input": ["text", "image"],
                    "reasoning": True,
                },
                "gpt-5-mini": {},
            },
        },
    },
    "models": {"default": "openai/gpt-5", "small": "openai/gpt-5-mini"},
    "managedConfig": {"instructions": ["/mnt/rules.md"]},
    "env": {"JIRA_URL": "https://jira.example.com"},
    "secretEnv": {"JIRA_TOKEN": "jiraToken"},
    "mounts": [
        {"path": "/mnt/papers", "claim": "papers", "subPath": "all", "readOnly": False},
        {"path": "/mnt/rules", "configMap": "rules"},
        {"path": "/mnt/licence", "secret": "licence"},
        {"path": "/mnt/nas", "nfs": {"server": "nas.example.com", "path": "/data"}},
        {"path": "/mnt/models", "csi": {"driver": "csi.example.com", "attributes": {"a": "b"}}},
    ],
    "git": {
        "hosts": {
            "forge": {"token": "gitToken", "username": "oauth2", "sshKey": "gitKey"},
        },
        "knownHosts": ["git.example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA"],
    },
    "profiles": {
        "standard": {
            "cpu": {"request": "250m", "limit": 2},
            "memory": {"request": "512Mi", "limit": "2Gi"},
            "storage": "10Gi",
            "ephemeralStorage": "4Gi",
            **OPTIONS,
        },
        "large": {
            "cpu": {"request": 1, "limit": 4},
            "memory": {"request": "2Gi", "limit": "8Gi"},
            **OPTIONS,
            "idle": {"suspendAfter": "never"},
        },
    },
    "scenes": {
        "coding": {
            "path": "scenes/coding",
            "title": "Coding",
            "description": "Code with care.",
            "mounts": [{"path": "/mnt/coding", "configMap": "coding"}],
        },
        "papers": {"nasPath": "shared/papers", "version": 3},
    },
    "pools": {"default": {"quota": {"cpu": 20, "memory": "64Gi", "storage": "500Gi"}}, "lab": {}},
    "storage": {
        "mode": "shared",
        "className": "fast",
        "shared": {
            "size": "200Gi",
            "className": "nas",
            "nas": {"server": "nas.example.com", "path": "/fleet", "driver": "csi"},
        },
    },
    "network": {
        "internet": True,
        "proxy": {
            "http": "http://proxy.example.com:3128",
            "https": "http://proxy.example.com:3129",
            "no": [".example.com"],
        },
        "allow": [
            {"cidr": "10.1.2.3/32", "port": 8000},
            {"namespace": "ai", "podLabels": {"app": "litellm"}, "port": 4000},
        ],
        "deny": ["47.0.0.0/16"],
        "dns": {"namespace": "kube-system", "podLabels": {"k8s-app": "kube-dns"}},
        "dnsAddresses": ["169.254.20.10"],
    },
    "users": [
        {
            "id": "alice",
            "displayName": "Alice",
            "login": "alice@example.com",
            "admin": True,
            "scenes": ["coding", "papers"],
            "profile": "large",
            "pool": "lab",
            "state": "active",
            "passwordVersion": 2,
            "apiKeys": {"openai": "aliceApiKey"},
            "env": {"TEAM": "lab"},
            "secretEnv": {"ALICE_TOKEN": "jiraToken"},
            "mounts": [{"path": "/mnt/alice", "claim": "alice-data"}],
            "models": {"small": "openai/gpt-5-mini", "allowed": ["openai/gpt-5-mini", "openai"]},
            "git": {
                "name": "Alice",
                "email": "alice@example.com",
                "hosts": {"forge": {"token": "gitToken"}},
            },
            "idle": {"suspendAfter": "4h"},
        },
        {"id": "bob", "scenes": ["coding"], "state": "suspended"},
    ],
    "stacks": {"per": "environment"},
    "purge": ["carol"],
}
SECRETS = frozenset({"modelApiKey", "aliceApiKey", "jiraToken", "gitToken", "gitKey"})
MODEL: Values = {
    "providers": {
        "openai": {
            "kind": "openai-compatible",
            "baseUrl": "https://api.openai.com/v1",
            "apiKey": "modelApiKey",
            "models": {"gpt-5": {}},
        }
    },
    "models": {"default": "openai/gpt-5"},
}
"""The keys of one provider with one model."""

Path_ = tuple[str | int, ...]
_KEYS = ", ".join(sorted(field.alias or key for key, field in StackConfig.model_fields.items()))


def keys_of(path: str) -> Path_:
    """Return `users[0].id` as ("users", 0, "id")."""
    parts = re.findall(r"\[(\d+)\]|([^.\[\]]+)", path)
    return tuple(int(index) if index else name for index, name in parts)


def with_value(values: Values, path: str, value: object) -> Values:
    """Return a copy of `values` with one place set; mappings on the way are made."""
    changed = copy.deepcopy(values)
    *way, last = keys_of(path)
    place: Any = changed
    for part in way:
        place = place[part] if isinstance(part, int) else place.setdefault(part, {})
    if isinstance(last, int) and last == len(place):
        place.append(value)
    else:
        place[last] = value
    return changed


def without(values: Values, path: str) -> Values:
    """Return a copy of `values` without one place."""
    changed = copy.deepcopy(values)
    *way, last = keys_of(path)
    place: Any = changed
    for part in way:
        place = place[part]
    del place[last]
    return changed


class _Plain(yaml.CSafeDumper):
    """Writes a value out as often as it stands there: stack files have no aliases."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the name is PyYAML's
        """Return that no value becomes an alias."""
        return True


def text_of(values: Mapping[str, object], **others: object) -> str:
    """Return values as the text of a stack file; `others` are top-level keys beside `config:`."""
    config = {f"{PROJECT}:{key}": value for key, value in values.items()}
    return yaml.dump(
        {"config": config, **others}, Dumper=_Plain, sort_keys=False, allow_unicode=True
    )


def lines_of(values: Values, folder: Path, secrets: frozenset[str] = frozenset()) -> list[str]:
    """Return the problem lines of values, none when they are valid."""
    try:
        environment_of(values, folder, secrets)
    except InputError as error:
        return [str(problem) for problem in error.problems]
    return []


def lines_of_file(text: str | bytes, folder: Path) -> list[str]:
    """Return the problem lines of `Pulumi.test.yaml` with this content, none when it is valid."""
    data = text if isinstance(text, bytes) else text.encode()
    (folder / "Pulumi.test.yaml").write_bytes(data)
    try:
        load("test", folder)
    except InputError as error:
        return [str(problem) for problem in error.problems]
    return []


def unsealed_lines(text: str, folder: Path, passphrase: str | None = None) -> list[str]:
    """Return the problem lines of opening the secrets of a stack file with this content."""
    (folder / "Pulumi.test.yaml").write_text(text, encoding="utf-8")
    try:
        unseal("test", folder, lambda: passphrase)
    except InputError as error:
        return [str(problem) for problem in error.problems]
    return []


def secrets_of(values: Values) -> frozenset[str]:
    """Return those of `SECRETS` that values refer to, and what a door is told by default."""
    named = {name for name in (*SECRETS, "controlToken") if f"'{name}'" in repr(values)}
    by_default = (
        {"oidcClientSecret"} if "oidc" in values["access"].get("signIn", {}) else set[str]()
    )
    return frozenset(named | by_default)


def environment_of(
    values: Values, folder: Path, secrets: frozenset[str] = frozenset()
) -> Environment:
    """Return the environment `test` of valid values."""
    return read(Written(name="test", folder=folder, values=values, sealed=secrets))


def shipped(folder: Path) -> list[Path]:
    """Return the stack files that come with the project."""
    return sorted(folder.glob("Pulumi.*.yaml"))


def shipped_values(path: Path) -> Values:
    """Return the structured values of a stack file, unchecked."""
    content = cast("dict[str, Any]", yaml.safe_load(path.read_text(encoding="utf-8")))
    keys = {field.alias or name for name, field in StackConfig.model_fields.items()}
    found = {key.removeprefix(f"{PROJECT}:"): item for key, item in content["config"].items()}
    return {key: item for key, item in found.items() if key in keys}


def lay_scene(folder: Path) -> None:
    """Lay the smallest scene that is accepted."""
    (folder / ".opencode" / "agents").mkdir(parents=True)
    (folder / "AGENTS.md").write_text("Work.\n", encoding="utf-8")
    (folder / ".opencode" / "opencode.json").write_text("{}\n", encoding="utf-8")
    agent = "---\ndescription: reviews\n---\nReview.\n"
    (folder / ".opencode" / "agents" / "review.md").write_text(agent, encoding="utf-8")


@cache
def corpus(name: str) -> list[dict[str, Any]]:
    """Return the cases of a file in corpus/; `<N*text>` becomes text written N times.

    `<keys>` becomes the top-level keys of a stack file, as a message lists them.
    """
    path = Path(__file__).parent / "corpus" / name
    cases = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    return cast("list[dict[str, Any]]", _long(cases))


def _long(value: Any) -> Any:
    if isinstance(value, str):
        value = value.replace("<keys>", _KEYS)
        return re.sub(r"<(\d+)\*([^>]+)>", lambda found: found[2] * int(found[1]), value)
    if isinstance(value, list):
        return [_long(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {key: _long(item) for key, item in cast("dict[str, Any]", value).items()}
    return value


INTERNALS = ("[key]", "function-", "tagged-union", "Input should", "Traceback", "mend the value")


def unclear(line: str, given: str = "") -> list[str]:
    """Return what is wrong with a problem line: it is one line of key: value: rule: change.

    What stands in the file itself (`given`) may stand in a line about it.
    """
    found = [word for word in INTERNALS if word in line and word not in given]
    if not line.isprintable():
        found.append("not one printable line")
    if line.count(": ") < 3:
        found.append("fewer than four parts")
    if len(line) > 900:
        found.append("too long")
    return found
