"""What a workspace can be given beside its size reaches OpenCode and the tools in it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.harness.environment import Environment
from tests.e2e.harness.forge import PORT as FORGE_PORT
from tests.e2e.harness.forge import TOKEN, WORK, start_forge
from tests.e2e.harness.kube import Kube
from tests.e2e.harness.making import Maker
from tests.e2e.harness.model_pod import API_KEY, ModelPod
from tests.e2e.harness.workspace import Workspace

pytestmark = pytest.mark.e2e

MODEL, SMALL = "fake-1(high)", "claude[1m]"
RULE = "RULES-OF-THE-HOUSE"
# One pixel.
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5Er"
    "kJggg=="
)


@pytest.fixture(scope="module")
def given(make: Maker, kube: Kube, model: ModelPod, image: str) -> Environment:
    """Ann may use one provider of two, bob both; all have variables, mounts, a proxy, a forge."""
    environment = make("options", ["ann", "bob"])
    forge = start_forge(kube, model.namespace, image)
    (environment.folder / "ca.pem").write_text(forge.authority, encoding="utf-8")
    house = environment.config["providers"]["openai"]
    house["models"] = {MODEL: {"name": "Fake", "input": ["text", "image"]}, SMALL: {}}
    other: dict[str, Any] = {"kind": "anthropic", "models": {"claude-sonnet-4-5": {}}}
    environment.config |= {
        "providers": {"openai": house, "anthropic": other},
        "models": {"default": f"openai/{MODEL}", "small": f"openai/{SMALL}"},
        "env": {"TEAM": "a $(HOME) b"},
        "secretEnv": {"JIRA_TOKEN": "jiraToken"},
        "mounts": [{"path": "/mnt/rules", "configMap": "rules"}],
        "managedConfig": {"instructions": ["/mnt/rules/rules.md"]},
        "git": {"hosts": {forge.host: {"token": "gitToken", "username": "oauth2"}}},
    }
    # Nobody answers there: what is in the cluster must be asked directly.
    environment.config["network"] |= {
        "proxy": {"http": "http://proxy.example.com:3128"},
        "caBundle": "ca.pem",
    }
    environment.config["network"]["allow"] += [{"namespace": model.namespace, "port": FORGE_PORT}]
    ann = environment.user("ann")
    ann["models"] = {"allowed": ["openai"]}
    ann["git"] = {"name": "Ann", "email": "ann@example.com"}
    environment.save()
    for key, text in (("jiraToken", "jira-secret"), ("gitToken", TOKEN)):
        assert environment.fleet("secret", key, stdin=text).code == 0
    environment.reread()
    # The pool's namespace first: what is mounted stands in it.
    for user in environment.config["users"]:
        user["state"] = "suspended"
    environment.up()
    meta = {"name": "rules", "namespace": environment.namespace}
    rules = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"rules.md": RULE}}
    kube.make(rules)
    for user in environment.config["users"]:
        user["state"] = "active"
    environment.up()
    for user in ("ann", "bob"):
        environment.workspace(user).healthy()
    return environment


def offered(workspace: Workspace) -> dict[str, list[str]]:
    """Return the models that the picker shows, by provider."""
    providers = workspace.get("/config/providers", "/app")["providers"]
    return {item["id"]: sorted(item["models"]) for item in providers}


def test_the_picker_shows_what_a_user_may_use_and_nothing_else(given: Environment) -> None:
    house = {"openai": sorted([MODEL, SMALL])}
    assert offered(given.workspace("ann")) == house
    assert offered(given.workspace("bob")) == {**house, "anthropic": ["claude-sonnet-4-5"]}


def test_a_model_that_sees_gets_the_picture_and_the_rules(
    given: Environment, model: ModelPod
) -> None:
    ann = given.workspace("ann")
    chat = ann.chat()
    picture: dict[str, Any] = {
        "type": "file",
        "mime": "image/png",
        "filename": "a.png",
        "url": f"data:image/png;base64,{PNG}",
    }
    parts = [{"type": "text", "text": "what is on it"}, picture]
    answer = ann.call("POST", f"/session/{chat}/message", {"parts": parts}, folder="/app")
    assert "error" not in answer.json["info"]
    asked = model.asked("what is on it")
    assert asked["model"] == MODEL
    assert "does not support image" not in asked["prompt"]
    assert RULE in asked["system"]


def test_variables_sealed_and_clear_reach_the_shell(given: Environment) -> None:
    done = given.inside("ann", "sh", "-c", "echo $TEAM/$JIRA_TOKEN; cat /mnt/rules/rules.md")
    assert done.stdout == f"a $(HOME) b/jira-secret\n{RULE}"
    written = given.inside("ann", "sh", "-c", "touch /mnt/rules/x")
    assert "Read-only file system" in written.stderr


def test_a_private_repository_is_cloned_without_a_question(given: Environment) -> None:
    (host,) = given.config["git"]["hosts"]
    script = f"cd /tmp && git clone -q https://{host}/work.git w && cat w/README"
    done = given.inside("ann", "bash", "-c", f"{script}; git config user.email")
    assert (done.stdout, done.stderr) == (f"{WORK}\nann@example.com\n", "")


def test_every_tool_trusts_the_authority_of_the_file(given: Environment) -> None:
    (host,) = given.config["git"]["hosts"]
    url = f"https://{host}/"
    tools = (
        f"curl -q -sS -o /dev/null -w '%{{http_code}}\\n' {url}",
        f"node -e 'fetch(\"{url}\").then(r => console.log(r.status))'",
        "python3 -c 'import sys, urllib.request as u, urllib.error as e\n"
        f'try: u.urlopen("{url}")\nexcept e.HTTPError as found: print(found.code)\'',
    )
    for tool in tools:
        done = given.inside("bob", "bash", "-c", tool)
        assert (done.stdout, done.stderr) == ("401\n", ""), tool


def test_no_key_stands_in_a_config_map_of_the_pool(given: Environment, kube: Kube) -> None:
    text = repr(kube.list("configmap", f"--namespace={given.namespace}"))
    for secret in (API_KEY, TOKEN, "jira-secret"):
        assert secret not in text


def test_a_rescue_reaches_the_files_and_starts_the_runtime_again(given: Environment) -> None:
    given.inside("bob", "sh", "-c", "echo work > /app/mine")
    done = given.fleet("rescue", "bob", "--image", given.image, "--", "cat", "/app/mine")
    assert (done.code, done.out) == (0, "work\n")
    given.ready("bob")
