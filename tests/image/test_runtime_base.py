"""Which base a build gets on this machine, decided against a real Docker daemon."""

import socket
import uuid

import pytest

from tests.image.container import docker
from tools.base_image.daemon import Daemon
from tools.base_image.ensure import ensure

pytestmark = pytest.mark.image

DAEMON = Daemon(host="")


def test_a_base_the_daemon_holds_is_used_as_it_is(image: str) -> None:
    name = f"fleet-test-public:{uuid.uuid4().hex[:12]}"
    docker("tag", image, name)
    try:
        said: list[str] = []
        assert ensure(name, DAEMON, said.append) == name
        assert said == []
    finally:
        docker("rmi", name)


def test_a_registry_that_refuses_is_given_up() -> None:
    assert not DAEMON.pull("127.0.0.1:1/none:1", answer_seconds=60, total_seconds=60)


def test_a_registry_that_says_nothing_is_given_up_after_its_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert not DAEMON.pull(f"127.0.0.1:{port}/none:1", answer_seconds=1, total_seconds=600)


def test_a_second_call_finds_the_stand_in_and_makes_nothing() -> None:
    # A name below an address where no registry is: never to be pulled.
    public = "127.0.0.1:1/node:22"
    said: list[str] = []
    first = ensure(public, DAEMON, said.append)
    said.clear()
    assert ensure(public, DAEMON, said.append) == first
    assert said == []
    assert docker("image", "inspect", "--format={{.Size}}", first).stdout.strip().isdigit()
