"""The three tags of a runtime image, from the build context and its settings.

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
from dataclasses import dataclass
from pathlib import Path

from fleet import __version__
from fleet.errors import InputError, Problem
from fleet.stackfile.config import StackConfig
from fleet.stackfile.image import Image, ImageMode

TAG_MAX = 128
_HASH = 16
# Files of the context that pin what a build downloads.
LOCK_FILES = ("Dockerfile",)


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageTags:
    """The tags of one image."""

    source: str
    lock: str
    version: str


def build_args(image: Image) -> dict[str, str]:
    """Return the Dockerfile's build arguments for an image's settings."""
    args = {"BASE_IMAGE": image.base_image, "OPENCODE_VERSION": image.opencode_version}
    if image.npm_registry:
        args["NPM_REGISTRY"] = image.npm_registry
    if image.debian_mirror:
        args["DEBIAN_MIRROR"] = image.debian_mirror
    if image.extra_toolchains:
        args["EXTRA_TOOLCHAINS"] = " ".join(sorted(image.extra_toolchains))
    return args


def image_tags(image: Image, context: Path, program_version: str) -> ImageTags:
    """Return the tags of the image built from the folder `context`."""
    args = {**build_args(image), "platforms": ",".join(sorted(image.platforms))}
    files = context_files(context)
    locked = [item for item in files if item[0] in LOCK_FILES]
    base = image.base_image.partition("@")[0].rpartition("/")[2]
    return ImageTags(
        source=f"src-{_digest([files, args])}",
        lock=f"lock-{_digest([locked, args])}",
        version=tag(f"v{program_version}-opencode{image.opencode_version}-{base}"),
    )


def image_reference(image: Image, context: Path, program_version: str) -> str:
    """Return the reference that runtimes use: the given one, or repository and source tag."""
    if image.reference is not None:
        return image.reference
    return f"{image.repository}:{image_tags(image, context, program_version).source}"


def resolve_image(config: StackConfig, folder: Path) -> str:
    """Return the image reference of an environment without asking a registry.

    Raises InputError where only Pulumi's look-up could pin it (mode prebuilt with a mere tag).
    """
    image = config.image
    if image.mode is ImageMode.PREBUILT and image.reference and "@sha256:" not in image.reference:
        rule = "a tag can move, and only `pulumi up` looks its digest up"
        change = "write the digest too, as docker buildx imagetools inspect prints it"
        raise InputError([Problem("image.reference", image.reference, rule, change)])
    return image_reference(image, folder / "image", __version__)


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
        if path.is_symlink():
            entries.append((name, "link", path.readlink().as_posix()))
        elif path.is_file():
            kind = "program" if path.stat().st_mode & 0o100 else "file"
            entries.append((name, kind, hashlib.sha256(path.read_bytes()).hexdigest()))
    return sorted(entries)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:_HASH]
