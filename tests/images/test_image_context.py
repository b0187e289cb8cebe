"""The build context of the runtime image: what a reader of the Dockerfile may rely on.

Building and running the image is tested in tests/image, which needs a Docker daemon.
"""

import json
import os
import re
import stat
import subprocess
from pathlib import Path

import pytest
import yaml

from tools.base_image.recipe import NODE

IMAGE = Path(__file__).parents[2] / "image"
DOCKERFILE = (IMAGE / "Dockerfile").read_text(encoding="utf-8")
SKELETON = IMAGE / "skeleton"
SECRET = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY|\bsk-[A-Za-z0-9]{16,}|\bgh[pousr]_[A-Za-z0-9]{20,}"
    r"|\bAKIA[0-9A-Z]{16}\b|\bLTAI[A-Za-z0-9]{12,}"
)


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions in order: (keyword, rest), continuation lines joined."""
    lines = [line for line in DOCKERFILE.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    pairs = [line.partition(" ") for line in joined.splitlines() if line.strip()]
    return [(keyword, rest.strip()) for keyword, _, rest in pairs]


def rest_of(keyword: str) -> list[str]:
    """What follows each instruction of that name."""
    return [rest for name, rest in instructions() if name == keyword]


def context_files() -> list[Path]:
    """Every file of the build context."""
    return sorted(path for path in IMAGE.rglob("*") if path.is_file())


def test_the_only_base_is_an_argument_pinned_to_a_digest() -> None:
    assert rest_of("FROM") == ["${BASE_IMAGE}"]
    default = next(rest for rest in rest_of("ARG") if rest.startswith("BASE_IMAGE="))
    assert re.fullmatch(r"BASE_IMAGE=[a-z0-9./-]+:[\w.-]+@sha256:[0-9a-f]{64}", default)


def test_the_node_version_told_beside_the_base_is_the_one_of_the_stand_in() -> None:
    assert f"# Node {NODE.version}." in DOCKERFILE


def test_opencode_is_an_exact_version_and_asserted_in_the_build() -> None:
    default = next(rest for rest in rest_of("ARG") if rest.startswith("OPENCODE_VERSION="))
    assert re.fullmatch(r"OPENCODE_VERSION=\d+\.\d+\.\d+", default)
    build = next(run for run in rest_of("RUN") if "opencode-ai@" in run)
    assert "opencode --version" in build
    assert re.search(r'!= "\$\{OPENCODE_VERSION\}" \]; then .* exit 1;', build)


def test_every_npm_package_is_installed_at_an_exact_version() -> None:
    installs = re.findall(r"npm install\b[^;]*", " ".join(rest_of("RUN")))
    assert installs
    for install in installs:
        assert install.split()[-1].strip('"').endswith("@${OPENCODE_VERSION}"), install


def test_nothing_comes_from_an_address_at_build_time() -> None:
    assert not rest_of("ADD")
    for run in rest_of("RUN"):
        # `curl` as the name of a package is fine, as a command it is not.
        assert not re.search(r"(^|[;&|(]\s*)(curl|wget)\s", run)
        assert "git clone" not in run


def test_the_classic_builder_can_build_it() -> None:
    for keyword, rest in instructions():
        assert not (keyword == "RUN" and "--mount" in rest)
        assert not (keyword == "COPY" and "--chmod" in rest)
        assert "<<" not in rest
    assert "syntax=" not in DOCKERFILE.splitlines()[0]


def test_no_argument_or_variable_is_named_like_a_secret() -> None:
    names = re.findall(r"\b([A-Za-z_][A-Za-z0-9_]*)=", " ".join(rest_of("ARG") + rest_of("ENV")))
    assert "HOME" in names
    for name in names:
        assert not re.search(r"PASSWORD|TOKEN|SECRET|API_?KEY|CREDENTIAL", name, re.IGNORECASE), (
            name
        )


def test_it_runs_as_a_fixed_unprivileged_uid_under_tini() -> None:
    assert rest_of("USER")[-1] == "10001:10001"
    assert json.loads(rest_of("ENTRYPOINT")[-1])[:3] == ["/usr/bin/tini", "-g", "--"]
    assert json.loads(rest_of("ENTRYPOINT")[-1])[-1] == "/usr/local/bin/fleet-start"


def test_the_skeleton_is_kept_outside_of_app() -> None:
    targets = [copy.split()[-1] for copy in rest_of("COPY")]
    assert "/usr/local/share/opencode-fleet/skeleton/" in targets
    assert not any(target.startswith(("/app", "/data", "/home")) for target in targets)


def test_npm_is_not_set_offline_for_the_user() -> None:
    assert "npm_config_offline" not in DOCKERFILE
    assert "npm_config_offline" not in (IMAGE / "bin/fleet-start").read_text(encoding="utf-8")


def test_the_context_admits_only_what_the_dockerfile_copies() -> None:
    rules = (IMAGE / ".dockerignore").read_text(encoding="utf-8").splitlines()
    patterns = [rule for rule in rules if rule and not rule.startswith("#")]
    assert patterns[0] == "*"
    admitted = {pattern[1:] for pattern in patterns if pattern.startswith("!")}
    scripts = {f"bin/{path.name}" for path in (IMAGE / "bin").iterdir()}
    assert admitted == {
        *scripts,
        "backup/*.py",
        "etc/opencode.json",
        "skeleton",
        "ssh/opencode-fleet.conf",
        "ssh/ssh_known_hosts",
    }
    assert "**/.env" in patterns


@pytest.mark.parametrize("path", context_files(), ids=lambda path: path.name)
def test_no_file_of_the_context_holds_a_secret_or_user_data(path: Path) -> None:
    assert path.stat().st_size < 64 * 1024
    assert not path.name.startswith(".env")
    assert path.suffix not in {".pem", ".key", ".p12", ".db", ".log"}
    assert not SECRET.search(path.read_text(encoding="utf-8"))


def test_the_secret_pattern_finds_secrets() -> None:
    assert SECRET.search("-----BEGIN OPENSSH PRIVATE KEY-----")
    assert SECRET.search("key = sk-" + "a1" * 12)
    assert SECRET.search("ghp_" + "a" * 36)


@pytest.mark.parametrize("name", ["fleet-git-credential", "fleet-init", "fleet-start", "opencode"])
def test_scripts_are_executable_bash_that_parses(name: str) -> None:
    path = IMAGE / "bin" / name
    assert path.stat().st_mode & stat.S_IXUSR
    text = path.read_text(encoding="utf-8")
    assert text.startswith("#!/bin/bash\n")
    assert "set -euo pipefail" in text
    subprocess.run(["/bin/bash", "-n", str(path)], check=True)


@pytest.mark.parametrize("password", [None, ""])
def test_starting_without_a_password_is_refused_in_one_line(password: str | None) -> None:
    environment = {"PATH": os.environ["PATH"]}
    if password is not None:
        environment["OPENCODE_SERVER_PASSWORD"] = password
    done = subprocess.run(
        [str(IMAGE / "bin/fleet-start")],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("fleet-start: OPENCODE_SERVER_PASSWORD: empty: ")


def test_the_default_managed_config_shares_nothing_and_never_updates() -> None:
    config = json.loads((IMAGE / "etc/opencode.json").read_text(encoding="utf-8"))
    assert config["share"] == "disabled"
    assert config["autoupdate"] is False


def test_the_skeleton_has_every_folder_opencode_reads() -> None:
    folders = {path.name for path in (SKELETON / ".opencode").iterdir() if path.is_dir()}
    assert folders == {"agents", "commands", "modes", "plugins", "skills", "tools", "themes"}
    assert (SKELETON / "AGENTS.md").is_file()
    json.loads((SKELETON / ".opencode/opencode.json").read_text(encoding="utf-8"))


def test_every_skeleton_folder_holds_a_file_so_that_git_keeps_it() -> None:
    for folder in (SKELETON / ".opencode").iterdir():
        assert not folder.is_dir() or any(path.is_file() for path in folder.rglob("*"))


def test_markdown_where_opencode_reads_definitions_is_a_definition() -> None:
    # A README in one of these would become an agent or a command of that name.
    found = [
        path
        for folder in ("agents", "commands", "modes")
        for path in (SKELETON / ".opencode" / folder).rglob("*.md")
    ]
    assert found
    for path in found:
        front = path.read_text(encoding="utf-8").split("---")[1]
        assert yaml.safe_load(front)["description"]
