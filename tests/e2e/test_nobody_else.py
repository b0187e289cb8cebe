"""Nobody else: a workspace belongs to one person, from the outside and from the inside."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness.environment import Environment
from tests.e2e.harness.kube import Kube
from tests.e2e.harness.waiting import until
from tests.e2e.harness.workspace import REFUSED, Workspace

pytestmark = pytest.mark.e2e
VERBS = ("get", "post", "put", "patch", "delete")


def refused(workspace: Workspace, method: str, path: str) -> str | None:
    """Return what is wrong when a request gets anything but 401."""
    reply = workspace.call(method.upper(), path, {} if method != "get" else None, timeout=20)
    return None if reply.status == 401 else f"{method} {path}: {reply.status} {reply.text[:60]}"


@pytest.mark.smoke
def test_without_a_password_every_route_answers_401(shared: Environment) -> None:
    """Lost otherwise: an open route is code execution for whoever finds the URL."""
    alice = shared.workspace("alice")
    paths: dict[str, Any] = alice.get("/doc")["paths"]
    routes = [
        (method, re.sub(r"\{[^}]+\}", "x", path))
        for path, methods in paths.items()
        for method in methods
        if method in VERBS
    ]
    assert len(routes) > 80, "the list of routes looks short"
    nobody = alice.anonymous()
    extra = [("get", "/"), ("get", "/doc"), ("get", "/nowhere"), ("post", "/pty")]
    # Of a runtime itself the one open route, for probes; the door has none.
    extra.append(("get", "/site.webmanifest"))
    wrong = [text for item in [*routes, *extra] if (text := refused(nobody, *item))]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", ["/global/health", "/config", "/session", "/event", "/doc"])
def test_alices_password_opens_nothing_of_bobs(shared: Environment, path: str) -> None:
    """Lost otherwise: one leaked password opens everybody's workspace."""
    alice, bob = shared.workspace("alice"), shared.workspace("bob")
    assert alice.password != bob.password
    for user in ("alice", "bob"):
        burglar = replace(bob, user=user, password=alice.password)
        assert burglar.call("GET", path).status in REFUSED


@pytest.mark.parametrize("password", ["", "wrong", "opencode", "undefined", "null"])
def test_guessed_passwords_open_nothing(shared: Environment, password: str) -> None:
    """Lost otherwise: an empty or default password lets anybody in."""
    bob = replace(shared.workspace("bob"), password=password)
    assert bob.call("GET", "/global/health").status in REFUSED


def test_a_runtime_holds_no_key_to_the_cluster(shared: Environment) -> None:
    """Lost otherwise: an agent that goes astray can talk to the cluster as somebody."""
    script = "ls /var/run/secrets /run/secrets 2>&1; env | grep -c KUBERNETES_"
    done = shared.inside("alice", "sh", "-c", script)
    assert done.stdout.count("No such file") == 2, done.stdout
    ask = "curl -sk -m 5 https://10.43.0.1/api/v1/secrets https://kubernetes.default.svc/api/v1/secrets"
    reply = shared.inside("alice", "sh", "-c", f"{ask}; true").stdout
    assert '"items"' not in reply


def test_a_runtime_is_nobody_special_on_the_node(shared: Environment) -> None:
    """Lost otherwise: a bug in OpenCode or a tool is a way to root and to other users' pods."""
    status = shared.inside("alice", "cat", "/proc/1/status").stdout
    facts = dict(re.findall(r"^(\w+):\s+(.*)$", status, re.MULTILINE))
    assert facts["Name"] == "tini"
    assert set(facts["Uid"].split()) == {"10001"}
    assert set(facts["Gid"].split()) == {"10001"}
    assert facts["NoNewPrivs"] == "1"
    assert int(facts["CapEff"], 16) == int(facts["CapBnd"], 16) == 0
    assert facts["Seccomp"] == "2"
    for attempt in ("touch /x", "touch /usr/local/bin/x", "touch /etc/x", "chmod 777 /root"):
        done = shared.inside("alice", "sh", "-c", attempt)
        assert done.returncode != 0, attempt
        assert re.search("Read-only|not permitted|denied", done.stderr), done.stderr


