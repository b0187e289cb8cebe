"""The machine's scripts, run for real in a folder: what they make, twice, and when they stop."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from fleet.alicloud.cloud_init import access_command
from fleet.alicloud.kubeconfig import ANSWER, read_answer
from fleet.alicloud.machine_settings import DATA
from tests.support.machine import (
    DISK_BYTES,
    K3S,
    FolderMachine,
    authority,
    bootstrap,
    certificate_request,
    folder_machine,
    tool,
)


@pytest.fixture
def machine(tmp_path: Path) -> FolderMachine:
    made = folder_machine(tmp_path)
    made.write(bootstrap())
    return made


def _uuid(machine: FolderMachine) -> str:
    command = [tool("blkid"), "-p", "-o", "value", "-s", "UUID", str(machine.disk)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_the_bootstrap_runs_twice_with_the_same_result(machine: FolderMachine) -> None:
    first = machine.run("bootstrap.sh")
    assert first.returncode == 0, first.stderr
    after_first, disk = machine.snapshot(), _uuid(machine)
    restarted = [call for call in machine.calls if call == "systemctl restart k3s.service"]

    second = machine.run("bootstrap.sh")

    assert second.returncode == 0, second.stderr
    assert machine.snapshot() == after_first
    assert _uuid(machine) == disk
    assert len(restarted) == 1
    assert "systemctl restart k3s.service" not in machine.calls
    assert "systemctl start k3s.service" in machine.calls
    assert not [call for call in machine.calls if call.startswith(("curl", "mount "))]
    assert machine.path("/var/lib/opencode-fleet/ready").exists()


def test_the_bootstrap_makes_what_it_should(machine: FolderMachine) -> None:
    machine.run("bootstrap.sh")

    assert machine.path("/usr/local/bin/k3s").read_text() == K3S
    assert machine.path("/usr/local/bin/kubectl").readlink() == Path("k3s")
    manifests = machine.path(f"{DATA}/k3s/server/manifests")
    assert sorted(path.name for path in manifests.iterdir()) == [
        "fleet-storage-class.yaml",
        "fleet-traefik.yaml",
    ]
    fstab = machine.path("/etc/fstab").read_text()
    assert "# /swap none swap" in fstab
    assert f"UUID={_uuid(machine).strip()} {DATA} ext4" in fstab
    assert "systemctl enable k3s.service" in machine.calls
    order = [c for c in machine.calls if c.endswith(("firewall.service", "restart k3s.service"))]
    assert order[-1] == "systemctl restart k3s.service"


def test_changed_settings_restart_k3s(machine: FolderMachine) -> None:
    machine.run("bootstrap.sh")
    machine.write(bootstrap(sans=("198.51.100.11",)))

    machine.run("bootstrap.sh")

    assert "systemctl restart k3s.service" in machine.calls


def test_a_changed_binary_is_not_installed(machine: FolderMachine) -> None:
    (machine.tools / "download").write_text("something else")

    result = machine.run("bootstrap.sh")

    assert result.returncode != 0
    assert "is not the pinned k3s" in result.stderr
    assert not machine.path("/usr/local/bin/k3s").exists()
    assert not machine.path("/usr/local/bin/k3s.part").exists()
    assert machine.path("/var/lib/opencode-fleet/failed").read_text() == "k3s\n"
    assert not machine.path("/var/lib/opencode-fleet/ready").exists()


def test_a_failed_bootstrap_finishes_when_run_again(machine: FolderMachine) -> None:
    (machine.tools / "download").unlink()
    assert machine.run("bootstrap.sh").returncode != 0
    (machine.tools / "download").write_text(K3S)

    assert machine.run("bootstrap.sh").returncode == 0
    assert not machine.path("/var/lib/opencode-fleet/failed").exists()


def test_a_disk_with_something_unknown_on_it_is_left_alone(machine: FolderMachine) -> None:
    # A partition table, as of a disk that served elsewhere.
    content = b"\0" * 510 + b"\x55\xaa" + b"precious" * 1000
    content = (
        content[:446] + bytes([0, 1, 1, 0, 0x83, 1, 1, 1, 1, 0, 0, 0, 9, 0, 0, 0]) + content[462:]
    )
    machine.disk.write_bytes(content.ljust(8 * 1024 * 1024, b"\0"))
    before = machine.disk.read_bytes()

    result = machine.run("bootstrap.sh")

    assert result.returncode != 0
    assert "holds a partition table (dos), not ext4; not formatted" in result.stderr
    assert machine.disk.read_bytes() == before
    assert machine.path("/var/lib/opencode-fleet/failed").read_text() == "data disk\n"


def test_a_kept_disk_is_mounted_and_never_formatted(machine: FolderMachine) -> None:
    subprocess.run([tool("mkfs.ext4"), "-q", str(machine.disk)], check=True)
    before = _uuid(machine)

    result = machine.run("bootstrap.sh")

    assert result.returncode == 0, result.stderr
    assert _uuid(machine) == before


def test_a_grown_disk_is_used_whole(machine: FolderMachine) -> None:
    machine.run("bootstrap.sh")
    os.truncate(machine.disk, 3 * DISK_BYTES)
    assert machine.run("bootstrap.sh").returncode == 0
    header = subprocess.run(
        [tool("dumpe2fs"), "-h", str(machine.disk)], capture_output=True, text=True, check=True
    ).stdout
    assert re.search(rf"Block count: +{3 * DISK_BYTES // 1024}\n", header)


def test_a_disk_that_never_comes_is_named(machine: FolderMachine) -> None:
    machine.disk.unlink()
    result = machine.run("bootstrap.sh")
    assert result.returncode != 0
    assert "data disk t4n0abcd1234efgh is not attached" in result.stderr


def test_without_a_data_disk_nothing_is_mounted(tmp_path: Path) -> None:
    machine = folder_machine(tmp_path)
    machine.write(bootstrap(disk_serial=None))
    assert machine.run("bootstrap.sh").returncode == 0
    assert not [call for call in machine.calls if call.startswith("mount ")]


def test_a_cluster_that_does_not_get_ready_fails(tmp_path: Path) -> None:
    machine = folder_machine(tmp_path)
    broken = "#!/bin/sh\nexit 1\n"
    (machine.tools / "download").write_text(broken)
    machine.write(bootstrap(k3s_sha256=hashlib.sha256(broken.encode()).hexdigest()))
    result = machine.run("bootstrap.sh")
    assert result.returncode != 0
    assert "k3s does not get ready" in result.stderr


def _granted(machine: FolderMachine, subject: str) -> str:
    k3s = machine.path("/usr/local/bin/k3s")
    k3s.parent.mkdir(parents=True, exist_ok=True)
    k3s.write_text(K3S)
    k3s.chmod(0o755)
    tls = machine.path(f"{DATA}/k3s/server/tls")
    authority(tls, "client-ca")
    authority(tls, "server-ca")
    ssh = machine.path("/etc/ssh")
    ssh.mkdir(parents=True, exist_ok=True)
    (ssh / "ssh_host_ed25519_key.pub").write_text("ssh-ed25519 AAAA root@fleet\n")
    request = certificate_request(machine.tools, subject)
    machine.path("/etc/opencode-fleet/access.csr").write_text(request)
    result = machine.run("grant-access.sh")
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_access_is_signed_by_the_clusters_own_authority(
    machine: FolderMachine, tmp_path: Path
) -> None:
    output = _granted(machine, "/CN=opencode-fleet")
    access = read_answer(output)

    certificate = tmp_path / "certificate.pem"
    certificate.write_bytes(base64.b64decode(access.certificate))
    authority_file = machine.path(f"{DATA}/k3s/server/tls/client-ca.crt")
    verify = [tool("openssl"), "verify", "-purpose", "sslclient", "-CAfile", str(authority_file)]
    subprocess.run([*verify, str(certificate)], check=True, capture_output=True)
    server = machine.path(f"{DATA}/k3s/server/tls/server-ca.crt").read_bytes()
    assert base64.b64decode(access.ca) == server
    assert access.host_keys == ("ssh-ed25519 AAAA",)


def test_a_request_cannot_ask_for_another_name(machine: FolderMachine, tmp_path: Path) -> None:
    access = read_answer(_granted(machine, "/O=system:masters/CN=root"))

    certificate = tmp_path / "certificate.pem"
    certificate.write_bytes(base64.b64decode(access.certificate))
    show = [tool("openssl"), "x509", "-noout", "-subject", "-in", str(certificate)]
    subject = subprocess.run(show, capture_output=True, text=True, check=True).stdout
    assert "system:masters" not in subject
    assert "O = opencode-fleet:admins:1, CN = opencode-fleet" in subject


def test_a_new_generation_of_access_ends_those_before_it(machine: FolderMachine) -> None:
    machine.bind("opencode-fleet-admins")
    _granted(machine, "/CN=opencode-fleet")
    assert machine.bindings == {"opencode-fleet-admins-1"}

    machine.write(bootstrap(access_generation=2))
    _granted(machine, "/CN=opencode-fleet")

    assert machine.bindings == {"opencode-fleet-admins-2"}


def test_a_binding_that_was_deleted_stays_deleted(machine: FolderMachine) -> None:
    _granted(machine, "/CN=opencode-fleet")
    machine.bind()
    machine.write(bootstrap(access_days=30))

    assert machine.run("bootstrap.sh").returncode == 0
    _granted(machine, "/CN=opencode-fleet")

    assert machine.bindings == set()


def _leaf(machine: FolderMachine, days: int) -> None:
    folder = machine.path(f"{DATA}/k3s/server/tls")
    authority(folder, "server-ca")
    authority(folder, "serving-kube-apiserver", days=days)


@pytest.mark.parametrize(("days", "restarts"), [(30, True), (300, False)])
def test_certificates_that_run_out_restart_k3s_beforehand(
    machine: FolderMachine, days: int, restarts: bool
) -> None:
    _leaf(machine, days)

    result = machine.run("renew-certificates.sh")

    assert result.returncode == 0, result.stderr
    # The authority, of ten days, is nothing that a restart renews.
    assert ("systemctl restart k3s.service" in machine.calls) is restarts


def test_a_machine_without_certificates_yet_is_left_alone(machine: FolderMachine) -> None:
    assert machine.run("renew-certificates.sh").returncode == 0
    assert not machine.calls


def test_no_private_key_is_in_the_answer(machine: FolderMachine) -> None:
    output = _granted(machine, "/CN=opencode-fleet")
    answer = json.loads(output.strip().removeprefix(ANSWER))
    opened = [base64.b64decode(value).decode() for value in answer.values()]
    assert not [text for text in opened if "PRIVATE" in text]


def test_the_whole_command_works_on_a_machine_of_its_own(tmp_path: Path) -> None:
    """The command as Cloud Assistant would run it, in a root folder with its own mounts."""
    machine = folder_machine(tmp_path)
    root = machine.root
    for name in ("cloud-init", "dpkg", "apt-get"):
        (machine.tools / name).write_text("#!/bin/bash\nexit 0\n")
        (machine.tools / name).chmod(0o755)
    authority(root / f"{DATA}/k3s/server/tls".lstrip("/"), "client-ca")
    authority(root / f"{DATA}/k3s/server/tls".lstrip("/"), "server-ca")
    (root / "etc/ssh").mkdir()
    (root / "etc/ssh/ssh_host_ed25519_key.pub").write_text("ssh-ed25519 AAAA root@fleet\n")
    request = certificate_request(machine.tools, "/CN=opencode-fleet")
    command = base64.b64decode(access_command(bootstrap(), request, 1))
    (machine.tools / "command.sh").write_bytes(command)
    binds = ["bin", "lib", "lib64", "sbin", "usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "tools"]
    binds += ["etc/ssl"]
    script = [f"cd {root}", "mkdir -p dev proc tmp usr/local/lib usr/local/bin etc"]
    for bind in binds:
        source = machine.tools if bind == "tools" else Path("/") / bind
        if source.exists():
            script += [f"mkdir -p {bind}", f"mount --bind {source} {bind}"]
    script += [
        "touch dev/null && mount --bind /dev/null dev/null",
        "touch dev/zero && mount --bind /dev/zero dev/zero",
        "touch dev/urandom && mount --bind /dev/urandom dev/urandom",
        "mount -t proc proc proc",
        "ln -s /proc/self/fd dev/fd",
        "PATH=/tools:/usr/sbin:/usr/bin FLEET_CALLS=/tools/calls FLEET_DOWNLOAD=/tools/download "
        "FLEET_READY_WAIT=1 FLEET_DISK_WAIT=1 chroot . /bin/bash /tools/command.sh",
    ]
    result = subprocess.run(
        [tool("unshare"), "--mount", "--pid", "--fork", "bash", "-ec", "\n".join(script)],
        capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"]},
    )  # fmt: skip

    assert result.returncode == 0, result.stderr
    # Nothing but the answer: a log of another program must not be taken for it.
    assert result.stdout.startswith("FLEET-ACCESS ")
    assert read_answer(result.stdout).host_keys == ("ssh-ed25519 AAAA",)
    assert (root / "usr/local/bin/k3s").read_text() == K3S
    assert (root / "etc/rancher/k3s/config.yaml").stat().st_mode & 0o777 == 0o600
