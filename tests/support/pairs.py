"""For every leaf of a stack file: two valid files that differ in it only, and where that shows.

To add a key, add a line to `PAIRS`: the leaf's path as `leaves` writes it, and a `Pair` with the
place in a file, a value, and the channel that shows the difference. `base` is a file without the
value (or with another one); `with_more` is what has to stand in both for the key to count. Channels
are in `tests/stackfile/test_every_key_counts.py`. Long because the stack file has three hundred
leaves.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.stacks import SMALL, Values, with_value

MISSING = object()
"""In `before`: the key does not stand in the first file."""
_SHARED: Values = {"region": "ap-southeast-1", "webCidrs": ["203.0.113.0/24"]}
_USERS: Values = {"access": {"domain": "fleet.example.com", "tls": "selfSigned"}, "users": []}
_PUSHED: Values = {
    "mode": "daemon",
    "push": True,
    "repository": "registry.example.com/fleet/runtime",
    "platforms": ["linux/amd64", "linux/arm64"][:1],
}
BASES: Mapping[str, Values] = {
    "existing": {**SMALL, "scenes": {"coding": {"path": "scenes/coding"}}},
    "vm": {
        **_USERS,
        "cluster": {
            **_SHARED,
            "kind": "vm",
            "zone": "ap-southeast-1c",
            "adminCidrs": ["203.0.113.7/32"],
        },
    },
    "ack": {
        **_USERS,
        "image": _PUSHED,
        "cluster": {
            **_SHARED,
            "kind": "ack",
            "zones": ["ap-southeast-1b", "ap-southeast-1c"],
            "nodePools": [{"name": "base", "types": ["ecs.g7.xlarge"]}],
        },
    },
}


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One leaf, twice."""

    base: str
    place: str
    before: Any = MISSING
    after: Any
    shows: str
    with_more: Mapping[str, Any] = field(default_factory=dict[str, Any])
    secrets: tuple[str, ...] = ()
    says: str = ""
    """What a refusal names, where that is another key."""

    def files(self) -> tuple[Values, Values]:
        """Return both files."""
        common = copy.deepcopy(dict(BASES[self.base]))
        for place, value in self.with_more.items():
            common = with_value(common, place, value)
        first = common
        if self.before is not MISSING:
            first = with_value(common, self.place, self.before)
        return first, with_value(common, self.place, self.after)


def _pair(base: str, place: str, values: tuple[Any, Any], shows: str, **more: Any) -> Pair:
    secrets = more.pop("secrets", ())
    return Pair(
        base=base,
        place=place,
        before=values[0],
        after=values[1],
        shows=shows,
        with_more={key.replace("__", "."): value for key, value in more.items()},
        secrets=secrets,
    )


def _existing(place: str, before: Any, after: Any, shows: str = "objects", **more: Any) -> Pair:
    return _pair("existing", place, (before, after), shows, **more)


_IMAGE_BUILDKIT: dict[str, Any] = {
    "image": {"mode": "buildkit", "push": True, "repository": "registry.example.com/a/b"}
}
_NAS: dict[str, Any] = {"storage": {"shared": {"nas": {"server": "10.0.0.9", "path": "/fleet"}}}}
_HTTP: dict[str, Any] = {
    "access": {
        "domain": "fleet.example.com",
        "tls": "gateway",
        "route": "httpRoute",
        "gateway": {"name": "public", "namespace": "gateways"},
    }
}
_MODEL: dict[str, Any] = {
    "providers": {
        "openai": {
            "kind": "openai-compatible",
            "baseUrl": "https://api.openai.com/v1",
            "models": {"gpt-5": {}, "gpt-6": {}},
        }
    },
    "models": {"default": "openai/gpt-5"},
}
_OIDC: dict[str, Any] = {
    "access.signIn": {
        "mode": "oidc",
        "oidc": {
            "issuer": "https://id.example.com",
            "clientId": "fleet",
            "clientSecret": "oidcClientSecret",
        },
    }
}
_HEADER: dict[str, Any] = {
    "access.signIn": {"mode": "header", "header": {"peers": ["10.0.0.0/24"]}},
    "access.trustedProxies": ["10.42.0.0/24"],
}
_ISSUED: dict[str, Any] = {
    "access": {"domain": "fleet.example.com", "tls": "certManager", "clusterIssuer": "x"}
}
_HOURS: Values = {"zone": "Asia/Shanghai", "days": ["mon"], "start": "08:00", "end": "19:00"}
_KNOWN_HOST = "git.example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA"
_CODING: dict[str, Any] = {"users": [{"id": "alice", "scenes": ["coding"]}]}
_PREBUILT = "registry.example.com/team/runtime@sha256:" + 64 * "0"
_MADE: dict[str, Any] = {
    "image": {"mode": "prebuilt", "reference": _PREBUILT},
    "door": {"reference": _PREBUILT},
}


