"""What the local cluster does to its machine: network, mounts, kernel, programs, images."""

import json
import tarfile
from io import BytesIO
from ipaddress import IPv4Network, ip_address
from pathlib import Path
from typing import Any

import pytest

from tools.cluster import (
    addresses,
    binaries,
    images,
    kubeconfig,
    mounts,
    network,
    status,
    sysctls,
)
from tools.cluster.errors import ClusterError


def test_another_cluster_on_our_ranges_is_found_and_our_own_bridge_is_not() -> None:
    routes: list[dict[str, Any]] = [
        {"dst": "default", "dev": "eth0"},
        {"dst": "192.0.2.0/24", "dev": "eth0"},
        {"dst": "10.42.0.0/16", "dev": addresses.BRIDGE},
        {"dst": "10.42.3.0/24", "dev": "flannel.1"},
        {"dst": "10.0.0.0/8", "dev": "tun0"},
        {"dst": "10.43.0.7", "dev": "wg0"},
    ]
    found = network.overlapping(routes)
    assert found == ["10.42.3.0/24 on flannel.1", "10.0.0.0/8 on tun0", "10.43.0.7 on wg0"]


@pytest.mark.parametrize(("mtu", "expected"), [(1400, 1400), (1500, 1500), (9000, 1500)])
def test_the_bridge_never_takes_more_than_the_way_out(mtu: int, expected: int) -> None:
    links: list[dict[str, Any]] = [{"ifname": "lo", "mtu": 9}, {"ifname": "eth0", "mtu": mtu}]
    assert network.bridge_mtu(links, [{"dst": "default", "dev": "eth0"}]) == expected
    assert network.bridge_mtu(links, []) == 1500


def test_only_our_chains_and_the_jumps_to_them_are_taken_out() -> None:
    saved = """*nat
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
:KUBE-SVC-X - [0:0]
:OCFLEET-MASQ - [0:0]
-A POSTROUTING -j OCFLEET-MASQ
-A POSTROUTING -s 172.17.0.0/16 -j MASQUERADE
-A KUBE-SVC-X -j KUBE-MARK-MASQ
COMMIT
*filter
:INPUT ACCEPT [0:0]
-A INPUT -i lo -j ACCEPT
COMMIT
"""
    assert network.removal(saved).splitlines() == [
        "*nat",
        ":KUBE-SVC-X - [0:0]",
        ":OCFLEET-MASQ - [0:0]",
        "-D POSTROUTING -j OCFLEET-MASQ",
        "-X KUBE-SVC-X",
        "-X OCFLEET-MASQ",
        "COMMIT",
    ]
    assert network.removal("*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n") == ""


def test_mounts_below_a_folder_are_found_latest_first_with_their_spaces() -> None:
    info = "\n".join(
        f"{n} 1 0:1 / {point} rw - tmpfs t rw"
        for n, point in enumerate(["/", "/s", "/s/a", "/s/a/b\\040c", "/sx"])
    )
    found = mounts.below(Path("/s"), info)
    assert found == [Path("/s/a/b c"), Path("/s/a"), Path("/s")]


def kernel(tmp_path: Path, **values: str) -> Path:
    root = tmp_path / "sys"
    (root / "net/bridge").mkdir(parents=True)
    (root / "net/bridge/bridge-nf-call-iptables").write_text("1", encoding="ascii")
    for name, value in values.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n", encoding="ascii")
    return root


def test_kernel_settings_are_given_back_as_they_were_before_the_first_start(tmp_path: Path) -> None:
    given = {"fs__inotify__max_user_instances": "128", "net__ipv4__ip_forward": "0"}
    root = kernel(tmp_path, **given, kernel__panic="0")
    instances, forward = root / "fs/inotify/max_user_instances", root / "net/ipv4/ip_forward"
    record = tmp_path / "record"
    sysctls.apply(record, root=root, boot="b")
    assert (instances.read_text(), forward.read_text()) == ("8192", "1")
    (root / "kernel/panic").write_text("10", encoding="ascii")
    sysctls.apply(record, root=root, boot="b")
    sysctls.restore(record, root=root, boot="b")
    assert (instances.read_text(), forward.read_text()) == ("128", "0")
    assert (root / "kernel/panic").read_text() == "0"
    assert not record.exists()


