"""Rules between the keys of `image:`: what each mode needs and what it cannot do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from fleet.errors import Problem
from fleet.stackfile.image import Image, ImageMode

_OF_A_BUILD = frozenset(
    {
        "base_image",
        "debian_mirror",
        "extra_toolchains",
        "npm_registry",
        "opencode_version",
        "platforms",
        "repository",
        "retries",
        "timeout_minutes",
    }
)
_BUILDS = (ImageMode.DAEMON, ImageMode.BUILDKIT)


def image_problems(image: Image) -> Iterator[Problem]:
    """Yield the broken rules of the image settings."""
    yield from _reference(image)
    yield from _platforms(image)
    if image.mode is not ImageMode.BUILDKIT:
        for key, value in (("cacheFrom", image.cache_from), ("cacheTo", image.cache_to)):
            if value:
                rule = "only mode buildkit reads and writes cache sources"
                yield Problem(f"image.{key}", value[0], rule, "remove it, or use mode: buildkit")
        if image.builder.name:
            yield Problem(
                "image.builder.name",
                image.builder.name,
                "only mode buildkit has a choice of builders",
                "remove it, or use mode: buildkit",
            )
    if image.mode not in _BUILDS:
        yield from _unused(image)
    if image.push and image.mode not in _BUILDS:
        rule = f"mode {image.mode} builds nothing to push"
        yield Problem("image.push", "true", rule, "remove it")
    elif image.push and not _has_registry(image.repository):
        yield Problem(
            "image.repository",
            image.repository,
            "push needs a registry's host in the repository",
            "write it like registry.example.com/team/opencode-runtime",
        )
    if len(set(image.extra_toolchains)) != len(image.extra_toolchains):
        listed = ", ".join(image.extra_toolchains)
        yield Problem("image.extraToolchains", listed, "listed twice", "remove one")


def _has_registry(repository: str) -> bool:
    host, _, rest = repository.partition("/")
    return bool(rest) and ("." in host or ":" in host or host == "localhost")


def door_image_problems(image: Image, reference: str | None) -> Iterator[Problem]:
    """Yield the broken rules of the door's image, which is made as the runtime's is."""
    key = "door.reference"
    if image.mode in _BUILDS and reference is not None:
        rule = f"mode {image.mode} names the image itself"
        yield Problem(key, reference, rule, "remove it, or use image mode: prebuilt")
    elif image.mode not in _BUILDS and reference is None:
        rule = f"image mode {image.mode} runs images that are already made, the door's too"
        change = "write its reference (fleet image build makes it), or use image mode: daemon"
        yield Problem(key, "missing", rule, change)


def _reference(image: Image) -> Iterator[Problem]:
    if image.mode in _BUILDS:
        if image.reference is not None:
            yield Problem(
                "image.reference",
                image.reference,
                f"mode {image.mode} names the image itself",
                "remove it, or use mode: prebuilt",
            )
    elif image.reference is None:
        yield Problem(
            "image.reference",
            "missing",
            f"mode {image.mode} runs an image that is already made",
            "write its reference, or use mode: daemon",
        )


def _platforms(image: Image) -> Iterator[Problem]:
    listed = ", ".join(image.platforms) or "none"
    if not image.platforms:
        yield Problem("image.platforms", listed, "an image has a platform", "write linux/amd64")
    if len(set(image.platforms)) != len(image.platforms):
        yield Problem("image.platforms", listed, "listed twice", "remove one")
    elif len(image.platforms) > 1 and image.mode is ImageMode.DAEMON:
        rule = "a Docker daemon builds one platform at a time"
        yield Problem("image.platforms", listed, rule, "keep one, or use mode: buildkit")
    elif len(image.platforms) > 1 and image.mode is ImageMode.BUILDKIT and not image.push:
        rule = "an image of several platforms exists only in a registry"
        yield Problem("image.platforms", listed, rule, "set push: true, or keep one")


def _unused(image: Image) -> Iterator[Problem]:
    """Yield the keys of a build, where nothing is built."""
    for name in sorted(_OF_A_BUILD & image.model_fields_set):
        key = Image.model_fields[name].alias or name
        value: Any = getattr(image, name)
        shown = (
            ", ".join(cast("tuple[str, ...]", value)) if isinstance(value, tuple) else str(value)
        )
        yield Problem(
            f"image.{key}",
            shown or "none",
            f"mode {image.mode} builds nothing",
            "remove it, or use mode: daemon",
        )
