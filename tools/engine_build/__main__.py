"""Command line: `python -m tools.engine_build build|find [--always]`.

Prints the folder of `pulumi` alone on standard output; progress and errors go to standard error.
Exit codes: 0 done, 1 failed, 2 wrong input, 130 interrupted.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.engine_build.engine import PROGRAMS, default_cache, find_engine, machines_own
from tools.go_build.errors import BuildError

INTERRUPTED = 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tools.engine_build",
        description="Pulumi and its Kubernetes provider, built where the machine has none.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="build what is missing and print its folder")
    find = commands.add_parser("find", help="print the folder; exit code 1 when nothing is there")
    for command in (build, find):
        command.add_argument(
            "--always", action="store_true", help="ours, even where pulumi is on PATH"
        )
    return parser


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _folder(command: str, cache: Path, *, always: bool) -> Path | None:
    own = None if always else machines_own(cache)
    if own is not None:
        _say(f"{own} is this machine's own: nothing is built")
        return own.parent
    return PROGRAMS.ensure(cache, _say) if command == "build" else find_engine(cache)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        folder = _folder(options.command, default_cache(), always=options.always)
    except BuildError as error:
        _say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        _say("interrupted: what is compiled stays, the same command goes on from there")
        return INTERRUPTED
    if folder is None:
        _say("no pulumi on PATH and none built yet: run `make engine`")
        return 1
    sys.stdout.write(f"{folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
