"""The credential helper of the image answers for mounted forges over HTTPS, and for no other."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

IMAGE = Path(__file__).parents[2] / "image"


@pytest.fixture
def helper(tmp_path: Path) -> Path:
    """The helper with a folder of secrets of its own."""
    folder = tmp_path / "git"
    for host, token in (("git.example.com", "t0ken"), ("git.example.com_8443", "other")):
        (folder / host).mkdir(parents=True)
        (folder / host / "token").write_text(token, encoding="utf-8")
    text = (IMAGE / "bin" / "fleet-git-credential").read_text(encoding="utf-8")
    script = tmp_path / "helper"
    script.write_text(text.replace("/etc/opencode-fleet/secrets/git", str(folder)))
    return script


def ask(helper: Path, action: str, question: str, users: str = "git.example.com oauth2") -> str:
    done = subprocess.run(
        ["/bin/bash", str(helper), action],
        check=True,
        capture_output=True,
        text=True,
        input=question,
        env={"PATH": "/usr/bin:/bin", "FLEET_GIT_USERS": users},
    )
    assert done.stderr == ""
    return done.stdout


def test_a_mounted_forge_is_opened(helper: Path) -> None:
    question = "protocol=https\nhost=git.example.com\npath=a/b.git\n\n"
    assert ask(helper, "get", question) == "username=oauth2\npassword=t0ken\n"
    question = "protocol=https\nhost=git.example.com:8443\n"
    assert ask(helper, "get", question) == "username=x-access-token\npassword=other\n"


@pytest.mark.parametrize(
    ("action", "question"),
    [
        ("get", "protocol=http\nhost=git.example.com\n"),
        ("get", "protocol=https\nhost=evil.example.com\n"),
        ("get", "protocol=https\nhost=../git.example.com\n"),
        ("get", "protocol=https\n"),
        ("store", "protocol=https\nhost=git.example.com\n"),
        ("erase", "protocol=https\nhost=git.example.com\n"),
    ],
)
def test_nothing_else_is_answered(helper: Path, action: str, question: str) -> None:
    assert ask(helper, action, question) == ""


def test_the_known_hosts_are_those_that_the_forges_publish() -> None:
    done = subprocess.run(
        ["/usr/bin/ssh-keygen", "-lf", str(IMAGE / "ssh" / "ssh_known_hosts")],
        check=True,
        capture_output=True,
        text=True,
    )
    assert [line.split()[1:3] for line in done.stdout.splitlines()] == [
        ["SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU", "github.com"],
        ["SHA256:eUXGGm1YGsMAS7vkcx6JOJdOGHPem5gQp4taiCfCLB8", "gitlab.com"],
        ["SHA256:ybgmFkzwOSotHTHLJgHO0QN8L0xErw6vd0VhFA9m3SM", "bitbucket.org"],
    ]