def _plain() -> dict[str, Pair]:
    return {
        "cluster(existing).context": _existing("cluster.context", "test", "other", "context"),
        "image.mode": _existing("image.mode", "daemon", "buildkit", "image"),
        "image.opencodeVersion": _existing("image.opencodeVersion", "1.18.32", "1.18.33", "image"),
        "image.repository": _existing("image.repository", "a/b", "a/c", "image"),
        "image.push": _existing(
            "image.push", False, True, "image", image__repository="registry.example.com/a/b"
        ),
        "image.platforms": _existing("image.platforms", ["linux/amd64"], ["linux/arm64"], "image"),
        "image.baseImage": _existing("image.baseImage", "node:22-a", "node:22-b", "image"),
        "image.npmRegistry": _existing("image.npmRegistry", MISSING, "https://n.x.com", "image"),
        "image.pypiIndex": _existing("image.pypiIndex", MISSING, "https://p.x.com", "image"),
        "image.debianMirror": _existing("image.debianMirror", MISSING, "http://d.x.com", "image"),
        "image.extraToolchains": _existing("image.extraToolchains", [], ["go"], "image"),
        "image.reference": _existing(
            "image.reference", _PREBUILT, _PREBUILT[:-1] + "1", "image", **_MADE
        ),
        "image.pullSecret": _existing("image.pullSecret", MISSING, "login"),
        "image.builder.name": _existing(
            "image.builder.name", MISSING, "remote", "image", **_IMAGE_BUILDKIT
        ),
        "image.cacheFrom": _existing(
            "image.cacheFrom", [], ["type=local,src=x"], "image", **_IMAGE_BUILDKIT
        ),
        "image.cacheTo": _existing(
            "image.cacheTo", [], ["type=local,dest=x"], "image", **_IMAGE_BUILDKIT
        ),
        "image.timeoutMinutes": _existing("image.timeoutMinutes", 30, 31, "image"),
        "image.retries": _existing("image.retries", 0, 2, "image"),
        "access.domain": _existing("access.domain", "a.localhost", "b.localhost"),
        "access.tls": _existing(
            "access.tls", "none", "selfSigned", access__domain="fleet.localhost"
        ),
        "access.port": _existing("access.port", MISSING, 7080, "plan"),
        "access.className": _existing("access.className", MISSING, "nginx"),
        "access.gateway.name": _existing("access.gateway.name", "public", "other", **_HTTP),
        "access.gateway.namespace": _existing("access.gateway.namespace", "a", "b", **_HTTP),
        "access.gateway.sectionName": _existing(
            "access.gateway.sectionName", MISSING, "https", **_HTTP
        ),
        "access.challenge": _existing("access.challenge", "http01", "dns01", **_ISSUED),
        "access.trustedProxies": _existing(
            "access.trustedProxies", ["10.1.0.0/16"], ["10.2.0.0/16"]
        ),
        "access.tlsSecretName": _existing(
            "access.tlsSecretName",
            "one",
            "two",
            access={"domain": "fleet.example.com", "tls": "secret", "tlsSecretName": "x"},
        ),
        "access.clusterIssuer": _existing(
            "access.clusterIssuer",
            "one",
            "two",
            **_ISSUED,
        ),
        "access.controller.namespace": _existing(
            "access.controller", {"namespace": "a"}, {"namespace": "b"}
        ),
        "access.controller.podLabels": _existing(
            "access.controller.podLabels",
            {"app": "a"},
            {"app": "b"},
            access__controller={"namespace": "a"},
        ),
        **{
            f"profiles{{}}.{key}": _existing(f"profiles.standard.{key}", before, after)
            for key, before, after in (
                ("cpu", {"request": "250m", "limit": 2}, {"request": "300m", "limit": 2}),
                ("storage", "10Gi", "11Gi"),
                ("ephemeralStorage", "4Gi", "5Gi"),
            )
        },
        **{
            f"profiles{{}}.{part}.{key}": _existing(
                f"profiles.standard.{part}",
                values,
                {**values, key: after},
            )
            for part, values, key, after in (
                ("cpu", {"request": "250m", "limit": 2}, "request", "300m"),
                ("cpu", {"request": "250m", "limit": 2}, "limit", 3),
                ("memory", {"request": "512Mi", "limit": "2Gi"}, "request", "600Mi"),
                ("memory", {"request": "512Mi", "limit": "2Gi"}, "limit", "3Gi"),
            )
        },
        "scenes{}.path": _existing(
            "scenes.coding.path",
            "scenes/coding",
            "scenes/research",
            users=[{"id": "alice", "scenes": ["coding"]}],
        ),
        "scenes{}.title": _existing("scenes.coding.title", "One", "Two", **_CODING),
        "scenes{}.description": _existing("scenes.coding.description", "One", "Two", **_CODING),
        "scenes{}.version": _existing(
            "scenes.papers",
            {"nasPath": "a", "version": 1},
            {"nasPath": "a", "version": 2},
            **_NAS,
            users=[{"id": "alice", "scenes": ["papers"]}],
        ),
        "scenes{}.nasPath": _existing(
            "scenes.papers.nasPath",
            "a",
            "b",
            **_NAS,
            users=[{"id": "alice", "scenes": ["papers"]}],
        ),
        **{
            f"pools{{}}.quota.{key}": _existing(f"pools.default.quota.{key}", before, after)
            for key, before, after in (
                ("cpu", 20, 30),
                ("memory", "64Gi", "65Gi"),
                ("storage", "500Gi", "501Gi"),
            )
        },
        "storage.mode": _existing("storage.mode", "claim", "shared", storage__shared={}),
        "storage.className": _existing("storage.className", MISSING, "fast"),
        "storage.shared.size": _existing("storage.shared.size", "100Gi", "200Gi"),
        "storage.shared.className": _existing(
            "storage.shared.className", MISSING, "nas", storage__shared={"size": "100Gi"}
        ),
        "storage.shared.nas.server": _existing(
            "storage.shared.nas.server", "10.0.0.8", "10.0.0.7", **_NAS
        ),
        "storage.shared.nas.path": _existing("storage.shared.nas.path", "/a", "/b", **_NAS),
        "storage.shared.nas.driver": _existing("storage.shared.nas.driver", "nfs", "csi", **_NAS),
        "network.allow[].cidr": _existing(
            "network.allow",
            [{"cidr": "10.1.2.3/32", "port": 80}],
            [{"cidr": "10.1.2.4/32", "port": 80}],
        ),
        "network.allow[].port": _existing(
            "network.allow",
            [{"cidr": "10.1.2.3/32", "port": 80}],
            [{"cidr": "10.1.2.3/32", "port": 81}],
        ),
        "network.allow[].namespace": _existing(
            "network.allow",
            [{"namespace": "ai", "port": 80}],
            [{"namespace": "git", "port": 80}],
        ),
        "network.allow[].podLabels": _existing(
            "network.allow",
            [{"namespace": "ai", "podLabels": {"app": "a"}, "port": 80}],
            [{"namespace": "ai", "podLabels": {"app": "b"}, "port": 80}],
        ),
        "network.internet": _existing("network.internet", True, False),
        **{
            f"network.proxy.{key}": _existing(
                f"network.proxy.{key}",
                before,
                after,
                network__proxy={"http": "http://proxy.example.com:3128"},
            )
            for key, before, after in (
                ("http", "http://a.example.com:3128", "http://b.example.com:3128"),
                ("https", MISSING, "http://b.example.com:3129"),
                ("no", MISSING, [".example.com"]),
            )
        },
        "network.deny": _existing("network.deny", [], ["47.0.0.0/16"]),
        "network.dns.namespace": _existing("network.dns", {"namespace": "a"}, {"namespace": "b"}),
        "network.dns.podLabels": _existing(
            "network.dns",
            {"namespace": "a", "podLabels": {"k": "a"}},
            {"namespace": "a", "podLabels": {"k": "b"}},
        ),
        "network.dnsAddresses": _existing("network.dnsAddresses", [], ["169.254.20.10"]),
        "users[].id": _existing("users[0].id", "alice", "alicia"),
        "users[].displayName": _existing("users[0].displayName", MISSING, "Alice"),
        "users[].scenes": _existing("users[0].scenes", [], ["coding"]),
        "users[].profile": _existing(
            "users[0].profile", "standard", "large", profiles__large={"storage": "20Gi"}
        ),
        "users[].pool": _existing("users[0].pool", "default", "lab", pools__lab={}),
        "users[].state": _existing("users[0].state", "active", "suspended"),
        "users[].passwordVersion": _existing("users[0].passwordVersion", 1, 2),
        "users[].login": _existing("users[0].login", MISSING, "alice@example.com"),
        "users[].admin": _existing("users[0].admin", False, True),
        "users[].apiKeys": _existing(
            "users[0].apiKeys.openai", "aliceApiKey", "gitToken", "secrets", **_MODEL
        ),
        "purge": _existing("purge", [], ["carol"], "plan"),
    }


