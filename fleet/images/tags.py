"""The two images of an environment, and their three tags, from build context and settings.

source   hash of the whole context and of every build argument: this very image
lock     hash of what pins dependencies and the base: a cache source across edits of our own files
version  program version, OpenCode version, base: a readable cache source across lock changes

Tags are equal on every machine: file times, owners and the folder's order do not count. A tag has
at most 128 of A-Z a-z 0-9 _ . - and starts with none of the last two (distribution's grammar).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fleet import __version__
from fleet.errors import InputError, Problem
from fleet.stackfile.config import StackConfig
from fleet.stackfile.image import Image, ImageMode

TAG_MAX = 128
_HASH = 16
# Files of a context that pin what a build downloads.
LOCK_FILES = ("Dockerfile", "requirements.txt")
# What running or testing the sources leaves beside them; no image takes it.
_LEFT_BEHIND = "__pycache__"


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageTags:
    """The tags of one image."""

    source: str
    lock: str
    version: str


def build_args(image: Image) -> dict[str, str]:
    """Return the build arguments of the runtime's Dockerfile."""
    args = {"BASE_IMAGE": image.base_image, "OPENCODE_VERSION": image.opencode_version}
    if image.npm_registry:
        args["NPM_REGISTRY"] = image.npm_registry
    if image.debian_mirror:
        args["DEBIAN_MIRROR"] = image.debian_mirror
    if image.extra_toolchains:
        args["EXTRA_TOOLCHAINS"] = " ".join(sorted(image.extra_toolchains))
    return args


def door_build_args(image: Image) -> dict[str, str]:
    """Return the build arguments of the door's Dockerfile."""
    args = {"BASE_IMAGE": image.base_image}
    if image.debian_mirror:
        args["DEBIAN_MIRROR"] = image.debian_mirror
    if image.pypi_index:
        args["PYPI_INDEX"] = image.pypi_index
    return args


def _runtime_version(image: Image) -> str:
    return f"opencode{image.opencode_version}"


def _door_version(image: Image) -> str:
    del image
    return "door"


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageKind:
    """One of the images that an environment runs: what it is built from."""

    name: str
    folder: str
    """Build context, relative to the program."""
    arguments: Callable[[Image], dict[str, str]]
    """Build arguments that its Dockerfile takes of the settings."""
    version: Callable[[Image], str]
    """What its version tag says of the content."""
    key: str
    """Stack-file key of its reference in the modes that build nothing."""
    variable: str
    """Of the process: names an image that the cluster holds and that is used instead."""

    def settings(self, config: StackConfig) -> Image:
        """Return the image settings of the stack file for this image."""
        if self.name == RUNTIME.name:
            return config.image
        changes = {
            "repository": f"{config.image.repository}-{self.name}",
            "reference": config.door.reference,
        }
        return config.image.model_copy(update=changes)


RUNTIME = ImageKind(
    name="runtime",
    folder="image",
    arguments=build_args,
    version=_runtime_version,
    key="image.reference",
    variable="FLEET_IMAGE",
)
"""What every user's runtime runs."""
DOOR = ImageKind(
    name="door",
    folder="door",
    arguments=door_build_args,
    version=_door_version,
    key="door.reference",
    variable="FLEET_DOOR_IMAGE",
)
"""What the environment's door runs."""
KINDS = (RUNTIME, DOOR)


def given_images(image: str | None, door_image: str | None) -> dict[str, str]:
    """Return the images of a command line by the variables that name them."""
    named = {RUNTIME.variable: image, DOOR.variable: door_image}
    return {variable: reference for variable, reference in named.items() if reference}


def image_tags(
    image: Image, context: Path, program_version: str, kind: ImageKind = RUNTIME
) -> ImageTags:
    """Return the tags of the image built from the folder `context`."""
    args = {**kind.arguments(image), "platforms": ",".join(sorted(image.platforms))}
    files = context_files(context)
    locked = [item for item in files if item[0] in LOCK_FILES]
    base = image.base_image.partition("@")[0].rpartition("/")[2]
    return ImageTags(
        source=f"src-{_digest([files, args])}",
        lock=f"lock-{_digest([locked, args])}",
        version=tag(f"v{program_version}-{kind.version(image)}-{base}"),
    )


def image_reference(
    image: Image, context: Path, program_version: str, kind: ImageKind = RUNTIME
) -> str:
    """Return the reference that pods use: the given one, or repository and source tag."""
    if image.reference is not None:
        return image.reference
    return f"{image.repository}:{image_tags(image, context, program_version, kind).source}"


def resolve_image(config: StackConfig, folder: Path, kind: ImageKind = RUNTIME) -> str:
    """Return an image reference of an environment without asking a registry.

    Raises InputError where only Pulumi's look-up could pin it (mode prebuilt with a mere tag).
    """
    image = kind.settings(config)
    if image.mode is ImageMode.PREBUILT and image.reference and "@sha256:" not in image.reference:
        rule = "a tag can move, and only `pulumi up` looks its digest up"
        change = "write the digest too, as docker buildx imagetools inspect prints it"
        raise InputError([Problem(kind.key, image.reference, rule, change)])
    return image_reference(image, folder / kind.folder, __version__, kind)


def tag(text: str) -> str:
    """Return `text` as a valid tag; one that had to change gets ten hex digits of its hash."""
    clean = re.sub(r"[^A-Za-z0-9_.-]", "-", text).lstrip(".-")
    if text and clean == text and len(text) <= TAG_MAX:
        return clean
    mark = hashlib.sha256(text.encode()).hexdigest()[:10]
    return f"{clean[: TAG_MAX - len(mark) - 1] or 'x'}-{mark}"


def context_files(context: Path) -> list[tuple[str, str, str]]:
    """Return (path, kind, content hash) of every file of a build context, sorted by path.

    Only the owner's execute bit counts of a file's mode: Git keeps no other.
    """
    entries: list[tuple[str, str, str]] = []
    for path in context.rglob("*"):
        name = path.relative_to(context).as_posix()
        if _LEFT_BEHIND in path.parts:
            continue
        if path.is_symlink():
            entries.append((name, "link", path.readlink().as_posix()))
        elif path.is_file():
            kind = "program" if path.stat().st_mode & 0o100 else "file"
            entries.append((name, kind, hashlib.sha256(path.read_bytes()).hexdigest()))
    return sorted(entries)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:_HASH]
