"""A stack file with the fake API server behind it, and its cluster.

Short: fixtures belong where their tests are.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from fleet.cluster.client import Cluster
from tests.support.fakes.api_server import ApiServer
from tests.support.fakes.served import Served, served


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Served]:
    """A folder with a stack file whose cluster is the fake API server."""
    with served(tmp_path, monkeypatch) as project:
        yield project


@pytest.fixture
def api(fleet: Served) -> ApiServer:
    """The fake API server."""
    return fleet.api


@pytest.fixture
def cluster(fleet: Served) -> Cluster:
    """The cluster, as a run opens it."""
    return fleet.cluster
