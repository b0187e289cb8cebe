"""What unit tests share: a folder with a good scene in it, and how long property tests search.

FLEET_FUZZ=deep searches for minutes instead of seconds.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.stacks import lay_scene

# One folder serves all examples of a test: none of them writes to it.
_CHECKS = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]

settings.register_profile(
    "short",
    max_examples=50,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=_CHECKS,
)
settings.register_profile(
    "deep",
    max_examples=3000,
    deadline=None,
    database=None,
    suppress_health_check=_CHECKS,
)
settings.load_profile("deep" if os.environ.get("FLEET_FUZZ") == "deep" else "short")

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def project() -> Path:
    """The project's own folder."""
    return ROOT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for a stack file, with the scenes `coding` and `research`."""
    for name in ("coding", "research"):
        lay_scene(tmp_path / "scenes" / name)
    return tmp_path


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same folder for tests that only read it."""
    root = tmp_path_factory.mktemp("stack")
    for name in ("coding", "research"):
        lay_scene(root / "scenes" / name)
    return root
