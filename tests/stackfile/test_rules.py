"""Rules at their bounds: what is just allowed, and what the rest of a broken file still tells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fleet.stackfile import rules
from tests.support.stacks import SMALL, Values, lines_of, with_value

OIDC = {"issuer": "http://id.company.svc:3000", "clientId": "fleet", "scopes": ["openid"]}


@pytest.mark.parametrize(
    "changes",
    [
        {"users": [{"id": f"user-{index}"} for index in range(100)]},
        {"pools": {"default": {"quota": {"cpu": "500m", "memory": "1Gi", "storage": "20Gi"}}}},
        {"pools": {"default": {"quota": {"cpu": "250m"}}}, "users[1].state": "suspended"},
        {"profiles": {"p": {"cpu": {"request": 1, "limit": "1000m"}}}},
        {
            "profiles": {
                "p": {
                    "cpu": {"request": "1m", "limit": "250m"},
                    "memory": {"request": "1Mi", "limit": "512Mi"},
                    "storage": "1Gi",
                    "ephemeralStorage": "512Mi",
                }
            }
        },
        {"network": {"allow": [{"cidr": "10.1.0.0/16", "port": 443}]}},
        {"network": {"allow": [{"cidr": "169.254.20.10/32", "port": 53}]}},
        {"network": {"deny": ["48.0.0.0/4", "8.8.8.0/24"]}},
        {"access.domain": "localhost"},
        {"access.tls": "selfSigned", "access.domain": "fleet.example.com"},
        {"purge": ["carol", "alice.smith"]},
        {"access.tls": "front", "access.domain": "fleet.example.com"},
        {"access.signIn.oidc": OIDC, "access.signIn.mode": "oidc"},
        {"idle.hours": {"zone": "Asia/Shanghai", "start": "22:00", "end": "06:00"}},
        {"idle.suspendAfter": "10m"},
        {"users[0].login": "bob", "users[1].login": "alice"},
        {"access.signIn.sessions": {"idle": "7d", "absolute": "7d"}},
        {
            "image.mode": "local",
            "image.reference": "team/runtime:1",
            "door.reference": "team/runtime-door:1",
        },
        {"image.repository": "localhost/runtime", "image.push": True},
        {"image.repository": "registry:5000/team/runtime", "image.push": True},
    ],
    ids=" ".join,
)
def test_what_is_just_allowed_is_valid(changes: dict[str, Any], shared_folder: Path) -> None:
    values: Values = SMALL
    for path, value in changes.items():
        values = with_value(values, path, value)
    secrets = frozenset({"oidcClientSecret"} if "access.signIn.oidc" in changes else ())
    assert lines_of(values, shared_folder, secrets) == []


def test_two_ids_whose_names_meet_are_told(
    shared_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No two such ids are known: it takes a collision of 40 bits.
    def first_letter(user_id: str) -> str:
        return f"oc-{user_id[0]}"

    monkeypatch.setattr(rules, "user_object_name", first_letter)
    values = {**SMALL, "users": [{"id": "alice"}, {"id": "anna"}]}
    assert lines_of(values, shared_folder) == [
        "users[1].id: anna: its object name oc-a equals that of users[0]: "
        "give one of them another id",
    ]


def test_a_broken_part_hides_no_problem_of_another_part(shared_folder: Path) -> None:
    values = {
        **SMALL,
        "users": [{"id": f"user-{index}"} for index in range(11)],
        "profiles": {"p": {"storage": "much"}, "q": {"storage": "1Mi"}},
        "access": {"domain": "fleet.example.com", "tls": "none"},
        "image": {"mode": "prebuilt"},
        "purge": ["carol", 5, "user-3"],
    }
    values = with_value(values, "users[1].id", "User 1")
    values = with_value(values, "users[10].id", "user-2")
    keys = [line.partition(":")[0] for line in lines_of(values, shared_folder)]
    assert sorted(keys) == [
        "access.tls",
        "door.reference",
        "image.reference",
        "profiles.p.storage",
        "profiles.q.storage",
        "purge[1]",
        "purge[2]",
        "users[10].id",
        "users[1].id",
    ]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("scenes", {"coding": {"path": 5}}),
        ("scenes", ["coding"]),
        ("profiles", {"large": {"cpu": 1}}),
        ("pools", {"lab": {"quota": 1}}),
        ("storage", {"shared": 5}),
        ("providers", {"a": {"apiKey": "aKey"}}),
        ("access", {"domain": "fleet.example.com"}),
    ],
)
def test_a_broken_part_is_blamed_once_and_alone(
    path: str, value: object, shared_folder: Path
) -> None:
    values: Values = {
        "cluster": {"kind": "existing", "context": "test"},
        "access": {"domain": "fleet.localhost", "tls": "none"},
        "scenes": {"coding": {"path": "scenes/coding"}, "papers": {"nasPath": "papers"}},
        "profiles": {"large": {}},
        "pools": {"lab": {"quota": {"storage": "500Gi"}}},
        "storage": {"shared": {}},
        "users": [
            {"id": "alice", "scenes": ["coding", "papers"], "profile": "large", "pool": "lab"}
        ],
    }
    secrets = frozenset({"aKey"} if path == "providers" else ())
    assert lines_of(values, shared_folder) == []
    lines = lines_of({**values, path: value}, shared_folder, secrets)
    assert lines
    assert {line.partition(":")[0].partition(".")[0].partition("[")[0] for line in lines} == {path}


def test_a_key_of_a_broken_user_is_not_told_to_be_unused(shared_folder: Path) -> None:
    values = {**SMALL, "users": [{"id": "Alice", "secretEnv": {"A": "aliceKey"}}]}
    lines = lines_of(values, shared_folder, frozenset({"aliceKey"}))
    assert [line.partition(":")[0] for line in lines] == ["users[0].id"]


def test_what_may_be_a_key_itself_is_not_repeated_as_a_name(shared_folder: Path) -> None:
    values = {**SMALL, "users": [{"id": "alice", "secretEnv": {"A": "a1b2c3d4e5"}}]}
    (line,) = lines_of(values, shared_folder)
    assert line == (
        "users[0].secretEnv.A: [hidden]: no secret of this name in the stack file: "
        "add it: fleet secret KEY -s ENV"
    )


def test_a_thousand_broken_entries_are_told_quickly(shared_folder: Path) -> None:
    # A new schema for every unknown key once made this take minutes.
    users = [{"id": f"U{index}", "nick": "x"} for index in range(1000)]
    values = {**SMALL, "users": users, **{f"key{index}": 1 for index in range(1000)}}
    assert len(lines_of(values, shared_folder)) == 3000
