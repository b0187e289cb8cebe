"""Plans for component tests, the providers and the seed they run under."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pulumi

from components.environment import FleetEnvironment, FleetEnvironmentArgs
from components.providers import ClusterApi, kubernetes_providers
from fleet.plan.environment import Plan, make_plan
from fleet.plan.passwords import derive_password
from tests.support.deployed import SEED
from tests.support.recorded import Recorded
from tests.support.recording import Engine, run
from tests.support.stacks import Values, environment_of, lay_scene, secrets_of

IMAGE = "registry.example.com/runtime:src-1"
DOOR_IMAGE = "opencode-fleet/runtime-door:test"
KEYS = {
    "modelApiKey": "key of all",
    "aliceApiKey": "key of alice",
    "jiraToken": "token of jira",
    "gitToken": "token of the forge",
    "gitKey": "key of the forge",
    "backupAccessKeyId": "id of the store",
    "backupPassword": "a backup password that is long enough",
    "backupSecretAccessKey": "key of the store",
}
KUBERNETES = "kubernetes:"


def password_of(user: str, environment: str = "test") -> str:
    """Return the first password of a user of these tests."""
    return derive_password(SEED, environment, user, 1)


def plan_of(values: Values, folder: Path) -> Plan:
    """Return the plan of valid values; the scene `coding` is laid in `folder`.

    The stack file has those secrets of `KEYS` that it refers to.
    """
    if not (folder / "scenes" / "coding").exists():
        lay_scene(folder / "scenes" / "coding")
    return make_plan(environment_of(values, folder, frozenset(KEYS) & secrets_of(values)))


def deploy(plan: Plan, *, preview: bool = False) -> Engine:
    """Run an environment with this plan and return the record."""

    def program() -> None:
        providers = kubernetes_providers(ClusterApi(identifier="cluster-1", context="test"))
        fleet = FleetEnvironment(
            plan.environment,
            FleetEnvironmentArgs(
                plan=plan,
                image=pulumi.Output.from_input(IMAGE),
                door_image=pulumi.Output.from_input(DOOR_IMAGE),
                seed=pulumi.Output.secret(SEED),
                sealed={key: pulumi.Output.secret(value) for key, value in KEYS.items()},
                adopting=providers.adopting,
            ),
            pulumi.ResourceOptions(provider=providers.main),
        )
        pulumi.export("passwords", fleet.passwords)
        pulumi.export("retained", fleet.retained)

    return run(program, Engine(preview=preview))


def objects(made: Engine) -> list[Recorded]:
    """Return the Kubernetes objects of a run."""
    return [item for item in made.resources if item.typ.startswith(KUBERNETES)]


def notes(item: Recorded) -> dict[str, str]:
    """Return the annotations of a recorded object."""
    return item.inputs["metadata"].get("annotations", {})


def as_manifest(item: Recorded) -> dict[str, Any]:
    """Return a recorded object as a manifest, without Pulumi's own marks."""
    manifest = dict(item.inputs)
    kept = {key: text for key, text in notes(item).items() if "pulumi.com/" not in key}
    metadata = {key: value for key, value in manifest["metadata"].items() if key != "annotations"}
    manifest["metadata"] = {**metadata, "annotations": kept} if kept else metadata
    return manifest


def secret_texts(item: Recorded) -> dict[str, str]:
    """Return what a recorded Secret holds, in clear."""
    return {key: base64.b64decode(text).decode() for key, text in item.inputs["data"].items()}


def is_retained(item: Recorded) -> bool:
    """Tell whether an object goes through the provider that adopts."""
    return "kubernetes-keeper" in item.provider
