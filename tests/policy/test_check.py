"""The rules of `policy/` pass what is rendered here, and each catches an object that breaks it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from policy.check import items_of, main, offences
from policy.kubernetes import RULES
from tests.support.programs import ROOT

VIOLATING = ROOT / "policy" / "violating"


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped environment as `fleet render` writes it."""
    folder = tmp_path_factory.mktemp("rendered")
    fleet = Path(sys.executable).with_name("fleet")
    command = [str(fleet), "render", "-s", "dev", "--image", "r:1", "-o", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return folder


def test_the_shipped_environment_breaks_no_rule(
    rendered: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(rendered)]) == 0
    told = capsys.readouterr()
    assert told.out == ""
    count = len([item for file in rendered.rglob("*.yaml") for item in items_of(file.read_text())])
    assert f"policy: {count - 1} objects, no offence" in told.err  # kustomization.yaml is none


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_has_an_example_that_breaks_it_and_no_other(rule: str) -> None:
    text = (VIOLATING / f"{rule.replace('_', '-')}.yaml").read_text(encoding="utf-8")
    assert {line.partition(":")[0] for line in offences(list(items_of(text)))} == {rule}


def test_an_offence_names_the_object_and_ends_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(VIOLATING / "services-stay-inside.yaml")]) == 1
    assert capsys.readouterr().out == "services_stay_inside: Service team/open: LoadBalancer\n"


@pytest.mark.parametrize("text", ["a: [", "\x00"])
def test_what_is_no_yaml_ends_with_2(tmp_path: Path, text: str) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(text)
    assert main([str(file)]) == 2
    assert main([str(tmp_path / "absent.yaml")]) == 2


def test_examples_are_objects_as_a_cluster_would_take_them() -> None:
    files = sorted(VIOLATING.glob("*.yaml"))
    assert {file.stem.replace("-", "_") for file in files} == set(RULES)
    for file in files:
        documents: list[Any] = list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
        assert all({"apiVersion", "kind", "metadata"} <= set(item) for item in documents)
