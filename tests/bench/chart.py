"""A Helm chart that makes the objects of a thousand users: what `fleet render` is compared with.

Short because all but the template is taken from the product.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from fleet.manifests.render import RenderInputs, rendered_files
from fleet.plan.environment import make_plan
from fleet.stackfile.reading import load
from tests.bench import roster

_USER = "user-0001"


def write(folder: Path) -> None:
    """Write `chart/` with one user's objects as a template that is repeated for every user."""
    roster.write(folder, "bench")
    environment = load("bench", folder)
    inputs = RenderInputs(image="opencode-fleet/runtime:bench", secrets={})
    files = rendered_files(make_plan(environment), inputs)
    objects = next(items for name, items in files.items() if name.endswith(f"-oc-{_USER}.yaml"))
    text = yaml.safe_dump_all(objects, sort_keys=False, explicit_start=True)
    text = text.replace(_USER, "{{ .id }}").replace("pool-0", "{{ .pool }}")
    (folder / "chart/templates").mkdir(parents=True)
    (folder / "chart/Chart.yaml").write_text("apiVersion: v2\nname: bench\nversion: 1.0.0\n")
    (folder / "chart/templates/users.yaml").write_text(
        "{{- range .Values.users }}\n" + text + "{{- end }}\n"
    )
    users = [{"id": user.id, "pool": user.pool} for user in environment.config.users]
    (folder / "chart/values.yaml").write_text(yaml.safe_dump({"users": users}))
