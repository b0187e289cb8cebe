"""What the commands share: reading the environment, the cluster to talk to, printing, exit codes.

The only module of the command line that reads environment variables (checked: tests/house) or
writes to the terminal.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fleet.cluster.client import Cluster
from fleet.engine import settings
from fleet.errors import FleetError, InputError, Problem
from fleet.images.build import Docker, find_docker
from fleet.stackfile.config import ExistingCluster
from fleet.stackfile.reading import Environment, load
from fleet.stackfile.unsealing import unseal

DONE, FAILED, WRONG_INPUT = 0, 1, 2
_GC_THRESHOLD = 100_000


def say(text: str, *, now: bool = False) -> None:
    """Print a line of the result; `now` when somebody waits for it."""
    sys.stdout.write(text + "\n")
    if now:
        sys.stdout.flush()


def warn(text: str) -> None:
    """Print a line that is not the result: progress, an error."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def say_json(value: Mapping[str, Any]) -> None:
    """Print the result for a script."""
    say(json.dumps(value, indent=2))


def say_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table: plain columns into a pipe; for a person the last one folds to the terminal."""
    from fleet.cli.tables import table_lines  # noqa: PLC0415 - few commands print one

    for line in table_lines(rows, head, person=sys.stdout.isatty()):
        say(line)


@contextmanager
def reported() -> Generator[None]:
    """Turn our errors into lines and exit codes; anything else is a defect and keeps its trace."""
    try:
        yield
    except InputError as error:
        for problem in error.problems:
            warn(str(problem))
        raise SystemExit(WRONG_INPUT) from None
    except FleetError as error:
        warn(str(error))
        raise SystemExit(error.exit_code) from None
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        warn(
            f"{place}{error.strerror or error}: what was done so far stays: mend it, run this again"
        )
        raise SystemExit(FAILED) from None
    except KeyboardInterrupt:
        warn("interrupted: what was done so far stays; running this again goes on from there")
        raise SystemExit(FAILED) from None


def run(command: Callable[[], None]) -> None:
    """Run the command line and write out what it printed.

    A full disk under standard output is told; a reader that went away, as `head` does, is not.
    """
    # A command ends before its garbage matters; looking for it among a thousand users' objects
    # takes a tenth of the time.
    gc.set_threshold(_GC_THRESHOLD)
    with reported():
        try:
            command()
        finally:
            _write_out()


def _write_out() -> None:
    try:
        sys.stdout.flush()
    except OSError as error:
        # The interpreter would try once more when it ends, and print a trace.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            raise


def read_environment(stack: str) -> Environment:
    """Read a stack file of the current folder."""
    return load(stack, Path.cwd())


def unsealed(stack: str) -> dict[str, str]:
    """Return the secrets of a stack file in clear; only where one is really used."""
    return unseal(stack, Path.cwd(), passphrase)


def passphrase() -> str | None:
    """Return the passphrase of the stack's secrets from where Pulumi looks for it, else ours."""
    return settings.passphrase(os.environ)


def ensured_passphrase() -> str:
    """Return the passphrase to seal with; one is made and kept where there is none yet."""
    return settings.ensure_passphrase(os.environ)


def process_variables() -> Mapping[str, str]:
    """Return the environment variables, for what is told by them: the engine, a cloud's SDK."""
    return os.environ


def docker_of(host: str | None = None) -> Docker:
    """Return the Docker daemon to build with; FLEET_DOCKER names a command to prefer."""
    return find_docker(host, os.environ.get("FLEET_DOCKER"))


def cluster_of(
    environment: Environment,
    context: str | None,
    kubeconfig: Callable[[], str | None] | None = None,
) -> Cluster:
    """Return the cluster of an environment, once it answers; `context` overrides the stack file's.

    `kubeconfig` gives the content of the one that the stack exported, for a cluster that the stack
    made itself.
    """
    cluster = environment.config.cluster
    content = None
    if context is None:
        if isinstance(cluster, ExistingCluster):
            context = cluster.context
        else:
            content = kubeconfig() if kubeconfig is not None else None
            if content is None:
                rule = "the stack made this cluster, and its kubeconfig is not at hand"
                change = "give --context of the kubeconfig that Pulumi exported"
                raise InputError([Problem("cluster.kind", cluster.kind, rule, change)])
    opened = Cluster.open(context, kubeconfig=content)
    opened.ready()
    return opened


def interactive() -> bool:
    """Return whether a person looks at standard error."""
    return sys.stderr.isatty()


@contextmanager
def hung_up() -> Generator[None]:
    """End as on Ctrl-C when the terminal is closed, which must not leave a runtime stopped."""

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    numbers = (signal.SIGHUP, signal.SIGTERM)
    before = [signal.signal(number, end) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
