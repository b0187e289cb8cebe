"""What runs of an environment's stacks need to know: program, cluster, and whether one changed.

Owns: the facts that a stack's digest is made of. Leaves out: how a digest is made (`plan.stacks`)
and which runs there are (`engine.parts`).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property

from fleet import __version__
from fleet.cli.deployment import Deployment
from fleet.cluster.client import Cluster
from fleet.engine.deploy import Share
from fleet.engine.program import ROOT, program_digest
from fleet.engine.stack import EngineStack, Program
from fleet.images.tags import DOOR, KINDS, RUNTIME, ImageKind, image_reference
from fleet.plan.environment import Plan
from fleet.plan.stacks import BASE_OUTPUT, digest, must_look_up, takes_from_base
from fleet.stackfile.config import StackConfig
from fleet.stackfile.image import Image
from fleet.stackfile.program_input import with_image
from fleet.stackfile.project_file import mapping, read_yaml
from fleet.stackfile.reading import own_keys, sealed_text

# Of what they hold, what matters to a stack is in its plan.
_PLANNED = ("users", "pools", "scenes", "profiles", "purge")


@dataclass(frozen=True)
class Conditions:
    """What the runs of one command need."""

    deployment: Deployment
    first: EngineStack
    existing: Cluster | None
    """The cluster, where the environment does not make it."""
    whole: bool = False
    """Whether to take the environment for one stack, whatever its stack file says."""

    def program(self) -> Program:
        """Return the program that the engine is to run."""
        return self.deployment.program(whole=self.whole)

    def cluster(self) -> Cluster | None:
        """Return the cluster, once there is one."""
        return self.existing or self.deployment.made_cluster(self.first)

    def ensure(self, share: Share) -> None:
        """Make a stack that is not there yet."""
        if share.pool is not None and share.state is None and not share.stack.exists():
            share.stack.create(self.deployment.secrets_provider)

    def digest(self, share: Share) -> str:
        """Return what stands for everything that a stack declares; empty: only a run can say."""
        pool = share.pool is not None
        if not pool and any(must_look_up(self._image_of(kind)) for kind in KINDS):
            return ""
        taken = self._taken if pool and takes_from_base(self._config, self._image) else ""
        sealed = [f"{key} {text}" for key, text in self._sealed_for(share.plan)]
        door = "" if pool else self._reference(DOOR)
        return digest(share.plan, [*self._facts, taken, door, *sealed])

    @property
    def _config(self) -> StackConfig:
        return self.deployment.environment.config

    @cached_property
    def _image(self) -> Image:
        return self._image_of(RUNTIME)

    def _image_of(self, kind: ImageKind) -> Image:
        return with_image(kind.settings(self._config), kind.variable, self.deployment.given)

    @cached_property
    def _facts(self) -> list[str]:
        rest = self._config.model_copy(update=dict.fromkeys(_PLANNED))
        return [program_digest(), self._reference(RUNTIME), repr(rest)]

    def _reference(self, kind: ImageKind) -> str:
        image = self._image_of(kind)
        if must_look_up(image):
            return ""
        return image_reference(image, ROOT / kind.folder, __version__, kind)

    @cached_property
    def _taken(self) -> str:
        """What pools take from the base stack; asked for once that has run."""
        held = json.dumps(self.first.outputs().get(BASE_OUTPUT), sort_keys=True)
        return hashlib.sha256(held.encode()).hexdigest()

    @cached_property
    def _sealed(self) -> dict[str, str]:
        """Every secret as it stands in the stack file, sealed."""
        keys = own_keys(mapping(read_yaml(self.deployment.place.file).get("config")))
        return {key: text for key, value in keys.items() if (text := sealed_text(value))}

    def _sealed_for(self, plan: Plan) -> list[tuple[str, str]]:
        """Return the secrets that matter to a stack: not the API keys of other users."""
        others = _sources(self.deployment.plan) - _sources(plan)
        return [(key, text) for key, text in sorted(self._sealed.items()) if key not in others]


def _sources(plan: Plan) -> set[str]:
    return {use.source for user in plan.users for use in user.runtime.secrets}
