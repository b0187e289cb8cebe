"""`fleet render`: an environment's objects as YAML files, for GitOps and for reading.

One file an owner and a `kustomization.yaml`. A Secret has no data in them, ever: `fleet apply` or
Pulumi fill it, or an operator does.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from fleet.desired import key_fingerprint
from fleet.manifests.pool import pool_objects
from fleet.manifests.runtime import Given
from fleet.manifests.types import Manifest
from fleet.manifests.user import user_objects
from fleet.model import Problem
from fleet.plan import Plan
from fleet.stack_file import Environment, InputError

MARK = "# Written by fleet render; edits are lost.\n"


class _Dumper(yaml.CSafeDumper):
    """YAML without anchors: an object that stands twice is written twice."""

    def ignore_aliases(self, data: object) -> bool:
        del data
        return True


def rendered_files(environment: Environment, plan: Plan, image: str) -> dict[str, list[Manifest]]:
    """Return file names, each with its objects in the order they must be made."""
    files: dict[str, list[Manifest]] = {}
    for pool in plan.pools:
        files[f"{pool.namespace}.yaml"] = pool_objects(pool)
        for user in pool.users:
            given = Given(
                image=image,
                pull_secret=plan.pull_secret,
                api_key_fingerprint=key_fingerprint(user, environment.secrets),
            )
            name = f"{pool.namespace}-{user.name}.yaml"
            files[name] = user_objects(user, plan.access, given)
    return files


def write_files(files: dict[str, list[Manifest]], folder: Path) -> int:
    """Write the files and `kustomization.yaml` and return how many; remove our former ones.

    A folder with foreign files is refused: nothing of somebody else's is overwritten.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {*files, "kustomization.yaml"}
    for path in folder.iterdir():
        if path.is_dir() or not _is_ours(path):
            rule = f"it holds {path.name}, which fleet render did not write"
            raise InputError([Problem("-o", str(folder), rule, "give an empty or new folder")])
    for path in folder.iterdir():
        if path.name not in wanted:
            path.unlink()
    for name, objects in files.items():
        (folder / name).write_text(MARK + _documents(objects), encoding="utf-8")
    (folder / "kustomization.yaml").write_text(MARK + _kustomization(files), encoding="utf-8")
    return len(files)


def _is_ours(path: Path) -> bool:
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.readline() == MARK


def _documents(objects: Iterable[Manifest]) -> str:
    return yaml.dump_all(objects, Dumper=_Dumper, sort_keys=False, explicit_start=True)


def _kustomization(files: Iterable[str]) -> str:
    content: dict[str, Any] = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": list(files),
    }
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False)


def as_json(files: dict[str, list[Manifest]]) -> str:
    """Return all objects as one JSON List."""
    items = [item for objects in files.values() for item in objects]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
