"""What an environment should have, given what its cluster holds: passwords and claims."""

from __future__ import annotations

import base64
import copy
from pathlib import Path
from typing import Any

import pytest

from fleet.cluster.desired import (
    PASSWORD_LENGTH,
    desired_objects,
    new_password,
    password_of,
)
from fleet.cluster.live import Key, key_of
from fleet.errors import InputError
from tests.support.fakes.project import IMAGE, Project, new_project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return new_project(tmp_path, monkeypatch)


Live = dict[Key, dict[str, Any]]
PLACE = "opencode-t--default"
CLAIM = Key("PersistentVolumeClaim", PLACE, "oc-alice")
SECRET = Key("Secret", PLACE, "oc-alice")


def desired(project: Project, live: Live) -> Live:
    items = desired_objects({}, project.plan(), IMAGE, live)
    return {item.key: item.manifest for item in items}


def as_live(items: Live) -> Live:
    return copy.deepcopy(items)


def test_a_password_is_long_and_never_the_same() -> None:
    words = {new_password() for _ in range(200)}
    assert len(words) == 200
    assert {len(word) for word in words} == {PASSWORD_LENGTH}
    assert all(word.isalnum() for word in words)


def test_a_password_in_the_cluster_stays(project: Project) -> None:
    live = as_live(desired(project, {}))
    assert desired(project, live)[SECRET]["data"] == live[SECRET]["data"]


def test_two_users_have_two_passwords(project: Project) -> None:
    items = desired(project, {})
    assert items[SECRET]["data"] != items[Key("Secret", PLACE, "oc-bob")]["data"]


def test_a_raised_password_version_gives_a_new_password(project: Project) -> None:
    live = as_live(desired(project, {}))
    project.users({"id": "alice", "passwordVersion": 2}, "bob")
    again = desired(project, live)
    assert again[SECRET]["data"] != live[SECRET]["data"]
    bob = Key("Secret", PLACE, "oc-bob")
    assert again[bob]["data"] == live[bob]["data"]


def test_a_secret_that_lost_its_password_gets_a_new_one(project: Project) -> None:
    live = as_live(desired(project, {}))
    live[SECRET]["data"] = None
    assert password_of(live[SECRET]) is None
    assert len(password_of(desired(project, live)[SECRET]) or "") == PASSWORD_LENGTH


def test_a_secret_is_sent_encoded_and_its_stamp_does_not_depend_on_it(project: Project) -> None:
    one, other = desired(project, {})[SECRET], desired(project, {})[SECRET]
    assert "stringData" not in one
    assert len(base64.b64decode(one["data"]["password"])) == PASSWORD_LENGTH
    assert one["data"] != other["data"]
    assert one["metadata"] == other["metadata"]


def test_a_claim_that_exists_keeps_what_cannot_change(project: Project) -> None:
    live = as_live(desired(project, {}))
    live[CLAIM]["spec"] |= {
        "storageClassName": "former",
        "volumeName": "pv-1",
        "accessModes": ["ReadWriteOncePod"],
    }
    project.write(storage={"className": "newer"})
    again = desired(project, live)
    assert again[CLAIM]["spec"]["storageClassName"] == "former"
    assert again[CLAIM]["spec"]["volumeName"] == "pv-1"
    assert again[CLAIM]["spec"]["accessModes"] == ["ReadWriteOncePod"]
    bob = Key("PersistentVolumeClaim", PLACE, "oc-bob")
    assert "storageClassName" not in again[bob]["spec"]


def test_a_new_claim_takes_the_class_of_the_stack_file(project: Project) -> None:
    project.write(storage={"className": "newer"})
    assert desired(project, {})[CLAIM]["spec"]["storageClassName"] == "newer"


def test_a_claim_may_grow(project: Project) -> None:
    live = as_live(desired(project, {}))
    project.write(profiles={"standard": {"storage": "20Gi"}})
    again = desired(project, live)
    assert again[CLAIM]["spec"]["resources"]["requests"]["storage"] == "20Gi"


def test_shrinking_is_refused_for_every_user_at_once(project: Project) -> None:
    live = as_live(desired(project, {}))
    project.write(profiles={"standard": {"storage": "9Gi"}})
    with pytest.raises(InputError) as raised:
        desired(project, live)
    lines = [str(problem) for problem in raised.value.problems]
    assert len(lines) == 2
    assert lines[0].startswith("profiles.standard.storage: 9Gi: the claim of user alice already")
    assert "write 10Gi or more" in lines[0]


def test_equal_sizes_in_other_units_do_not_shrink(project: Project) -> None:
    live = as_live(desired(project, {}))
    project.write(profiles={"standard": {"storage": "10240Mi"}})
    assert desired(project, live)[CLAIM]


def test_every_object_stands_once_and_namespaces_first(project: Project) -> None:
    project.write(pools={"second": {}})
    project.users("alice", {"id": "bob", "pool": "second"})
    items = desired_objects({}, project.plan(), IMAGE, {})
    keys = [item.key for item in items]
    assert len(set(keys)) == len(keys)
    for place in (PLACE, "opencode-t--second"):
        first = next(key for key in keys if place in (key.namespace, key.name))
        assert first == Key("Namespace", "", place)
    assert {item.user.id if item.user else None for item in items} == {None, "alice", "bob"}
    assert all(item.key == key_of(item.manifest) for item in items)
