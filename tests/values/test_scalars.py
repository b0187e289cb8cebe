"""What the scalar rules accept, and that no rule is without a case that breaks it."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from fleet.values import scalars
from tests.support.stacks import corpus

FLEET = Path(__file__).parents[2] / "fleet"
ACCEPTED: dict[str, dict[Any, str]] = {
    "UserId": {
        "a": "a",
        "alice.smith+dev@example.com": "alice.smith+dev@example.com",
        "7": "7",
        "u" * 128: "u" * 128,
        "a--b": "a--b",
    },
    "SceneId": {"coding": "coding", "a-1": "a-1", "s" * 40: "s" * 40},
    "CpuQuantity": {2: "2", 0.5: "500m", "1000m": "1", "1e-1": "100m"},
    "MemoryQuantity": {"2048Mi": "2Gi", 1073741824: "1073741824", "1.5Gi": "1536Mi", "1G": "1G"},
    "Cidr": {"10.0.0.0/8": "10.0.0.0/8", "10.1.2.3": "10.1.2.3/32", "FD00::/8": "fd00::/8"},
    "Domain": {"localhost": "localhost", "a.b-c.example": "a.b-c.example", "10.0.0.1": "10.0.0.1"},
    "BaseUrl": {
        "https://api.openai.com/v1/": "https://api.openai.com/v1",
        "http://10.1.2.3:8000": "http://10.1.2.3:8000",
        "http://[fd00::1]:8000/v1": "http://[fd00::1]:8000/v1",
        "https://host/deployments/gpt-5:beta": "https://host/deployments/gpt-5:beta",
    },
    "RelativePath": {"scenes//coding/./": "scenes/coding", "a b/ü": "a b/ü", "..a": "..a"},
    "Line": {" Alice 王 ": "Alice 王"},
    "ObjectName": {"alicloud-disk.essd": "alicloud-disk.essd", "a--b": "a--b"},
    "NamespaceName": {"opencode-dev--default": "opencode-dev--default"},
    "LabelKey": {
        "app": "app",
        "app.kubernetes.io/name": "app.kubernetes.io/name",
        "A_b.c": "A_b.c",
    },
    "LabelValue": {"": "", "v1.2_x": "v1.2_x"},
    "SecretKey": {"modelApiKey": "modelApiKey"},
}


@pytest.mark.parametrize(
    ("kind", "given", "stored"),
    [(kind, given, stored) for kind, cases in ACCEPTED.items() for given, stored in cases.items()],
)
def test_a_good_value_is_accepted_and_stored_in_one_form(
    kind: str, given: object, stored: str
) -> None:
    assert TypeAdapter(getattr(scalars, kind)).validate_python(given) == stored


def text_pattern(node: ast.expr) -> str | None:
    """Return a text or f-string of the source as a pattern, or None for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.escape(node.value)
    if isinstance(node, ast.JoinedStr):
        parts = [
            re.escape(part.value)
            if isinstance(part, ast.Constant) and isinstance(part.value, str)
            else ".*"
            for part in node.values
        ]
        return "".join(parts)
    return None


def rules_of(module: str) -> set[str]:
    """Return the rules that a module can name, as patterns."""
    found: set[str | None] = set()
    tree = ast.parse((FLEET / f"{module}.py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            place = {"broken": 0, "Problem": 2, "_problem": 2}.get(node.func.id)
            if place is not None and len(node.args) > place:
                found.add(text_pattern(node.args[place]))
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "rule":
            found.add(text_pattern(node.value))
    return {rule for rule in found if rule is not None}


@pytest.mark.parametrize(
    ("module", "files"),
    [
        ("values/scalars", "rules"),
        ("stackfile/rules", "rules"),
        ("stackfile/access_rules", "rules"),
        ("stackfile/image_rules", "rules"),
        ("stackfile/image", "rules"),
        ("stackfile/scene_files", "scenes"),
        ("stackfile/scene_content", "scenes"),
    ],
)
def test_every_rule_has_a_case_that_breaks_it(module: str, files: str) -> None:
    lines = [line for case in corpus(f"{files}.yaml") for line in case["say"]]
    tested_elsewhere = {
        # Only a collision of 40 bits of SHA-256 breaks it: test_rules.
        "its object name ",
        # Need links, special files or a full folder: test_bad_input_scenes.
        re.escape("a scene folder stands below the stack file's, links followed"),
        re.escape("not a folder"),
        re.escape("the scene folder does not exist"),
        "a\\ scene\\ has\\ at\\ most\\ ",
        "one\\ file\\ of\\ a\\ scene\\ has\\ at\\ most\\ ",
        # Every key of a build, in test_made_cluster_rules.
        "mode\\ .*\\ builds\\ nothing",
    }
    rules = rules_of(module)
    assert rules
    missing = {
        rule
        for rule in rules
        if not any(re.search(f": {rule}: ", line) for line in lines)
        and not any(rule.startswith((known, re.escape(known))) for known in tested_elsewhere)
    }
    assert missing == set()
