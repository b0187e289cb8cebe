"""`fleet apply` on a cluster that keeps objects in a file: what it asks of kubectl, and when."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from fleet.cluster.apply import Outcome, make_objects, read_changes
from fleet.cluster.kubectl import Kubectl, Reply
from fleet.errors import ClusterError
from tests.support.fakes.project import IMAGE, Project, new_project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return new_project(tmp_path, monkeypatch)


class Told:
    """Keeps what was reported."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, int, int]] = []

    def __call__(self, step: str, done: int, total: int, waiting: Sequence[str] = ()) -> None:
        assert not waiting
        self.lines.append((step, done, total))


def sent(call: dict[str, Any]) -> list[tuple[str, str]]:
    items = json.loads(call["stdin"])["items"]
    return [(item["kind"], item["metadata"]["name"]) for item in items]


def test_the_first_apply_makes_every_object_and_the_second_none(project: Project) -> None:
    project.apply()
    kinds = [item["kind"] for item in project.objects()]
    assert kinds[0] == "Namespace"
    assert kinds.count("Deployment") == kinds.count("PersistentVolumeClaim") == 2
    project.forget_calls()
    done = project.apply("--json")
    assert done.json["applied"] == done.json["deleted"] == []
    assert project.calls("apply") == project.calls("delete")[:-1] == []


def test_a_third_user_is_five_objects_and_nobody_elses(project: Project) -> None:
    project.apply()
    project.users("alice", "bob", "carol")
    project.forget_calls()
    project.apply()
    (call,) = project.calls("apply")
    kinds = ["Secret", "PersistentVolumeClaim", "Service", "Deployment", "Ingress"]
    assert sent(call) == [(kind, "oc-carol") for kind in kinds]


def test_what_is_no_longer_rendered_goes_but_never_a_claim_or_namespace(project: Project) -> None:
    project.write(pools={"second": {}})
    project.users("alice", {"id": "bob", "pool": "second"})
    project.apply()
    project.write(pools=None)
    project.users("alice")
    project.forget_calls()
    project.apply()
    gone = sent(project.calls("delete")[0])
    assert ("Deployment", "oc-bob") in gone
    assert {kind for kind, _ in gone}.isdisjoint(
        {"PersistentVolumeClaim", "Namespace", "PersistentVolume"}
    )
    left = {(item["kind"], item["metadata"]["name"]) for item in project.objects()}
    assert ("PersistentVolumeClaim", "oc-bob") in left
    assert ("Namespace", "opencode-t--second") in left
    assert ("Deployment", "oc-bob") not in left


def test_objects_of_another_environment_are_left_alone(project: Project) -> None:
    project.apply()
    other = project.object("Service", "oc-alice")
    other["metadata"]["name"] = "foreign"
    other["metadata"]["labels"]["opencode-fleet/environment"] = "other"
    project.put(other)
    project.apply()
    assert project.object("Service", "foreign") == other


def test_new_objects_are_made_before_old_ones_go(project: Project, tmp_path: Path) -> None:
    (tmp_path / "scenes/one").mkdir(parents=True)
    agents = tmp_path / "scenes/one/AGENTS.md"
    (tmp_path / "scenes/one/.opencode").mkdir()
    (tmp_path / "scenes/one/.opencode/opencode.json").write_text("{}")
    agents.write_text("First text\n")
    project.write(scenes={"one": {"path": "scenes/one"}})
    project.users({"id": "alice", "scenes": ["one"]})
    project.apply()
    agents.write_text("Second text\n")
    project.forget_calls()
    project.apply()
    verbs = [call["argv"][1] for call in project.calls()]
    deleted = project.calls("delete")[0]
    assert verbs.index("apply") < verbs.index("delete")
    assert [kind for kind, _ in sent(deleted)] == ["ConfigMap"]


