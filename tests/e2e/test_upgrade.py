"""Upgrade: the release before is deployed by its own program, then this one takes over.

The release before is what FLEET_E2E_UPGRADE_FROM names, else the newest tag, else the commit that
CHANGELOG.md names for its newest release. FLEET_E2E_OLD_IMAGE names an image of an older OpenCode.
"""

from __future__ import annotations

import os
import re
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pytest

from tests.e2e.harness.environment import ROOT, Environment, changes_of
from tests.e2e.harness.making import Maker
from tests.e2e.harness.memory import make_work, remember
from tests.e2e.harness.workspace import answer_text

pytestmark = pytest.mark.e2e
RESTARTS = "every runtime restarts"
LABEL = "opencode-fleet/environment"
HEADING = re.compile(r"^## (\S+) \(\d{4}-\d\d-\d\d, ([0-9a-f]{7,40})\)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Release:
    """An earlier release: its revision, and what the changelog says since."""

    revision: str
    news: str


def git(*arguments: str) -> bytes | None:
    """Return what git printed, None when it failed."""
    command = ["/usr/bin/git", "-C", str(ROOT), *arguments]
    done = subprocess.run(command, capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else None


def release_before() -> Release | None:
    """Return the release to upgrade from, None where this clone does not have it."""
    log = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").partition("\n## ")[2]
    log = f"## {log}"
    headings = list(HEADING.finditer(log))
    tags = (git("tag", "--sort=-v:refname", "--no-contains", "HEAD") or b"").decode().split()
    tag = next((name for name in tags if re.match(r"v?\d+\.\d+", name)), None)
    written = headings[0][2] if headings else None
    revision = os.environ.get("FLEET_E2E_UPGRADE_FROM") or tag or written
    if revision is None or git("cat-file", "-e", f"{revision}^{{commit}}") is None:
        return None
    version = (tag or "").removeprefix("v") if revision == tag else None
    ends = (one.start() for one in headings if one[1] == version or version is None)
    return Release(revision=revision, news=log[: next(ends, len(log))])


def apply_with(release: Release, folder: Path, environment: Environment) -> None:
    """Apply an environment by the program of an earlier release, with its own locked packages."""
    archive = git("archive", release.revision)
    assert archive is not None
    with tarfile.open(fileobj=BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
    now = environment.config
    # Release 0.1.0 knew one endpoint.
    (name, provider), *_ = now["providers"].items()
    first = next(iter(provider["models"]))
    model = {"provider": name, "baseUrl": provider["baseUrl"], "name": first}
    environment.config = {key: it for key, it in now.items() if key not in ("providers", "models")}
    environment.config["model"] = model
    environment.save()
    environment.config = now
    program = ["uv", "run", "--quiet", "--frozen", "--no-dev", "--project", str(folder), "fleet"]
    arguments = ["apply", "-s", str(environment.file), "--image", environment.image]
    done = subprocess.run(
        [*program, *arguments],
        cwd=environment.folder,
        env={**os.environ, **environment.environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def contents(environment: Environment) -> dict[tuple[str, str], object]:
    """Return what every object of an environment holds, by kind and name, its status left out."""
    where = (f"--namespace={environment.namespace}", f"--selector={LABEL}={environment.name}")
    kinds = (
        "configmaps,deployments,ingresses,limitranges,networkpolicies,persistentvolumeclaims,"
        "resourcequotas,rolebindings,roles,secrets,serviceaccounts,services"
    )
    left_out = ("apiVersion", "kind", "metadata", "status")
    return {
        (item["kind"], item["metadata"]["name"]): {
            key: part for key, part in item.items() if key not in left_out
        }
        for item in environment.kube.list(kinds, *where)
    }


def test_an_upgrade_keeps_all_work_and_changes_only_what_the_changelog_says(
    make: Maker, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    """Lost otherwise: taking a new release interrupts everybody by surprise, or loses claims.

    Kinds of objects that change are named in the changelog; so is a restart of every runtime.
    """
    release = release_before()
    if release is None:
        pytest.skip("upgrade: this clone has no earlier release to upgrade from: not run")
    # The release before refuses a secret that it does not know.
    environment = make("upgrade", ["ann"], seed=False)
    environment.user("ann")["scenes"] = ["coding"]
    apply_with(release, tmp_path, environment)
    environment.passwords = {"ann": environment.password_in_cluster("ann")}
    environment.workspace("ann").healthy()
    make_work(environment, "ann")
    known, before = remember(environment, "ann"), environment.uids()
    earlier = contents(environment)
    environment.up()
    environment.reread()
    environment.passwords = {}
    environment.workspace("ann").healthy()
    assert remember(environment, "ann") == known
    now = contents(environment)
    kinds = {
        kind
        for kind, name in earlier.keys() | now.keys()
        if earlier.get((kind, name)) != now.get((kind, name))
    }
    figure(f"upgrade from {release.revision}: {', '.join(sorted(kinds)) or 'no object'} changed")
    assert {kind for kind in kinds if kind not in release.news} == set(), "not in the changelog"
    said = RESTARTS in " ".join(release.news.lower().split())
    assert (environment.uids() != before) == said, f"the changelog says: {RESTARTS}"
    again = environment.up()
    assert changes_of(again) == []


def test_an_update_of_opencode_keeps_all_work(make: Maker) -> None:
    """Lost otherwise: a new OpenCode cannot read the chats that an earlier one wrote."""
    old = os.environ.get("FLEET_E2E_OLD_IMAGE")
    if not old:
        pytest.skip("update of OpenCode: FLEET_E2E_OLD_IMAGE names no earlier image: not run")
    environment = make("update", ["ann"])
    environment.user("ann")["scenes"] = ["coding"]
    environment.up(image=old)
    environment.workspace("ann").healthy()
    make_work(environment, "ann")
    known = remember(environment, "ann")
    earlier = environment.workspace("ann").get("/global/health")["version"]
    environment.up()
    ann = environment.workspace("ann")
    assert remember(environment, "ann") == known
    assert ann.get("/global/health")["version"] != earlier
    answer = ann.say(sorted(ann.chats())[0], "[[say it goes on]]")
    assert "it goes on" in answer_text(answer)
