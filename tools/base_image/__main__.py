"""Command line: `python -m tools.base_image ensure --base REF [--docker-host ADDRESS]`.

Prints the base reference to build on, alone on standard output; progress and errors go to standard
error. Exit codes: 0 done, 1 failed, 2 wrong input.
"""

import argparse
import sys
from collections.abc import Sequence

from tools.base_image.commands import BaseImageError
from tools.base_image.daemon import Daemon
from tools.base_image.ensure import ensure


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tools.base_image",
        description="Provide the base image of the runtime, with or without a registry.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser(
        "ensure", help="print the base reference to build on, making a stand-in when needed"
    )
    command.add_argument("--base", required=True, help="the public base, as the Dockerfile pins it")
    command.add_argument("--docker-host", default="", help="address of the Docker daemon")
    return parser


def _say(text: str) -> None:
    sys.stderr.write(f"base image: {text}\n")
    sys.stderr.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    options = _parser().parse_args(arguments)
    base = str(options.base).strip()
    if not base or base.startswith("-") or any(char.isspace() for char in base):
        sys.stderr.write(f"--base: {base!r}: must be one image reference\n")
        return 2
    try:
        reference = ensure(base, Daemon(host=str(options.docker_host)), _say)
    except BaseImageError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    sys.stdout.write(f"{reference}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
