"""What the cases of tests/support/corpus describe: broken stack files and broken scene folders.

Short because the cases themselves are data.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.stacks import SMALL, Values, lay_scene, with_value, without

SCENE = "scenes/coding"


def values_of(case: dict[str, Any]) -> Values:
    """Return the small valid file with a case's changes."""
    values = SMALL
    for path in case.get("unset", []):
        values = without(values, path)
    for path, value in case.get("set", {}).items():
        values = with_value(values, path, value)
    return values


def lay(case: dict[str, Any], root: Path) -> Path:
    """Lay a good scene with a case's changes."""
    scene = root / SCENE
    lay_scene(scene)
    for name in case.get("remove", []):
        (scene / name).unlink()
    for name in case.get("folders", []):
        (scene / name).mkdir(parents=True)
    contents = {name: text.encode() for name, text in case.get("files", {}).items()}
    contents |= {name: bytes.fromhex(text) for name, text in case.get("bytes", {}).items()}
    for name, content in contents.items():
        (scene / name).parent.mkdir(parents=True, exist_ok=True)
        (scene / name).write_bytes(content)
    for name, target in case.get("links", {}).items():
        (scene / name).parent.mkdir(parents=True, exist_ok=True)
        (scene / name).symlink_to(target)
    return scene
