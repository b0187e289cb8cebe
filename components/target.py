"""The place where an environment runs: what the program may ask of it, and the plainest one.

Leaves out: Alibaba Cloud (`cloud_target`) and which of them it is (`placement`). Short because
Alibaba Cloud's target builds on it and must not load `placement`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from components.providers import ClusterApi, KubernetesProviders
from fleet.images.tags import ImageKind
from fleet.manifests.pool import SharedSecret
from fleet.stackfile.image import Image

Sealed = Mapping[str, pulumi.Output[str]]
"""The stack file's secrets, by top-level key."""


class Target:
    """A cluster that is there already and needs nothing beside the workspaces."""

    def __init__(self, api: ClusterApi) -> None:
        self.api = api

    def image_reference(
        self, kind: ImageKind, image: Image, reference: pulumi.Output[str]
    ) -> pulumi.Output[str]:
        """Return an image's reference, once the cluster can have the image."""
        del kind, image
        return reference

    def before_image(self) -> Sequence[pulumi.Resource]:
        """Return what has to be there before an image is pushed."""
        return ()

    def secrets(self, sealed: Sealed) -> tuple[SharedSecret, ...]:
        """Return what every pool gets a copy of so that nodes can pull."""
        del sealed
        return ()

    def declare_services(self, providers: KubernetesProviders) -> dict[str, Any]:
        """Declare what the cluster needs beside the workspaces; return the stack outputs of it."""
        del providers
        return {}
