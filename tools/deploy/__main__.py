"""Command line: `python -m tools.deploy up|down [-s ENV]`.

Exit codes: 0 done, 1 failed, 2 wrong input.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fleet.cli.shell import cluster_of, reported, warn
from fleet.stackfile.config import ExistingCluster
from fleet.stackfile.reading import Environment, load
from tools.deploy import bundled, pulumi
from tools.deploy.steps import StepError, fleet, run, tell


def _is_bundled(environment: Environment) -> bool:
    cluster = environment.config.cluster
    return isinstance(cluster, ExistingCluster) and cluster.context == bundled.CONTEXT


def up(environment: Environment, stack: str) -> None:
    """Deploy an environment: cluster, image, objects; then say where everybody works."""
    engine = pulumi.program()
    image = None
    if _is_bundled(environment):
        image = bundled.start(environment.config, stack)
    elif isinstance(environment.config.cluster, ExistingCluster):
        # With a mistyped context and nothing else changed, `pulumi up` finds nothing to do.
        cluster_of(environment, None)
    if engine is not None:
        pulumi.up(engine, environment.name, image)
        run("workspaces", fleet("status", "-s", stack, "--no-volumes"))
        first = environment.config.users[0].id if environment.config.users else "USER"
        tell(f"password of a user: uv run fleet password {first} -s {stack}")
        return
    tell("no Pulumi CLI on PATH: fleet apply makes the same objects")
    run("fleet apply", fleet("apply", "-s", stack, *(("--image", image) if image else ())))


def down(environment: Environment, stack: str) -> None:
    """Leave nothing running; on the bundled cluster all else stays for the next `make up`."""
    if _is_bundled(environment):
        bundled.stop()
        return
    engine = pulumi.program()
    if engine is not None:
        pulumi.destroy(engine, environment.name)
        tell("kept in the cluster: namespaces and claims, with everybody's work (purge: deletes)")
    else:
        run("fleet destroy", fleet("destroy", "-s", stack, "--yes"))


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
