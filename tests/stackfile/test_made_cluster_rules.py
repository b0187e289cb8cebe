"""What a cluster that the program makes cannot give the rest of a stack file, each line in full."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.pairs import BASES
from tests.support.programs import ROOT
from tests.support.stacks import Values, lines_of, with_value

REGISTRY = {"server": "registry.example.com", "username": "puller"}
ACR = {**REGISTRY, "acr": {"instanceId": "cri-t4n0abcd1234efgh"}}


def _with(base: str, changes: dict[str, Any]) -> Values:
    values = BASES[base]
    for place, value in changes.items():
        values = with_value(values, place, value)
    return values


@pytest.mark.parametrize(
    ("base", "changes", "line"),
    [
        (
            "ack",
            {"image": {"mode": "daemon"}},
            "image.push: false: the nodes are not this machine: an image that is built here and "
            "pushed nowhere never reaches them: set push: true with a repository that they can "
            "pull from, or use mode: prebuilt",
        ),
        (
            "vm",
            {"image": {"mode": "buildkit"}},
            "image.push: false: the nodes are not this machine: an image that is built here and "
            "pushed nowhere never reaches them: set push: true with a repository that they can "
            "pull from, or use mode: prebuilt",
        ),
        (
            "vm",
            {"image.platforms": ["linux/arm64"]},
            "image.platforms: linux/arm64: ecs.e-c1m2.large is a machine of amd64: add "
            "linux/amd64, or use another type",
        ),
        (
            "ack",
            {"cluster.nodePools[0].types": ["ecs.g8y.xlarge"]},
            "image.platforms: linux/amd64: ecs.g8y.xlarge is a machine of arm64: add linux/arm64, "
            "or use another type",
        ),
        (
            "ack",
            {"cluster.registry": {**REGISTRY, "server": "other.example.com"}},
            "cluster.registry.server: other.example.com: nodes would log in there and pull "
            "image.repository registry.example.com/fleet/runtime from registry.example.com: write "
            "the same host in both",
        ),
        (
            "vm",
            {"cluster.registry": REGISTRY},
            "cluster.registry.server: registry.example.com: nothing is pushed there and nothing "
            "pulled from there: set image.push: true, or drop cluster.registry",
        ),
        (
            "ack",
            {"cluster.registry": ACR, "image.repository": "registry.example.com/a/b"},
            "image.repository: registry.example.com/a/b: cluster.registry.acr makes another "
            "repository: write registry.example.com/fleet/runtime",
        ),
        (
            "vm",
            {"access": {"domain": "a.example.com", "tls": "certManager", "clusterIssuer": "l"}},
            "cluster.certificates: missing: a cluster that is made here has no cert-manager unless "
            "this installs it: add certificates: {email: …}, or use another access.tls",
        ),
        (
            "vm",
            {
                "cluster.certificates": {"email": "ops@example.com"},
                "cluster.webCidrs": ["0.0.0.0/0"],
            },
            "cluster.certificates.email: ops@example.com: with tls: selfSigned nobody asks "
            "cert-manager for a certificate: drop cluster.certificates, or use access.tls: "
            "certManager",
        ),
        (
            "vm",
            {"users": [{"id": f"user-{n}"} for n in range(60)]},
            "cluster.dataDisk.sizeGib: 100: the volumes of 60 users take 600 GiB, this leaves 85 "
            "beside k3s' own 10: write a larger size, or smaller profiles",
        ),
    ],
)
def test_what_a_made_cluster_cannot_give_is_said_in_full(
    base: str, changes: dict[str, Any], line: str
) -> None:
    values = _with(base, changes)
    sealed = frozenset({"registryPassword"} if "registry" in values["cluster"] else set[str]())
    assert line in lines_of(values, ROOT, sealed)


@pytest.mark.parametrize("key", ["adminCidrs"])
def test_a_list_that_limits_nothing_is_refused(key: str) -> None:
    [line] = lines_of(_with("ack", {f"cluster.{key}": ["203.0.113.7/32"]}), ROOT)
    assert line.endswith(
        "adminCidrs limits nothing on ACK: only the VPC reaches a private API address, and a "
        "public one answers everybody who has a certificate: drop adminCidrs"
    )


def test_where_nothing_is_built_the_keys_of_a_build_are_refused() -> None:
    image = {
        "mode": "prebuilt",
        "reference": "registry.example.com/a/b@sha256:" + 64 * "0",
        "platforms": ["linux/amd64"],
        "npmRegistry": "https://npm.example.com",
        "retries": 1,
    }
    door = {"reference": "registry.example.com/a/b-door@sha256:" + 64 * "0"}
    assert lines_of(_with("existing", {"image": image, "door": door}), ROOT) == [
        "image.npmRegistry: https://npm.example.com: mode prebuilt builds nothing: remove it, or "
        "use mode: daemon",
        "image.platforms: linux/amd64: mode prebuilt builds nothing: remove it, or use mode: "
        "daemon",
        "image.retries: 1: mode prebuilt builds nothing: remove it, or use mode: daemon",
    ]
