"""The front door: which hosts Ingress objects give, and the configuration HAProxy gets."""

import http.client
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tools.cluster import addresses, front_door
from tools.cluster.layout import Layout


def service(
    name: str, ip: str = "10.43.0.20", namespace: str = "pool", **port: Any
) -> dict[str, Any]:
    return {
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"clusterIP": ip, "ports": [{"port": 4096, "name": "http", **port}]},
    }


def ingress(
    host: str | None,
    target: str = "alice",
    port: dict[str, Any] | None = None,
    **meta: str,
) -> dict[str, Any]:
    backend = {"service": {"name": target, "port": port or {"number": 4096}}}
    rule: dict[str, Any] = {"http": {"paths": [{"path": "/", "backend": backend}]}}
    if host is not None:
        rule["host"] = host
    return {
        "metadata": {"namespace": "pool", "name": f"i-{host}", **meta},
        "spec": {"rules": [rule]},
    }


def test_a_host_leads_to_the_address_and_port_of_its_service() -> None:
    found = front_door.hosts([ingress("alice.fleet.localhost")], [service("alice")])
    assert found == {"alice.fleet.localhost": "10.43.0.20:4096"}


def test_a_port_can_be_given_by_name() -> None:
    given = [ingress("a.test", port={"name": "http"})]
    assert front_door.hosts(given, [service("alice")]) == {"a.test": "10.43.0.20:4096"}


@pytest.mark.parametrize(
    "services",
    [
        [],
        [service("alice", namespace="another")],
        [service("alice", ip="None")],
        [service("alice", port=80)],
    ],
    ids=["no service", "another namespace's", "headless", "no such port"],
)
def test_a_host_without_a_usable_service_is_known_and_down(services: list[dict[str, Any]]) -> None:
    found = front_door.hosts([ingress("a.test")], services)
    assert found == {"a.test": f"{addresses.NODE_IP}:1"}


def test_of_two_claims_to_a_host_the_older_wins_whatever_the_order() -> None:
    older = ingress("a.test", "alice", creationTimestamp="2026-01-01T00:00:00Z")
    newer = ingress("A.test", "bob", creationTimestamp="2026-01-02T00:00:00Z")
    services = [service("alice", "10.43.0.1"), service("bob", "10.43.0.2")]
    expected = {"a.test": "10.43.0.1:4096"}
    assert front_door.hosts([older, newer], services) == expected
    assert front_door.hosts([newer, older], services) == expected


@pytest.mark.parametrize(
    "host", [None, "", "*", "*.", "a.*.test", "a b.test", "a\nshow info", "-a"]
)
def test_a_host_that_is_no_plain_name_is_left_out(host: str | None) -> None:
    assert front_door.hosts([ingress(host)], [service("alice")]) == {}


def test_an_ingress_without_rules_or_paths_is_left_out() -> None:
    bare: dict[str, Any] = {"metadata": {"namespace": "pool", "name": "x"}, "spec": {}}
    empty = {**bare, "spec": {"rules": [{"host": "a.test"}]}}
    assert front_door.hosts([bare, empty], []) == {}


def test_the_map_has_one_line_a_host() -> None:
    targets = {"a.test": "10.43.0.1:80", "b.test": "10.43.0.2:81"}
    assert front_door.map_text(targets) == "a.test 10.43.0.1:80\nb.test 10.43.0.2:81\n"


def test_the_front_door_binds_loopback_and_the_own_bridge_only(tmp_path: Path) -> None:
    text = front_door.config(Layout(tmp_path, tmp_path, tmp_path), 7099)
    binds = [line.split()[1] for line in text.splitlines() if line.strip().startswith("bind ")]
    assert sorted(binds) == sorted(["127.0.0.1:7099", f"{addresses.NODE_IP}:{addresses.API_PORT}"])


def test_a_wildcard_is_a_host_of_the_map() -> None:
    found = front_door.hosts([ingress("*.fleet.localhost")], [service("alice")])
    assert found == {"*.fleet.localhost": "10.43.0.20:4096"}


def test_the_map_is_handed_over_in_parts_of_whole_lines() -> None:
    targets = {f"user-{n}.fleet.localhost": "10.43.0.1:80" for n in range(1000)}
    parts = list(front_door.payloads(targets))
    assert "".join(parts) == front_door.map_text(targets)
    assert max(map(len, parts)) <= 8_000
    assert all(part.endswith("\n") for part in parts)


def test_more_hosts_than_anybody_means_are_refused_and_nothing_is_asked(tmp_path: Path) -> None:
    targets = {f"{n}.test": "10.43.0.1:80" for n in range(front_door.MOST_HOSTS + 1)}
    with pytest.raises(ValueError, match="20001 hosts, 20000 are the most"):
        front_door.replace_map(tmp_path / "nobody", tmp_path / "map", targets)


@pytest.mark.skipif(shutil.which("haproxy") is None, reason="haproxy is not installed")
def test_haproxy_accepts_the_configuration_without_a_warning(tmp_path: Path) -> None:
    layout = Layout(tmp_path, tmp_path, tmp_path)
    layout.config.mkdir()
    layout.door_map.touch()
    file = tmp_path / "front-door.cfg"
    file.write_text(front_door.config(layout, 7099), encoding="utf-8")
    argv = ["haproxy", "-c", "-V", "-f", str(file)]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[Layout, int]]:
    """A front door that runs, without its way for pods, and its port."""
    program = shutil.which("haproxy")
    if program is None:
        pytest.skip("haproxy is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    layout = Layout(tmp_path, tmp_path, tmp_path)
    layout.config.mkdir()
    layout.door_map.touch()
    text = front_door.config(layout, port)
    start, end = text.index("# Pods reach"), text.index("frontend door")
    text = re.sub(r"    (user|group) haproxy\n", "", text[:start] + text[end:])
    file = tmp_path / "front-door.cfg"
    file.write_text(text, encoding="utf-8")
    with subprocess.Popen([program, "-db", "-f", str(file)]) as process:
        try:
            deadline = time.monotonic() + 30
            while not layout.door_socket.exists() and time.monotonic() < deadline:
                time.sleep(0.05)
            yield layout, port
        finally:
            process.terminate()


def _status(port: int, host: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", "/", headers={"Host": f"{host}:7080"})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def test_haproxy_takes_thousands_of_hosts_and_wildcards_of_one_label(
    running: tuple[Layout, int],
) -> None:
    layout, port = running
    # Nothing listens there: known, and down. 5,000 lines are ten times what one command takes.
    targets = {f"user-{n}.many.localhost": "127.0.0.1:1" for n in range(5000)}
    targets |= {"fleet.localhost": "127.0.0.1:1", "*.fleet.localhost": "127.0.0.1:1"}
    front_door.replace_map(layout.door_socket, layout.door_map, targets)
    hosts = ("user-4999.many.localhost", "fleet.localhost", "alice.fleet.localhost")
    assert [_status(port, host) for host in hosts] == [503] * 3
    others = ("a.b.fleet.localhost", "many.localhost", "other.test")
    assert [_status(port, host) for host in others] == [404] * 3
