"""Building an image with the Docker daemon, for deployments without the Pulumi CLI.

An image whose source tag exists is not built again. The Pulumi program builds the same image with
the same tags through its own providers (`components.image`).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fleet import __version__
from fleet.errors import ClusterError
from fleet.images.tags import RUNTIME, ImageKind, ImageTags, image_tags
from fleet.stackfile.image import Image, ImageMode

LABEL = "opencode-fleet.image"
_TAIL = 15
_BUILDX_SINCE = 23


@dataclass(frozen=True, kw_only=True, slots=True)
class Docker:
    """The Docker daemon that the docker command talks to."""

    program: str
    host: str | None = None
    buildkit: bool = True

    def run(
        self, *arguments: str, quiet: bool = True, seconds: float | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run docker; its output is captured when `quiet`.

        Raises TimeoutExpired after `seconds`.
        """
        environment = {**os.environ, "DOCKER_BUILDKIT": "1" if self.buildkit else "0"}
        if self.host is not None:
            environment["DOCKER_HOST"] = self.host
        return subprocess.run(
            [self.program, *arguments],
            env=environment,
            capture_output=quiet,
            text=True,
            timeout=seconds,
            check=False,
        )

    def has(self, reference: str) -> bool:
        """Return whether the daemon holds an image."""
        return self.run("image", "inspect", reference).returncode == 0


def find_docker(host: str | None = None, preferred: str | None = None) -> Docker:
    """Return the docker command to build with; raise ClusterError when it or its daemon is away.

    `preferred` is the path of one to take before those that are found. Since Docker 23 BuildKit
    comes with the buildx plugin, before it was part of the command; a machine can have both, so the
    first command that has it is taken, else the classic builder.
    """
    names = (preferred, shutil.which("docker"), "/usr/bin/docker")
    programs = [name for name in dict.fromkeys(names) if name and Path(name).exists()]
    if not programs:
        raise ClusterError("docker: not found: no such program on PATH: install Docker")
    candidates = [Docker(program=name, host=host) for name in programs]
    reply = candidates[0].run("version", "--format", "{{.Server.Version}}")
    if reply.returncode != 0:
        lines = reply.stderr.strip().splitlines() or ["no answer"]
        raise ClusterError(f"docker: no daemon answers ({lines[-1]}): start it, or set DOCKER_HOST")
    with_buildkit = [docker for docker in candidates if _has_buildkit(docker)]
    return with_buildkit[0] if with_buildkit else replace(candidates[0], buildkit=False)


def _has_buildkit(docker: Docker) -> bool:
    if docker.run("buildx", "version").returncode == 0:
        return True
    version = docker.run("version", "--format", "{{.Client.Version}}").stdout
    return version.partition(".")[0].isdigit() and int(version.partition(".")[0]) < _BUILDX_SINCE


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildOptions:
    """What a machine's own circumstances ask of a build."""

    base: str | None = None
    """Stands in for the configured base where that cannot be pulled; such an image is labelled so
    and never pushed."""
    network: str | None = None
    """As in `docker build --network`."""


def build(
    docker: Docker,
    image: Image,
    context: Path,
    options: BuildOptions,
    kind: ImageKind = RUNTIME,
) -> tuple[ImageTags, bool]:
    """Build an image unless its source tag exists; return its tags and whether it built."""
    tags = image_tags(image, context, __version__, kind)
    reference = f"{image.repository}:{tags.source}"
    if docker.has(reference):
        return tags, False
    args = kind.arguments(image)
    if options.base is not None:
        args["BASE_IMAGE"] = options.base
    command = [*_builder(docker, image), f"--label={LABEL}={kind.name}"]
    if docker.buildkit:
        command += [f"--platform={','.join(image.platforms)}", "--progress=plain"]
    command += [f"--label={LABEL}.base={args['BASE_IMAGE']}"]
    command += [part for key, value in args.items() for part in ("--build-arg", f"{key}={value}")]
    names = [f"{image.repository}:{tag}" for tag in (tags.source, tags.lock, tags.version)]
    command += [part for name in names for part in ("--tag", name)]
    command += [f"--network={options.network}"] if options.network else []
    for attempt in range(image.retries + 1):
        why = _built(docker, [*command, str(context)], image.timeout_minutes)
        if why is None:
            return tags, True
        if attempt == image.retries:
            raise ClusterError(f"{why[0]}\nimage {reference}: build: {why[1]}")
    raise AssertionError("a loop that ends by itself")