def _door() -> dict[str, Pair]:
    """Return the pairs of who may come in, when workspaces sleep, what the door runs on."""
    tokens = "agentControl.tokens"
    return {
        # No two valid files differ in the mode alone: the other's keys count for nothing then.
        "access.signIn.mode": Pair(
            base="existing",
            place="access.signIn.mode",
            before="oidc",
            after="password",
            shows="refused",
            with_more=_OIDC,
            says="access.signIn.oidc",
        ),
        **{
            f"access.signIn.oidc.{key}": _existing(
                f"access.signIn.oidc.{key}", before, after, shows, **_OIDC
            )
            for key, before, after, shows in (
                ("issuer", "https://a.example.com", "https://b.example.com", "objects"),
                ("clientId", "one", "two", "objects"),
                ("clientSecret", "gitToken", "jiraToken", "secrets"),
                ("scopes", ["openid"], ["openid", "email"], "objects"),
                ("claim", "preferred_username", "email", "objects"),
            )
        },
        **{
            f"access.signIn.header.{key}": _existing(
                f"access.signIn.header.{key}", before, after, **_HEADER
            )
            for key, before, after in (
                ("name", "X-Forwarded-User", "X-Remote-User"),
                ("peers", ["10.0.0.0/24"], ["10.0.1.0/24"]),
            )
        },
        **{
            f"access.signIn.sessions.{key}": _existing(
                f"access.signIn.sessions.{key}", before, after
            )
            for key, before, after in (
                ("idle", "12h", "11h"),
                ("absolute", "7d", "6d"),
                ("version", 1, 2),
            )
        },
        **{
            f"door.{key}": _existing(f"door.{key}", before, after)
            for key, before, after in (
                ("replicas", 1, 2),
                ("cpu.request", "50m", "60m"),
                ("cpu.limit", 1, 2),
                ("memory.request", "96Mi", "97Mi"),
                ("memory.limit", "384Mi", "385Mi"),
                ("notice", MISSING, "Maintenance on Friday"),
            )
        },
        "door.reference": _existing(
            "door.reference", _PREBUILT, _PREBUILT[:-1] + "1", "image", **_MADE
        ),
        f"{tokens}[].name": _existing(
            tokens,
            [{"name": "one", "secret": "controlToken"}],
            [{"name": "two", "secret": "controlToken"}],
            "secrets",
        ),
        f"{tokens}[].secret": _existing(
            tokens,
            [{"name": "one", "secret": "controlToken"}],
            [{"name": "one", "secret": "jiraToken"}],
            "secrets",
        ),
        **_idle("idle", "idle"),
        **_idle("profiles{}.idle", "profiles.standard.idle"),
        **_idle("users[].idle", "users[0].idle"),
    }


