"""What every source file keeps to: who reads the environment, what a file of odd length says."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.support.programs import ROOT


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def sources(*folders: str) -> list[Path]:
    """Return the project's Python files, of some folders."""
    return [path for folder in folders for path in (ROOT / folder).rglob("*.py")]


# Each is where a program starts, or the one place for a convention of others. All else is handed
# what it needs, so that a test says what it was, and an operator finds every variable here.
READERS = {
    "fleet/cli/shell.py": "the command line",
    "fleet/cli/start.py": "where compiled modules are kept, before anything else is imported",
    "fleet/cluster/contexts.py": "KUBECONFIG, as kubectl reads it",
    "fleet/alicloud/cloud_assistant.py": "a program of its own, run by a Pulumi command",
    "fleet/alicloud/machine/volumes.py": "a program of its own, run on the machine",
    "fleet/alicloud/function/power.py": "a program of its own, run in Function Compute",
}
LONGEST, SHORTEST = 400, 40
NAMED_BY_OTHERS = ("__init__.py", "__main__.py", "conftest.py")


def reads_of_the_environment(code: str) -> list[str]:
    """Return what looks up variables of the process; passing all of them on to a child does not."""
    tree = ast.parse(code)
    handed_on = {
        id(value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Dict)
        for key, value in zip(node.keys, node.values, strict=True)
        if key is None
    }
    reads = {"os.environ", "os.environb", "os.getenv"}
    found = [
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node) in reads
        if id(node) not in handed_on
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            found += [item.name for item in node.names if f"os.{item.name}" in reads]
    return found


def says_why(code: str, *, long: bool) -> bool:
    """Return whether a module's docstring gives the reason of its length."""
    text = ast.get_docstring(ast.parse(code)) or ""
    return re.search(rf"\b{'Long' if long else 'Short'}\s+because\b", text) is not None


def test_the_environment_is_read_in_few_places() -> None:
    product = sources("fleet", "components")
    found = {named(path): reads_of_the_environment(path.read_text("utf-8")) for path in product}
    assert {name: reads for name, reads in found.items() if reads and name not in READERS} == {}


@pytest.mark.parametrize(
    "code",
    [
        "import os\nx = os.environ['A']",
        "import os\nx = os.getenv('A')",
        "from os import environ",
        "import os\nx = {**{'A': os.environ.get('A')}}",
        "import os\nrun(os.environ)",
    ],
)
def test_a_read_of_the_environment_is_seen(code: str) -> None:
    assert reads_of_the_environment(code) != []


def test_handing_the_whole_environment_to_a_child_is_no_read() -> None:
    assert reads_of_the_environment("import os\nrun(env={**os.environ, 'A': 'b'})") == []


def test_a_very_long_or_very_short_file_says_why_it_is_one() -> None:
    silent: dict[str, int] = {}
    for path in sources("fleet", "components", "tools", "tests"):
        code = path.read_text(encoding="utf-8")
        lines = len(code.splitlines())
        odd = lines > LONGEST or lines < SHORTEST
        if odd and path.name not in NAMED_BY_OTHERS and not says_why(code, long=lines > LONGEST):
            silent[named(path)] = lines
    assert silent == {}


def test_a_docstring_without_a_reason_is_seen() -> None:
    assert not says_why('"""Short and good."""\n', long=False)
    assert not says_why("x = 1\n", long=False)
    assert says_why('"""Short because it is read by a script."""\n', long=False)
    assert not says_why('"""Short because it is read by a script."""\n', long=True)
