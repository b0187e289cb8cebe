"""Which objects are an environment's own, and how they differ from what they should be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fleet.cluster.live import APPLIED_HASH, Key, content_hash, differences, key_of, owned, stamped
from tests.support.fakes.project import Project, new_project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return new_project(tmp_path, monkeypatch)


def service(**spec: Any) -> dict[str, Any]:
    metadata = {"name": "s", "namespace": "n", "labels": {"a": "b"}}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def paths(wanted: dict[str, Any], found: dict[str, Any]) -> list[str]:
    return [item.path for item in differences(wanted, found)]


def test_fields_that_the_server_adds_are_no_difference() -> None:
    found = service(type="ClusterIP", clusterIP="10.0.0.1", ports=[{"port": 1, "protocol": "TCP"}])
    found["metadata"] |= {"uid": "1", "resourceVersion": "2"}
    assert paths(service(type="ClusterIP", ports=[{"port": 1}]), found) == []


@pytest.mark.parametrize("empty", [{}, [], ""])
def test_an_empty_value_that_the_server_drops_is_no_difference(empty: object) -> None:
    assert paths(service(x=empty), service()) == []


@pytest.mark.parametrize("value", [False, 0])
def test_a_false_or_zero_that_is_absent_is_a_difference(value: object) -> None:
    assert paths(service(x=value), service()) == ["spec.x"]


def test_a_changed_value_is_named_with_both_sides() -> None:
    (item,) = differences(service(ports=[{"port": 1}]), service(ports=[{"port": 2}]))
    assert (item.path, item.wanted, item.found) == ("spec.ports[0].port", 1, 2)


def test_lists_of_another_length_differ_as_a_whole() -> None:
    assert paths(service(ports=[1, 2]), service(ports=[1])) == ["spec.ports"]


def test_a_secret_with_a_key_too_many_differs() -> None:
    base: dict[str, Any] = {"kind": "Secret", "metadata": {"name": "s"}}
    assert paths({**base, "data": {"a": "1"}}, {**base, "data": {"a": "1", "b": "2"}}) == ["data"]
    assert paths({**base, "data": {"a": "1"}}, {**base, "data": {"a": "1"}}) == []
    assert paths({**base, "data": {"a": "1"}}, {**base, "data": None}) != []


def test_a_field_that_goes_away_is_noticed_by_the_stamp() -> None:
    before, after = stamped(service(a=1, b=2)), stamped(service(a=1))
    assert paths(after, before) == [f"metadata.annotations.{APPLIED_HASH}"]
    assert paths(before, before) == []


def test_a_stamp_leaves_the_object_itself_alone() -> None:
    item = service(a=1)
    stamped(item)
    assert "annotations" not in item["metadata"]


def test_the_order_of_keys_does_not_change_a_stamp() -> None:
    assert content_hash(service(a=1, b=2)) == content_hash(service(b=2, a=1))


def test_a_secrets_data_is_not_in_its_stamp() -> None:
    base: dict[str, Any] = {"kind": "Secret", "metadata": {"name": "s"}}
    assert content_hash({**base, "data": {"a": "1"}}) == content_hash({**base, "data": {"a": "2"}})
    config = {**base, "kind": "ConfigMap"}
    assert content_hash({**config, "data": {"a": "1"}}) != content_hash(
        {**config, "data": {"a": "2"}}
    )


def test_owned_is_what_carries_the_label_of_any_kind_and_namespace(project: Project) -> None:
    project.write(pools={"second": {}})
    project.users("alice", {"id": "bob", "pool": "second"})
    project.apply()
    made = {key_of(item) for item in project.objects() if item["kind"] != "Lease"}
    foreign = project.object("Service", "oc-alice")
    foreign["metadata"] |= {"name": "other", "labels": {"opencode-fleet/environment": "u"}}
    project.put(foreign)
    found = owned(project.kubectl, "t")
    assert set(found) == made
    assert all("apiVersion" in item and item["kind"] == key.kind for key, item in found.items())
    assert set(owned(project.kubectl, "u")) == {key_of(foreign)}


def test_keys_read_as_kind_and_place() -> None:
    assert str(Key("Service", "n", "s")) == "Service n/s"
    assert str(Key("Namespace", "", "n")) == "Namespace n"
