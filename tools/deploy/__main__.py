"""Command line: `python -m tools.deploy up|down [-s ENV]`.

Exit codes: 0 done, 1 failed, 2 wrong input.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fleet.cli.shell import reported, warn
from fleet.stackfile.config import ExistingCluster
from fleet.stackfile.reading import Environment, load
from tools.deploy import bundled, engine, plain
from tools.deploy.steps import StepError, fleet, run


def _is_bundled(environment: Environment) -> bool:
    cluster = environment.config.cluster
    return isinstance(cluster, ExistingCluster) and cluster.context == bundled.CONTEXT


def up(environment: Environment, stack: str) -> None:
    """Deploy an environment: cluster, image, engine, objects; then say where everybody works."""
    images: list[str] = []
    if _is_bundled(environment):
        bundled.start(environment.config)
    with engine.building() as build:
        if _is_bundled(environment):
            images = bundled.images(environment.config, stack)
        there = build.succeeds()
    if not there and isinstance(environment.config.cluster, ExistingCluster):
        plain.up(environment, stack, images)
        return
    run("fleet up", fleet("up", "-s", stack, *images))


def down(environment: Environment, stack: str) -> None:
    """Leave nothing running; on the bundled cluster all else stays for the next `make up`."""
    if _is_bundled(environment):
        bundled.stop()
        return
    run("fleet destroy", fleet("destroy", "-s", stack))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.deploy", description=__doc__)
    parser.add_argument("action", choices=("up", "down"))
    parser.add_argument("-s", "--stack", default="dev")
    options = parser.parse_args()
    with reported():
        environment = load(options.stack, Path.cwd())
        try:
            (up if options.action == "up" else down)(environment, options.stack)
        except StepError as error:
            warn(str(error))
            sys.exit(error.code)


if __name__ == "__main__":
    main()
