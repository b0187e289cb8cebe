"""Bad input: `fleet apply` refuses it in words, with exit code 2, before it talks to a cluster.

The cases are those of the unit tests: tests/support/corpus by hand, and generated from the models.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet.cli.main import app
from tests.support.broken import lay, values_of
from tests.support.broken_models import CASES, Case
from tests.support.stacks import SMALL, corpus, lay_scene, text_of, unclear, with_value

pytestmark = pytest.mark.e2e
RULES = [case for case in corpus("rules.yaml") if "secrets" not in case]
TEXTS = corpus("texts.yaml")
SCENES = corpus("scenes.yaml")
End = tuple[object, str]
Apply = Callable[[str], tuple[End, list[str]]]


def named(cases: list[dict[str, Any]]) -> Any:
    """Return a parametrization by cases of tests/support/corpus."""
    return pytest.mark.parametrize("case", cases, ids=[case["name"] for case in cases])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for a stack file, with its scenes."""
    project = tmp_path / "project"
    for name in ("coding", "research"):
        lay_scene(project / "scenes" / name)
    return project


@pytest.fixture
def apply(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Apply:
    """Run `fleet apply` on a text; return (exit code, what kubectl was asked) and its lines."""
    called = folder.parent / "called"
    kubectl = folder.parent / "kubectl"
    kubectl.write_text(f'#!/bin/sh\necho "$@" >>"{called}"\nexit 1\n', encoding="utf-8")
    kubectl.chmod(0o755)
    monkeypatch.setenv("FLEET_KUBECTL", str(kubectl))
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE", raising=False)
    file = folder / "Pulumi.test.yaml"

    def run(content: str) -> tuple[End, list[str]]:
        file.write_text(content, encoding="utf-8", errors="surrogatepass")
        with pytest.raises(SystemExit) as ended:
            app(["apply", "--image", "team/runtime:v1", "-s", str(file)])
        asked = called.read_text(encoding="utf-8") if called.exists() else ""
        return (ended.value.code, asked), capsys.readouterr().err.splitlines()

    return run


REFUSED: End = (2, "")


def test_the_file_that_cases_start_from_goes_on_to_the_cluster(apply: Apply) -> None:
    """Lost otherwise: every case below could be refused for another reason than its own."""
    (code, asked), lines = apply(text_of(SMALL))
    assert code == 1, lines
    assert "--context=test" in asked


def test_there_are_at_least_150_cases_of_each_origin() -> None:
    """Lost otherwise: a corpus that fails to load proves nothing."""
    assert len(RULES) + len(TEXTS) + len(SCENES) >= 150
    assert len(CASES) >= 150


@named(RULES)
def test_a_broken_rule_is_refused_with_all_it_has_to_say(
    case: dict[str, Any], apply: Apply
) -> None:
    """Lost otherwise: a contradiction is found by Kubernetes, half-way, in its own words."""
    assert apply(text_of(values_of(case))) == (REFUSED, case["say"])


@named(TEXTS)
def test_a_text_that_is_no_stack_file_is_refused(case: dict[str, Any], apply: Apply) -> None:
    """Lost otherwise: a traceback, or a hang on a large file."""
    assert apply(case["text"]) == (REFUSED, case["say"])


@named(SCENES)
def test_a_scene_that_a_runtime_could_not_use_is_refused_by_file(
    case: dict[str, Any], apply: Apply, folder: Path
) -> None:
    """Lost otherwise: OpenCode skips it silently, or answers every request with an error."""
    lay({**case}, folder.parent / "other")
    (folder / "scenes" / "coding").rename(folder.parent / "good")
    (folder.parent / "other" / "scenes" / "coding").rename(folder / "scenes" / "coding")
    values = with_value(SMALL, "scenes", {"coding": {"path": "scenes/coding"}})
    assert apply(text_of(values)) == (REFUSED, case["say"])


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_wrong_type_an_unknown_key_or_a_missing_one_is_named(case: Case, apply: Apply) -> None:
    """Lost otherwise: an operator hunts for the line that is meant, or it is ignored."""
    refused, lines = apply(text_of(case.values))
    assert refused == REFUSED
    assert any(line.startswith(case.line) for line in lines), lines


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=st.text(max_size=200))
def test_a_file_of_any_content_gives_problems_and_never_a_traceback(
    content: str, apply: Apply
) -> None:
    """Lost otherwise: an unusual typo shows an operator our source code instead of their line."""
    refused, lines = apply(content)
    assert refused == REFUSED
    assert [(line, unclear(line, content)) for line in lines if unclear(line, content)] == []
