"""Scenes: a prepared working context reaches exactly the users that have it, and stays as made."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.harness.environment import Environment
from tests.e2e.harness.model_pod import MODEL, ModelPod
from tests.e2e.harness.waiting import until
from tests.e2e.harness.workspace import all_tool_parts, answer_text

pytestmark = pytest.mark.e2e
CODING = "/app/coding"


def test_a_scene_brings_its_agent_skill_and_tool(shared: Environment) -> None:
    """Lost otherwise: a scene is only a folder name; what the team prepared is not there."""
    alice = shared.workspace("alice")
    agents = {item["name"] for item in alice.get("/agent", CODING)}
    skills = {item["name"] for item in alice.get("/skill", CODING)}
    tools = set(alice.get("/experimental/tool/ids", CODING))
    commands = {item["name"] for item in alice.get("/command", CODING)}
    assert "reviewer" in agents
    assert "bug-fix" in skills
    assert "project_facts" in tools
    assert "review-changes" in commands
    outside = {item["name"] for item in alice.get("/agent", "/app")}
    assert "reviewer" not in outside, "a scene's agent must not leak into /app"


def test_the_model_reads_the_scenes_instructions_and_the_users_own(
    shared: Environment, model: ModelPod
) -> None:
    """Lost otherwise: AGENTS.md of the scene, or of the user, is ignored without a word."""
    alice = shared.workspace("alice")
    alice.say(alice.chat(CODING), "instructions 0815", CODING)
    system = model.asked("instructions 0815")["system"]
    assert "# Scene: coding" in system
    assert "# This workspace" in system
    assert "# Scene: research" not in system


def test_a_scenes_own_tool_runs_without_a_package_registry(shared: Environment) -> None:
    """Lost otherwise: custom tools make every prompt wait for a registry, or fail."""
    alice = shared.workspace("alice")
    chat = alice.chat(CODING)
    alice.say(chat, "[[tool project_facts {}]] [[say facts]]", CODING, timeout=60)
    (call,) = all_tool_parts(alice, chat, CODING)
    assert call["state"]["status"] == "completed", call["state"]
    assert "folder: /app/coding" in call["state"]["output"]


@pytest.mark.parametrize(
    "attempt",
    [
        "echo mine > /app/coding/AGENTS.md",
        "rm -f /app/coding/AGENTS.md",
        "echo mine > /app/coding/.opencode/agents/mine.md",
        "rm -rf /app/coding/.opencode/agents",
        "mv /app/coding/.opencode /app/coding/other",
        "echo '{}' > /etc/opencode/opencode.json",
    ],
)
def test_a_user_cannot_change_what_the_team_prepared(shared: Environment, attempt: str) -> None:
    """Lost otherwise: one user's edit (or an agent's) silently changes the team's scene."""
    before = shared.inside("alice", "sh", "-c", "cd /app/coding; cat AGENTS.md; ls -R .opencode")
    done = shared.inside("alice", "sh", "-c", attempt)
    assert done.returncode != 0
    assert "Read-only" in done.stderr or "busy" in done.stderr, done.stderr
    after = shared.inside("alice", "sh", "-c", "cd /app/coding; cat AGENTS.md; ls -R .opencode")
    assert after.stdout == before.stdout


def test_a_user_can_write_everywhere_else_in_the_workspace(shared: Environment) -> None:
    """Lost otherwise: a scene's folder is a museum, not a place of work."""
    script = "touch /app/coding/x /app/x /app/.opencode/x /data/x /tmp/x $HOME/x && rm /app/x"
    assert shared.inside("alice", "sh", "-c", script).returncode == 0


def test_git_in_a_scene_does_not_take_the_model_away(shared: Environment) -> None:
    """Lost otherwise: after `git init` prompts fail, as OpenCode then stops looking in /app."""
    done = shared.inside("bob", "git", "init", "-q", "/app/coding/repository")
    assert done.returncode == 0, done.stderr
    bob = shared.workspace("bob")
    folder = "/app/coding/repository"
    answer = bob.say(bob.chat(folder), "[[say still here]]", folder)
    assert "still here" in answer_text(answer)