def _idle(path: str, place: str) -> dict[str, Pair]:
    """Return the pairs of when runtimes sleep, in one of the places where that can stand."""
    changed = (("zone", "Europe/Paris"), ("days", ["tue"]), ("start", "09:00"), ("end", "18:00"))
    return {
        f"{path}.suspendAfter": _existing(f"{place}.suspendAfter", "8h", "9h"),
        **{
            f"{path}.hours.{key}": _existing(f"{place}.hours", _HOURS, {**_HOURS, key: after})
            for key, after in changed
        },
    }


def _providers() -> dict[str, Pair]:
    """Return the pairs of who answers prompts, and of who may ask whom."""
    provider = (
        ("kind", "openai-compatible", "openai", "objects"),
        ("name", MISSING, "Company", "objects"),
        ("baseUrl", "https://a.example.com/v1", "https://b.example.com/v1", "objects"),
        ("apiKey", "modelApiKey", "gitToken", "secrets"),
        ("options", MISSING, {"timeout": 600_000}, "objects"),
        ("headers", MISSING, {"X-Team": "fleet"}, "objects"),
        ("models{}.name", MISSING, "GPT 5", "objects"),
        ("models{}.contextTokens", 100_000, 200_001, "objects"),
        ("models{}.outputTokens", 8000, 9000, "objects"),
        ("models{}.input", ["text"], ["text", "image"], "objects"),
        ("models{}.reasoning", False, True, "objects"),
    )
    choice = (
        ("default", "openai/gpt-5", "openai/gpt-6"),
        ("small", MISSING, "openai/gpt-6"),
        ("allowed", ["openai"], ["openai/gpt-5"]),
    )
    return {
        **{
            f"providers{{}}.{key}": _existing(
                f"providers.openai.{key.replace('{}', '.gpt-5')}", before, after, shows, **_MODEL
            )
            for key, before, after, shows in provider
        },
        **{
            f"{path}.{key}": _existing(f"{place}.{key}", before, after, **_MODEL)
            for path, place, keys in (
                ("models", "models", choice[:2]),
                ("profiles{}.models", "profiles.standard.models", choice),
                ("users[].models", "users[0].models", choice),
            )
            for key, before, after in keys
        },
    }


def _workspaces() -> dict[str, Pair]:
    """Return the pairs of what workspaces get beside their size and their scenes."""
    profile = (
        ("nodeSelector", MISSING, {"size": "large"}),
        ("runtimeClassName", MISSING, "gvisor"),
        ("priorityClassName", MISSING, "high"),
        ("resources", {"nvidia.com/gpu": 1}, {"nvidia.com/gpu": 2}),
        ("hostUsers", MISSING, False),
    )
    taint = {"key": "a", "value": "b", "effect": "NoSchedule"}
    spread = {"key": "topology.kubernetes.io/zone", "maxSkew": 1, "required": False}
    inside = (
        ("tolerations", taint, (("key", "c"), ("value", "c"), ("effect", "NoExecute"))),
        (
            "topologySpread",
            spread,
            (("key", "kubernetes.io/hostname"), ("maxSkew", 2), ("required", True)),
        ),
    )
    found = {
        "managedConfig": _existing(
            "managedConfig", {"instructions": ["/mnt/a.md"]}, {"instructions": ["/mnt/b.md"]}
        ),
        "git.knownHosts": _existing("git.knownHosts", [], [_KNOWN_HOST]),
        "users[].git.name": _existing("users[0].git.name", MISSING, "Alice"),
        "users[].git.email": _existing("users[0].git.email", MISSING, "alice@example.com"),
        **_forge("git.hosts", "git.hosts"),
        **_forge("users[].git.hosts", "users[0].git.hosts"),
        **{
            f"profiles{{}}.{key}": _existing(f"profiles.standard.{key}", before, after)
            for key, before, after in profile
        },
        **{
            f"profiles{{}}.{part}[].{key}": _existing(
                f"profiles.standard.{part}", [values], [{**values, key: after}]
            )
            for part, values, changed in inside
            for key, after in changed
        },
        **_mounts("scenes{}.mounts", "scenes.coding.mounts", **_CODING),
    }
    for path, place in (
        ("", ""),
        ("profiles{}.", "profiles.standard."),
        ("users[].", "users[0]."),
    ):
        found[f"{path}env"] = _existing(f"{place}env", {"SIZE": "one"}, {"SIZE": "two"})
        found[f"{path}secretEnv"] = _existing(
            f"{place}secretEnv", {"JIRA": "jiraToken"}, {"JIRA": "gitToken"}, "secrets"
        )
        found |= _mounts(f"{path}mounts", f"{place}mounts")
    return found


