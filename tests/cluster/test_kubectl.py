"""kubectl: which one, and what it complains about as one line for the operator."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from fleet.cluster.kubectl import Kubectl, as_list, find_kubectl, part
from fleet.errors import ClusterError
from tests.support.fakes.project import CONTEXT, Project, new_project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return new_project(tmp_path, monkeypatch)


def program(folder: Path, name: str = "kubectl", body: str = "exit 0") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any kubectl."""
    monkeypatch.delenv("FLEET_KUBECTL", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def test_a_machine_without_kubectl_is_told_what_to_do(bare: Path) -> None:
    del bare
    with pytest.raises(ClusterError, match=r"kubectl: not found: .*: install it, or run make up"):
        find_kubectl()


def test_path_comes_before_the_bundled_one_and_the_given_one_before_both(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = program(bare / "cache/opencode-fleet/bin/1-go1.25")
    new = program(bare / "cache/opencode-fleet/bin/0-go1.26")
    os.utime(old, (1, 1))
    assert find_kubectl() == str(new)
    on_path = program(bare / "bin")
    assert find_kubectl() == str(on_path)
    monkeypatch.setenv("FLEET_KUBECTL", str(old))
    assert find_kubectl() == str(old)


def test_every_call_names_the_context_and_never_uses_a_default(project: Project) -> None:
    project.apply()
    assert {call["argv"][0] for call in project.calls()} == {f"--context={CONTEXT}"}


@pytest.mark.parametrize(
    ("err", "line"),
    [
        (
            'error: context "c" does not exist',
            "cluster.context: c: no such context in your kubeconfig: use one of"
            " opencode-fleet-local, other",
        ),
        (
            "E1121 memcache.go:265] couldn't get current server API group list\n"
            "The connection to the server 127.0.0.1:1 was refused - did you specify the right"
            " host or port? (connection refused)",
            "cluster.context: c: does not answer",
        ),
        (
            "Unable to connect to the server: dial tcp: lookup x: no such host",
            "cluster.context: c: does not answer (dial tcp: lookup x: no such host)",
        ),
        (
            "Unable to connect to the server: net/http: TLS handshake timeout",
            "cluster.context: c: does not answer",
        ),
        (
            "Warning: old\nError from server (Forbidden): pods is\n forbidden",
            "Error from server (Forbidden): pods is",
        ),
        ("", "kubectl failed without a word"),
    ],
)
def test_a_complaint_becomes_one_line(project: Project, err: str, line: str) -> None:
    text = Kubectl(program=project.kubectl.program, context="c").explain(err)
    assert text.startswith(line)
    assert "\n" not in text


def test_an_endless_complaint_is_cut(project: Project) -> None:
    assert len(project.kubectl.explain("error: " + "x" * 5000)) == 401


def test_a_call_that_hangs_ends(tmp_path: Path) -> None:
    slow = Kubectl(program=str(program(tmp_path, body="exec sleep 30")), context="c")
    with pytest.raises(ClusterError, match=r"kubectl get gave no answer in 0 s"):
        slow.run("get", timeout=0.2)


def test_a_single_object_and_nothing_are_lists_too(project: Project) -> None:
    project.apply()
    found = project.kubectl.get(["services"], "oc-alice", "--namespace=opencode-t--default")
    assert [item["metadata"]["name"] for item in found] == ["oc-alice"]
    assert project.kubectl.get(["services"], "oc-nobody", "--ignore-not-found") == []


def test_an_answer_that_is_no_json_is_an_error_of_the_cluster(tmp_path: Path) -> None:
    odd = Kubectl(program=str(program(tmp_path, body="echo '<html>login</html>'")), context="c")
    with pytest.raises(ClusterError, match="no JSON"):
        odd.get(["services"])


def test_parts_that_are_absent_or_null_are_empty() -> None:
    assert part({}, "data") == part({"data": None}, "data") == {}


def test_objects_go_to_kubectl_as_one_json_list() -> None:
    assert json.loads(as_list([{"a": 1}])) == {
        "apiVersion": "v1",
        "kind": "List",
        "items": [{"a": 1}],
    }