def write_config(environment: Environment, value: object) -> None:
    """Replace alice's own configuration."""
    command = ("sh", "-c", "cat > /app/.opencode/opencode.json")
    done = environment.inside("alice", *command, stdin=json.dumps(value))
    assert done.returncode == 0, done.stderr


def test_a_users_own_configuration_counts_after_a_restart_but_not_against_the_managed_one(
    shared: Environment,
) -> None:
    """Lost otherwise: users cannot adapt their workspace, or can turn sharing on and send code out.

    Both in one test, because a restart takes its time.
    """
    alice = shared.workspace("alice")
    own = "---\ndescription: mine\n---\nAnswer shortly.\n"
    done = shared.inside(
        "alice", "sh", "-c", "cat > /app/.opencode/commands/own-command.md", stdin=own
    )
    assert done.returncode == 0, done.stderr
    before = shared.inside("alice", "cat", "/app/.opencode/opencode.json").stdout
    provider = {"npm": "@ai-sdk/openai-compatible", "options": {"baseURL": "http://evil.invalid"}}
    write_config(
        shared,
        {
            "username": "captain",
            "share": "auto",
            "autoupdate": True,
            "model": "evil/evil",
            "enabled_providers": ["evil", "opencode"],
            "provider": {"evil": {**provider, "models": {"evil": {}}}, "openai": provider},
        },
    )
    uid = shared.uids()["alice"]
    assert shared.fleet("restart", "alice").code == 0
    assert shared.ready("alice")["metadata"]["uid"] != uid
    alice.healthy()
    for folder in ("/app", CODING):
        config: dict[str, Any] = alice.get("/config", folder)
        assert config["username"] == "captain", "the user's own settings are read"
        assert config["share"] == "disabled"
        assert config["autoupdate"] is False
        assert config["enabled_providers"] == ["openai"]
        assert config["model"] == f"openai/{MODEL}"
        base = config["provider"]["openai"]["options"]["baseURL"]
        assert base == shared.config["providers"]["openai"]["baseUrl"]
        assert "own-command" in {item["name"] for item in alice.get("/command", folder)}
    connected = {item["id"] for item in alice.get("/config/providers", CODING)["providers"]}
    assert connected == {"openai"}
    chat = alice.chat(CODING)
    assert "mine" in answer_text(alice.say(chat, "[[say mine]]", CODING))
    share = alice.call("POST", f"/session/{chat}/share", {}, folder=CODING)
    assert share.status >= 400, "sharing must stay off"
    shared.inside("alice", "sh", "-c", "cat > /app/.opencode/opencode.json", stdin=before)


def test_a_broken_configuration_is_named_and_can_be_mended_by_the_user(
    shared: Environment,
) -> None:
    """Lost otherwise: one typo in a user's own file locks them out of their workspace."""
    alice = shared.workspace("alice")
    before = shared.inside("alice", "cat", "/app/.opencode/opencode.json").stdout
    command = ("sh", "-c", "cat > /app/.opencode/opencode.json")
    shared.inside("alice", *command, stdin="{ broken")
    alice.call("POST", "/instance/dispose", folder="/app")
    reply = until(
        "the broken file is told",
        lambda: r if (r := alice.call("GET", "/config", folder="/app")).status == 400 else None,
        20,
    )
    assert "/app/.opencode/opencode.json" in reply.text
    assert alice.get("/global/health")["healthy"] is True
    shared.inside("alice", *command, stdin=before)
    # OpenCode remembers the error until its process ends; disposing of the folder does not help.
    assert shared.fleet("restart", "alice").code == 0
    alice.healthy()
    assert alice.call("GET", "/config", folder="/app").status == 200


def test_a_user_without_a_scene_does_not_find_it(shared: Environment) -> None:
    """Lost otherwise: internal instructions reach people they are not meant for."""
    done = shared.inside(
        "bob", "sh", "-c", "ls -A /app/research 2>&1; grep -c research /proc/mounts"
    )
    assert "No such file" in done.stdout
    assert done.stdout.rstrip().endswith("0")
    listed = shared.fleet("open", "bob", "--scene", "research", "--no-browser")
    assert listed.code == 2
    assert "user bob has no such scene: use one of: coding" in listed.err