def _forge(path: str, place: str) -> dict[str, Pair]:
    """Return the pairs of what opens a forge."""
    before = {"token": "gitToken", "username": "one", "sshKey": "gitKey"}
    changed = (
        ("token", "jiraToken", "secrets"),
        ("username", "two", "objects"),
        ("sshKey", "jiraToken", "secrets"),
    )
    return {
        f"{path}{{}}.{key}": _existing(f"{place}.forge", before, {**before, key: after}, shows)
        for key, after, shows in changed
    }


def _mounts(path: str, place: str, **more: Any) -> dict[str, Pair]:
    """Return the pairs of mounts, in one of the places where they can stand."""
    nfs = {"server": "a.example.com", "path": "/a"}
    csi = {"driver": "a.example.com", "attributes": {"a": "a"}}
    pairs: tuple[tuple[str, Values, Values], ...] = (
        ("path", {"path": "/mnt/a", "claim": "a"}, {"path": "/mnt/b"}),
        ("claim", {"claim": "a"}, {"claim": "b"}),
        ("configMap", {"configMap": "a"}, {"configMap": "b"}),
        ("secret", {"secret": "a"}, {"secret": "b"}),
        ("nfs.server", {"nfs": nfs}, {"nfs": {**nfs, "server": "b.example.com"}}),
        ("nfs.path", {"nfs": nfs}, {"nfs": {**nfs, "path": "/b"}}),
        ("csi.driver", {"csi": csi}, {"csi": {**csi, "driver": "b.example.com"}}),
        ("csi.attributes", {"csi": csi}, {"csi": {**csi, "attributes": {"a": "b"}}}),
        ("subPath", {"claim": "a"}, {"subPath": "part"}),
        ("readOnly", {"claim": "a"}, {"readOnly": False}),
    )
    return {
        f"{path}[].{key}": _existing(
            place,
            [{"path": "/mnt/a", **before}],
            [{"path": "/mnt/a", **before, **after}],
            **more,
        )
        for key, before, after in pairs
    }


_REUSE_VM: dict[str, Any] = {"vpcId": "vpc-t4n0mine0001", "vswitchIds": ["vsw-t4n0mine000c"]}
_REUSE_ACK: dict[str, Any] = {
    "vpcId": "vpc-t4n0mine0001",
    "vswitchIds": ["vsw-t4n0mine000b", "vsw-t4n0mine000c"],
    "podVswitchIds": ["vsw-t4n0mine001b", "vsw-t4n0mine001c"],
}
_CERTIFICATES: Values = {
    "access": {"domain": "f.example.com", "tls": "certManager", "clusterIssuer": "letsencrypt"},
    "cluster.certificates": {"email": "a@example.com"},
    "cluster.webCidrs": ["0.0.0.0/0"],
}
_DNS01: dict[str, Any] = {
    **_CERTIFICATES,
    "cluster.certificates": {
        "email": "a@example.com",
        "dns01": {"groupName": "acme.example.com", "secretName": "alidns"},
    },
}
_LOGIN: Values = {
    "image": {**_PUSHED, "repository": "registry.example.com/fleet/runtime"},
    "cluster.registry": {"server": "registry.example.com", "username": "puller"},
}
_ACR: dict[str, Any] = {
    **_LOGIN,
    "cluster.registry": {
        "server": "registry.example.com",
        "username": "puller",
        "acr": {"instanceId": "cri-t4n0mine0001"},
    },
}
_ZONE: dict[str, Any] = {"access.domain": "f.example.com", "cluster.dns": {"zone": "example.com"}}
_KEY = "registryPassword"


