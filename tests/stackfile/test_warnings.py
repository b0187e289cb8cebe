"""What a stack file may say and would still surprise is told before an update."""

from __future__ import annotations

from pathlib import Path

from fleet.stackfile.warnings import warnings_of
from tests.support.stacks import MODEL, SMALL, Values, environment_of, lay_scene

SCENED: Values = {
    **SMALL,
    **MODEL,
    "scenes": {"coding": {"path": "scenes/coding"}},
    "users": [{"id": "alice", "scenes": ["coding"]}, {"id": "bob"}],
}


def lines(values: Values, folder: Path, secrets: frozenset[str]) -> list[str]:
    return warnings_of(environment_of(values, folder, secrets))


def test_a_key_that_is_not_sealed_yet_is_told_with_the_command(tmp_path: Path) -> None:
    (line,) = lines({**SMALL, **MODEL}, tmp_path, frozenset())
    assert line == (
        "providers.openai.apiKey: modelApiKey: not sealed yet, so chats will not answer: "
        "fleet secret modelApiKey -s test"
    )
    assert lines({**SMALL, **MODEL}, tmp_path, frozenset({"modelApiKey"})) == []


def test_no_provider_at_all_is_told(tmp_path: Path) -> None:
    (line,) = lines(SMALL, tmp_path, frozenset())
    assert line.startswith("providers: none: ")


def test_a_variable_that_a_scene_uses_and_a_user_lacks_is_told(tmp_path: Path) -> None:
    lay_scene(tmp_path / "scenes" / "coding")
    config = tmp_path / "scenes" / "coding" / ".opencode" / "opencode.json"
    config.write_text('{"instructions": ["{env:RULES}"]}', encoding="utf-8")
    keys = frozenset({"modelApiKey"})
    (line,) = lines(SCENED, tmp_path, keys)
    assert line == ("scenes.coding: {env:RULES}: empty for alice: add RULES under env or secretEnv")
    for place in (
        {"env": {"RULES": "x"}},
        {"profiles": {"standard": {"env": {"RULES": "x"}}}},
        {"users": [{"id": "alice", "scenes": ["coding"], "env": {"RULES": "x"}}]},
    ):
        assert lines({**SCENED, **place}, tmp_path, keys) == []
