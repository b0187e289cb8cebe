"""The objects of many users without the engine: as a list for kubectl, as a Helm chart.

What the engine and `fleet render` are compared with. All but the chart's loop is the product's.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import yaml

from fleet.cluster.owned import RETAINED_KINDS
from fleet.manifests.render import RenderInputs, rendered_files
from fleet.manifests.types import Manifest
from fleet.plan.environment import make_plan
from fleet.stackfile.reading import load
from tests.bench import roster

_USER, _POOL = "user-0000", "pool-0"


def objects(folder: Path, environment: str) -> dict[str, list[Manifest]]:
    """Return an environment's objects, by the file that would hold them."""
    inputs = RenderInputs(
        image="opencode-fleet/runtime:bench",
        door_image="opencode-fleet/runtime-door:bench",
        secrets={},
    )
    return rendered_files(make_plan(load(environment, folder)), inputs)


def namespaces(files: dict[str, list[Manifest]]) -> list[Manifest]:
    """Return the namespaces among some objects."""
    found = (item for items in files.values() for item in items)
    return [item for item in found if item["kind"] == "Namespace"]


def deletable(files: dict[str, list[Manifest]]) -> list[Manifest]:
    """Return what `fleet destroy` would delete."""
    found = (item for items in files.values() for item in items)
    return [item for item in found if item["kind"] not in RETAINED_KINDS]


def as_list(items: Sequence[Manifest]) -> str:
    """Return objects as one JSON text: kubectl reads it nine times as fast as YAML."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(items)})


def write(folder: Path, environment: str, count: int, pools: int) -> None:
    """Write `chart/` with one user's objects as a template that is repeated for every user."""
    roster.write(folder, environment, count, pools=pools)
    files = objects(folder, environment)
    mine = next(items for name, items in files.items() if name.endswith(f"-oc-{_USER}.yaml"))
    text = yaml.safe_dump_all(mine, sort_keys=False, explicit_start=True)
    text = text.replace(_USER, "{{ .id }}").replace(_POOL, "{{ .pool }}")
    (folder / "chart/templates").mkdir(parents=True, exist_ok=True)
    (folder / "chart/Chart.yaml").write_text("apiVersion: v2\nname: bench\nversion: 1.0.0\n")
    (folder / "chart/templates/users.yaml").write_text(
        "{{- range .Values.users }}\n" + text + "{{- end }}\n"
    )
    values = yaml.safe_dump({"users": roster.users(count, pools)})
    (folder / "chart/values.yaml").write_text(values)
