"""Plans for component tests, the providers they run under, and what mocks answer for a password."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pulumi

from components.environment import FleetEnvironment, FleetEnvironmentArgs
from components.providers import ClusterApi, kubernetes_providers
from fleet.plan.environment import Plan, make_plan
from tests.support.recorded import Recorded
from tests.support.recording import Engine, run
from tests.support.stacks import Values, environment_of, lay_scene

IMAGE = "registry.example.com/runtime:src-1"
KEYS = {"modelApiKey": "key of all", "aliceApiKey": "key of alice"}
PASSWORD = "random:index/randomPassword:RandomPassword"  # noqa: S105 - a type token
KUBERNETES = "kubernetes:"


def password_of(user: str) -> str:
    """Return the password the mocks make up for a user."""
    return f"made-up-{user}"


def plan_of(values: Values, folder: Path) -> Plan:
    """Return the plan of valid values; the scene `coding` is laid in `folder`.

    The stack file has those secrets of `KEYS` that it refers to.
    """
    if not (folder / "scenes" / "coding").exists():
        lay_scene(folder / "scenes" / "coding")
    named = {user.get("apiKey") for user in values["users"]} | {"modelApiKey"}
    keys = frozenset(KEYS) & named if values.get("model") else frozenset[str]()
    return make_plan(environment_of(values, folder, keys), keys)


def engine(**settings: Any) -> Engine:
    """Return an engine that makes passwords."""
    return Engine(outputs={PASSWORD: _made_up}, **settings)


def _made_up(found: Recorded) -> dict[str, str]:
    return {"result": password_of(found.name.removesuffix("-password"))}


def deploy(plan: Plan, *, preview: bool = False) -> Engine:
    """Run an environment with this plan and return the record."""

    def program() -> None:
        providers = kubernetes_providers(ClusterApi(identifier="cluster-1", context="test"))
        fleet = FleetEnvironment(
            plan.environment,
            FleetEnvironmentArgs(
                plan=plan,
                image=pulumi.Output.from_input(IMAGE),
                api_keys={key: pulumi.Output.secret(value) for key, value in KEYS.items()},
                keeper=providers.keeper,
            ),
            pulumi.ResourceOptions(provider=providers.main),
        )
        pulumi.export("passwords", fleet.passwords)
        pulumi.export("retained", fleet.retained)

    return run(program, engine(preview=preview))


def objects(made: Engine) -> list[Recorded]:
    """Return the Kubernetes objects of a run."""
    return [item for item in made.resources if item.typ.startswith(KUBERNETES)]


def notes(item: Recorded) -> dict[str, str]:
    """Return the annotations of a recorded object."""
    return item.inputs["metadata"].get("annotations", {})


def as_manifest(item: Recorded) -> dict[str, Any]:
    """Return a recorded object as a manifest: without Pulumi's own marks, Secrets in text."""
    manifest = {key: value for key, value in item.inputs.items() if key != "data"}
    kept = {key: text for key, text in notes(item).items() if "pulumi.com/" not in key}
    metadata = {key: value for key, value in manifest["metadata"].items() if key != "annotations"}
    manifest["metadata"] = {**metadata, "annotations": kept} if kept else metadata
    data: dict[str, str] | None = item.inputs.get("data")
    if data is not None and item.inputs["kind"] == "Secret":
        manifest["stringData"] = {k: base64.b64decode(v).decode() for k, v in data.items()}
    elif data is not None:
        manifest["data"] = data
    return manifest


def is_kept(item: Recorded) -> bool:
    """Tell whether an object goes through the provider that adopts."""
    return "kubernetes-keeper" in item.provider