def test_what_users_share_is_made_first_and_a_users_objects_in_their_order(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleet.cluster.apply._BATCH", 7)
    monkeypatch.setattr("fleet.cluster.apply._SMALL", 1)
    project.users("alice", "bob", "carol")
    changes, live = read_changes(project.kubectl, {}, project.plan(), IMAGE)
    assert not live
    outcome, told = Outcome(), Told()
    make_objects(project.kubectl, changes.apply, outcome, told)
    calls = [sent(call) for call in project.calls("apply")]
    shared = [(i.key.kind, i.key.name) for i in changes.apply if i.user is None]
    assert [pair for call in calls[:-3] for pair in call] == shared
    kinds = ["Secret", "PersistentVolumeClaim", "Service", "Deployment", "Ingress"]
    expected = [[(kind, f"oc-{user}") for kind in kinds] for user in ("alice", "bob", "carol")]
    assert sorted(calls[-3:]) == sorted(expected)
    assert outcome.applied == [str(item.key) for item in changes.apply]
    count = len(changes.apply)
    assert told.lines[0] == ("apply", 0, count)
    assert told.lines[-1] == ("apply", count, count)


def test_users_are_sent_side_by_side(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleet.cluster.apply._SMALL", 1)
    gate = threading.Barrier(2, timeout=30)
    answer = Kubectl.run

    def together(self: Kubectl, *arguments: str, **options: Any) -> Reply:
        if '"Deployment"' in (options.get("stdin") or ""):
            gate.wait()
        return answer(self, *arguments, **options)

    monkeypatch.setattr(Kubectl, "run", together)
    changes, _ = read_changes(project.kubectl, {}, project.plan(), IMAGE)
    outcome = Outcome()
    make_objects(project.kubectl, changes.apply, outcome, Told())
    assert len(outcome.applied) == len(changes.apply)


def test_a_quota_that_others_write_too_is_tried_again(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = Kubectl.run
    conflict = (
        'error: Operation cannot be fulfilled on resourcequotas "pool": the object has been'
        " modified; please apply your changes to the latest version and try again\n"
        "Please review the fields above--they currently have other managers. Here\n"
        "are the ways you can resolve this warning:\n"
    )
    refusals = [conflict, conflict]

    def busy(self: Kubectl, *arguments: str, **options: Any) -> Reply:
        if arguments[0] == "apply" and refusals:
            return Reply(code=1, out="", err=refusals.pop())
        return answer(self, *arguments, **options)

    monkeypatch.setattr(Kubectl, "run", busy)
    assert "failures" in project.apply("--json").json
    assert len(project.objects("Deployment")) == 2


def test_a_conflict_that_stays_is_told_without_kubectls_advice(project: Project) -> None:
    err = (
        "error: Operation cannot be fulfilled: the object has been modified\n"
        "Please review the fields above--they currently have other managers. Here\n"
        "are the ways you can resolve this warning:\n"
    )
    project.faults({"when": ["object Service oc-bob"], "err": err})
    done = project.fleet("apply", "-s", "t")
    assert done.code == 1
    assert "Please review" not in done.err
    assert "are the ways" not in done.err


def test_secrets_reach_kubectl_on_standard_input_only(project: Project) -> None:
    project.apply()
    secret = project.object("Secret", "oc-alice")["data"]["password"]
    assert any(secret in call["stdin"] for call in project.calls("apply"))
    assert not any(secret in word for call in project.calls() for word in call["argv"])


def test_a_refused_object_is_told_with_its_user_and_the_others_are_done(project: Project) -> None:
    err = 'Error from server (Forbidden): persistentvolumeclaims "oc-bob" is forbidden: exceeded'
    project.faults({"when": ["object PersistentVolumeClaim oc-bob"], "err": err})
    done = project.fleet("apply", "-s", "t")
    assert done.code == 1
    assert f"user bob: apply PersistentVolumeClaim: {err}" in done.err.splitlines()
    assert "the rest was done; mend the cause and run this again" in done.err
    assert "user alice" not in done.err
    names = [item["metadata"]["name"] for item in project.objects("PersistentVolumeClaim")]
    assert names == ["oc-alice"]
    project.faults()
    project.forget_calls()
    project.apply()
    assert [sent(call) for call in project.calls("apply")] == [
        [("PersistentVolumeClaim", "oc-bob")]
    ]


def test_a_refused_user_is_not_listed_among_what_was_applied(project: Project) -> None:
    err = 'Error from server (Invalid): Service "oc-bob" is invalid: no'
    project.faults({"when": ["object Service oc-bob"], "err": err})
    done = project.fleet("apply", "-s", "t", "--json")
    place = "opencode-t--default"
    assert done.code == 1
    assert f"Service {place}/oc-bob" not in done.json["applied"]
    assert f"Service {place}/oc-alice" in done.json["applied"]
    assert done.json["failures"] == [f"user bob: apply Service: {err}"]


def test_what_users_share_is_told_as_the_environments(project: Project) -> None:
    err = 'Error from server (Forbidden): networkpolicies "default-deny" is forbidden'
    policy = next(
        item.key.name
        for item in read_changes(project.kubectl, {}, project.plan(), IMAGE)[0].apply
        if item.key.kind == "NetworkPolicy"
    )
    err = err.replace("default-deny", policy)
    project.faults({"when": [f"object NetworkPolicy {policy}"], "err": err})
    done = project.fleet("apply", "-s", "t", "--no-wait")
    assert done.code == 1
    assert f"environment: apply NetworkPolicy: {err}" in done.err


def test_a_namespace_of_somebody_else_is_refused_untouched(project: Project) -> None:
    metadata: dict[str, Any] = {"name": "opencode-t--default", "labels": {}}
    project.put({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    done = project.fleet("apply", "-s", "t")
    assert done.code == 1
    assert "namespace opencode-t--default: it exists and belongs to nobody we know" in done.err
    assert project.calls("apply") == []


def test_a_cluster_that_goes_away_ends_it_in_one_line(project: Project) -> None:
    changes, _ = read_changes(project.kubectl, {}, project.plan(), IMAGE)
    gone = "The connection to the server 127.0.0.1:6443 was refused - connection refused"
    project.faults({"when": ["call", "apply", "--server-side"], "err": gone + "\n"})
    with pytest.raises(ClusterError, match="does not answer"):
        make_objects(project.kubectl, changes.apply, Outcome(), Told())


def test_nothing_is_purged_when_something_failed(project: Project) -> None:
    project.apply()
    project.users("alice", "carol")
    project.write(purge=["bob"])
    err = 'Error from server (Invalid): Service "oc-carol" is invalid'
    project.faults({"when": ["object Service oc-carol"], "err": err})
    assert project.fleet("apply", "-s", "t").code == 1
    assert project.object("PersistentVolumeClaim", "oc-bob")


def test_what_another_engine_made_is_left_to_it_unless_taken_over(project: Project) -> None:
    project.apply()
    deployment = project.object("Deployment", "oc-bob")
    del deployment["metadata"]["annotations"]["opencode-fleet/applied-hash"]
    project.put(deployment)
    project.forget_calls()
    done = project.fleet("apply", "-s", "t")
    assert done.code == 1
    assert "Deployment opencode-t--default/oc-bob was not made by fleet apply" in done.err
    assert project.calls("apply") == []
    assert project.fleet("destroy", "--yes", "-s", "t").code == 1
    assert len(project.objects("Deployment")) == 2
    assert project.objects("Lease") == []
    project.apply("--take-over")
    project.apply()