def _built(docker: Docker, command: Sequence[str], minutes: int) -> tuple[str, str] | None:
    """Run a build; return its last lines and what to do when it fails."""
    try:
        reply = docker.run(*command, seconds=minutes * 60)
    except subprocess.TimeoutExpired:
        return "", f"not done after {minutes} minutes: raise image.timeoutMinutes"
    if reply.returncode == 0:
        return None
    tail = "\n".join((reply.stdout + reply.stderr).strip().splitlines()[-_TAIL:])
    return tail, "the step above failed: mend it and run this again"


def _builder(docker: Docker, image: Image) -> list[str]:
    """Return the command that builds: the daemon itself, or the BuildKit that the file names."""
    if image.mode is not ImageMode.BUILDKIT:
        return ["build"]
    if not docker.buildkit:
        raise ClusterError("docker: mode buildkit needs its buildx plugin: install it")
    command = ["buildx", "build"]
    command += [f"--builder={image.builder.name}"] if image.builder.name else []
    command += [f"--cache-from={source}" for source in image.cache_from]
    command += [f"--cache-to={target}" for target in image.cache_to]
    # Of several platforms there is no image in the daemon: it is pushed while it is built.
    return [*command, "--push" if is_pushed_at_once(image) else "--load"]


def is_pushed_at_once(image: Image) -> bool:
    """Tell whether the build itself pushes: what a builder makes is not in the daemon."""
    return image.mode is ImageMode.BUILDKIT and image.push


def push(docker: Docker, image: Image, tags: ImageTags) -> str:
    """Push an image under its three tags and return the reference pods use."""
    reference = f"{image.repository}:{tags.source}"
    if base_label(docker, reference) != image.base_image:
        raise ClusterError(
            f"image {reference}: push: it was built on a stand-in base: build it where"
            f" {image.base_image} can be pulled"
        )
    for tag in (tags.source, tags.lock, tags.version):
        reply = docker.run("push", "--quiet", f"{image.repository}:{tag}")
        if reply.returncode != 0:
            why = (reply.stderr.strip().splitlines() or ["no answer"])[-1]
            raise ClusterError(f"image {reference}: push: {why}: log in to the registry, try again")
    return reference


def base_label(docker: Docker, reference: str) -> str | None:
    """Return the base an image says it was built on."""
    reply = docker.run("image", "inspect", "--format", "{{json .Config.Labels}}", reference)
    if reply.returncode != 0:
        return None
    labels: dict[str, str] = json.loads(reply.stdout) or {}
    return labels.get(f"{LABEL}.base")


def prune(
    docker: Docker, image: Image, keep: Sequence[str], kind: ImageKind = RUNTIME
) -> list[str]:
    """Remove this project's images but those tagged `keep`, and their build cache; return names."""
    pattern = f"reference={image.repository}:*"
    listing = docker.run("image", "ls", "--filter", pattern, "--format", "{{.Repository}}:{{.Tag}}")
    names = [name for name in listing.stdout.split() if name.rpartition(":")[2] not in keep]
    removed = [name for name in names if docker.run("image", "rm", name).returncode == 0]
    docker.run("image", "prune", "--force", "--filter", f"label={LABEL}={kind.name}")
    docker.run("builder", "prune", "--force", "--filter", "unused-for=24h")
    return removed
