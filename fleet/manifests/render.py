"""`fleet render`: an environment's objects as YAML files, for GitOps and for reading.

One file an owner and a `kustomization.yaml`. A Secret has no data in them, ever: `fleet apply` or
Pulumi fill it, or an operator does.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from fleet.cluster.desired import key_fingerprint
from fleet.errors import InputError, Problem
from fleet.manifests.pool import pool_objects
from fleet.manifests.runtime import Given
from fleet.manifests.types import Manifest
from fleet.manifests.user import user_objects
from fleet.manifests.yaml_block import documents
from fleet.plan.environment import Plan
from fleet.stackfile.reading import Environment

MARK = "# Written by fleet render; edits are lost.\n"
_DRAFT = ".fleet-render.draft"


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
        _write(folder / name, documents(objects))
    _write(folder / "kustomization.yaml", documents([_kustomization(files)]))
    return len(files)


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all: a half one would be taken for somebody else's next time.

    One that is the same already stays: putting a file in the place of another waits for the disk.
    """
    if path.exists() and path.read_text(encoding="utf-8") == MARK + text:
        return
    draft = path.with_name(_DRAFT)
    try:
        draft.write_text(MARK + text, encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        # A full disk is told by the write, which knows no file name.
        raise OSError(error.errno, error.strerror, str(path)) from None


def _is_ours(path: Path) -> bool:
    if path.name == _DRAFT:
        return True
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.readline() == MARK


def _kustomization(files: Iterable[str]) -> dict[str, object]:
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": list(files),
    }
