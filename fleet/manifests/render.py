"""`fleet render`: an environment's objects as YAML files, for GitOps and for reading.

One file an owner and a `kustomization.yaml`. A Secret has no data in them unless that is asked for:
then the text is for a sealer or for kubectl, and for no repository.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fleet.errors import InputError, Problem
from fleet.manifests.backup import BackupInputs, backup_objects, secret_data
from fleet.manifests.door import DoorInputs, door_objects
from fleet.manifests.pool import pool_objects
from fleet.manifests.runtime import RuntimeInputs
from fleet.manifests.types import Manifest
from fleet.manifests.user import secret_text, user_objects
from fleet.manifests.yaml_block import documents
from fleet.names import PASSWORD_KEY, SEED_KEY
from fleet.plan.door import SEED_SECRET
from fleet.plan.environment import Plan, PoolPlan, UserPlan, fingerprint, secrets_fingerprint
from fleet.plan.passwords import identity_of, user_password
from fleet.stackfile.config import TlsMode
from fleet.values.secrecy import missing_seed

MARK = "# Written by fleet render; edits are lost.\n"
_DRAFT = ".fleet-render.draft"


@dataclass(frozen=True, kw_only=True, slots=True)
class RenderInputs:
    """What rendered files take from outside the plan."""

    image: str
    door_image: str
    secrets: Mapping[str, str] = field(repr=False)
    """The stack file's secrets in clear, by their keys; empty where none is sealed."""
    with_secrets: bool = False
    """Whether Secrets are written with their data."""


def rendered_files(plan: Plan, inputs: RenderInputs) -> dict[str, list[Manifest]]:
    """Return file names, each with its objects in the order they must be made.

    They are the objects that Pulumi sends, less the data of Secrets where it is not asked for. Of a
    stack file without a seed, whoever fills the Secrets decides the passwords; asked for, that data
    cannot be written: raises InputError. So does a certificate that only an update makes.
    """
    if plan.access.tls is TlsMode.SELF_SIGNED:
        rule = "the certificate is made by an update, and stands in no rendered file"
        change = "use tls: secret or certManager, or deploy with `fleet up`"
        raise InputError([Problem("access.tls", "selfSigned", rule, change)])
    seed = inputs.secrets.get(SEED_KEY)
    if seed is None and inputs.with_secrets:
        raise InputError([missing_seed()])
    identity = identity_of(seed) if seed is not None else None
    files: dict[str, list[Manifest]] = {
        f"{plan.door.namespace}.yaml": door_objects(plan.door, _of_door(plan, identity, inputs))
    }
    for pool in plan.pools:
        files[f"{pool.namespace}.yaml"] = [
            *pool_objects(pool, identity),
            *backup_objects(pool, _of_backup(plan, pool, inputs)),
        ]
        for user in pool.users:
            name = f"{pool.namespace}-{user.name}.yaml"
            files[name] = user_objects(user, _of_user(plan, user, inputs))
    return files


def _of_door(plan: Plan, identity: str | None, inputs: RenderInputs) -> DoorInputs:
    texts = {file: inputs.secrets[key] for file, key in plan.door.secrets if key in inputs.secrets}
    if (seed := inputs.secrets.get(SEED_KEY)) is not None:
        texts[SEED_SECRET] = seed
    data = {file: secret_text(text) for file, text in sorted(texts.items())}
    return DoorInputs(
        image=inputs.door_image,
        pull_secret=plan.pull_secret,
        identity=identity,
        secret_data=data if inputs.with_secrets else None,
        secrets_fingerprint=fingerprint(*map(str, sorted(texts.items()))) if texts else "",
    )


def _of_backup(plan: Plan, pool: PoolPlan, inputs: RenderInputs) -> BackupInputs:
    data = None
    if inputs.with_secrets and pool.backup is not None:
        data = secret_data(pool, pool.backup, dict(inputs.secrets))
    return BackupInputs(image=inputs.image, pull_secret=plan.pull_secret, secret_data=data)


def _of_user(plan: Plan, user: UserPlan, inputs: RenderInputs) -> RuntimeInputs:
    texts: dict[str, str] = {}
    if (seed := inputs.secrets.get(SEED_KEY)) is not None:
        texts[PASSWORD_KEY] = user_password(user, seed)
    password = texts.get(PASSWORD_KEY)
    given = {use.key: inputs.secrets[use.source] for use in user.runtime.secrets}
    texts |= given
    data = {key: secret_text(text) for key, text in texts.items()}
    return RuntimeInputs(
        image=inputs.image,
        pull_secret=plan.pull_secret,
        secret_data=data if inputs.with_secrets else None,
        password_fingerprint=fingerprint(password) if password is not None else "",
        secrets_fingerprint=secrets_fingerprint(given) if given else "",
    )


def as_stream(files: Mapping[str, Sequence[Manifest]]) -> str:
    """Return all objects as one YAML text, for a pipe."""
    return documents([item for objects in files.values() for item in objects])


def write_files(
    files: Mapping[str, Sequence[Manifest]], folder: Path, *, private: bool = False
) -> int:
    """Write the files and `kustomization.yaml` and return how many; remove our former ones.

    A folder with foreign files is refused: nothing of somebody else's is overwritten. `private`
    files are for their owner alone.
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
        _write(folder / name, documents(objects), private=private)
    _write(folder / "kustomization.yaml", documents([_kustomization(files)]), private=private)
    return len(files)


def _write(path: Path, text: str, *, private: bool) -> None:
    """Write a file whole or not at all: a half one would be taken for somebody else's next time.

    One that is the same already stays: putting a file in the place of another waits for the disk.
    """
    if path.exists() and path.read_text(encoding="utf-8") == MARK + text:
        return
    draft = path.with_name(_DRAFT)
    try:
        draft.unlink(missing_ok=True)
        draft.touch(0o600 if private else 0o666)
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
