"""Folders and configuration files of the local cluster's components."""

import re
from ipaddress import IPv4Address, ip_address
from pathlib import Path

import pytest
import yaml

from tools.cluster import (
    addresses,
    binaries,
    components,
    configs,
    credentials,
    files,
    machine,
)
from tools.cluster.layout import Layout


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "state", tmp_path / "bin", tmp_path / "run")


def reachable_from_here_only(host: str) -> bool:
    return ip_address(host).is_loopback or host == addresses.NODE_IP


def test_folders_follow_the_xdg_variables_and_ignore_relative_ones() -> None:
    given = Layout.of({"HOME": "/home/x", "XDG_DATA_HOME": "/data", "XDG_CACHE_HOME": "relative"})
    assert given.state == Path("/data/opencode-fleet/local-cluster")
    assert given.programs == Path("/home/x/.cache/opencode-fleet/bin")
    assert given.state not in given.lock_file.parents


def test_the_kubelet_refuses_strangers_and_listens_on_the_bridge(layout: Layout) -> None:
    held = credentials.Credentials(layout.pki)
    config = configs.kubelet(layout, held, Path("/etc/resolv.conf"))
    assert config["authentication"]["anonymous"] == {"enabled": False}
    assert config["authorization"] == {"mode": "Webhook"}
    assert config["readOnlyPort"] == 0
    assert config["failCgroupV1"] is False
    assert reachable_from_here_only(config["address"])
    assert reachable_from_here_only(config["healthzBindAddress"])


def test_no_component_is_configured_to_listen_on_the_world(layout: Layout) -> None:
    held = credentials.Credentials(layout.pki)
    parts = components.Components(layout, layout.programs, held)
    flags = [*parts.etcd().argv, *parts.api_server().argv]
    flags += [*parts.controller_manager().argv, *parts.scheduler().argv]
    binds = [f.partition("=")[2] for f in flags if f.startswith(("--bind-address", "--listen-"))]
    assert len(binds) == 5
    assert all("://127.0.0.1:" in bind or bind == "127.0.0.1" for bind in binds)
    proxy = configs.kube_proxy(held)
    assert proxy["nodePortAddresses"] == [f"{addresses.NODE_IP}/32"]
    hosts = [host for pairs in machine.LISTENERS.values() for host, _ in pairs]
    assert all(map(reachable_from_here_only, hosts))


def test_every_port_is_used_once_and_below_the_ephemeral_range() -> None:
    pairs = [pair for listeners in machine.LISTENERS.values() for pair in listeners]
    assert len(set(pairs)) == len(pairs)
    assert all(port < 32768 for _, port in pairs)


def test_every_recorded_component_has_its_place_in_the_stop_order(layout: Layout) -> None:
    parts = components.Components(layout, layout.programs, credentials.Credentials(layout.pki))
    made = [
        parts.etcd(),
        parts.api_server(),
        parts.controller_manager(),
        parts.scheduler(),
        parts.kube_proxy(),
        parts.kubelet(),
        parts.dns(),
        parts.provisioner(),
        parts.front_door(),
        parts.door_watcher(),
    ]
    assert {component.name for component in made} == set(components.STOP_ORDER)


def test_a_component_is_started_anew_when_a_file_of_its_changes(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text("a", encoding="ascii")
    component = components.Component("x", ("x",), (file,))
    first = component.fingerprint()
    assert component.fingerprint() == first
    file.write_text("b", encoding="ascii")
    assert component.fingerprint() != first


def test_pod_addresses_leave_the_gateway_out_and_masquerade_is_not_the_plugins(
    layout: Layout,
) -> None:
    plugin = configs.cni(layout, 1400)["plugins"][0]
    assert plugin["bridge"] == addresses.BRIDGE
    assert plugin["mtu"] == 1400
    assert plugin["ipMasq"] is False
    assert plugin["ipam"]["ranges"][0][0]["gateway"] == addresses.NODE_IP
    assert IPv4Address(addresses.FIRST_POD_IP) > IPv4Address(addresses.NODE_IP)


def test_containerd_keeps_to_our_folders(layout: Layout) -> None:
    text = configs.containerd(layout, Path("/usr/lib/cni"))
    paths = [part for part in text.split('"') if part.startswith("/")]
    assert len(paths) == 6
    own = (str(layout.state), str(layout.run), "/usr/lib/cni")
    assert all(path.startswith(own) for path in paths)


def test_dns_forwards_only_when_the_machine_has_name_servers(layout: Layout) -> None:
    held = credentials.Credentials(layout.pki)
    assert "forward . /etc/resolv.conf" in configs.corefile(held, Path("/etc/resolv.conf"))
    assert "forward ." not in configs.corefile(held, None)


def test_name_servers_are_read_from_a_resolv_conf() -> None:
    text = "# nameserver 9.9.9.9\nsearch a b\nnameserver 10.0.0.1\nnameserver ::1\nnameserver\n"
    assert configs.name_servers(text) == ["10.0.0.1", "::1"]


@pytest.mark.parametrize("name", ["access", "dns", "storage", "helper-pod"])
def test_a_manifest_has_every_blank_filled_in_and_is_yaml(name: str) -> None:
    text = files.manifest(name)
    assert "${" not in text
    assert all("kind" in document for document in yaml.safe_load_all(text))


def test_volumes_outlive_their_claims_and_shell_variables_stay_as_they_are() -> None:
    objects = list(yaml.safe_load_all(files.manifest("storage")))
    storage = next(o for o in objects if o["kind"] == "StorageClass")
    assert storage["reclaimPolicy"] == "Retain"
    scripts = next(o for o in objects if o["kind"] == "ConfigMap")["data"]
    assert '"$VOL_DIR"' in scripts["setup"]


def test_coredns_is_built_with_exactly_the_plugins_that_its_configuration_names(
    layout: Layout,
) -> None:
    source = (binaries.PROGRAMS.module / "coredns/main.go").read_text(encoding="utf-8")
    built_in = set(re.findall(r'"github.com/coredns/coredns/plugin/(\w+)"', source))
    text = configs.corefile(credentials.Credentials(layout.pki), Path("/etc/resolv.conf"))
    assert set(re.findall(r"^    (\w+)", text, re.MULTILINE)) == built_in
