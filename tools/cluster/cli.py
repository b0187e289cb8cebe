"""The commands: `python -m tools.cluster COMMAND`. Says little when all is well."""

import json
import os
from collections.abc import Callable
from typing import Annotated

import typer
from rich.console import Console

from tools.cluster import (
    binaries,
    docker,
    images,
    lock,
    machine,
    packages,
    starting,
    stopping,
)
from tools.cluster import status as state_of
from tools.cluster.components import Components
from tools.cluster.errors import WRONG_INPUT, ClusterError
from tools.cluster.layout import Layout
from tools.cluster.processes import Records, last_lines

app = typer.Typer(
    help="The bundled local Kubernetes cluster of opencode-fleet (root on Linux).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
docker_app = typer.Typer(help="A Docker daemon for image builds.", no_args_is_help=True)
app.add_typer(docker_app, name="docker")
_progress = Console(stderr=True, highlight=False, soft_wrap=True)


def _tell(text: str) -> None:
    _progress.print(text, markup=False)


def _locked(layout: Layout, work: Callable[[], None]) -> None:
    machine.require_root_linux()
    with lock.held(layout.lock_file, tell=_tell):
        work()


@app.command()
def up(
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="The front door's port; the last one used by default."),
    ] = None,
) -> None:
    """Start the cluster, building and installing what is missing; safe to repeat."""
    layout = Layout.of()
    _locked(layout, lambda: _started(layout, port))


def _started(layout: Layout, port: int | None) -> None:
    starting.up(layout, port, _tell)


@app.command()
def build() -> None:
    """Install and compile what `up` needs, without starting anything."""
    layout = Layout.of()

    def work() -> None:
        programs, _ = starting.prepare(layout, _tell)
        _tell(f"the cluster's programs are in {programs}")

    _locked(layout, work)


@app.command()
def stop() -> None:
    """Stop everything; data is kept for the next `up`."""
    layout = Layout.of()

    def work() -> None:
        stopping.stop(layout, _tell)
        stopping.tell_kept(layout, _tell)

    _locked(layout, work)


@app.command()
def delete(
    yes_delete_all_data: Annotated[
        bool, typer.Option("--yes-delete-all-data", help="Really delete volumes and all else.")
    ] = False,
) -> None:
    """Stop the cluster and delete its data for ever."""
    layout = Layout.of()
    machine.require_root_linux()
    if not yes_delete_all_data:
        raise stopping.refuse_delete(layout)
    _locked(layout, lambda: stopping.delete(layout, _tell))


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Show what runs; exit code 1 when anything is missing or listens where it must not."""
    machine.require_root_linux()
    seen = state_of.look(Layout.of())
    if as_json:
        typer.echo(json.dumps(seen.as_data(), indent=2))
    else:
        _show(seen)
    raise typer.Exit(0 if seen.healthy else 1)


def _show(seen: state_of.Status) -> None:
    rows = {name: f"process {pid}" if pid else "-" for name, pid in seen.components.items()}
    rows |= {
        "node": "Ready" if seen.node_ready else "not Ready",
        "pods": f"{seen.pods_ready} of {seen.pods_wanted} ready",
        "memory": f"{seen.memory / 2**20:.0f} MiB without the pods' own",
        "listens": ", ".join(seen.listens_outside) or "on loopback and its bridge only",
        "context": seen.context,
        "front door": seen.front_door,
        "data": f"{seen.state} ({seen.state_size}, {seen.volumes} volumes)",
    }
    for name, value in rows.items():
        typer.echo(f"{name:<25}{value}")


@app.command()
def load(
    image: Annotated[str, typer.Argument(help="NAME:TAG in the Docker daemon.")],
    docker_host: Annotated[
        str | None, typer.Option(help="The daemon; DOCKER_HOST or the usual one by default.")
    ] = None,
) -> None:
    """Bring an image of the Docker daemon into the cluster, unless it is there already."""
    layout = Layout.of()
    machine.require_root_linux()
    if Records(layout.records).read("containerd") is None:
        message = "load: the local cluster does not run: start it with `up` first"
        raise ClusterError(message)
    host = docker_host
    if host is None and "DOCKER_HOST" not in os.environ and docker.machines_own() is None:
        host = docker.host_of(layout)
    if not images.load(layout, image, host, _tell):
        _tell(f"{image} is in the cluster already")


@app.command()
def logs(
    component: Annotated[str, typer.Argument(help="One of the names that `status` shows.")],
    lines: Annotated[int, typer.Option(min=1, help="How many of the last lines.")] = 50,
) -> None:
    """Print the end of a component's log."""
    if component not in state_of.COMPONENTS:
        known = ", ".join(state_of.COMPONENTS)
        message = f"logs: no component {component}: choose one of {known}"
        raise ClusterError(message, exit_code=WRONG_INPUT)
    typer.echo(last_lines(Layout.of().log_of(component), lines))


@app.command("kubectl-path")
def kubectl_path() -> None:
    """Print where the cluster's own kubectl is."""
    programs = binaries.find(Layout.of().programs)
    if programs is None:
        message = f"kubectl: Kubernetes {binaries.KUBERNETES} is not built yet: run `up` first"
        raise ClusterError(message)
    typer.echo(programs / "kubectl")


@docker_app.command("up")
def docker_up() -> None:
    """Have a Docker daemon for builds, and print its DOCKER_HOST."""
    layout = Layout.of()
    _locked(layout, lambda: typer.echo(_docker_host(layout)))


def _docker_host(layout: Layout) -> str:
    if (own := docker.machines_own()) is not None:
        return own
    programs, cni_programs = starting.prepare(layout, _tell)
    packages.ensure_docker(_tell)
    held = starting.lay_out(layout, cni_programs, starting.files.saved_port(layout))
    parts = Components(layout, programs, held)
    launcher = starting.start_containerd(layout, parts)
    launcher.ensure(docker.component(layout), lambda: docker.answers(layout))
    return docker.host_of(layout)


@docker_app.command("stop")
def docker_stop() -> None:
    """Stop our own Docker daemon; the machine's is never touched."""
    layout = Layout.of()

    def work() -> None:
        stopped = stopping.stop_docker(layout)
        _tell("the Docker daemon is stopped" if stopped else "the Docker daemon was not running")

    _locked(layout, work)


def main() -> None:
    """Run a command; a ClusterError is its text on standard error and its exit code."""
    try:
        app()
    except ClusterError as error:
        _progress.print(str(error), markup=False, style="red")
        raise SystemExit(error.exit_code) from None
