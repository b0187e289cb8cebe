"""Bad input: `fleet up` refuses it in words, with exit code 2, before it asks engine or cluster.

The cases are those of the unit tests: tests/support/corpus by hand, and generated from the models.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet.cli.main import app
from tests.support.broken import lay, values_of
from tests.support.broken_models import CASES, Case
from tests.support.fakes.api_server import ApiServer, api_server
from tests.support.stacks import SMALL, corpus, lay_scene, text_of, unclear, with_value

pytestmark = pytest.mark.e2e
RULES = [case for case in corpus("rules.yaml") if "secrets" not in case]
# What is only told where a secret is opened needs the engine: the unit tests have it.
TEXTS = [case for case in corpus("texts.yaml") if case["say"]]
SCENES = corpus("scenes.yaml")
# The unit tests have all of them; here it is the way through the command that is tried.
SOME = CASES[::8]
End = tuple[object, bool]
Up = Callable[[str], tuple[End, list[str]]]


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


@pytest.fixture(scope="module")
def server() -> Iterator[ApiServer]:
    """A cluster that remembers what it was asked."""
    with api_server() as found:
        yield found


@pytest.fixture
def up(
    folder: Path,
    server: ApiServer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Up:
    """Run `fleet up` on a text; return (exit code, whether anybody was asked) and its lines."""
    called = folder.parent / "called"
    engine = folder.parent / "engine"
    engine.mkdir()
    (engine / "pulumi").write_text(f"#!/bin/sh\ntouch '{called}'\nexit 1\n", encoding="utf-8")
    (engine / "pulumi").chmod(0o755)
    config = server.kubeconfig()
    config["contexts"][0]["name"] = "test"
    (folder.parent / "kubeconfig").write_text(json.dumps(config), encoding="utf-8")
    monkeypatch.setenv("FLEET_ENGINE_BIN", str(engine))
    monkeypatch.setenv("KUBECONFIG", str(folder.parent / "kubeconfig"))
    monkeypatch.setenv("XDG_DATA_HOME", str(folder.parent / "data"))
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE", raising=False)
    file = folder / "Pulumi.test.yaml"

    def run(content: str) -> tuple[End, list[str]]:
        before = len(server.requests)
        file.write_text(content, encoding="utf-8", errors="surrogatepass")
        with pytest.raises(SystemExit) as ended:
            app(["up", "--yes", "--image", "team/runtime:v1", "-s", str(file)])
        asked = called.exists() or len(server.requests) > before
        return (ended.value.code, asked), capsys.readouterr().err.splitlines()

    return run


REFUSED: End = (2, False)


def test_the_file_that_cases_start_from_goes_on_to_the_engine(up: Up) -> None:
    """Lost otherwise: every case below could be refused for another reason than its own."""
    (code, asked), lines = up(text_of(SMALL))
    assert code == 1, lines
    assert asked


def test_there_are_at_least_150_cases_of_each_origin() -> None:
    """Lost otherwise: a corpus that fails to load proves nothing."""
    assert len(RULES) + len(TEXTS) + len(SCENES) >= 150
    assert len(CASES) >= 150


@named(RULES)
def test_a_broken_rule_is_refused_with_all_it_has_to_say(case: dict[str, Any], up: Up) -> None:
    """Lost otherwise: a contradiction is found by Kubernetes, half-way, in its own words."""
    end, lines = up(text_of(values_of(case)))
    # YAML writes what is no finite number with a dot, and lines quote what was typed.
    assert (end, [re.sub(r": \.(inf|nan):", r": \1:", line) for line in lines]) == (
        REFUSED,
        case["say"],
    )


@named(TEXTS)
def test_a_text_that_is_no_stack_file_is_refused(case: dict[str, Any], up: Up) -> None:
    """Lost otherwise: a traceback, or a hang on a large file."""
    assert up(case["text"]) == (REFUSED, case["say"])


@named(SCENES)
def test_a_scene_that_a_runtime_could_not_use_is_refused_by_file(
    case: dict[str, Any], up: Up, folder: Path
) -> None:
    """Lost otherwise: OpenCode skips it silently, or answers every request with an error."""
    lay({**case}, folder.parent / "other")
    (folder / "scenes" / "coding").rename(folder.parent / "good")
    (folder.parent / "other" / "scenes" / "coding").rename(folder / "scenes" / "coding")
    values = with_value(SMALL, "scenes", {"coding": {"path": "scenes/coding"}})
    assert up(text_of(values)) == (REFUSED, case["say"])


@pytest.mark.parametrize("case", SOME, ids=[case.name for case in SOME])
def test_a_wrong_type_an_unknown_key_or_a_missing_one_is_named(case: Case, up: Up) -> None:
    """Lost otherwise: an operator hunts for the line that is meant, or it is ignored."""
    refused, lines = up(text_of(case.values))
    assert refused == REFUSED
    assert any(line.startswith(case.line) for line in lines), lines


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=st.text(max_size=200))
def test_a_file_of_any_content_gives_problems_and_never_a_traceback(content: str, up: Up) -> None:
    """Lost otherwise: an unusual typo shows an operator our source code instead of their line."""
    refused, lines = up(content)
    assert refused == REFUSED
    assert [(line, unclear(line, content)) for line in lines if unclear(line, content)] == []
