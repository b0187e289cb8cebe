"""The build context of the door's image: pinned by the one lock, restricted, nothing beside."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from tests.support.programs import ROOT

DOOR = ROOT / "door"
DOCKERFILE = (DOOR / "Dockerfile").read_text(encoding="utf-8")
EXPORT = [
    "export",
    "--package=opencode-fleet-door",
    "--frozen",
    "--offline",
    "--no-emit-project",
    "--no-emit-workspace",
    "--no-annotate",
    "--no-header",
    "--format=requirements-txt",
]


def test_the_requirements_are_those_of_the_lock() -> None:
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("uv is not on PATH")
    done = subprocess.run([uv, *EXPORT], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (DOOR / "requirements.txt").read_text(encoding="utf-8") == done.stdout


def test_every_package_is_pinned_and_known_by_hashes() -> None:
    text = (DOOR / "requirements.txt").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip()]
    assert [line for line in lines if not re.match(r"[a-z0-9-]+==\S+ .*--hash=sha256:", line)] == []
    assert "--require-hashes" in DOCKERFILE
    assert "--only-binary :all:" in DOCKERFILE


def test_the_base_is_the_runtimes() -> None:
    runtime = (ROOT / "image" / "Dockerfile").read_text(encoding="utf-8")
    pattern = r"^ARG BASE_IMAGE=\S+$"
    base = re.search(pattern, runtime, re.MULTILINE)
    assert base is not None
    assert re.search(pattern, DOCKERFILE, re.MULTILINE) is not None
    assert base[0] in DOCKERFILE


def test_it_runs_as_nobody_special() -> None:
    users = re.findall(r"^USER (.*)$", DOCKERFILE, re.MULTILINE)
    assert users[-1] == "10001:10001"


def test_only_what_is_named_reaches_a_layer() -> None:
    lines = (DOOR / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert {rule for rule in rules if rule.startswith("!")} == {
        "!__init__.py",
        "!control",
        "!nginx",
        "!requirements.txt",
    }
