"""Making environments of tests: a stack file in a folder of its own, with a name of this run."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.e2e.harness.environment import SMALL, Environment
from tests.e2e.harness.kube import Kube
from tests.e2e.harness.model_pod import API_KEY, ModelPod

_PASSPHRASE = "of the end-to-end tests"  # noqa: S105 - seals a made-up key


@dataclass(frozen=True, kw_only=True)
class Maker:
    """Makes environments and remembers their names for cleaning up."""

    kube: Kube
    image: str
    door_image: str
    door: tuple[str, int]
    run_id: str
    model: ModelPod
    folder: Path
    made: list[str] = field(default_factory=list[str])

    def copy(self) -> Maker:
        """Return a maker that has made nothing yet."""
        return replace(self, made=[])

    def __call__(self, topic: str, users: Sequence[str] = (), *, seed: bool = True) -> Environment:
        """Write a stack file with `users`, all of the small profile, and return its environment.

        The model's API key and, but for `seed=False`, the seed of the passwords are sealed into
        it. Nothing is brought up yet.
        """
        name = f"{self.run_id}-{topic}"
        folder = self.folder / name
        folder.mkdir()
        state = folder / "state"
        state.mkdir()
        environment = Environment(
            name=name,
            folder=folder,
            kube=self.kube,
            image=self.image,
            door=self.door,
            environ={
                "PULUMI_CONFIG_PASSPHRASE": _PASSPHRASE,
                "PULUMI_BACKEND_URL": f"file://{state}",
                # What `fleet up` remembers beside the state is of this environment only.
                "XDG_DATA_HOME": str(folder / "data"),
            },
            config={
                "cluster": {"kind": "existing", "context": self.kube.context},
                "image": {"mode": "local", "reference": self.image},
                # As small as the runtimes are here.
                "door": {
                    "reference": self.door_image,
                    "cpu": {"request": "10m"},
                    "memory": {"request": "32Mi"},
                },
                "access": {"domain": f"{name}.localhost", "tls": "none", "port": self.door[1]},
                **self.model.config,
                "network": {"allow": self.model.allow},
                "profiles": {"standard": deepcopy(SMALL)},
                "scenes": {
                    "coding": {"path": "scenes/coding"},
                    "research": {"path": "scenes/research"},
                },
                "users": [{"id": user} for user in users],
            },
        )
        environment.copy_scenes()
        environment.save()
        done = environment.fleet("secret", "modelApiKey", stdin=API_KEY)
        assert done.code == 0, done.said
        if seed:
            done = environment.fleet("seed")
            assert done.code == 0, done.said
        environment.reread()
        self.made.append(name)
        return environment
