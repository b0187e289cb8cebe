"""Deciding which base a build uses here, and making the stand-in when it must be."""

import fcntl
import os
import platform
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from tools.base_image.commands import BaseImageError, run
from tools.base_image.daemon import Daemon
from tools.base_image.machine import added_certificates, debian_sources
from tools.base_image.recipe import NODE, NPM, Recipe
from tools.base_image.rootfs import build

SUITE = "bookworm"
_LOCK = Path("/var/lock/opencode-fleet-base.lock")
_ANSWER_SECONDS = 15.0
_PULL_SECONDS = 900.0

Say = Callable[[str], None]


def machine_recipe() -> Recipe:
    """The recipe of the stand-in on this machine."""
    return Recipe(
        suite=SUITE,
        sources=debian_sources(SUITE),
        node=NODE,
        npm=NPM,
        certificates=added_certificates(),
    )


def _require_buildable() -> None:
    if platform.machine() != "x86_64":
        message = (
            f"base image: the stand-in is for x86_64 only, this machine is {platform.machine()}: "
            "make the public base image reachable"
        )
        raise BaseImageError(message)
    if not Path("/usr/bin/apt-get").exists():
        message = (
            "base image: the stand-in needs a Debian machine (apt-get): "
            "make the public base image reachable"
        )
        raise BaseImageError(message)
    if os.geteuid() != 0:
        message = (
            "base image: the public base cannot be pulled, and making the stand-in needs root: "
            "run the command as root, or make the public base image reachable"
        )
        raise BaseImageError(message)


def _install_debootstrap(say: Say) -> None:
    if shutil.which("debootstrap"):
        return
    say("installing debootstrap")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    apt = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=300"]
    run("apt-get update", [*apt, "update"], env=environment)
    run(
        "install debootstrap",
        [*apt, "install", "-y", "--no-install-recommends", "debootstrap"],
        env=environment,
    )


def _make(recipe: Recipe, daemon: Daemon, say: Say) -> None:
    _install_debootstrap(say)
    say("making the stand-in base image with debootstrap (about a minute)")
    # /tmp may be small or mounted without device nodes, which debootstrap makes.
    with tempfile.TemporaryDirectory(prefix="opencode-fleet-base-", dir="/var/tmp") as folder:
        root = build(recipe, Path(folder))
        changes = (
            f"ENV NODE_VERSION={recipe.node.version}",
            "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            'CMD ["node"]',
        )
        daemon.import_root(root, recipe.reference, changes)


def ensure(public: str, daemon: Daemon, say: Say) -> str:
    """The base reference to build on: `public` where the daemon has or gets it, else the stand-in.

    Raises BaseImageError when neither can be had.
    """
    daemon.check()
    if daemon.has(public):
        return public
    if daemon.pull(public, answer_seconds=_ANSWER_SECONDS, total_seconds=_PULL_SECONDS):
        return public
    _require_buildable()
    recipe = machine_recipe()
    with _LOCK.open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not daemon.has(recipe.reference):
            _make(recipe, daemon, say)
    return recipe.reference
