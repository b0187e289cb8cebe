"""A running workspace without any network: it answers, has its scenes, and its tools work."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from tests.image.container import API_KEY, PASSWORD, SCENES, Runtime, docker

pytestmark = pytest.mark.image

# OpenCode waits 71 s and more for a registry it cannot reach: an answer before that did not wait.
REGISTRY_WAIT_SECONDS = 71
IDLE_BYTES = 300 * 1024 * 1024


def tools(parts: list[dict[str, Any]]) -> dict[str, str]:
    """The output of each tool call of a chat, by tool; a failed call is an assertion."""
    found: dict[str, str] = {}
    for part in parts:
        if part["type"] == "tool":
            state = part["state"]
            assert state["status"] == "completed", state
            found[str(part["tool"])] = str(state["output"])
    return found


def test_idle_it_stays_under_its_memory_figure(fresh: Runtime) -> None:
    fresh.init()
    took = fresh.start("--cpus=2", "--memory=2g")
    pid = docker("inspect", "--format={{.State.Pid}}", fresh.name).stdout.strip()
    assert pid
    stats = docker("stats", "--no-stream", "--format={{.MemUsage}}", fresh.name).stdout
    used, _, unit = stats.split("/")[0].strip().partition("MiB")
    assert unit == "", stats
    assert float(used) * 1024 * 1024 < IDLE_BYTES, f"{stats}, healthy after {took:.1f} s"


def test_the_password_guards_everything_but_the_manifest(runtime: Runtime) -> None:
    for path in ("/global/health", "/config", "/doc", "/"):
        assert runtime.status(path, password=None) == 401, path
        assert runtime.status(path, password="wrong") == 401  # noqa: S106, path
        assert runtime.status(path) == 200, path
    assert runtime.status("/site.webmanifest", password=None) == 200
    assert runtime.json("/global/health") == {"healthy": True, "version": "1.18.33"}


@pytest.mark.parametrize("directory", ["/app", "/app/coding", "/app/research"])
def test_every_folder_has_the_managed_settings(runtime: Runtime, directory: str) -> None:
    config = runtime.json(f"/config?directory={directory}")
    assert config["share"] == "disabled"
    assert config["autoupdate"] is False
    assert config["model"] == "fake/m1"
    assert config["enabled_providers"] == ["fake"]


@pytest.mark.parametrize(
    ("scene", "brings"),
    [
        ("coding", ["reviewer", "bug-fix", "project_facts", "review-changes"]),
        ("research", ["fact-checker", "reading-note", "check_sources", "check-report"]),
    ],
)
def test_a_scene_brings_agent_skill_tool_and_command(
    runtime: Runtime, scene: str, brings: list[str]
) -> None:
    agent, skill, tool, command = brings
    query = f"directory=/app/{scene}"
    assert agent in [one["name"] for one in runtime.json(f"/agent?{query}")]
    assert skill in [one["name"] for one in runtime.json(f"/skill?{query}")]
    assert tool in runtime.json(f"/experimental/tool/ids?{query}")
    commands = [one["name"] for one in runtime.json(f"/command?{query}")]
    assert command in commands
    assert "handover" in commands
    for other in SCENES:
        if other != scene:
            names = [one["name"] for one in runtime.json(f"/agent?directory=/app/{other}")]
            assert agent not in names


def test_the_first_prompt_with_custom_tools_and_a_plugin_needs_no_network(
    runtime: Runtime,
) -> None:
    took, parts = runtime.prompt(
        "/app/coding",
        '[[tool project_facts {}]] [[tool mine {"word": "yes"}]] [[tool plugged {}]] [[say fine]]',
    )
    found = tools(parts)
    assert "git: not a repository" in found["project_facts"]
    assert found["mine"] == "mine says yes"
    assert found["plugged"] == "plugged in"
    assert "fine" in [part.get("text") for part in parts]
    assert took < REGISTRY_WAIT_SECONDS


def test_instructions_of_workspace_and_scene_and_the_key_reach_the_model(runtime: Runtime) -> None:
    runtime.prompt("/app/research", "what do you know?")
    asked = [one for one in runtime.model_requests() if one["prompt"] == "what do you know?"]
    request = next(one for one in asked if one["tools"])
    assert "# This workspace" in request["system"]
    assert "# Scene: research" in request["system"]
    assert "# Scene: coding" not in request["system"]
    assert "check_sources" in request["tools"]
    assert request["bearer_sha256"] == hashlib.sha256(API_KEY.encode()).hexdigest()


def test_the_coding_tool_reads_a_repository(runtime: Runtime) -> None:
    runtime.run(
        "mkdir -p /app/coding/demo && cd /app/coding/demo && git init -q"
        " && git config user.email a@b"
        " && git config user.name a && printf 'test:\\n\\ttrue\\n' > Makefile && touch uv.lock"
        " && printf '[tool.pytest.ini_options]\\n[tool.ruff]\\n' > pyproject.toml"
        ' && echo \'{"scripts": {"test": "x", "start": "y"}}\' > package.json'
        " && git add . && git commit -qm 'first commit' && echo x >> Makefile && touch new.txt"
    )
    _, parts = runtime.prompt("/app/coding", '[[tool project_facts {"folder": "demo"}]]')
    lines = tools(parts)["project_facts"].splitlines()
    assert lines[0] == "folder: /app/coding/demo"
    assert lines[1] == "git: /app/coding/demo, branch main"
    assert lines[2].endswith(" first commit")
    assert {"   M Makefile", "  ?? new.txt"} <= set(lines)
    commands = [line.strip() for line in lines[lines.index("commands:") + 1 :]]
    assert commands == ["make test", "npm run test", "uv run pytest", "uv run ruff check"]


def test_the_research_tool_finds_each_kind_of_problem(runtime: Runtime) -> None:
    runtime.run(
        "cd /app/research && mkdir -p notes && cat > sources.md <<'X'\n"
        '- [good2020] A, "T", 2020, https://example.org, read 2026-01-02\n'
        '- [bare2021] B, "T", 2021\n'
        "- [good2020] again, https://example.org, read 2026-01-02\n"
        "X\n"
        "cat > report.md <<'X'\n"
        "True [good2020], invented [ghost1999]. `[code2000]` is an example.\n"
        "X\n"
        "echo 'says [good2020]' > notes/good2020.md"
    )
    _, parts = runtime.prompt("/app/research", "[[tool check_sources {}]]")
    lines = tools(parts)["check_sources"].splitlines()
    assert lines[0] == "2 sources, 1 notes, 3 citations in 2 files of /app/research"
    assert lines[1] == "5 problems:"
    assert sorted(lines[2:]) == [
        "report.md: [ghost1999] is not in sources.md",
        "sources.md: [bare2021] is never cited",
        'sources.md:2: [bare2021] has no "read YYYY-MM-DD"',
        "sources.md:2: [bare2021] has no URL or doi",
        "sources.md:3: [good2020] is already on line 1",
    ]


def test_a_cloned_repository_in_a_scene_still_has_its_model(runtime: Runtime) -> None:
    runtime.run("mkdir -p /app/coding/cloned && git init -q /app/coding/cloned")
    _, parts = runtime.prompt("/app/coding/cloned", "still there?")
    assert "ok: still there?" in [part.get("text") for part in parts]


def test_built_in_tools_work_and_touching_tmp_asks_nobody(runtime: Runtime) -> None:
    _, parts = runtime.prompt(
        "/app/research",
        '[[tool write {"filePath": "/app/research/w.txt", "content": "needle"}]]'
        '[[tool grep {"pattern": "needle"}]] [[tool glob {"pattern": "*.txt"}]]'
        '[[tool bash {"command": "touch /tmp/x && echo touched", "description": "d"}]]',
    )
    found = tools(parts)
    assert "w.txt" in found["grep"]
    assert "w.txt" in found["glob"]
    assert "touched" in found["bash"]


def test_scenes_cannot_be_written_and_the_rest_of_app_can(runtime: Runtime) -> None:
    done = runtime.run(
        "cd /app/coding; (echo x >> AGENTS.md) 2>/dev/null || echo refused;"
        "touch .opencode/x 2>/dev/null || echo refused; touch mine && echo written;"
        "touch /usr/x /etc/opencode/x 2>/dev/null || echo refused"
    )
    assert done.split() == ["refused", "refused", "written", "refused"]


def test_a_terminal_can_be_opened(runtime: Runtime) -> None:
    assert runtime.json("/pty?directory=/app", {})["id"]


def test_the_log_goes_to_the_containers_output_and_not_to_the_volume(runtime: Runtime) -> None:
    assert "level=INFO" in runtime.logs()
    assert runtime.run("cat /data/opencode/log/opencode.log") == ""
    assert runtime.run("find -L /data/opencode/log -type f -size +0") == ""


def test_pid_1_is_tini_without_privileges(runtime: Runtime) -> None:
    assert runtime.run("cat /proc/1/comm") == "tini\n"
    status = runtime.run("grep -E '^(Uid|NoNewPrivs|CapEff|CapPrm|CapBnd)' /proc/1/status")
    values = dict(line.split(":\t") for line in status.splitlines())
    assert values["Uid"].split() == ["10001"] * 4
    assert values["NoNewPrivs"] == "1"
    assert {values[name].strip("0") for name in ("CapEff", "CapPrm", "CapBnd")} == {""}


def test_it_stops_when_told_and_keeps_its_chats(runtime: Runtime) -> None:
    # The last test of this module: it restarts the container the others share.
    chat = runtime.json("/session?directory=/app/coding", {"title": "kept"})["id"]
    assert runtime.stop() == 143, "it ended by itself, on SIGTERM"
    docker("start", runtime.name)
    runtime.wait()
    assert runtime.json(f"/session/{chat}?directory=/app/coding")["title"] == "kept"


@pytest.mark.parametrize("command", [[], ["opencode", "serve"], ["opencode", "web"]])
def test_no_server_starts_without_a_password_however_it_is_called(
    image: str, command: list[str]
) -> None:
    direct = [f"--entrypoint={command[0]}"] if command else []
    rest = command[1:] if command else []
    done = docker("run", "--rm", "--network=none", *direct, image, *rest, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("fleet-start: OPENCODE_SERVER_PASSWORD: empty: ")


@pytest.mark.parametrize("direct", [False, True])
def test_a_plain_container_serves_and_has_its_skeleton(
    image: str, tmp_path: Path, *, direct: bool
) -> None:
    plain = Runtime(image=image, work=tmp_path, scenes=())
    options = ["--network=none", f"--env=OPENCODE_SERVER_PASSWORD={PASSWORD}"]
    # A Deployment's `command` takes the place of the image's entry point.
    entry = ["--entrypoint=opencode"] if direct else []
    command = ["web", "--port", "4096", "--hostname", "0.0.0.0"] if direct else []  # noqa: S104
    docker("run", "--detach", f"--name={plain.name}", *options, *entry, image, *command)
    try:
        plain.wait()
        assert plain.run("ls /app/AGENTS.md; cat /proc/1/comm") == "/app/AGENTS.md\ntini\n"
        assert plain.stop() == 143
    finally:
        plain.remove()
