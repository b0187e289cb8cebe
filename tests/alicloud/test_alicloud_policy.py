"""Each policy rejects what it is there for."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.support.policy import POLICIES
from tests.support.recorded import Options, Recorded

OPTIONS = Options(
    protect=False,
    retain_on_delete=False,
    delete_before_replace=False,
    ignore_changes=(),
    replace_on_changes=(),
    replacement_trigger=None,
    additional_secret_outputs=(),
    depends_on=frozenset(),
    deleted_with="",
    import_id="",
    aliases=(),
    timeouts={},
    version="",
)
RULE = {
    "securityGroupId": "sg",
    "type": "ingress",
    "policy": "accept",
    "ipProtocol": "tcp",
    "portRange": "22/22",
    "cidrIp": "0.0.0.0/0",
}


def _resource(typ: str, inputs: dict[str, Any], *secret: str) -> Recorded:
    return Recorded(
        urn=f"urn:{typ}",
        typ=typ,
        name="bad",
        custom=True,
        inputs=inputs,
        secret_paths=frozenset(secret),
        provider="",
        parent="",
        options=OPTIONS,
    )


def _ecs(kind: str, inputs: dict[str, Any]) -> Recorded:
    return _resource(f"alicloud:ecs/{kind[0].lower()}{kind[1:]}:{kind}", inputs)


SPILLED = base64.b64encode(b"password=hunter22").decode()
CASES: list[tuple[str, list[Recorded], str]] = [
    ("openings_are_narrow", [_ecs("SecurityGroupRule", RULE)], "opens 22 to the world"),
    (
        "openings_are_narrow",
        [_ecs("SecurityGroupRule", RULE | {"cidrIp": "0.0.0.0/1"})],
        "opens 22 to the world",
    ),
    (
        "openings_are_narrow",
        [_ecs("SecurityGroupRule", RULE | {"portRange": "1/65535"})],
        "opens 1 to 65535",
    ),
    (
        "openings_are_narrow",
        [_ecs("SecurityGroupRule", RULE | {"portRange": "4096/4096", "cidrIp": "10.0.0.0/8"})],
        "opens 4096",
    ),
    ("openings_are_unique", [_ecs("SecurityGroupRule", RULE)] * 2, "a second rule"),
    ("groups_are_closed_inside", [_ecs("SecurityGroup", {})], "members reach each other"),
    ("nobody_logs_in_by_password", [_ecs("Instance", {"password": "x"})], "password"),
    ("metadata_wants_a_token", [_ecs("Instance", {"httpTokens": "optional"})], "without a token"),
    (
        "metadata_wants_a_token",
        [_resource("alicloud:cs/nodePool:NodePool", {})],
        "without a token",
    ),
    (
        "machines_have_no_second_address",
        [_ecs("Instance", {"internetMaxBandwidthOut": 5})],
        "address of its own",
    ),
    ("disks_are_encrypted", [_ecs("EcsDisk", {"encrypted": False})], "not encrypted"),
    ("data_is_retained", [_ecs("EcsDisk", {})], "deleted by destroy"),
    (
        "user_data_holds_no_secret",
        [
            _ecs("Instance", {"userData": SPILLED}),
            _resource("random:index/x:X", {"password": "hunter22"}, "password"),
        ],
        "a secret in userData",
    ),
    (
        "keys_are_secret",
        [_resource("x:y:Z", {"key": "-----BEGIN PRIVATE KEY-----"})],
        "key is not marked secret",
    ),
    (
        "rights_are_named",
        [
            _resource(
                "alicloud:ram/policy:Policy",
                {"policyDocument": '{"Action": ["ecs:*"], "Resource": ["acs:x"]}'},
            )
        ],
        "a wildcard",
    ),
]


@pytest.mark.parametrize(("rule", "resources", "line"), CASES)
def test_the_policy_finds_what_it_is_for(rule: str, resources: list[Recorded], line: str) -> None:
    assert any(line in found for found in POLICIES[rule](resources))


def test_every_policy_has_a_case() -> None:
    assert {rule for rule, _, _ in CASES} == set(POLICIES)
