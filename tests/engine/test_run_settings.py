"""How a run of the engine is set up: quick, with a way back, within bounds, as the operator says.

Short: the runs themselves are end-to-end tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from fleet.engine.place import Place, work_folder
from fleet.engine.settings import RATE, engine_settings
from fleet.engine.stack import run_settings


def variables(
    tmp_path: Path,
    given: Mapping[str, str] | None = None,
    *,
    resources: int = 0,
    only_kubernetes: bool = False,
) -> dict[str, str]:
    environ = {"HOME": str(tmp_path), **(given or {})}
    place = Place(
        name="t",
        file=tmp_path / "f",
        project=tmp_path,
        resources=resources,
        only_kubernetes=only_kubernetes,
    )
    return run_settings(place, engine_settings(environ))


def test_the_state_is_written_once_and_our_fields_are_ours(tmp_path: Path) -> None:
    found = variables(tmp_path)
    assert found["PULUMI_SKIP_CHECKPOINTS"] == "true"
    assert found["PULUMI_K8S_ENABLE_PATCH_FORCE"] == "true"
    assert "PULUMI_K8S_UPSERT_EXISTING_OBJECTS" not in found


def test_only_kubernetes_objects_are_compared_by_their_inputs(tmp_path: Path) -> None:
    for name in ("PULUMI_ENABLE_LEGACY_DIFF", "PULUMI_PARALLEL_DIFF"):
        assert name not in variables(tmp_path)
        assert variables(tmp_path, only_kubernetes=True)[name] == "true"


@pytest.mark.parametrize(
    ("resources", "limit"), [(0, "250MiB"), (600, "300MiB"), (6000, "3000MiB")]
)
def test_memory_is_bounded_by_what_there_is_to_hold(
    tmp_path: Path, resources: int, limit: str
) -> None:
    assert variables(tmp_path, resources=resources)["GOMEMLIMIT"] == limit


@pytest.mark.parametrize("name", ["GOGC", "GOMEMLIMIT"])
def test_what_the_operator_says_of_memory_holds(tmp_path: Path, name: str) -> None:
    assert not {"GOGC", "GOMEMLIMIT"} & set(variables(tmp_path, {name: "100"}))


@pytest.mark.parametrize("name", RATE)
def test_what_the_operator_says_of_the_rate_of_requests_holds(tmp_path: Path, name: str) -> None:
    assert variables(tmp_path).items() >= RATE.items()
    assert not set(RATE) & set(variables(tmp_path, {name: "5"}))


def test_a_stack_file_elsewhere_is_found_from_a_folder_that_goes_again(tmp_path: Path) -> None:
    project, other = tmp_path / "project", tmp_path / "a b/other"
    for folder in (project, other):
        folder.mkdir(parents=True)
    (project / "Pulumi.yaml").write_text("name: opencode-fleet\nruntime: python\n")
    file = other / "Pulumi.t.yaml"
    file.touch()
    with work_folder(Place(name="t", file=file, project=project)) as folder:
        content = yaml.safe_load((folder / "Pulumi.yaml").read_text())
        assert content["name"] == "opencode-fleet"
        assert (folder / content["stackConfigDir"]).resolve() == other
    assert not folder.exists()
    assert [path.name for path in other.iterdir()] == ["Pulumi.t.yaml"]


def test_a_stack_file_of_the_project_is_run_in_the_project(tmp_path: Path) -> None:
    place = Place(name="t", file=tmp_path / "Pulumi.t.yaml", project=tmp_path)
    with work_folder(place) as folder:
        assert folder == tmp_path
