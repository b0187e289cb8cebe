"""User data: valid, small, without secrets, and the settings it carries."""

from __future__ import annotations

import base64
import gzip
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleet.alicloud.cloud_init import (
    COMMAND_LIMIT,
    USER_DATA_LIMIT,
    access_command,
    bootstrap_files,
    cloud_config,
    user_data,
)
from fleet.alicloud.kubeconfig import ANSWER
from fleet.alicloud.machine_settings import ADMINS, DATA, STORAGE_CLASS, firewall, k3s_urls
from tests.support.machine import bootstrap, tool


def _files(**changes: object) -> dict[str, str]:
    return {file.path: file.content for file in bootstrap_files(bootstrap(**changes))}


def _k3s(**changes: object) -> dict[str, Any]:
    return yaml.safe_load(_files(**changes)["/etc/rancher/k3s/config.yaml"])


def test_cloud_init_accepts_the_document(tmp_path: Path) -> None:
    document = tmp_path / "user-data.yaml"
    document.write_text(cloud_config(bootstrap(registry_mirrors={"docker.io": ("https://m.x",)})))

    result = subprocess.run(
        [tool("cloud-init"), "schema", "--config-file", str(document)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 0, result.stdout + result.stderr
    assert "Valid" in result.stdout


def test_every_script_passes_shellcheck() -> None:
    scripts = sorted(Path("fleet/alicloud/files").glob("*.sh"))
    assert len(scripts) >= 4
    subprocess.run([tool("shellcheck"), *map(str, scripts)], check=True)


def test_the_sent_command_passes_shellcheck(tmp_path: Path) -> None:
    script = tmp_path / "command.sh"
    script.write_bytes(base64.b64decode(access_command(bootstrap(), "request\n", 1)))
    subprocess.run([tool("shellcheck"), str(script)], check=True)


def test_user_data_is_packed_small_and_always_the_same() -> None:
    packed = base64.b64decode(user_data(bootstrap()))
    assert len(packed) < USER_DATA_LIMIT * 0.85
    assert gzip.decompress(packed).decode() == cloud_config(bootstrap())
    assert user_data(bootstrap()) == user_data(bootstrap())


def test_too_much_is_refused_before_the_cloud_refuses_it() -> None:
    noise = tuple(f"https://{n:05d}.{n * 7919:08x}.example.com" for n in range(9000))
    with pytest.raises(ValueError, match=r"user data has .* bytes, the limit is 16384"):
        user_data(bootstrap(registry_mirrors={"docker.io": noise}))
    with pytest.raises(ValueError, match=r"the command has .* bytes, the limit is 98304"):
        access_command(bootstrap(registry_mirrors={"docker.io": noise}), "request", 1)


def test_the_command_fits_with_room_to_spare() -> None:
    assert len(access_command(bootstrap(), "x" * 1000, 1)) < COMMAND_LIMIT * 0.8


def test_passwords_do_not_open_the_machine() -> None:
    assert yaml.safe_load(cloud_config(bootstrap()))["ssh_pwauth"] is False
    sshd = _files()["/etc/ssh/sshd_config.d/10-opencode-fleet.conf"]
    assert "PasswordAuthentication no" in sshd
    assert "KbdInteractiveAuthentication no" in sshd


def test_logins_of_a_machine_that_was_there_are_left_alone() -> None:
    files = _files(own_machine=False)
    assert not [path for path in files if "sshd" in path or "apt.conf" in path]


def test_security_updates_install_themselves_and_reboot_only_when_told() -> None:
    path = "/etc/apt/apt.conf.d/52opencode-fleet"
    assert 'Unattended-Upgrade "1"' in _files()[path]
    assert 'Automatic-Reboot "false"' in _files()[path]
    assert 'Automatic-Reboot "true"' in _files(reboot_for_updates=True)[path]


def test_the_apiserver_keeps_an_audit_log_without_contents() -> None:
    arguments = _k3s()["kube-apiserver-arg"]
    assert "audit-log-path=/var/log/opencode-fleet/audit.log" in arguments
    policy = yaml.safe_load(_files()["/etc/opencode-fleet/audit-policy.yaml"])
    assert {rule["level"] for rule in policy["rules"]} == {"None", "Metadata"}


def test_everything_that_must_last_is_on_the_data_disk() -> None:
    config = _k3s()
    assert config["data-dir"] == "/srv/opencode-fleet/k3s"
    assert config["default-local-storage-path"] == "/srv/opencode-fleet/volumes"
    assert "RequiresMountsFor=/srv/opencode-fleet" in _files()["/etc/systemd/system/k3s.service"]


def test_secrets_are_encrypted_and_the_kubeconfig_is_roots() -> None:
    config = _k3s()
    assert config["secrets-encryption"] is True
    assert config["write-kubeconfig-mode"] == "0600"


def test_volumes_outlive_their_claims() -> None:
    manifest = yaml.safe_load(_files()["/etc/opencode-fleet/manifests/storage-class.yaml"])
    assert manifest["metadata"]["name"] == "fleet-retain"
    assert manifest["reclaimPolicy"] == "Retain"


def test_streams_are_never_cut_by_the_ingress_controller() -> None:
    manifest = yaml.safe_load(_files()["/etc/opencode-fleet/manifests/traefik.yaml"])
    arguments = yaml.safe_load(manifest["spec"]["valuesContent"])["additionalArguments"]
    assert "--entryPoints.websecure.transport.respondingTimeouts.writeTimeout=0s" in arguments
    assert "--entryPoints.web.http.redirections.entryPoint.scheme=https" in arguments


def test_a_request_has_to_arrive_in_time() -> None:
    manifest = yaml.safe_load(_files()["/etc/opencode-fleet/manifests/traefik.yaml"])
    arguments = yaml.safe_load(manifest["spec"]["valuesContent"])["additionalArguments"]
    times = [line.split("=")[1] for line in arguments if "readTimeout" in line]
    assert times == ["120s", "120s"]


def test_browsers_are_told_to_come_by_https_only_where_it_is_served() -> None:
    path = "/etc/opencode-fleet/manifests/traefik.yaml"
    values = yaml.safe_load(yaml.safe_load(_files()[path])["spec"]["valuesContent"])
    [middleware] = values["extraObjects"]
    assert middleware["spec"]["headers"]["stsSeconds"] > 0
    named = f"{middleware['metadata']['namespace']}-{middleware['metadata']['name']}@kubernetescrd"
    assert f"--entryPoints.websecure.http.middlewares={named}" in values["additionalArguments"]
    plain = yaml.safe_load(_files(https=False)[path])["spec"]["valuesContent"]
    assert "hsts" not in plain


def test_one_pod_cannot_use_up_the_machines_processes() -> None:
    arguments = _k3s()["kubelet-arg"]
    assert "pod-max-pids=2048" in arguments
    assert any("pid=" in line for line in arguments if line.startswith("system-reserved="))


def test_mirrors_are_written_only_when_there_are_any() -> None:
    path = "/etc/rancher/k3s/registries.yaml"
    assert path not in _files()
    mirrors = _files(registry_mirrors={"docker.io": ("https://mirror.example.com",)})[path]
    assert yaml.safe_load(mirrors) == {
        "mirrors": {"docker.io": {"endpoint": ["https://mirror.example.com"]}}
    }


def test_mainland_machines_pull_the_systems_images_from_a_mirror() -> None:
    config = _k3s(system_registry="registry.example.cn")
    assert config["system-default-registry"] == "registry.example.cn"


@pytest.mark.parametrize(
    ("mirror", "own", "url"),
    [
        ("none", None, "https://github.com/k3s-io/k3s/releases/download/v1.35.5%2Bk3s1/k3s"),
        ("cn", None, "https://rancher-mirror.rancher.cn/k3s/v1.35.5-k3s1/k3s"),
        ("cn", "https://files.example.com/k3s", "https://files.example.com/k3s"),
    ],
)
def test_k3s_comes_from_where_it_is_told(mirror: str, own: str | None, url: str) -> None:
    assert k3s_urls("v1.35.5+k3s1", mirror, own) == (url,)


def test_the_kernel_accepts_the_packet_filter_twice(tmp_path: Path) -> None:
    rules = tmp_path / "firewall.nft"
    rules.write_text(firewall(bootstrap(host_egress=("172.20.9.0/24",))))
    load = f"nft -f {rules} && nft -f {rules} && nft list ruleset"

    result = subprocess.run(
        [tool("unshare"), "--net", "sh", "-c", load], capture_output=True, text=True, check=False
    )

    assert result.returncode == 0, result.stderr
    assert result.stdout.count("table inet opencode_fleet") == 1
    assert "ip daddr 172.20.9.0/24 accept" in result.stdout


def test_pods_reach_neither_metadata_nor_the_vpc_nor_their_node() -> None:
    lines = [line.strip() for line in firewall(bootstrap()).splitlines()]
    closed = "ip daddr { 100.64.0.0/10, 169.254.0.0/16, 172.20.0.0/16 } drop"
    assert f"ip saddr 10.42.0.0/16 {closed}" in lines
    assert 'iifname "cni0" drop' in lines
    dns = [n for n, line in enumerate(lines) if "dport 53 accept" in line]
    assert max(dns) < next(n for n, line in enumerate(lines) if closed in line)


def test_what_a_shipped_file_says_again_is_the_same() -> None:
    folder = Path("fleet/alicloud/files")
    said = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}
    storage = yaml.safe_load(said["storage-class.yaml"])
    assert storage["metadata"]["name"] == STORAGE_CLASS
    assert f'group="{ADMINS}:$FLEET_ACCESS_GENERATION"' in said["grant-access.sh"]
    assert f"printf '{ANSWER}{{" in said["grant-access.sh"]
    assert f"RequiresMountsFor={DATA}\n" in said["k3s.service"]
