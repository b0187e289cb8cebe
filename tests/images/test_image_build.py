"""Building, pushing and pruning with a docker command that records what it is asked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from fleet import __version__
from fleet.cli.shell import docker_of
from fleet.errors import ClusterError
from fleet.images.build import BuildOptions, build, prune, push
from fleet.images.tags import image_tags
from fleet.stackfile.image import Image
from tests.support.fakes.project import StackFolder, new_project

_SCRIPT = """#!/bin/sh
cd {folder}
echo "$*" >>calls
echo "$DOCKER_BUILDKIT $DOCKER_HOST" >>settings
case "$*" in
  "version --format {{{{.Server.Version}}}}") cat server || {{ echo 'no daemon' >&2; exit 1; }};;
  "version --format {{{{.Client.Version}}}}") cat client;;
  "buildx version") test -e buildx;;
  "image inspect --format "*) cat labels;;
  "image inspect "*) grep -qxF -- "$3" images;;
  "image ls "*) cat images;;
  "image rm "*) ! grep -qxF -- "$3" used;;
  build*) test ! -e broken || {{ cat broken; exit 1; }};;
  push*) test ! -e denied || {{ cat denied >&2; exit 1; }};;
esac
"""


@dataclass(frozen=True)
class Daemon:
    """A fake docker command and what it answers."""

    folder: Path
    context: Path

    def set(self, name: str, text: str = "") -> None:
        (self.folder / name).write_text(text)

    @property
    def calls(self) -> list[str]:
        return (self.folder / "calls").read_text().splitlines()

    def asked(self, word: str) -> list[str]:
        return [line for line in self.calls if line.startswith(word)]


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Daemon:
    folder, context = tmp_path / "docker", tmp_path / "image"
    folder.mkdir()
    context.mkdir()
    (context / "Dockerfile").write_text("FROM scratch\n")
    script = tmp_path / "docker-command"
    script.write_text(_SCRIPT.format(folder=folder))
    script.chmod(0o755)
    monkeypatch.setenv("FLEET_DOCKER", str(script))
    found = Daemon(folder, context)
    for name, text in {
        "server": "28.2.0",
        "client": "28.2.0",
        "buildx": "",
        "images": "",
        "used": "",
        "labels": "null",
    }.items():
        found.set(name, text)
    return found


def image_of(daemon: Daemon, **settings: object) -> tuple[Image, str]:
    image = Image.model_validate(settings)
    tags = image_tags(image, daemon.context, __version__)
    return image, f"{image.repository}:{tags.source}"


def only(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    """Hide the machine's own docker commands."""

    def exists(path: Path) -> bool:
        return path.name == program

    monkeypatch.setattr("fleet.images.build.Path.exists", exists)


def test_it_is_built_once_under_three_tags(daemon: Daemon) -> None:
    image, reference = image_of(daemon)
    tags, built = build(docker_of(), image, daemon.context, BuildOptions())
    (command,) = daemon.asked("build ")
    assert built
    for tag in (tags.source, tags.lock, tags.version):
        assert f"--tag {image.repository}:{tag}" in command
    assert reference.endswith(tags.source)
    assert f"--build-arg BASE_IMAGE={image.base_image}" in command
    assert command.endswith(f" {daemon.context}")
    assert "--network" not in command


def test_a_source_tag_that_exists_is_not_built_again(daemon: Daemon) -> None:
    image, reference = image_of(daemon)
    daemon.set("images", reference + "\n")
    _, built = build(docker_of(), image, daemon.context, BuildOptions(network="host"))
    assert not built
    assert daemon.asked("build ") == []


def test_a_stand_in_base_is_built_on_and_labelled(daemon: Daemon) -> None:
    image, _ = image_of(daemon)
    build(docker_of(), image, daemon.context, BuildOptions(base="own/base:1", network="host"))
    (command,) = daemon.asked("build ")
    assert "--build-arg BASE_IMAGE=own/base:1" in command
    assert "--label=opencode-fleet.image.base=own/base:1" in command
    assert "--network=host" in command


def test_what_stands_on_a_stand_in_base_is_never_pushed(daemon: Daemon) -> None:
    image, reference = image_of(daemon)
    daemon.set("labels", json.dumps({"opencode-fleet.image.base": "own/base:1"}))
    tags = image_tags(image, daemon.context, __version__)
    with pytest.raises(ClusterError, match="built on a stand-in base") as raised:
        push(docker_of(), image, tags)
    assert reference in str(raised.value)
    assert daemon.asked("push") == []


def test_an_image_without_labels_is_never_pushed(daemon: Daemon) -> None:
    image, _ = image_of(daemon)
    with pytest.raises(ClusterError, match="stand-in"):
        push(docker_of(), image, image_tags(image, daemon.context, __version__))


