"""For each kind of edit, exactly the pods that must restart do, and names of data never change."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.deployed import Deployed, deploy, objects_of_user
from tests.support.stacks import MODEL, SMALL, Values, with_value, without

BASE: Values = {
    **SMALL,
    **MODEL,
    "scenes": {"coding": {"path": "scenes/coding"}, "research": {"path": "scenes/research"}},
    "profiles": {"standard": {}, "large": {"memory": {"request": "1Gi", "limit": "4Gi"}}},
    "users": [
        {"id": "alice", "displayName": "Alice", "scenes": ["coding", "research"]},
        {"id": "bob", "scenes": ["coding"]},
        {"id": "carol", "profile": "large"},
    ],
}
EVERYBODY = {"alice", "bob", "carol"}


def templates(deployed: Deployed) -> dict[str, str]:
    """Return what decides about a restart, by user: pod template, and replicas where told."""
    return {
        item["metadata"]["annotations"]["opencode-fleet/user-id"]: json.dumps(
            [item["spec"]["template"], item["spec"].get("replicas")], sort_keys=True
        )
        for item in deployed.of("Deployment")
    }


def touched(before: Deployed, after: Deployed) -> set[str]:
    """Return the users whose pods an edit starts, stops or restarts."""
    old, new = templates(before), templates(after)
    return {user for user in {*old, *new} if old.get(user) != new.get(user)}


EDITS: dict[str, tuple[Callable[[Values], Values], set[str]]] = {
    "nothing": (lambda values: values, set()),
    "a user added": (lambda values: with_value(values, "users[3]", {"id": "dave"}), {"dave"}),
    "a user added in front": (
        lambda values: {**values, "users": [{"id": "dave"}, *values["users"]]},
        {"dave"},
    ),
    "a user removed": (lambda values: without(values, "users[0]"), {"alice"}),
    "the roster turned round": (
        lambda values: {**values, "users": list(reversed(values["users"]))},
        set(),
    ),
    "a user suspended": (
        lambda values: with_value(values, "users[1].state", "suspended"),
        {"bob"},
    ),
    "a user moved to another size": (
        lambda values: with_value(values, "users[1].profile", "large"),
        {"bob"},
    ),
    "a size changed": (
        lambda values: with_value(
            values, "profiles.large", {"memory": {"request": "1Gi", "limit": "5Gi"}}
        ),
        {"carol"},
    ),
    "only a size's storage changed": (
        lambda values: with_value(values, "profiles.standard", {"storage": "20Gi"}),
        set(),
    ),
    "a size written another way": (
        lambda values: with_value(
            values, "profiles.large", {"memory": {"request": "1024Mi", "limit": "4096Mi"}}
        ),
        set(),
    ),
    "a scene given to a user": (
        lambda values: with_value(values, "users[2].scenes", ["research"]),
        {"carol"},
    ),
    "a scene taken from a user": (
        lambda values: with_value(values, "users[0].scenes", ["coding"]),
        {"alice"},
    ),
    "a display name": (
        lambda values: with_value(values, "users[0].displayName", "Alice Smith"),
        set(),
    ),
    "a display name removed": (lambda values: without(values, "users[0].displayName"), set()),
    "a new password": (
        lambda values: with_value(values, "users[1].passwordVersion", 2),
        {"bob"},
    ),
    "another model": (
        lambda values: with_value(
            with_value(values, "models.default", "openai/gpt-6"),
            "providers.openai.models",
            {"gpt-6": {}},
        ),
        EVERYBODY,
    ),
    "another domain": (
        lambda values: with_value(values, "access.domain", "other.localhost"),
        set(),
    ),
    "another port": (lambda values: with_value(values, "access.port", 8080), set()),
    "a pull secret": (lambda values: with_value(values, "image.pullSecret", "login"), EVERYBODY),
    "a network rule": (
        lambda values: with_value(values, "network", {"deny": ["47.0.0.0/16"]}),
        set(),
    ),
    "a quota": (
        lambda values: with_value(values, "pools", {"default": {"quota": {"cpu": 9}}}),
        set(),
    ),
    "another pool": (
        lambda values: with_value(with_value(values, "users[1].pool", "lab"), "pools", {"lab": {}}),
        {"bob"},
    ),
    "a scene that nobody has": (
        lambda values: with_value(values, "scenes.other", {"path": "scenes/coding"}),
        set(),
    ),
    "a variable of all": (lambda values: {**values, "env": {"A": "1"}}, EVERYBODY),
    "a variable of a profile": (
        lambda values: with_value(values, "profiles.large.env", {"A": "1"}),
        {"carol"},
    ),
    "a variable of a user": (
        lambda values: with_value(values, "users[1].env", {"A": "1"}),
        {"bob"},
    ),
    "a sealed variable of a user": (
        lambda values: with_value(values, "users[1].secretEnv", {"A": "jiraToken"}),
        {"bob"},
    ),
    "a mount of all": (
        lambda values: {**values, "mounts": [{"path": "/mnt/a", "claim": "a"}]},
        EVERYBODY,
    ),
    "a mount of a scene": (
        lambda values: with_value(
            values, "scenes.research.mounts", [{"path": "/mnt/a", "configMap": "a"}]
        ),
        {"alice"},
    ),
    "a mount of a user": (
        lambda values: with_value(values, "users[2].mounts", [{"path": "/mnt/a", "claim": "a"}]),
        {"carol"},
    ),
    "a setting of OpenCode": (
        lambda values: {**values, "managedConfig": {"snapshot": False}},
        EVERYBODY,
    ),
    "a provider that nobody may use but one": (
        lambda values: with_value(
            with_value(
                with_value(values, "providers.other", {"kind": "anthropic", "models": {"m": {}}}),
                "profiles.standard.models",
                {"allowed": ["openai"]},
            ),
            "profiles.large.models",
            {"allowed": ["openai", "other"]},
        ),
        {"carol"},
    ),
    "another model for a user": (
        lambda values: with_value(
            with_value(values, "providers.openai.models", {"gpt-5": {}, "gpt-6": {}}),
            "profiles.large.models",
            {"default": "openai/gpt-6"},
        ),
        EVERYBODY,
    ),
    "who commits": (
        lambda values: with_value(values, "users[0].git", {"email": "a@example.com"}),
        {"alice"},
    ),
    "a forge of a user": (
        lambda values: with_value(
            values, "users[0].git", {"hosts": {"forge": {"token": "gitToken"}}}
        ),
        {"alice"},
    ),
    "known hosts": (
        lambda values: with_value(values, "git.knownHosts", ["forge ssh-ed25519 AAAA"]),
        EVERYBODY,
    ),
    "a proxy": (
        lambda values: with_value(values, "network.proxy", {"http": "http://proxy.example.com"}),
        EVERYBODY,
    ),
    "a closed internet": (lambda values: with_value(values, "network.internet", False), set()),
    "an endpoint by its pods": (
        lambda values: with_value(values, "network.allow", [{"namespace": "ai", "port": 80}]),
        set(),
    ),
    "a place of a profile": (
        lambda values: with_value(values, "profiles.large.nodeSelector", {"size": "large"}),
        {"carol"},
    ),
    "a device of a profile": (
        lambda values: with_value(values, "profiles.large.resources", {"nvidia.com/gpu": 1}),
        {"carol"},
    ),
    "a purge": (lambda values: {**values, "purge": ["zoe"]}, set()),
}


@pytest.mark.parametrize("name", list(EDITS))
def test_an_edit_restarts_exactly_whom_it_must(name: str, shared_folder: Path) -> None:
    edit, expected = EDITS[name]
    before = deploy(BASE, shared_folder)
    assert touched(before, deploy(edit(BASE), shared_folder)) == expected


@pytest.mark.parametrize(
    ("scene", "expected"), [("coding", {"alice", "bob"}), ("research", {"alice"})]
)
def test_a_changed_scene_restarts_those_who_have_it(
    scene: str, expected: set[str], folder: Path
) -> None:
    before = deploy(BASE, folder)
    (folder / "scenes" / scene / "AGENTS.md").write_text("Work better.\n", encoding="utf-8")
    after = deploy(BASE, folder)
    assert touched(before, after) == expected
    names = [
        {item["metadata"]["name"] for item in each.of("ConfigMap")} for each in (before, after)
    ]
    # The new one is made before the old one goes: their names differ, and one changed.
    assert len(names[1] - names[0]) == 1
    assert (names[1] - names[0]).pop().startswith(f"scene-{scene}-")


def test_another_image_restarts_everybody_and_another_key_its_user(shared_folder: Path) -> None:
    plan = deploy(BASE, shared_folder).plan

    def template(**changes: Any) -> list[str]:
        found: list[str] = []
        for user in plan.users:
            objects = objects_of_user(plan, user, **changes)
            (item,) = (item for item in objects if item["kind"] == "Deployment")
            found.append(json.dumps(item["spec"]["template"]))
        return found

    for mark in ("password_fingerprint", "secrets_fingerprint"):
        changed = template(**{mark: "0123"})
        assert all(one != two for one, two in zip(template(), changed, strict=True))
    assert template(secret_data={"password": "a"}) == template(secret_data={"password": "b"})


def test_a_suspended_user_keeps_all_but_the_pod(shared_folder: Path) -> None:
    values = with_value(BASE, "users[0].state", "suspended")
    before, after = deploy(BASE, shared_folder), deploy(values, shared_folder)
    assert after.named("Deployment", "oc-alice")["spec"]["replicas"] == 0
    assert "replicas" not in after.named("Deployment", "oc-bob")["spec"]
    kinds = ("Secret", "PersistentVolumeClaim", "Service")
    assert all(before.named(kind, "oc-alice") == after.named(kind, "oc-alice") for kind in kinds)


def test_selectors_and_claims_are_the_same_whatever_is_edited(shared_folder: Path) -> None:
    # A Deployment's selector and most of a claim cannot be changed in place.
    def fixed(values: Values) -> list[Any]:
        deployed = deploy(values, shared_folder)
        claim = deployed.named("PersistentVolumeClaim", "oc-alice")
        return [
            deployed.named("Deployment", "oc-alice")["spec"]["selector"],
            deployed.named("Service", "oc-alice")["spec"]["selector"],
            claim["metadata"]["name"],
            claim["spec"]["accessModes"],
            claim["spec"].get("storageClassName"),
        ]

    before = fixed(BASE)
    for name, (edit, _) in EDITS.items():
        if name != "a user removed":
            assert fixed(edit(BASE)) == before, name


def test_two_pods_of_a_user_never_run_at_once(shared_folder: Path) -> None:
    # OpenCode's database takes one writer.
    for item in deploy(BASE, shared_folder).of("Deployment"):
        assert item["spec"]["strategy"] == {"type": "Recreate"}
        # One, unless the door says none.
        assert "replicas" not in item["spec"]


def test_the_same_file_gives_the_same_objects_in_the_same_order(shared_folder: Path) -> None:
    one, two = deploy(BASE, shared_folder), deploy(BASE, shared_folder)
    assert json.dumps(one.objects) == json.dumps(two.objects)