def test_one_users_files_are_nowhere_in_another_users_runtime(shared: Environment) -> None:
    """Lost otherwise: users read each other's work."""
    mark = "only-bob-wrote-this-line"
    assert shared.inside("bob", "sh", "-c", f"echo {mark} > /app/bobs.txt").returncode == 0
    script = f"grep -rls {mark} /app /data /tmp /home /mnt /media /var /srv 2>/dev/null; true"
    assert shared.inside("alice", "sh", "-c", script).stdout == ""
    claim = shared.kube.one("pvc", "oc-bob", shared.namespace)
    assert claim is not None
    mounts = shared.inside("alice", "cat", "/proc/mounts").stdout
    assert claim["spec"]["volumeName"] not in mounts
    assert "oc-bob" not in mounts


def test_a_privileged_pod_is_refused_in_a_pools_namespace(shared: Environment) -> None:
    """Lost otherwise: whoever may make pods there owns the node, and with it all data."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "bad", "namespace": shared.namespace},
        "spec": {
            "containers": [
                {"name": "bad", "image": shared.image, "securityContext": {"privileged": True}}
            ]
        },
    }
    done = shared.kube.run("create", "-f", "-", stdin=json.dumps(pod))
    assert done.returncode != 0
    assert 'violates PodSecurity "restricted' in done.stderr


@pytest.fixture
def control(shared: Environment, tmp_path: Path) -> Iterator[Kube]:
    """kubectl with agent-control's token and nothing else."""
    token = shared.kube.ask("create", "token", "agent-control", f"-n={shared.namespace}").strip()
    text = shared.kube.ask("config", "view", "--raw", "--minify", "-o", "json")
    config = json.loads(text)
    cluster = config["clusters"][0]["cluster"]
    if "certificate-authority" in cluster:
        ca = Path(cluster.pop("certificate-authority")).read_bytes()
        cluster["certificate-authority-data"] = base64.b64encode(ca).decode()
    config["users"] = [{"name": "control", "user": {"token": token}}]
    config["contexts"] = [
        {
            "name": "control",
            "context": {"cluster": config["clusters"][0]["name"], "user": "control"},
        }
    ]
    config["current-context"] = "control"
    file = tmp_path / "kubeconfig"
    file.write_text(json.dumps(config), encoding="utf-8")
    file.chmod(0o600)
    # Without a home kubectl keeps its cache in the folder it runs in.
    environ = {**os.environ, "KUBECONFIG": str(file)}
    yield Kube(program=shared.kube.program, context="control", environ=environ)
    file.unlink()


def test_agent_control_may_list_restart_and_scale_runtimes(
    shared: Environment, control: Kube
) -> None:
    """Lost otherwise: an outside control plane cannot do its work."""
    where = f"--namespace={shared.namespace}"
    names = {item["metadata"]["name"] for item in control.list("deployments", where)}
    assert names == {"oc-alice", "oc-bob"}
    before = shared.pod("bob")["metadata"]
    control.ask("delete", "pod", before["name"], where, "--wait=false")
    shared.ready("bob", but=before["uid"])
    control.ask("scale", "deployment/oc-bob", where, "--replicas=0")
    until("bob's pod is gone", lambda: "bob" not in shared.pods(), 30)
    control.ask("scale", "deployment/oc-bob", where, "--replicas=1")
    shared.ready("bob")
    shared.workspace("bob").healthy()


@pytest.mark.parametrize(
    "arguments",
    [
        ("get", "secrets"),
        ("get", "secret", "oc-alice"),
        ("get", "configmaps"),
        ("exec", "deployment/oc-alice", "--", "id"),
        ("logs", "deployment/oc-alice"),
        ("patch", "deployment", "oc-alice", "-p", '{"spec":{"paused":true}}'),
        ("create", "configmap", "x"),
        ("delete", "pvc", "oc-alice"),
        ("delete", "deployment", "oc-alice"),
        ("create", "token", "default"),
        ("get", "pods", "--namespace=kube-system"),
        ("get", "namespaces"),
    ],
    ids=" ".join,
)
def test_agent_control_may_do_nothing_else(
    shared: Environment, control: Kube, arguments: tuple[str, ...]
) -> None:
    """Lost otherwise: the control plane's token reads passwords or deletes people's work."""
    where = () if any("namespace" in item for item in arguments) else ("-n", shared.namespace)
    head, *rest = arguments
    done = control.run(head, *where, *rest)
    assert done.returncode != 0
    assert "orbidden" in done.stderr, done.stderr
