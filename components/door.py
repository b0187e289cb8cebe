"""An environment's door in the cluster: everything between browsers and workspaces.

Owns: the order of the door's objects, its secrets. Leaves out: what the objects hold
(`fleet.manifests.door`), its rights in pools (`pool`), how its certificate is made (`tls`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import pulumi

from components.bridge import declare
from fleet.manifests.door import DoorInputs, door_objects, door_secret
from fleet.manifests.pool import SharedSecret
from fleet.manifests.user import secret_text
from fleet.plan.door import SEED_SECRET, DoorPlan
from fleet.plan.environment import fingerprint
from fleet.plan.passwords import identity_of


@dataclass(frozen=True, kw_only=True, slots=True)
class DoorArgs:
    """What a door needs."""

    door: DoorPlan
    image: pulumi.Input[str]
    pull_secret: str | None
    seed: pulumi.Output[str]
    """What all passwords and session keys are derived from, a secret."""
    sealed: Mapping[str, pulumi.Output[str]]
    """The stack file's other secrets, by top-level key."""
    secrets: tuple[SharedSecret, ...] = ()
    """What it gets a copy of: a certificate, a login at a registry."""


class Door(pulumi.ComponentResource):
    """The door's namespace, settings, secrets, rights, pods, routes and network rules."""

    url: str
    """Of the front page."""

    def __init__(
        self, name: str, args: DoorArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("opencode-fleet:door:Door", name, None, opts)
        door = args.door
        first, *others = door_objects(door, _inputs(args))
        others += [door_secret(door, shared) for shared in args.secrets]
        child = pulumi.ResourceOptions(parent=self)
        namespace = declare(f"{name}-namespace", first, child)
        # Everything waits for the namespace; the pods need what they mount as well.
        place = namespace.urn.apply(lambda _: door.namespace)
        pods = [item for item in others if item["kind"] == "Deployment"]
        made = [
            declare(f"{name}-{_role(item)}", item, child, place)
            for item in others
            if item not in pods
        ]
        ready = pulumi.Output.all(*(item.urn for item in made)).apply(lambda _: door.namespace)
        for item in pods:
            declare(f"{name}-{_role(item)}", item, child, ready)
        self.url = door.url
        self.register_outputs({"url": door.url})


def _role(manifest: Mapping[str, object]) -> str:
    kind = str(manifest["kind"]).lower()
    metadata = cast("Mapping[str, str]", manifest["metadata"])
    if manifest["kind"] in ("Ingress", "HTTPRoute"):
        return "route"
    return f"{kind}-{metadata['name']}"


def _inputs(args: DoorArgs) -> DoorInputs:
    texts = {file: args.sealed[key] for file, key in args.door.secrets}
    texts[SEED_SECRET] = args.seed
    marks = [texts[file].apply(lambda text, file=file: str((file, text))) for file in sorted(texts)]
    together = pulumi.Output.all(*marks).apply(lambda known: fingerprint(*known))
    return DoorInputs(
        image=args.image,
        pull_secret=args.pull_secret,
        # No secret: it only tells environments of one name apart.
        identity=pulumi.Output.unsecret(args.seed.apply(identity_of)),
        secret_data={file: texts[file].apply(secret_text) for file in sorted(texts)},
        secrets_fingerprint=pulumi.Output.unsecret(together),
    )
