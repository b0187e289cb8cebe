"""The bundled cluster's part of `make up`: cluster, runtime image, image into the cluster.

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


def image(config: StackConfig, stack: str) -> str:
    """Bring the runtime image into the bundled cluster; return its reference."""
    reference = read("image", fleet("image", "ref", "-s", stack))
    if full_name(reference) in stored(Layout.of()):
        return reference
    tell("runtime image (the first build takes some minutes)")
    host = read("docker daemon", tool("cluster", "docker", "up"))
    try:
        docker = ("--docker-host", host)
        if config.image.mode in (ImageMode.DAEMON, ImageMode.BUILDKIT):
            base = tool("base_image", "ensure", "--base", config.image.base_image, *docker)
            build = fleet("image", "build", "-s", stack, *docker, "--network", "host", "--base")
            run("image", [*build, read("base image", base)])
        run("load image", tool("cluster", "load", reference, *docker))
    finally:
        run("docker daemon", tool("cluster", "docker", "stop"))
    return reference


def stop() -> None:
    """Stop the bundled cluster; it says what it kept."""
    run("local cluster", tool("cluster", "stop"))
