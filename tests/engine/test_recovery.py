"""The way back: edits undone, what is gone made anew by the run, what nobody knows deleted."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from pulumi.automation.events import EngineEvent

from fleet.cluster.client import Cluster
from fleet.cluster.owned import Key, key_of, owned
from fleet.engine.recovery import (
    Recovery,
    changed_secrets,
    delete_unknown,
    recover,
    release_fields,
    stale_managers,
)
from fleet.engine.state import NOTHING, State, read_state
from fleet.errors import ClusterError
from fleet.names import FIELD_MANAGER
from tests.support.engine_state import (
    MANAGER,
    deployment,
    exported,
    live,
    secret,
    service,
    urn,
)
from tests.support.fakes.api_server import ApiServer, Fault

NOBODY: Any = "urn:pulumi:t::none::none:none:None::none"


@dataclass
class Engine:
    """A stack that only notes what is asked of it."""

    holds: State | None = NOTHING
    read: list[Sequence[str] | None] = field(default_factory=list[Sequence[str] | None])
    name: str = "t"
    environment: str = "t"

    def state(self) -> State | None:
        return self.holds

    def refresh(self, on_event: Any, targets: Sequence[str] | None = None) -> None:
        del on_event
        self.read.append(targets)


def ignore(event: EngineEvent) -> None:
    del event


def put(api: ApiServer, *items: Mapping[str, Any]) -> None:
    """Place objects of which each has another version than the state knows."""
    metadata = {"name": "filler", "namespace": "elsewhere"}
    api.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
    api.put(*items)


def recovered(cluster: Cluster, state: State, engine: Engine | None = None) -> Recovery:
    return recover(engine or Engine(), cluster, state, owned(cluster, "t"), ignore)


def test_when_nothing_happened_nothing_is_asked_of_anybody(
    cluster: Cluster, api: ApiServer
) -> None:
    put(api, live(service()), live(deployment()))
    engine = Engine()
    found = recovered(cluster, read_state(exported(service(), deployment())), engine)
    assert found == Recovery()
    assert dict(found.variables) == {}
    assert engine.read == []
    assert [request.method for request in api.requests if request.method != "GET"] == []


def test_an_edit_is_undone_in_the_cluster_without_the_engine(
    cluster: Cluster, api: ApiServer
) -> None:
    item = live(deployment())
    item["spec"]["replicas"] = 0
    put(api, item)
    engine = Engine()
    found = recovered(cluster, read_state(exported(deployment())), engine)
    assert api.get("deployments", "oc-alice")["spec"]["replicas"] == 1
    assert (found.put_back, engine.read) == ([Key("Deployment", "n", "oc-alice")], [])


def test_an_object_that_is_gone_is_taken_out_of_the_state_so_that_the_run_makes_it(
    cluster: Cluster, api: ApiServer
) -> None:
    put(api, live(deployment()))
    engine = Engine()
    found = recovered(cluster, read_state(exported(service(), deployment())), engine)
    assert found.missing == (Key("Service", "n", "oc-alice"),)
    assert engine.read == [[urn(service())]]


def test_an_edit_that_cannot_be_undone_makes_the_object_anew(
    cluster: Cluster, api: ApiServer
) -> None:
    item = live(service())
    item["spec"]["ports"] = [{"port": 1}]
    put(api, item)
    api.faults.append(Fault(method="PATCH", path="/services/", status=422, reason="Invalid"))
    engine = Engine()
    found = recovered(cluster, read_state(exported(service())), engine)
    assert api.of("services") == []
    assert engine.read == [[urn(service())]]
    assert found.put_back == [Key("Service", "n", "oc-alice")]


def test_a_claim_is_never_deleted_to_undo_an_edit(cluster: Cluster, api: ApiServer) -> None:
    claim = {**service(), "kind": "PersistentVolumeClaim", "spec": {"resources": {"a": "1"}}}
    item = live(claim)
    item["spec"] = {"resources": {"a": "2"}}
    put(api, item)
    api.faults.append(Fault(method="PATCH", path="claims/", status=422, reason="Invalid"))
    with pytest.raises(ClusterError):
        recovered(cluster, read_state(exported(claim)))
    assert len(api.of("persistentvolumeclaims")) == 1


def test_a_secret_that_somebody_wrote_is_read_anew_and_remembered(
    cluster: Cluster, api: ApiServer
) -> None:
    put(api, live(secret(), managers=(MANAGER, "kubectl-edit")))
    engine = Engine()
    found = recovered(cluster, read_state(exported(secret())), engine)
    assert engine.read == [[urn(secret())]]
    assert list(found.secrets) == [Key("Secret", "n", "oc-alice")]


def test_objects_of_ours_that_no_state_holds_are_adopted_by_this_run_only(
    cluster: Cluster, api: ApiServer
) -> None:
    put(api, live(service()))
    found = recovered(cluster, NOTHING)
    assert found.unknown == (Key("Service", "n", "oc-alice"),)
    assert dict(found.variables) == {"PULUMI_K8S_UPSERT_EXISTING_OBJECTS": "true"}


def test_what_a_killed_run_left_pending_is_forgotten(cluster: Cluster) -> None:
    engine = Engine()
    recovered(cluster, State(objects={}, resources=1, pending=("urn:a",)), engine)
    assert engine.read == [[NOBODY]]


def test_many_objects_are_read_all_at_once(cluster: Cluster) -> None:
    engine = Engine()
    items = [service(f"oc-u{number}") for number in range(501)]
    recovered(cluster, read_state(exported(*items)), engine)
    assert engine.read == [None]


class TestLeaving:
    def test_an_object_on_its_way_out_is_waited_for(self, cluster: Cluster, api: ApiServer) -> None:
        item = live(deployment())
        item["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        put(api, item)
        timer = threading.Timer(0.7, lambda: api.remove("deployments", "oc-alice"))
        timer.start()
        found = recovered(cluster, read_state(exported(deployment())))
        timer.join()
        assert found.missing == (Key("Deployment", "n", "oc-alice"),)

    def test_one_that_stays_is_told(
        self, cluster: Cluster, api: ApiServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("fleet.engine.recovery._PATIENCE", 0.1)
        item = live(deployment())
        item["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        put(api, item)
        with pytest.raises(ClusterError, match="Deployment n/oc-alice: it is being deleted"):
            recovered(cluster, read_state(exported(deployment())))


class TestAfterARun:
    def test_what_the_state_does_not_hold_now_either_is_deleted(
        self, cluster: Cluster, api: ApiServer
    ) -> None:
        put(api, live(service()), live(service("oc-bob")), live(deployment()))
        engine = Engine(holds=read_state(exported(service(), deployment())))
        unknown = [Key("Service", "n", "oc-alice"), Key("Service", "n", "oc-bob")]
        assert delete_unknown(engine, cluster, unknown) == [Key("Service", "n", "oc-bob")]
        assert [key_of(item).name for item in api.of("services")] == ["oc-alice"]
        assert len(api.of("deployments")) == 1

    def test_without_unknown_objects_nothing_is_asked(
        self, cluster: Cluster, api: ApiServer
    ) -> None:
        assert delete_unknown(Engine(), cluster, ()) == []
        assert api.requests == []

    def test_only_users_whose_secret_holds_other_data_now_are_restarted(
        self, cluster: Cluster, api: ApiServer
    ) -> None:
        before = {key_of(item): item for item in map(live, (secret(), secret("oc-bob")))}
        after = live(secret())
        after["data"] = {"password": "b3RoZXI="}
        put(api, after, live(secret("oc-bob")))
        assert changed_secrets(cluster, before) == {"alice"}


class TestOldOwners:
    OLD = "pulumi-kubernetes-ffffffff"

    def test_engines_of_before_are_found_and_others_left(self) -> None:
        state = read_state(exported(deployment(), service()))
        managers = (MANAGER, self.OLD, FIELD_MANAGER, "kubectl-edit", "argocd")
        there = {key_of(item): item for item in (live(deployment(), managers=managers),)}
        assert stale_managers(state, there) == {
            Key("Deployment", "n", "oc-alice"): ("apps/v1", [self.OLD, FIELD_MANAGER])
        }

    def test_an_object_that_the_engine_does_not_own_yet_is_left(self) -> None:
        state = read_state(exported(deployment()))
        there = {key_of(item): item for item in (live(deployment(), managers=(self.OLD,)),)}
        assert stale_managers(state, there) == {}

    def test_a_claim_is_left(self) -> None:
        claim = {**service(), "kind": "PersistentVolumeClaim"}
        state = read_state(exported(claim))
        there = {key_of(item): item for item in (live(claim, managers=(MANAGER, self.OLD)),)}
        assert stale_managers(state, there) == {}

    def test_what_only_they_own_goes_and_the_rest_stays(
        self, cluster: Cluster, api: ApiServer
    ) -> None:
        item = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "a", "namespace": "n"},
        }
        cluster.apply({**item, "data": {"old": "1", "both": "1"}}, manager=self.OLD)
        cluster.apply({**item, "data": {"both": "1"}}, manager=MANAGER)
        release_fields(cluster, {Key("ConfigMap", "n", "a"): ("v1", [self.OLD])})
        assert api.get("configmaps", "a")["data"] == {"both": "1"}
