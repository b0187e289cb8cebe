"""`fleet invite`: what a new user is sent, in two languages and by each way to sign in."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.fakes.project import StackFolder, new_project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StackFolder:
    found = new_project(tmp_path, monkeypatch)
    found.users({"id": "alice", "displayName": "Alice"}, "bob")
    return found


def test_it_says_where_and_as_whom_and_no_password_unless_asked(project: StackFolder) -> None:
    done = project.fleet("invite", "alice", "-s", "t")
    url = project.plan().door.url
    assert done.out == (
        f"Hello Alice,\n\nyour OpenCode workspace is ready: {url}\nSign in as alice.\n"
        "Your password comes separately.\n"
    )


def test_a_password_is_in_it_when_asked_for(
    project: StackFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "of the tests")
    assert project.fleet("seed", "-s", "t").code == 0
    password = project.fleet("password", "bob", "-s", "t").out.strip()
    done = project.fleet("invite", "bob", "--with-password", "--language", "zh", "-s", "t")
    assert f"密码：{password}\n" in done.out
    assert done.out.startswith("bob，你好：\n")


def test_who_signs_in_elsewhere_is_told_so(project: StackFolder) -> None:
    header = {"mode": "header", "header": {"peers": ["10.0.0.0/24"]}}
    access = project.config["access"] | {"signIn": header, "trustedProxies": ["10.0.0.0/24"]}
    project.write(access=access)
    told = project.fleet("invite", "alice", "-s", "t").out
    assert "Sign in with your company account (alice).\n" in told
    done = project.fleet("invite", "alice", "--with-password", "-s", "t")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("--with-password: alice: ")


def test_a_stranger_is_told(project: StackFolder) -> None:
    done = project.fleet("invite", "nobody", "-s", "t")
    assert done.code == 2
    assert "nobody" in done.err