def _made(kind: str) -> dict[str, Pair]:
    """Return the pairs of the keys that both kinds of cluster have."""

    def pair(
        key: str, before: Any, after: Any, shows: str = "cloud", more: Any = None, **rest: Any
    ) -> Pair:
        return Pair(
            base=kind,
            place=f"cluster.{key}",
            before=before,
            after=after,
            shows=shows,
            with_more=more or {},
            secrets=rest.get("secrets", ()),
            says=rest.get("says", ""),
        )

    cidr = {"cluster.network.vpcCidr": "172.20.0.0/16"}
    login: dict[str, Any] = {"secrets": (_KEY,)}
    found = {
        "profile": pair("profile", MISSING, "work"),
        "accountType": pair("accountType", "International", "Domestic"),
        "accountId": pair("accountId", MISSING, "1234567890123456"),
        "production": pair("production", False, True),
        "network.vpcCidr": pair("network.vpcCidr", "172.20.0.0/16", "172.21.0.0/16"),
        "network.address.bandwidth": pair("network.address.bandwidth", 10, 20, more=cidr),
        "webCidrs": pair("webCidrs", ["203.0.113.0/24"], ["198.51.100.0/24"]),
        "dns.zone": pair(
            "dns.zone", "example.com", "f.example.com", more={"access.domain": "a.f.example.com"}
        ),
        "dns.records": pair(
            "dns.records", "wildcard", "perUser", more={**_ZONE, "users": [{"id": "alice"}]}
        ),
        "dns.ttl": pair("dns.ttl", 600, 700, more=_ZONE),
        "certificates.email": pair(
            "certificates.email", "a@example.com", "b@example.com", more=_CERTIFICATES
        ),
        "certificates.staging": pair("certificates.staging", False, True, more=_CERTIFICATES),
        "certificates.chartVersion": pair(
            "certificates.chartVersion", "v1.19.1", "v1.19.2", more=_CERTIFICATES
        ),
        "certificates.dns01.groupName": pair(
            "certificates.dns01.groupName", "a.example.com", "b.example.com", more=_DNS01
        ),
        "certificates.dns01.secretName": pair(
            "certificates.dns01.secretName", "one", "two", more=_DNS01
        ),
        "registry.server": pair(
            "registry.server",
            "registry.example.com",
            "other.example.com",
            "refused",
            _LOGIN,
            **login,
        ),
        "registry.username": pair(
            "registry.username",
            "a",
            "b",
            "secrets",
            {**_LOGIN, "users": [{"id": "alice"}]},
            **login,
        ),
        "registry.passwordSecret": pair(
            "registry.passwordSecret",
            _KEY,
            "otherKey",
            "secrets",
            {**_LOGIN, "users": [{"id": "alice"}]},
            secrets=(_KEY, "otherKey"),
        ),
        "registry.acr.instanceId": pair(
            "registry.acr.instanceId", "cri-t4n0mine0001", "cri-t4n0mine0002", more=_ACR, **login
        ),
        "registry.acr.namespace": pair(
            "registry.acr.namespace", "fleet", "other", "refused", _ACR, says="acr", **login
        ),
        "registry.acr.repository": pair(
            "registry.acr.repository", "runtime", "other", "refused", _ACR, says="acr", **login
        ),
        "nas.storageType": pair("nas.storageType", "Capacity", "Performance"),
        "nas.existing.server": pair(
            "nas.existing.server",
            "a-b.ap-southeast-1.nas.aliyuncs.com",
            "c-d.ap-southeast-1.nas.aliyuncs.com",
        ),
        "nas.existing.path": pair(
            "nas.existing.path",
            "/",
            "/other",
            more={"cluster.nas.existing.server": "a-b.ap-southeast-1.nas.aliyuncs.com"},
        ),
        "nas.recycleBinDays": pair("nas.recycleBinDays", 7, 8),
        "nas.estimatedGib": pair("nas.estimatedGib", 50, 60, "cost"),
        "tags": pair("tags", {}, {"team": "a"}),
        "allowUnlistedRegion": pair("allowUnlistedRegion", False, True, "refused"),
    }
    return {f"cluster({kind}).{key}": item for key, item in found.items()}


