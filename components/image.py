"""An image of an environment, made or found in one of four modes, and the reference pods use.

Owns: which provider builds, what it builds from, when not to. Leaves out: tags and build arguments
(`fleet.images.tags`), the build contexts themselves (`image/`, `door/`). A provider's SDK is loaded
by the mode that uses it: they cost a fifth of a second, and an image that is there needs none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi

from fleet.images.build import LABEL
from fleet.images.tags import RUNTIME, ImageKind, ImageTags
from fleet.stackfile.image import Image, ImageMode


@dataclass(frozen=True, kw_only=True, slots=True)
class RuntimeImageArgs:
    """What an image is made from."""

    image: Image
    tags: ImageTags
    """Tags of the image that this context and these settings give."""
    kind: ImageKind = RUNTIME
    """Which of the images; its build context is relative to the program: state must not hold a
    machine's own folders."""
    after: Sequence[pulumi.Resource] = ()
    """What has to be there before the image is pushed, such as its repository."""
    network: str | None = None
    """Network of the build steps on a Docker daemon that has no bridge, e.g. `host`."""


class RuntimeImage(pulumi.ComponentResource):
    """An image that all runtimes of an environment use, or its door."""

    reference: pulumi.Output[str]
    """What pods pull, known once it is there."""

    def __init__(
        self, name: str, args: RuntimeImageArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("opencode-fleet:image:RuntimeImage", name, None, opts)
        match args.image.mode:
            case ImageMode.DAEMON:
                self.reference = self._declare_on_daemon(name, args)
            case ImageMode.BUILDKIT:
                self.reference = self._declare_on_buildkit(name, args)
            case ImageMode.PREBUILT:
                self.reference = self._look_up(args.image.reference or "")
            case ImageMode.LOCAL:
                self.reference = pulumi.Output.from_input(args.image.reference or "")
        self.register_outputs({"reference": self.reference})

    def _declare_on_daemon(self, name: str, args: RuntimeImageArgs) -> pulumi.Output[str]:
        """Build on the operator's Docker daemon, whose own cache serves as long as it lives."""
        image = args.image
        caches = _references(image, args.tags)[1:] if image.push else []
        source = self._declare_tag(f"{name}-source", args, args.tags.source, caches)
        for role, tag in (("lock", args.tags.lock), ("version", args.tags.version)):
            if image.push:
                # The provider pushes one tag an image. After the first, all layers are there.
                self._declare_tag(f"{name}-{role}", args, tag, [], source)
        return _once_made(source, args)

    def _declare_tag(
        self,
        name: str,
        args: RuntimeImageArgs,
        tag: str,
        caches: list[str],
        after: pulumi.Resource | None = None,
    ) -> pulumi.Resource:
        import pulumi_docker as docker  # noqa: PLC0415

        image = args.image
        build_arguments = args.kind.arguments(image)
        minutes = f"{image.timeout_minutes}m"
        if image.push:
            # Without it a pushed image cannot serve another machine's build as a cache.
            build_arguments["BUILDKIT_INLINE_CACHE"] = "1"
        return docker.Image(
            name,
            image_name=f"{image.repository}:{tag}",
            build=docker.DockerBuildArgs(
                context=args.kind.folder,
                dockerfile=f"{args.kind.folder}/Dockerfile",
                args=build_arguments,
                platform=image.platforms[0].value,
                builder_version=docker.BuilderVersion.BUILDER_BUILD_KIT,
                cache_from=docker.CacheFromArgs(images=caches) if caches else None,
                network=args.network,
            ),
            build_on_preview=False,
            skip_push=not image.push,
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[*args.after, *([after] if after is not None else [])],
                custom_timeouts=pulumi.CustomTimeouts(create=minutes, update=minutes),
            ),
        )

    def _declare_on_buildkit(self, name: str, args: RuntimeImageArgs) -> pulumi.Output[str]:
        """Build with a BuildKit builder; a pushed image carries its cache inline."""
        import pulumi_docker_build as docker_build  # noqa: PLC0415

        image = args.image
        tags = _references(image, args.tags)
        given = image.cache_from
        cache_from = [docker_build.CacheFromArgs(raw=source) for source in given]
        cache_to = [docker_build.CacheToArgs(raw=target) for target in image.cache_to]
        if image.push:
            registry = [docker_build.CacheFromRegistryArgs(ref=reference) for reference in tags[1:]]
            cache_from = [docker_build.CacheFromArgs(registry=item) for item in registry]
            cache_from += [docker_build.CacheFromArgs(raw=source) for source in given]
            cache_to.append(docker_build.CacheToArgs(inline=docker_build.CacheToInlineArgs()))
        minutes = f"{image.timeout_minutes}m"
        source = docker_build.Image(
            f"{name}-source",
            context=docker_build.BuildContextArgs(location=args.kind.folder),
            dockerfile=docker_build.DockerfileArgs(location=f"{args.kind.folder}/Dockerfile"),
            build_args=args.kind.arguments(image),
            platforms=[docker_build.Platform(platform.value) for platform in image.platforms],
            tags=tags,
            labels={LABEL: args.kind.name},
            cache_from=cache_from,
            cache_to=cache_to,
            builder=docker_build.BuilderConfigArgs(name=image.builder.name),
            build_on_preview=False,
            push=image.push,
            load=not image.push,
            opts=pulumi.ResourceOptions(
                parent=self,
                # Deleting would take the tags out of the registry, under running pods.
                retain_on_delete=True,
                depends_on=list(args.after),
                custom_timeouts=pulumi.CustomTimeouts(create=minutes, update=minutes),
            ),
        )
        return _once_made(source, args)

    def _look_up(self, reference: str) -> pulumi.Output[str]:
        """Pin a reference to its digest; one that has it is used as it is."""
        if "@sha256:" in reference:
            return pulumi.Output.from_input(reference)
        import pulumi_docker as docker  # noqa: PLC0415

        image = docker.get_registry_image_output(
            name=reference, opts=pulumi.InvokeOutputOptions(parent=self)
        )
        repository = reference.rpartition(":")[0]
        return pulumi.Output.concat(repository, "@", image.sha256_digest)


def _references(image: Image, tags: ImageTags) -> list[str]:
    """Return the source, lock and version references of an image."""
    return [f"{image.repository}:{tag}" for tag in (tags.source, tags.lock, tags.version)]


def _once_made(image: pulumi.Resource, args: RuntimeImageArgs) -> pulumi.Output[str]:
    """Return the source reference with an edge to the image.

    The tag stands for the whole content. A digest would differ from one build of the same content
    to the next and restart everybody, and is unknown in previews.
    """
    reference = f"{args.image.repository}:{args.tags.source}"
    return image.urn.apply(lambda _: reference)
