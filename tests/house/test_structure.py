"""What the sources must look like whatever they do: pure core, closed components, short program."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.programs import ROOT

PROGRAM = ROOT / "__main__.py"
COMPONENTS = sorted((ROOT / "components").rglob("*.py"))


def _classes(path: Path) -> Iterator[ast.ClassDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef):
            bases = {ast.unparse(base) for base in node.bases}
            if bases & {"pulumi.ComponentResource", "ComponentResource"}:
                yield node


def _constructor(node: ast.ClassDef) -> ast.FunctionDef:
    found = [item for item in node.body if isinstance(item, ast.FunctionDef)]
    return next(item for item in found if item.name == "__init__")


CLASSES = [(path.name, node) for path in COMPONENTS for node in _classes(path)]
IDS = [f"{name}:{node.name}" for name, node in CLASSES]


def test_there_are_components() -> None:
    assert {node.name for _, node in CLASSES} >= {"UserStack", "PoolNamespace", "RuntimeImage"}


@pytest.mark.parametrize(("name", "node"), CLASSES, ids=IDS)
def test_a_component_registers_its_outputs_last(name: str, node: ast.ClassDef) -> None:
    last = ast.unparse(_constructor(node).body[-1])
    assert last.startswith("self.register_outputs("), f"{name}: {node.name} ends with {last}"


@pytest.mark.parametrize(("name", "node"), CLASSES, ids=IDS)
def test_a_component_has_a_type_of_three_parts(name: str, node: ast.ClassDef) -> None:
    first = _constructor(node).body[0]
    token = ast.unparse(first).split("(", 2)[2].split(",")[0].strip("'")
    project, module, kind = token.split(":")
    assert project == "opencode-fleet", name
    assert module.replace("_", "").isalnum(), name
    assert kind == node.name, name


@pytest.mark.parametrize(
    "module",
    [
        "fleet.plan.environment",
        "fleet.cli.main",
        "fleet.stackfile.program_input",
        "fleet.images.tags",
        "fleet.alicloud.cloud_init",
    ],
)
def test_the_core_loads_no_pulumi(module: str) -> None:
    code = (
        f"import sys, {module}\n"
        "print([name for name in sys.modules if name.split('.')[0].startswith('pulumi')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_no_client_is_loaded_before_a_cluster_is_opened() -> None:
    code = (
        "import sys, fleet.cli.main\n"
        "print([name for name in ('kubernetes', 'urllib3', 'websocket') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_program_only_wires() -> None:
    tree = ast.parse(PROGRAM.read_text(encoding="utf-8"))
    assert not [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.While | ast.With | ast.ClassDef | ast.FunctionDef)
    ]


@pytest.mark.parametrize("path", COMPONENTS, ids=lambda path: path.name)
def test_only_the_program_reads_configuration_and_environment(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    words = ["get_stack(", "os.environ", "getenv"]
    if path.name != "program.py":
        words += ["pulumi.Config(", "pulumi.export("]
    assert [word for word in words if word in text] == []
