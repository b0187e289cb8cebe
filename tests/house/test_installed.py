"""What is installed is the script `fleet`, and nothing else: the project runs from its checkout.

Short because there is so little.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import files
from pathlib import Path

import pytest

from tests.support.programs import ROOT
from tools.no_wheel import refuse


def test_nothing_is_installed_but_the_script_and_a_line_that_names_the_checkout() -> None:
    installed = [str(path) for path in files("opencode-fleet") or []]
    rest = [name for name in installed if ".dist-info/" not in name]
    assert sorted(rest) == ["../../../bin/fleet", "_editable_impl_opencode_fleet.pth"]


def test_the_script_works_from_any_folder(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("fleet")
    file = str(ROOT / "Pulumi.dev.yaml")
    done = subprocess.run(
        [script, "validate", "-s", file], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, f"{file}: 2 users, 2 scenes, no problems\n")


def test_a_wheel_is_refused_with_what_to_do_instead() -> None:
    with pytest.raises(SystemExit, match="clone the repository"):
        refuse("standard")
    refuse("editable")