def _machine() -> dict[str, Pair]:
    def pair(
        key: str, before: Any, after: Any, shows: str = "cloud", more: Any = None
    ) -> tuple[str, Pair]:
        item = Pair(
            base="vm",
            place=f"cluster.{key}",
            before=before,
            after=after,
            shows=shows,
            with_more=more or {},
            says="instance.type" if key.startswith("instance.size") else "",
        )
        return f"cluster(vm).{key}", item

    role = {"cluster.instance.ramRole": {"actions": ["cr:A"], "resources": ["acs:cr:*:*:x"]}}
    clock = {"cluster.schedule": {"start": "0 8 * * *", "stop": "0 20 * * *", "hoursPerWeek": 60}}
    odd = {"cluster.instance": {"type": "ecs.gn7.large", "size": {"cpus": 4, "memoryGib": 16}}}
    keys = (
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGludmVudGVkIGtleSBvZiBub2JvZHksIDMyIGJ5dGVz",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGludmVudGVkIGtleSBvZiBub2JvZHksIDMyIGJ5dGV4",
    )
    reuse = {"cluster.network": {"reuse": _REUSE_VM}}
    pairs: tuple[tuple[Any, ...], ...] = (
        ("region", "ap-southeast-1", "ap-northeast-1", "refused", None),
        ("zone", "ap-southeast-1b", "ap-southeast-1c", "cloud", None),
        ("adminCidrs", ["203.0.113.7/32"], ["203.0.113.8/32"], "cloud", None),
        ("network.reuse.vpcId", "vpc-t4n0mine0001", "vpc-t4n0mine0002", "cloud", reuse),
        (
            "network.reuse.vswitchIds",
            ["vsw-t4n0mine000c"],
            ["vsw-t4n0mine001c"],
            "cloud",
            reuse,
        ),
        ("network.reuse.podVswitchIds", [], ["vsw-t4n0mine000c"], "refused", reuse),
        ("network.reuse.securityGroupId", MISSING, "sg-t4n0mine0001", "cloud", reuse),
        ("network.address.id", MISSING, "eip-t4n0mine0001", "cloud", None),
        (
            "network.allowOpenAdmin",
            True,
            False,
            "refused",
            {"cluster.adminCidrs": ["0.0.0.0/0"]},
        ),
        (
            "network.acmeOpen",
            True,
            False,
            "refused",
            {**_CERTIFICATES, "cluster.webCidrs": ["203.0.113.0/24"]},
        ),
        ("network.hostEgress", [], ["10.1.0.0/16"], "cloud", None),
        ("instance.id", MISSING, "i-t4n0mine0001", "cloud", None),
        ("instance.type", "ecs.g7.large", "ecs.g7.xlarge", "cloud", None),
        ("instance.size.cpus", 4, 1, "refused", odd),
        ("instance.size.memoryGib", 16, 1, "refused", odd),
        ("instance.priceCnyHour", MISSING, 9.0, "cost", None),
        ("instance.image", "ubuntu_24_04_x64_a", "ubuntu_24_04_x64_b", "cloud", None),
        ("instance.systemDisk.category", "cloud_essd", "cloud_auto", "cloud", None),
        ("instance.systemDisk.sizeGib", 40, 50, "cloud", None),
        ("instance.systemDisk.encrypted", True, False, "cloud", None),
        ("instance.spot.priceLimit", 1.0, 2.0, "cloud", None),
        ("instance.sshKey.publicKey", *keys, "cloud", None),
        ("instance.sshKey.existingName", "one", "two", "cloud", None),
        ("instance.ramRole.existingName", "one", "two", "cloud", None),
        ("instance.ramRole.actions", ["cr:A"], ["cr:B"], "cloud", role),
        ("instance.ramRole.resources", ["acs:cr:*:*:x"], ["acs:cr:*:*:y"], "cloud", role),
        ("instance.generation", 1, 2, "cloud", None),
        ("instance.power", MISSING, "stopped", "cloud", None),
        ("instance.rebootForUpdates", False, True, "cloud", None),
        ("dataDisk.id", MISSING, "d-t4n0mine0001", "cloud", {"cluster.dataDisk": {}}),
        ("dataDisk.category", "cloud_essd", "cloud_auto", "cloud", None),
        ("dataDisk.sizeGib", 100, 200, "cloud", None),
        ("dataDisk.encrypted", True, False, "cloud", None),
        ("dataDisk.keep", True, False, "cloud", None),
        ("dataDisk.snapshotDays", 7, 0, "cloud", None),
        (
            "k3s.version",
            "v1.35.5+k3s1",
            "v1.35.6+k3s1",
            "cloud",
            {"cluster.k3s.sha256": 64 * "a"},
        ),
        ("k3s.sha256", 64 * "a", 64 * "b", "cloud", None),
        ("k3s.mirror", "none", "cn", "cloud", None),
        ("k3s.binaryUrl", MISSING, "https://m.example.com/k3s", "cloud", None),
        ("k3s.registryMirrors", {}, {"docker.io": ["https://m.example.com"]}, "cloud", None),
        ("k3s.podCidr", "10.42.0.0/16", "10.44.0.0/16", "cloud", None),
        ("k3s.serviceCidr", "10.43.0.0/16", "10.45.0.0/16", "cloud", None),
        ("k3s.accessDays", 365, 30, "cloud", None),
        ("k3s.accessGeneration", 1, 2, "cloud", None),
        ("schedule.start", "0 8 * * *", "0 9 * * *", "cloud", clock),
        ("schedule.stop", "0 20 * * *", "0 21 * * *", "cloud", clock),
        ("schedule.timeZone", "Asia/Singapore", "Asia/Shanghai", "cloud", clock),
        ("schedule.hoursPerWeek", 60, 70, "cost", clock),
        ("schedule.functionName", MISSING, "other", "cloud", clock),
    )
    return dict(pair(*item) for item in pairs)


