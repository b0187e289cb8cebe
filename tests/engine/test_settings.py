"""Where the engine, its state and its passphrase are: the operator's settings, else ours."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from fleet.engine.settings import (
    engine_settings,
    ensure_passphrase,
    file_path,
    find_engine,
    passphrase,
    plain_variables,
)
from fleet.errors import EngineError, InputError


def environ(folder: Path, **more: str) -> dict[str, str]:
    return {"HOME": str(folder), "PATH": str(folder / "nothing"), **more}


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o755)
    return path


def ours(folder: Path) -> Path:
    return folder / ".local/share/opencode-fleet"


def test_without_settings_state_and_passphrase_are_in_the_users_data_folder(
    tmp_path: Path,
) -> None:
    settings = engine_settings(environ(tmp_path))
    assert settings.backend == f"file://{ours(tmp_path)}/pulumi"
    assert settings.state_folder == ours(tmp_path) / "pulumi"
    assert settings.variables["PULUMI_BACKEND_URL"] == settings.backend
    file = Path(settings.variables["PULUMI_CONFIG_PASSPHRASE_FILE"])
    assert (file, file.stat().st_mode & 0o777) == (ours(tmp_path) / "passphrase", 0o600)
    assert (ours(tmp_path) / "pulumi").stat().st_mode & 0o777 == 0o700


def test_the_passphrase_is_made_once(tmp_path: Path) -> None:
    word = ensure_passphrase(environ(tmp_path))
    assert ensure_passphrase(environ(tmp_path)) == passphrase(environ(tmp_path)) == word
    engine_settings(environ(tmp_path))
    assert passphrase(environ(tmp_path)) == word


def test_the_operators_settings_hold_and_nothing_is_made(tmp_path: Path) -> None:
    given = {"PULUMI_BACKEND_URL": "s3://states", "PULUMI_CONFIG_PASSPHRASE": ""}
    settings = engine_settings(environ(tmp_path, **given))
    assert (settings.backend, settings.state_folder) == ("s3://states", None)
    assert settings.variables == {"PULUMI_SKIP_UPDATE_CHECK": "true"}
    assert not ours(tmp_path).exists()


@pytest.mark.parametrize(
    "given",
    [{"PULUMI_ACCESS_TOKEN": "made-up"}, {"PULUMI_API": "https://pulumi.invalid"}],
    ids=["token", "api"],
)
def test_a_login_by_environment_says_where_the_state_is(
    tmp_path: Path, given: Mapping[str, str]
) -> None:
    assert engine_settings(environ(tmp_path, **given)).backend is None


@pytest.mark.parametrize(
    ("content", "ours_holds"),
    [
        (json.dumps({"current": "file:///states"}), False),
        (json.dumps({"current": ""}), True),
        (json.dumps([]), True),
        ("{", True),
    ],
)
def test_a_pulumi_login_says_where_the_state_is(
    tmp_path: Path, content: str, *, ours_holds: bool
) -> None:
    (tmp_path / ".pulumi").mkdir()
    (tmp_path / ".pulumi/credentials.json").write_text(content)
    assert (engine_settings(environ(tmp_path)).backend is not None) is ours_holds
    elsewhere = environ(tmp_path, PULUMI_HOME=str(tmp_path / "other"))
    assert engine_settings(elsewhere).backend is not None


def test_xdg_folders_count_unless_they_are_relative(tmp_path: Path) -> None:
    there = engine_settings(environ(tmp_path, XDG_DATA_HOME=str(tmp_path / "data")))
    assert there.data == tmp_path / "data/opencode-fleet"
    assert engine_settings(environ(tmp_path, XDG_DATA_HOME="data")).data == ours(tmp_path)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("file:///states/of%20mine", Path("/states/of mine")),
        ("file://~/states", Path("~/states").expanduser()),
        ("s3://states", None),
        ("https://api.pulumi.com", None),
    ],
)
def test_only_a_state_in_files_has_a_folder(url: str, path: Path | None) -> None:
    assert file_path(url) == path


def test_the_passphrase_is_taken_from_where_pulumi_looks_first(tmp_path: Path) -> None:
    ensure_passphrase(environ(tmp_path))
    (tmp_path / "word").write_text("of the file\n")
    file = {"PULUMI_CONFIG_PASSPHRASE_FILE": str(tmp_path / "word")}
    assert passphrase(environ(tmp_path, **file)) == "of the file"
    both = {**file, "PULUMI_CONFIG_PASSPHRASE": "word"}
    assert passphrase(environ(tmp_path, **both)) == "word"
    missing = {"PULUMI_CONFIG_PASSPHRASE_FILE": str(tmp_path / "none")}
    with pytest.raises(InputError, match=r"PULUMI_CONFIG_PASSPHRASE_FILE: .*cannot be read"):
        passphrase(environ(tmp_path, **missing))


class TestFindEngine:
    def test_nothing_anywhere_is_told_in_one_line(self, tmp_path: Path) -> None:
        with pytest.raises(EngineError, match="pulumi: not found on PATH, and none was built"):
            find_engine(environ(tmp_path))

    def test_one_on_path_is_used_with_its_own_plugins(self, tmp_path: Path) -> None:
        own = program(tmp_path / "own/pulumi")
        program(tmp_path / ".cache/opencode-fleet/engine/a/pulumi")
        engine = find_engine(environ(tmp_path, PATH=str(own.parent)))
        assert (engine.program, dict(engine.variables)) == (own, {})

    def test_the_newest_one_built_here_is_used_else_and_downloads_nothing(
        self, tmp_path: Path
    ) -> None:
        engines = tmp_path / ".cache/opencode-fleet/engine"
        for name in ("old", "new"):
            program(engines / name / "pulumi")
            program(engines / name / "pulumi-resource-kubernetes")
        (engines / "old/pulumi").touch()
        os.utime(engines / "old/pulumi", (1, 1))
        engine = find_engine(environ(tmp_path))
        assert engine.program == engines / "new/pulumi"
        assert engine.variables == {
            "PATH": f"{engines}/new:{tmp_path}/nothing",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        }

    def test_a_folder_that_is_named_comes_first(self, tmp_path: Path) -> None:
        given, own = program(tmp_path / "given/pulumi"), program(tmp_path / "own/pulumi")
        found = find_engine(
            environ(tmp_path, PATH=str(own.parent), FLEET_ENGINE_BIN=str(given.parent))
        )
        assert found.program == given

    def test_engines_may_be_kept_elsewhere(self, tmp_path: Path) -> None:
        built = program(tmp_path / "engines/a/pulumi")
        program(tmp_path / ".cache/opencode-fleet/engine/b/pulumi")
        found = find_engine(environ(tmp_path, FLEET_ENGINE_CACHE=str(tmp_path / "engines")))
        assert found.program == built

    def test_what_is_no_program_does_not_count(self, tmp_path: Path) -> None:
        program(tmp_path / ".cache/opencode-fleet/engine/a/pulumi").chmod(0o644)
        with pytest.raises(EngineError):
            find_engine(environ(tmp_path))


class TestPlainPulumi:
    def test_an_engine_built_here_gets_our_language_host(self, tmp_path: Path) -> None:
        folder = tmp_path / ".cache/opencode-fleet/engine/a"
        program(folder / "pulumi")
        program(folder / "pulumi-resource-kubernetes")
        given = environ(tmp_path)
        path = plain_variables(find_engine(given), given)["PATH"].split(":")
        assert path[1:] == [str(folder), str(tmp_path / "nothing")]
        host = Path(path[0]) / "pulumi-language-python"
        assert os.access(host, os.X_OK)

    def test_one_that_brings_its_own_is_left_as_it_is(self, tmp_path: Path) -> None:
        own = program(tmp_path / "own/pulumi")
        given = environ(tmp_path, PATH=str(own.parent))
        assert plain_variables(find_engine(given), given) == {}