def test_it_is_pushed_under_its_three_tags(daemon: Daemon) -> None:
    image, reference = image_of(daemon)
    daemon.set("labels", json.dumps({"opencode-fleet.image.base": image.base_image}))
    tags = image_tags(image, daemon.context, __version__)
    assert push(docker_of(), image, tags) == reference
    assert daemon.asked("push") == [
        f"push --quiet {image.repository}:{tag}" for tag in (tags.source, tags.lock, tags.version)
    ]


def test_a_registry_that_refuses_is_told(daemon: Daemon) -> None:
    image, _ = image_of(daemon)
    daemon.set("labels", json.dumps({"opencode-fleet.image.base": image.base_image}))
    daemon.set("denied", "Using default tag\ndenied: requested access is denied\n")
    tags = image_tags(image, daemon.context, __version__)
    with pytest.raises(ClusterError, match="push: denied: requested access is denied: log in"):
        push(docker_of(), image, tags)


def test_a_failed_build_shows_its_last_lines_and_the_image(daemon: Daemon) -> None:
    image, reference = image_of(daemon)
    daemon.set("broken", "\n".join(f"step {number}" for number in range(40)))
    with pytest.raises(ClusterError) as raised:
        build(docker_of(), image, daemon.context, BuildOptions())
    lines = str(raised.value).splitlines()
    assert lines[-2] == "step 39"
    assert lines[-1].startswith(f"image {reference}: build: the step above failed")
    assert "step 3" not in lines


@pytest.mark.parametrize(
    ("client", "buildx", "buildkit"),
    [("28.2.0", True, True), ("28.2.0", False, False), ("20.10.24+dfsg1", False, True)],
)
def test_buildkit_is_used_where_the_command_has_it(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, client: str, buildx: bool, buildkit: bool
) -> None:
    only(monkeypatch, "docker-command")
    daemon.set("client", client)
    if not buildx:
        (daemon.folder / "buildx").unlink()
    docker = docker_of()
    assert docker.buildkit is buildkit
    image, _ = image_of(daemon)
    build(docker, image, daemon.context, BuildOptions())
    settings = (daemon.folder / "settings").read_text().splitlines()
    assert settings[-1].split()[0] == str(int(buildkit))
    # The classic builder knows neither option.
    assert ("--progress=plain" in daemon.asked("build ")[0]) is buildkit


def test_a_host_that_is_given_is_the_one_asked(daemon: Daemon) -> None:
    docker = docker_of("unix:///given.sock")
    docker.run("info")
    settings = (daemon.folder / "settings").read_text().splitlines()
    assert all(line.endswith("unix:///given.sock") for line in settings)


def test_a_machine_without_docker_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("FLEET_DOCKER", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    only(monkeypatch, "")
    with pytest.raises(ClusterError, match="docker: not found"):
        docker_of()


def test_a_daemon_that_is_away_is_told(daemon: Daemon) -> None:
    (daemon.folder / "server").unlink()
    with pytest.raises(ClusterError, match=r"docker: no daemon answers \(no daemon\)"):
        docker_of()


def test_pruning_keeps_what_the_stack_file_uses_and_what_runs(daemon: Daemon) -> None:
    image, reference = image_of(daemon)
    name = image.repository
    daemon.set("images", f"{reference}\n{name}:old\n{name}:busy\n")
    daemon.set("used", f"{name}:busy\n")
    keep = [reference.rpartition(":")[2]]
    assert prune(docker_of(), image, keep) == [f"{name}:old"]
    assert f"image rm {reference}" not in daemon.calls
    assert not any(line.startswith("system prune") for line in daemon.calls)
    (listing,) = daemon.asked("image ls")
    assert f"reference={name}:*" in listing


def test_the_command_prints_the_reference_and_nothing_else(
    daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = (tmp_path / "docker-command").as_posix()
    project = command_project(tmp_path, monkeypatch)
    monkeypatch.setenv("FLEET_DOCKER", script)
    done = project.fleet("image", "build", "-s", "t")
    _, reference = image_of(daemon)
    own, door = done.out.splitlines()
    assert (done.code, own) == (0, reference)
    assert door.startswith("opencode-fleet/runtime-door:src-")
    daemon.set("images", done.out)
    again = project.fleet("image", "build", "-s", "t")
    assert "unchanged, not built again" in again.err
    assert project.fleet("image", "ref", "-s", "t").out == reference + "\n"


def test_a_mode_that_builds_nothing_is_wrong_input(
    daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = command_project(tmp_path, monkeypatch)
    project.write(image={"mode": "local", "reference": "a:1"}, door={"reference": "b:1"})
    done = project.fleet("image", "build", "-s", "t")
    assert done.code == 2
    assert "image.mode: local: this mode builds nothing" in done.err
    assert not (daemon.folder / "calls").exists()


def command_project(folder: Path, monkeypatch: pytest.MonkeyPatch) -> StackFolder:
    project = new_project(folder, monkeypatch)
    project.write(image={"mode": "daemon"}, door=None)
    return project