def test_a_kernel_without_bridge_filtering_is_refused(tmp_path: Path) -> None:
    root = kernel(tmp_path, net__ipv4__ip_forward="1")
    (root / "net/bridge/bridge-nf-call-iptables").unlink()
    with pytest.raises(ClusterError, match="br_netfilter"):
        sysctls.apply(tmp_path / "record", root=root, boot="b")


def test_a_larger_limit_stays_and_a_note_of_an_earlier_boot_changes_nothing(tmp_path: Path) -> None:
    root = kernel(tmp_path, fs__inotify__max_user_instances="99999", net__ipv4__ip_forward="1")
    record = tmp_path / "record"
    sysctls.apply(record, root=root, boot="old")
    assert (root / "fs/inotify/max_user_instances").read_text().strip() == "99999"
    (root / "net/ipv4/ip_forward").write_text("0", encoding="ascii")
    sysctls.restore(record, root=root, boot="new")
    assert (root / "net/ipv4/ip_forward").read_text() == "0"


def test_the_clusters_programs_answer_to_all_their_names(tmp_path: Path) -> None:
    for name in ("kube", "pause", "coredns", "local-path-provisioner"):
        (tmp_path / name).touch()
    assert not binaries.PROGRAMS.complete(tmp_path)
    for name in binaries.KUBE_NAMES:
        (tmp_path / name).symlink_to("kube")
    assert binaries.PROGRAMS.complete(tmp_path)


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("alpine", "docker.io/library/alpine:latest"),
        ("opencode-fleet/runtime:dev", "docker.io/opencode-fleet/runtime:dev"),
        ("localhost/x:1", "localhost/x:1"),
        ("reg.test:5000/a/b", "reg.test:5000/a/b:latest"),
        ("reg.test/a@sha256:0", "reg.test/a@sha256:0"),
    ],
)
def test_image_names_are_completed_as_containerd_stores_them(given: str, stored: str) -> None:
    assert images.full_name(given) == stored


def test_an_image_archive_is_the_same_every_time_and_names_its_layer() -> None:
    layer = b"\0" * 1024
    content = images.archive("x/y:1", layer, ["/bin/y"])
    assert content == images.archive("x/y:1", layer, ["/bin/y"])
    with tarfile.open(fileobj=BytesIO(content)) as tar:
        member = tar.extractfile("manifest.json")
        assert member is not None
        manifest = json.loads(member.read())
    assert manifest[0]["RepoTags"] == ["x/y:1"]
    assert manifest[0]["Layers"] == ["layer.tar"]


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"KUBECONFIG": "/a:/b", "HOME": "/h"}, "/a"),
        ({"KUBECONFIG": ":/b", "HOME": "/h"}, "/b"),
        ({"HOME": "/h"}, "/h/.kube/config"),
    ],
)
def test_the_kubeconfig_is_the_one_kubectl_would_change(env: dict[str, str], expected: str) -> None:
    assert kubeconfig.path_of(env) == Path(expected)


def test_sockets_reachable_from_outside_are_told_of_our_processes_only() -> None:
    listing = """tcp LISTEN 0 1 127.0.0.1:7080 0.0.0.0:* users:(("haproxy",pid=10,fd=5))
tcp LISTEN 0 1 10.42.0.1:17250 0.0.0.0:* users:(("kubelet",pid=11,fd=5))
tcp LISTEN 0 1 [::1]:99 [::]:* users:(("kubelet",pid=11,fd=6))
tcp LISTEN 0 1 0.0.0.0:22 0.0.0.0:* users:(("sshd",pid=12,fd=5))
tcp LISTEN 0 1 *:10250 *:* users:(("kubelet",pid=11,fd=7))
udp UNCONN 0 0 192.0.2.2%eth0:53 0.0.0.0:* users:(("coredns",pid=10,fd=8))
tcp LISTEN 0 1 0.0.0.0:2024 0.0.0.0:*
"""
    found = status.outside(listing, {10, 11})
    assert found == ["tcp *:10250", "udp 192.0.2.2%eth0:53"]


def test_ranges_hold_the_fixed_addresses() -> None:
    assert ip_address(addresses.DNS_SERVICE_IP) in addresses.SERVICE_CIDR
    assert ip_address(addresses.NODE_IP) in addresses.POD_CIDR
    assert not addresses.POD_CIDR.overlaps(IPv4Network(addresses.SERVICE_CIDR))
