"""Every key counts: for each leaf two files that differ in it only, and where that shows.

A new key without a pair fails here: add it to `tests/support/pairs.py`. A channel of a pair is
where the difference ends up: `objects` (what a cluster gets), `cloud` (what the cloud is asked
for), `lookup` (what it is asked), `image` (the build), `cost`, `plan` (URLs, purges), `stacks`,
`secrets` (which secret goes where), `context`, or `refused`: one of the two is a file that is
refused in a line about this key.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from fleet.alicloud.config import AckCluster, VmCluster
from fleet.alicloud.cost import cost_report
from fleet.errors import ClusterError
from fleet.images.build import BuildOptions, Docker, build
from fleet.images.tags import KINDS, ImageKind, image_reference
from fleet.plan.environment import make_plan
from fleet.stackfile.image import Image
from tests.support.cloud_world import LOOKUPS, OUTPUTS
from tests.support.deployed import SEED, deploy
from tests.support.leaves import leaves
from tests.support.pairs import PAIRS, Pair
from tests.support.programs import ROOT, keys_of_engine
from tests.support.recording import Answer, Engine, run
from tests.support.stacks import SECRETS, Values, environment_of, lines_of

ACCOUNT = dict.fromkeys(("ALICLOUD_ACCESS_KEY", "ALICLOUD_SECRET_KEY"), "made-up")
# The VPC that the present file names: vSwitches and groups belong to it.
_VPC = [""]


def _listed(key: str, values: Callable[[str], Values]) -> Answer:
    """Answer a look-up by ids: all of them are there."""

    def answer(asked: Mapping[str, Any]) -> Mapping[str, Any]:
        return {key: [{"id": one, **values(one)} for one in asked["ids"]]}

    return answer


def _machine(_: str) -> Values:
    return {
        "availabilityZone": "ap-southeast-1c",
        "status": "Running",
        "eip": "198.51.100.98",
        "publicIp": "",
        "vpcId": "vpc-t4n0mine0001",
    }


_HERE: dict[str, Answer] = {
    "alicloud:vpc/getNetworks:getNetworks": _listed(
        "vpcs", lambda _: {"cidrBlock": "172.30.0.0/16"}
    ),
    "alicloud:vpc/getSwitches:getSwitches": _listed(
        "vswitches", lambda one: {"vpcId": _VPC[0], "zoneId": f"ap-southeast-1{one[-1]}"}
    ),
    "alicloud:ecs/getSecurityGroups:getSecurityGroups": _listed(
        "groups", lambda _: {"vpcId": _VPC[0]}
    ),
    "alicloud:ecs/getEipAddresses:getEipAddresses": _listed(
        "addresses", lambda _: {"ipAddress": "198.51.100.99"}
    ),
    "alicloud:ecs/getInstances:getInstances": _listed("instances", _machine),
}


@pytest.fixture(autouse=True)
def _project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for name, value in ACCOUNT.items():
        monkeypatch.setenv(name, value)


def _sealed(values: Values, pair: Pair) -> frozenset[str]:
    """Return the secrets that a file refers to: one that nothing refers to is refused."""
    text = json.dumps(values)
    registry = values["cluster"].get("registry")
    unnamed = registry is not None and "passwordSecret" not in registry
    known = {*pair.secrets, *SECRETS, "controlToken", "oidcClientSecret"}
    named = {key for key in known if f'"{key}"' in text}
    return frozenset(named | ({"registryPassword"} if unnamed else set[str]()))


def _record(values: Values, pair: Pair) -> Engine:
    """Run the whole program of a file and return what it declared."""
    return _run(json.dumps(values), _sealed(values, pair))


@cache
def _run(text: str, secrets: frozenset[str]) -> Engine:
    values: Values = json.loads(text)
    reuse = values["cluster"].get("network", {}).get("reuse", {})
    _VPC[0] = reuse.get("vpcId", "")
    sealed = {
        "passwordSeed": SEED,
        **{key: f"value of {key}, long enough for a token" for key in secrets},
    }
    engine = Engine(
        outputs=OUTPUTS,
        lookups={**LOOKUPS, **_HERE},
        config={**keys_of_engine(values, sealed), "pulumi:disable-default-providers": "[]"},
        secret_keys=tuple(f"opencode-fleet:{key}" for key in sealed),
    )
    import runpy  # noqa: PLC0415

    def program() -> None:
        runpy.run_path(str(ROOT / "__main__.py"), run_name="__main__")

    try:
        return run(program, engine)
    except AssertionError:
        # A warning is what an unlisted region shows.
        if engine.warnings:
            return engine
        raise


def _cloud(values: Values, pair: Pair) -> Any:
    engine = _record(values, pair)
    # The order in which the SDK registers what has no edge between it is chance.
    declared = sorted(engine.resources, key=lambda item: item.urn)
    return [(item.urn, item.inputs, asdict(item.options)) for item in declared], engine.exports


def _lookup(values: Values, pair: Pair) -> Any:
    return sorted(map(repr, _record(values, pair).calls))


def _objects(values: Values, pair: Pair) -> Any:
    deployed = deploy(values, ROOT, _sealed(values, pair))
    return deployed.objects, deployed.door


def _plan(values: Values, pair: Pair) -> Any:
    plan = make_plan(environment_of(values, ROOT, _sealed(values, pair)))
    return [user.url for user in plan.users], plan.purge


def _image(values: Values, pair: Pair) -> Any:
    config = environment_of(values, ROOT).config
    record = _record(values, pair) if config.image.push else None
    built = record.of_type("Image") if record is not None else []
    asked = [_asked(kind, kind.settings(config)) for kind in KINDS]
    return asked, sorted(repr(item.inputs) for item in built), len(built)


def _asked(kind: ImageKind, image: Image) -> Any:
    """Return an image that is already made, or what a daemon is asked to build."""
    if image.reference is not None:
        return image_reference(image, ROOT / kind.folder, "0", kind)
    tried: list[Any] = []

    class Noted(Docker):
        """A daemon that fails each time and notes what it was asked."""

        def run(self, *arguments: str, quiet: bool = True, seconds: float | None = None) -> Any:
            del quiet
            tried.append((arguments, seconds))
            from subprocess import CompletedProcess  # noqa: PLC0415

            return CompletedProcess(arguments, 1, "", "made to fail")

    with pytest.raises(ClusterError, match="made to fail"):
        build(Noted(program="docker"), image, ROOT / kind.folder, BuildOptions(), kind)
    return tried


def _cost(values: Values, pair: Pair) -> Any:
    cluster = environment_of(values, ROOT, _sealed(values, pair)).config.cluster
    assert isinstance(cluster, VmCluster | AckCluster)
    return cost_report(cluster, users=2, storage_gib=20, egress_gb_a_user=5)


def _secrets(values: Values, pair: Pair) -> Any:
    engine = _record(values, pair)
    found = [item for item in engine.resources if item.typ.endswith(":Secret")]
    return sorted(repr(item.inputs.get("data")) for item in found)


CHANNELS: dict[str, Callable[[Values, Pair], Any]] = {
    "cloud": _cloud,
    "lookup": _lookup,
    "objects": _objects,
    "plan": _plan,
    "image": _image,
    "cost": _cost,
    "secrets": _secrets,
    "context": _cloud,
}
# Shown by tests of their own, which read both files: what they say is not repeated here.
ELSEWHERE = {
    # No two valid files differ in the kind alone: each kind has keys of its own.
    "cluster(existing).kind": "tests/program/test_program.py",
    "cluster(vm).kind": "tests/program/test_cloud_program.py",
    "cluster(ack).kind": "tests/program/test_cloud_program.py",
    "stacks.per": "tests/program/test_divided.py",
    # Its file stands beside the stack file.
    "network.caBundle": "tests/stackfile/test_company_example.py",
    "access.route": "tests/manifests/test_manifests_objects.py",
}


def test_every_leaf_has_a_pair_and_every_pair_a_leaf() -> None:
    known = set(PAIRS) | set(ELSEWHERE)
    assert set(leaves()) - known == set(), "add a line to tests/support/pairs.py"
    assert {path for path in known if path not in set(leaves())} <= {"profiles{}.cpu"}


@pytest.mark.parametrize("base", ["vm", "ack"])
def test_a_file_shows_the_same_twice(base: str) -> None:
    """Otherwise every pair would differ, whatever its key does."""
    pair = next(pair for pair in PAIRS.values() if pair.base == base and pair.shows == "cloud")
    first = _cloud(pair.files()[0], pair)
    _run.cache_clear()
    assert _cloud(pair.files()[0], pair) == first


def test_what_is_shown_elsewhere_is_there() -> None:
    assert [place for place in ELSEWHERE.values() if not Path(place).exists()] == []


@pytest.mark.parametrize("path", PAIRS)
def test_a_key_counts(path: str) -> None:
    pair = PAIRS[path]
    first, second = pair.files()
    assert first != second
    lines = [lines_of(file, ROOT, _sealed(file, pair)) for file in (first, second)]
    if pair.shows == "refused":
        assert lines[0] == []
        key = pair.says or pair.place.rpartition(".")[2]
        assert [line for line in lines[1] if key in line], lines[1]
        return
    assert lines == [[], []]
    show = CHANNELS[pair.shows]
    assert show(first, pair) != show(second, pair)
