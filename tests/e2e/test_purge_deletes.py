"""Purge is the one way to delete data, and it really deletes; nothing else does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness.environment import Environment, changes_of
from tests.e2e.harness.making import Maker
from tests.e2e.harness.waiting import until

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def leaving(make: Maker) -> Environment:
    """dora will leave, emil stays."""
    environment = make("purge", ["dora", "emil"])
    environment.up()
    return environment


def volume_of(environment: Environment, user: str) -> dict[str, Any]:
    """Return the volume behind a user's claim."""
    claim = environment.kube.one("pvc", f"oc-{user}", environment.namespace)
    assert claim is not None, f"the claim of {user} is gone"
    volume = environment.kube.one("pv", claim["spec"]["volumeName"])
    assert volume is not None
    return volume


def folder_of(volume: dict[str, Any]) -> Path | None:
    """Return a volume's folder when it is one of this machine."""
    spec = volume["spec"]
    place = spec.get("hostPath") or spec.get("local")
    folder = Path(place["path"]) if place else None
    return folder if folder is not None and folder.exists() else None


def test_purge_deletes_a_former_users_volume_and_nobody_elses(leaving: Environment) -> None:
    """Lost otherwise: data that must be deleted by law stays, or somebody else's goes."""
    leaving.inside("dora", "sh", "-c", "echo private > /app/private.txt")
    leaving.inside("emil", "sh", "-c", "echo stays > /app/emil.txt")
    volume = volume_of(leaving, "dora")
    folder = folder_of(volume)
    entry = leaving.user("dora")
    leaving.config["purge"] = ["dora"]
    done = leaving.try_up()
    assert done.code == 2, "a user of the roster is never purged"
    assert "purge[0]: dora:" in done.err
    assert folder_of(volume) == folder
    leaving.config["users"].remove(entry)
    leaving.config["purge"] = []
    leaving.up()
    assert volume_of(leaving, "dora")["metadata"]["uid"] == volume["metadata"]["uid"]
    leaving.config["purge"] = ["dora"]
    outcome = leaving.up()
    assert any("oc-dora" in item for item in outcome["purged"]), outcome
    assert leaving.kube.one("pvc", "oc-dora", leaving.namespace) is None
    assert leaving.kube.one("pv", volume["metadata"]["name"]) is None
    if folder is not None:
        until("the folder on the node is gone", lambda: not folder.exists(), 20)
    assert leaving.inside("emil", "cat", "/app/emil.txt").stdout == "stays\n"
    again = leaving.up()
    assert changes_of(again) == [], "purging twice is harmless"


def test_a_purged_user_who_comes_back_starts_empty(leaving: Environment) -> None:
    """Lost otherwise: a new person with an old id finds somebody's private files."""
    leaving.config["purge"] = []
    roster = [user["id"] for user in leaving.config["users"]]
    if "dora" in roster:
        leaving.config["users"] = [{"id": "emil"}]
        leaving.up()
        leaving.config["purge"] = ["dora"]
        leaving.up()
        leaving.config["purge"] = []
    leaving.config["users"] = [{"id": "dora"}, {"id": "emil"}]
    leaving.up()
    listed = leaving.inside("dora", "ls", "/app").stdout.split()
    assert listed == ["AGENTS.md"]
