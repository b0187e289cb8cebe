"""The bundled cluster's part of `make up`: cluster, images, images into the cluster.

Short because other clusters need none of it.
"""

from __future__ import annotations

from fleet.stackfile.config import StackConfig
from fleet.stackfile.image import ImageMode
from tools.cluster.images import full_name, stored
from tools.cluster.layout import Layout
from tools.deploy.steps import fleet, read, run, tell, tool

CONTEXT = "opencode-fleet-local"
DEFAULT_PORT = 7080


def start(config: StackConfig) -> None:
    """Start the bundled cluster."""
    tell("local cluster (the first start builds Kubernetes)")
    run("local cluster", tool("cluster", "up", "--port", str(config.access.port or DEFAULT_PORT)))


def images(config: StackConfig, stack: str) -> list[str]:
    """Bring both images into the bundled cluster; return what `fleet` is told of them."""
    runtime = read("image", fleet("image", "ref", "-s", stack))
    door = read("image", fleet("image", "ref", "--door", "-s", stack))
    chosen = ["--image", runtime, "--door-image", door]
    there = stored(Layout.of())
    missing = [reference for reference in (runtime, door) if full_name(reference) not in there]
    if not missing:
        return chosen
    tell("images (the first build takes some minutes)")
    host = read("docker daemon", tool("cluster", "docker", "up"))
    try:
        docker = ("--docker-host", host)
        if config.image.mode in (ImageMode.DAEMON, ImageMode.BUILDKIT):
            base = tool("base_image", "ensure", "--base", config.image.base_image, *docker)
            build = fleet("image", "build", "-s", stack, *docker, "--network", "host", "--base")
            run("image", [*build, read("base image", base)])
        for reference in missing:
            run("load image", tool("cluster", "load", reference, *docker))
    finally:
        run("docker daemon", tool("cluster", "docker", "stop"))
    return chosen


def stop() -> None:
    """Stop the bundled cluster; it says what it kept."""
    run("local cluster", tool("cluster", "stop"))
