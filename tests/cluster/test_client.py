"""The client against a real API on loopback: what is sent, what comes back, how no is told."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest

from fleet.cluster.client import Cluster
from fleet.cluster.execution import Execution
from fleet.errors import AwayError, ClusterError, RefusedError
from tests.support.fakes.api_server import ApiServer, Fault, Log
from tests.support.fakes.exec_channel import Ran, always
from tests.support.fakes.served import Served


def config_map(name: str, place: str = "n", **more: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": place, **more.pop("metadata", {})}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, **more}


@pytest.fixture
def cluster(fleet: Served) -> Cluster:
    return fleet.cluster


def names(items: Sequence[dict[str, Any]]) -> list[str]:
    return [item["metadata"]["name"] for item in items]


def test_a_list_is_of_a_namespace_or_of_all_and_items_say_what_they_are(
    cluster: Cluster, api: ApiServer
) -> None:
    api.put(config_map("a"), config_map("b", "m"))
    assert names(cluster.list("configmaps")) == ["b", "a"]
    (item,) = cluster.list("configmaps", namespace="n")
    assert (item["apiVersion"], item["kind"]) == ("v1", "ConfigMap")


def test_labels_and_fields_select(cluster: Cluster, api: ApiServer) -> None:
    api.put(
        config_map("a", metadata={"labels": {"x": "1", "y": "2"}}),
        config_map("b", metadata={"labels": {"x": "2"}}),
        config_map("c"),
    )
    assert names(cluster.list("configmaps", labels={"x": ""})) == ["a", "b"]
    assert names(cluster.list("configmaps", labels={"x": "1", "y": ""})) == ["a"]
    assert names(cluster.list("configmaps", labels="x=2")) == ["b"]
    assert names(cluster.list("configmaps", fields={"metadata.name": "c"})) == ["c"]


def test_several_kinds_come_by_kind(cluster: Cluster, api: ApiServer) -> None:
    api.put(config_map("a"))
    found = cluster.list_all(["configmaps", "secrets"], namespace="n")
    assert {kind: names(items) for kind, items in found.items()} == {
        "configmaps": ["a"],
        "secrets": [],
    }


def test_a_kind_that_the_cluster_does_not_serve_has_no_objects(
    cluster: Cluster, api: ApiServer
) -> None:
    # So an API server answers for a group that it does not know.
    api.faults.append(Fault(path="/httproutes", status=404, plain=b"404 page not found\n"))
    assert cluster.list("httproutes") == []


def test_an_object_that_is_not_there_is_none(cluster: Cluster, api: ApiServer) -> None:
    api.put(config_map("a"))
    assert cluster.get("configmaps", "b", "n") is None
    found = cluster.get("configmaps", "a", "n")
    assert found is not None
    assert found["metadata"]["name"] == "a"


def test_what_may_not_be_read_is_refused_with_the_apis_own_words(
    cluster: Cluster, api: ApiServer
) -> None:
    api.faults.append(
        Fault(path="/secrets", status=403, reason="Forbidden", message="secrets is forbidden")
    )
    with pytest.raises(RefusedError, match=r"^secrets is forbidden$") as raised:
        cluster.list("secrets")
    assert (raised.value.status, raised.value.reason) == (403, "Forbidden")


def test_applying_twice_keeps_one_object_and_drops_what_is_no_longer_said(
    cluster: Cluster, api: ApiServer
) -> None:
    cluster.apply(config_map("a", data={"x": "1", "y": "2"}))
    done = cluster.apply(config_map("a", data={"x": "3"}))
    assert done["data"] == {"x": "3"}
    assert api.get("configmaps", "a")["data"] == {"x": "3"}


def test_a_field_of_another_manager_is_refused_unless_forced(
    cluster: Cluster, api: ApiServer
) -> None:
    cluster.apply(config_map("a", data={"x": "1"}), manager="somebody")
    with pytest.raises(RefusedError, match='conflict with "somebody"') as raised:
        cluster.apply(config_map("a", data={"x": "2"}))
    assert raised.value.status == 409
    assert api.get("configmaps", "a")["data"] == {"x": "1"}
    assert cluster.apply(config_map("a", data={"x": "2"}), force=True)["data"] == {"x": "2"}


def test_what_is_there_cannot_be_created(cluster: Cluster) -> None:
    cluster.create(config_map("a"))
    with pytest.raises(RefusedError) as raised:
        cluster.create(config_map("a"))
    assert raised.value.reason == "AlreadyExists"


def test_a_patch_merges_or_goes_step_by_step(cluster: Cluster) -> None:
    cluster.create(config_map("a", data={"x": "1", "y": "2"}))
    done = cluster.patch("configmaps", "a", {"data": {"x": None, "z": "3"}}, "n")
    assert done["data"] == {"y": "2", "z": "3"}
    steps = [{"op": "remove", "path": "/data/y"}]
    done = cluster.patch("configmaps", "a", steps, "n", how="json")
    assert done["data"] == {"z": "3"}


def test_deleting_tells_whether_it_was_there(cluster: Cluster, api: ApiServer) -> None:
    api.put(config_map("a"))
    assert cluster.delete("configmaps", "a", "n", wait=1) is True
    assert cluster.delete("configmaps", "a", "n", wait=1) is False
    assert api.of("configmaps") == []


def test_an_object_that_something_holds_is_told_with_what_holds_it(
    cluster: Cluster, api: ApiServer
) -> None:
    api.put(config_map("a", metadata={"finalizers": ["example.com/held"]}))
    with pytest.raises(ClusterError, match=r"ConfigMap n/a: deleted, but .*: example.com/held"):
        cluster.delete("configmaps", "a", "n", wait=0)


def test_waiting_for_a_deletion_ends_when_another_object_has_the_name(
    cluster: Cluster, api: ApiServer
) -> None:
    api.put(config_map("a", metadata={"uid": "old"}))
    api.on_delete = lambda _: api.put(config_map("a", metadata={"uid": "new"}))
    assert cluster.delete("configmaps", "a", "n", wait=0)
    assert api.get("configmaps", "a")["metadata"]["uid"] == "new"


def test_another_object_of_the_same_name_is_not_deleted(cluster: Cluster, api: ApiServer) -> None:
    api.put(config_map("a", metadata={"uid": "new"}))
    with pytest.raises(RefusedError) as raised:
        cluster.delete("configmaps", "a", "n", uid="old")
    assert raised.value.status == 409
    assert names(api.of("configmaps")) == ["a"]


def test_names_cannot_leave_their_place_in_a_path(cluster: Cluster, api: ApiServer) -> None:
    assert cluster.get("configmaps", "../../secrets/a", "n") is None
    assert api.requests[-1].path == "/api/v1/namespaces/n/configmaps/..%2F..%2Fsecrets%2Fa"


def test_a_watch_yields_what_happens_and_ends(cluster: Cluster, api: ApiServer) -> None:
    api.put(config_map("a"), config_map("b", data={"x": "y" * 100_000}))
    found = list(cluster.watch("configmaps", namespace="n", seconds=1))
    assert [(kind, item["metadata"]["name"]) for kind, item in found] == [
        ("ADDED", "a"),
        ("ADDED", "b"),
    ]


def test_a_path_of_the_api_is_read_as_it_is(cluster: Cluster, api: ApiServer) -> None:
    api.answers["/api/v1/nodes/n/proxy/stats/summary"] = {"node": {"nodeName": "n"}}
    assert cluster.raw("/api/v1/nodes/n/proxy/stats/summary") == {"node": {"nodeName": "n"}}


class TestLogs:
    def test_lines_come_as_they_were_printed(self, cluster: Cluster, api: ApiServer) -> None:
        api.logs[("p", "c")] = Log(text=b"one\ntwo \xff\nthree")
        assert list(cluster.logs("n", "p", "c")) == ["one", "two \ufffd", "three"]
        assert list(cluster.logs("n", "p", "c", tail=1)) == ["three"]

    def test_following_goes_on_until_the_container_ends(
        self, cluster: Cluster, api: ApiServer
    ) -> None:
        api.logs[("p", "c")] = Log(text=b"one\n", more=(b"tw", b"o\nthree\n"))
        assert list(cluster.logs("n", "p", "c", follow=True)) == ["one", "two", "three"]

    def test_a_connection_that_breaks_is_told_after_what_came(
        self, cluster: Cluster, api: ApiServer
    ) -> None:
        api.logs[("p", "c")] = Log(text=b"one\n", cut=True)
        lines = cluster.logs("n", "p", "c", follow=True)
        assert next(lines) == "one"
        with pytest.raises(AwayError, match="does not answer"):
            next(lines)

    def test_a_line_without_end_comes_in_pieces(self, cluster: Cluster, api: ApiServer) -> None:
        api.logs[("p", "c")] = Log(text=b"x" * 300_000)
        pieces = list(cluster.logs("n", "p", "c"))
        assert len(pieces) > 1
        assert "".join(pieces) == "x" * 300_000

    def test_the_one_before_is_refused_where_there_was_none(
        self, cluster: Cluster, api: ApiServer
    ) -> None:
        api.logs[("p", "c")] = Log(text=b"now\n", previous=b"before\n")
        assert list(cluster.logs("n", "p", "c", previous=True)) == ["before"]
        api.logs[("p", "c")] = Log(text=b"now\n")
        with pytest.raises(RefusedError) as raised:
            list(cluster.logs("n", "p", "c", previous=True))
        assert raised.value.status == 400


class TestExec:
    @pytest.fixture(autouse=True)
    def pod(self, api: ApiServer) -> None:
        metadata = {"name": "p", "namespace": "n"}
        api.put({"apiVersion": "v1", "kind": "Pod", "metadata": metadata})

    def test_code_and_both_outputs_come_back(self, cluster: Cluster, api: ApiServer) -> None:
        asked: list[tuple[str, Sequence[str]]] = []

        def run(pod: str, command: Sequence[str], stdin: bytes | None) -> Ran:
            asked.append((pod, command))
            assert stdin is None
            return Ran(7, b"out \xff", b"err")

        api.exec = run
        done = cluster.exec("n", "p", "c", ["sh", "-c", "a & b"])
        assert done == Execution(code=7, out="out \ufffd", err="err")
        assert asked == [("p", ["sh", "-c", "a & b"])]

    @pytest.mark.parametrize("size", [0, 5, 200, 100_000])
    def test_standard_input_reaches_its_end(
        self, cluster: Cluster, api: ApiServer, size: int
    ) -> None:
        def cat(pod: str, command: Sequence[str], stdin: bytes | None) -> Ran:
            del pod, command
            return Ran(0, stdin or b"")

        api.exec = cat
        assert cluster.exec("n", "p", "c", ["cat"], stdin="x" * size).out == "x" * size

    def test_a_cluster_that_cannot_end_standard_input_is_told_before_the_command_hangs(
        self, cluster: Cluster, api: ApiServer
    ) -> None:
        api.exec = always(Ran(0, protocol="v4.channel.k8s.io"))
        assert cluster.exec("n", "p", "c", ["true"]).code == 0
        with pytest.raises(ClusterError, match=r"needs Kubernetes 1\.30 or newer"):
            cluster.exec("n", "p", "c", ["cat"], stdin="x")

    def test_a_command_that_cannot_be_run_is_an_error_and_no_exit_code(
        self, cluster: Cluster, api: ApiServer
    ) -> None:
        api.exec = always(Ran(1, failure="no such\nfile\x1b[2J"))
        with pytest.raises(ClusterError, match=r"^pod n/p: nope: no such file\\x1b\[2J$"):
            cluster.exec("n", "p", "c", ["nope"])

    def test_a_connection_that_is_cut_is_an_error(self, cluster: Cluster, api: ApiServer) -> None:
        api.exec = always(Ran(None, b"half"))
        with pytest.raises(ClusterError, match=r"cut|does not answer"):
            cluster.exec("n", "p", "c", ["sleep"])

    def test_what_prints_without_end_is_stopped(self, cluster: Cluster, api: ApiServer) -> None:
        api.exec = always(Ran(0, b"y\n" * 5_000_000))
        with pytest.raises(ClusterError, match="pod n/p: yes: printed more than 8 MiB"):
            cluster.exec("n", "p", "c", ["yes"])

    def test_what_takes_too_long_is_stopped(self, cluster: Cluster, api: ApiServer) -> None:
        held = threading.Event()

        def run(pod: str, command: Sequence[str], stdin: bytes | None) -> Ran:
            del pod, command
            if stdin is not None:
                held.wait(30)
            return Ran(0)

        api.exec = run
        with pytest.raises(ClusterError, match=r"pod n/p: sleep: not done in 0.2 s"):
            cluster.exec("n", "p", "c", ["sleep"], stdin="", timeout=0.2)
        held.set()

    def test_a_pod_that_is_not_there_is_refused(self, cluster: Cluster) -> None:
        with pytest.raises(RefusedError, match='pods "q" not found') as raised:
            cluster.exec("n", "q", "c", ["true"])
        assert raised.value.status == 404
