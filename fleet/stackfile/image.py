"""The `image:` key of a stack file: which runtime image, and who makes it.

Leaves out: tags (`image_tags`) and the building itself (`components.image`, `image_build`).
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field

from fleet.values.model import Model, broken
from fleet.values.scalars import BaseUrl, Line

OPENCODE_VERSION = "1.18.33"
BASE_IMAGE = (
    "node:22-bookworm-slim@sha256:53ada149d435c38b14476cb57e4a7da73c15595aba79bd6971b547ceb6d018bf"
)
# github.com/distribution/reference: domain, path, tag and digest of an image reference.
_COMPONENT = r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*"
# A first part is a registry's host only with a dot or a port, or as localhost; else it is a path.
_HOST = r"(?:localhost|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+|[A-Za-z0-9-]+(?=:))(?::[0-9]{1,5})?/"
_REPOSITORY = re.compile(rf"(?:{_HOST})?{_COMPONENT}(?:/{_COMPONENT})*")
# Of the 255 characters of a reference, a tag of ours and the separators need the rest.
_REPOSITORY_MAX = 200
_SUFFIX = re.compile(r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?")


def _repository(value: str) -> str:
    if len(value) > _REPOSITORY_MAX or not _REPOSITORY.fullmatch(value):
        raise broken(
            "a repository is lower case, without tag or digest",
            "write it like registry.example.com/team/opencode-runtime",
        )
    return value


def _reference(value: str) -> str:
    match = _REPOSITORY.match(value)
    if match is None or not _SUFFIX.fullmatch(value[match.end() :]):
        raise broken(
            "an image reference is repository:tag, repository@sha256:digest, or both",
            "write it like registry.example.com/team/opencode-runtime@sha256:…",
        )
    if value == match.group():
        raise broken(
            "an image reference without tag or digest means a moving image", "add a digest"
        )
    return value


def _version(value: str) -> str:
    if not re.fullmatch(r"1\.[0-9]{1,4}\.[0-9]{1,4}", value):
        raise broken(
            "OpenCode is pinned to an exact 1.x version; 2.x migrates data for good",
            f"write it like {OPENCODE_VERSION}",
        )
    return value


Repository = Annotated[str, AfterValidator(_repository)]
Reference = Annotated[str, Field(max_length=400), AfterValidator(_reference)]
Version = Annotated[str, AfterValidator(_version)]


class ImageMode(StrEnum):
    """Who makes the runtime image."""

    DAEMON = "daemon"
    BUILDKIT = "buildkit"
    PREBUILT = "prebuilt"
    LOCAL = "local"


class Platform(StrEnum):
    """Platforms the runtime image can be built for."""

    AMD64 = "linux/amd64"
    ARM64 = "linux/arm64"


class Toolchain(StrEnum):
    """Compilers that can be added to the image."""

    GO = "go"
    BUILD_ESSENTIAL = "build-essential"


class Builder(Model):
    """Which BuildKit builds (mode buildkit)."""

    name: Line | None = None
    """An existing `docker buildx` builder; unset uses the current one."""


class Image(Model):
    """The runtime image."""

    mode: ImageMode = ImageMode.DAEMON
    """Who makes the image: daemon, buildkit, prebuilt or local."""
    opencode_version: Version = OPENCODE_VERSION
    """OpenCode inside the image."""
    repository: Repository = "opencode-fleet/runtime"
    """Name of the built image, its registry in front; the door's is the same with `-door`."""
    push: bool = False
    """Push to `repository`; needed wherever the cluster is not on the building machine."""
    platforms: tuple[Platform, ...] = (Platform.AMD64,)
    """Platforms to build for; more than one needs mode buildkit and push."""
    base_image: Reference = BASE_IMAGE
    """Debian-based image with Node 22 to build on."""
    npm_registry: BaseUrl | None = None
    """Mirror of the npm registry for the build."""
    pypi_index: BaseUrl | None = None
    """Mirror of the Python package index for the build of the door's image, `/simple` included."""
    debian_mirror: BaseUrl | None = None
    """Mirror of the Debian archive for the build."""
    extra_toolchains: tuple[Toolchain, ...] = ()
    """Compilers to add."""
    reference: Reference | None = None
    """The image to run (modes prebuilt and local)."""
    pull_secret: Annotated[str | None, Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,251}[a-z0-9]$")] = None
    """Name of a kubernetes.io/dockerconfigjson Secret that stands in every namespace of the
    environment, the door's included."""
    builder: Builder = Builder()
    """Which BuildKit builds (mode buildkit)."""
    cache_from: Annotated[tuple[Line, ...], Field(max_length=20)] = ()
    """More cache sources, as in `docker buildx build --cache-from` (mode buildkit)."""
    cache_to: Annotated[tuple[Line, ...], Field(max_length=20)] = ()
    """Where the build cache is written, as in `--cache-to` (mode buildkit)."""
    timeout_minutes: Annotated[int, Field(ge=1, le=240, strict=True)] = 30
    """How long a build may take."""
    retries: Annotated[int, Field(ge=0, le=5, strict=True)] = 1
    """How often `fleet image build` tries a failed build again."""