def _managed() -> dict[str, Pair]:
    reuse = {"cluster.network": {"reuse": _REUSE_ACK}}
    size = {"cpus": 8, "memoryGib": 32}
    pairs: tuple[tuple[Any, ...], ...] = (
        ("region", "ap-southeast-1", "ap-northeast-1", "refused", None),
        ("zones", ["ap-southeast-1b"], ["ap-southeast-1c"], "cloud", None),
        ("network.reuse.vpcId", "vpc-t4n0mine0001", "vpc-t4n0mine0002", "lookup", reuse),
        (
            "network.reuse.vswitchIds",
            _REUSE_ACK["vswitchIds"],
            _REUSE_ACK["podVswitchIds"],
            "cloud",
            reuse,
        ),
        (
            "network.reuse.podVswitchIds",
            _REUSE_ACK["podVswitchIds"],
            _REUSE_ACK["vswitchIds"],
            "cloud",
            reuse,
        ),
        ("network.reuse.securityGroupId", MISSING, "sg-t4n0mine0001", "cloud", reuse),
        ("network.address.id", MISSING, "eip-t4n0mine0001", "refused", None),
        (
            "network.allowOpenAdmin",
            True,
            False,
            "refused",
            {"cluster.controlPlane.publicEndpoint": True},
        ),
        ("network.acmeOpen", False, True, "refused", None),
        ("network.hostEgress", [], ["10.1.0.0/16"], "refused", None),
        ("charts.traefik", MISSING, "https://m.example.com/charts", "cloud", None),
        ("charts.registry", MISSING, "m.example.com", "cloud", None),
        ("controlPlane.spec", "ack.pro.small", "ack.standard", "cloud", None),
        ("controlPlane.version", MISSING, "1.35.1-aliyun.1", "cloud", None),
        (
            "controlPlane.publicEndpoint",
            True,
            False,
            "refused",
            {"cluster.network.allowOpenAdmin": True},
        ),
        ("controlPlane.serviceCidr", "192.168.0.0/20", "192.168.16.0/20", "cloud", None),
        ("controlPlane.logComponents", ["apiserver"], ["kcm"], "cloud", None),
        ("controlPlane.logDays", 30, 31, "cloud", None),
        ("controlPlane.auditLog", True, False, "cloud", None),
        ("controlPlane.accessMinutes", 180, 181, "lookup", None),
        ("nodePools[0].name", "base", "other", "cloud", None),
        ("nodePools[0].types", ["ecs.g7.xlarge"], ["ecs.g6.xlarge"], "cloud", None),
        ("nodePools[0].size.cpus", 8, 1, "refused", {"cluster.nodePools[0].size": size}),
        ("nodePools[0].size.memoryGib", 32, 1, "refused", {"cluster.nodePools[0].size": size}),
        ("nodePools[0].priceCnyHour", MISSING, 9.0, "cost", None),
        ("nodePools[0].minNodes", 2, 3, "cloud", None),
        ("nodePools[0].maxNodes", 4, 5, "cloud", None),
        (
            "nodePools[1].spot",
            False,
            True,
            "cloud",
            {"cluster.nodePools[1]": {"name": "more", "types": ["ecs.g7.xlarge"]}},
        ),
        ("nodePools[0].systemDiskGib", 80, 90, "cloud", None),
    )
    found: dict[str, Pair] = {}
    for key, before, after, shows, more in pairs:
        path = key.replace("[0]", "[]").replace("[1]", "[]")
        found[f"cluster(ack).{path}"] = Pair(
            base="ack",
            place=f"cluster.{key}",
            before=before,
            after=after,
            shows=shows,
            with_more=more or {},
            says="nodePools[0].types" if ".size." in key else "",
        )
    return found


def _backup() -> dict[str, Pair]:
    """Return the pairs of `backup:`."""
    store = {"s3": "https://s3.example.com/one"}
    nas = {"server": "10.0.0.8", "path": "/a"}
    claim = {"size": "1Gi", "className": "slow"}
    base: Values = {
        "repository": store,
        "accessKeyId": "backupAccessKeyId",
        "secretAccessKey": "backupSecretAccessKey",
        "passwordSecret": "backupPassword",
    }
    changes: tuple[tuple[str, Any, Any, str], ...] = (
        ("schedule", "0 1 * * *", "0 2 * * *", "objects"),
        ("timeZone", "Etc/UTC", "Asia/Shanghai", "objects"),
        ("repository.s3", store["s3"], "https://s3.example.com/two", "objects"),
        ("repository.nfs.server", {"nfs": nas}, {"nfs": {**nas, "server": "b"}}, "objects"),
        ("repository.nfs.path", {"nfs": nas}, {"nfs": {**nas, "path": "/b"}}, "objects"),
        ("repository.nfs.driver", {"nfs": nas}, {"nfs": {**nas, "driver": "csi"}}, "objects"),
        ("repository.claim.size", {"claim": claim}, {"claim": {**claim, "size": "2Gi"}}, "objects"),
        ("repository.claim.className", {"claim": {"size": "1Gi"}}, {"claim": claim}, "objects"),
        ("accessKeyId", "backupAccessKeyId", "gitToken", "secrets"),
        ("secretAccessKey", "backupSecretAccessKey", "gitToken", "secrets"),
        ("passwordSecret", "backupPassword", "gitToken", "secrets"),
        ("keep.daily", 7, 8, "objects"),
        ("keep.weekly", 4, 5, "objects"),
        ("keep.monthly", 6, 7, "objects"),
        ("parallel", 2, 3, "objects"),
        ("allow", [], ["100.118.28.0/24"], "objects"),
        ("drill.schedule", "0 5 1 * *", "0 5 2 * *", "objects"),
        ("drill.className", MISSING, "scratch", "objects"),
    )
    keys = ("backupAccessKeyId", "backupSecretAccessKey", "backupPassword", "gitToken")
    return {
        f"backup.{key}": _existing(
            "backup.repository" if isinstance(before, dict) else f"backup.{key}",
            before,
            after,
            shows,
            secrets=keys,
            backup=base,
        )
        for key, before, after, shows in changes
    }


PAIRS: Mapping[str, Pair] = {
    **_plain(),
    **_door(),
    **_providers(),
    **_workspaces(),
    **_made("vm"),
    **_made("ack"),
    **_machine(),
    **_managed(),
    **_backup(),
}
