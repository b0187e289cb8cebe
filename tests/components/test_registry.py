"""How the image reaches the nodes: a repository, a login, or a copy over SSH."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pulumi

from components.alicloud.registry import ImageCopy, ImageCopyArgs
from tests.support.cloud_world import OUTPUTS, declare
from tests.support.clusters import ack
from tests.support.recording import Engine, run

REGISTRY = {
    "server": "registry.example.com",
    "username": "puller",
    "acr": {"instanceId": "cri-t4n0abcd1234efgh"},
}
SCRIPT = Path("fleet/alicloud/files/copy-image.sh")


def test_a_repository_is_private_and_kept() -> None:
    made = declare(ack(registry=REGISTRY))
    repositories = made.of_type("RegistryEnterpriseRepo")
    assert {item.inputs["name"] for item in repositories} == {"runtime", "runtime-door"}
    for repository in repositories:
        assert repository.inputs["repoType"] == "PRIVATE"
        assert repository.inputs["namespace"] == "fleet"
        assert repository.options.retain_on_delete
    assert made.one("RegistryEnterpriseNamespace").inputs["defaultVisibility"] == "PRIVATE"
    assert made.exports["repository"] == "registry.example.com/fleet/runtime"


def test_a_registry_that_is_there_is_only_named() -> None:
    given = {"server": "registry.example.com", "username": "puller"}
    made = declare(ack(registry=given))
    assert made.of_type("RegistryEnterpriseRepo") == []
    assert "repository" not in made.exports


def test_a_copy_is_made_again_when_the_image_or_the_machine_changes() -> None:
    def program() -> None:
        args = ImageCopyArgs(
            image="fleet:1",
            image_id="sha256:abc",
            host="198.51.100.10",
            known_hosts="198.51.100.10 ssh-ed25519 AAAA\n",
            private_key=pulumi.Output.secret("-----BEGIN OPENSSH PRIVATE KEY-----"),
        )
        pulumi.export("image", ImageCopy("fleet-test", args).image)

    made = run(program, Engine(outputs=OUTPUTS))
    command = made.one("Command").inputs
    assert command["triggers"] == ["sha256:abc", "198.51.100.10"]
    assert "PRIVATE KEY" not in command["create"]
    assert made.one("Command").is_secret("environment")
    assert made.exports["image"] == "fleet:1"


def test_the_copy_checks_the_host_and_streams_the_image(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    _tool(tools / "docker", 'echo "image $2"')
    _tool(
        tools / "ssh",
        f'printf "%s\\n" "$@" >{tmp_path}/arguments; gunzip >{tmp_path}/sent\n'
        f'cp "${{2#UserKnownHostsFile=}}" {tmp_path}/hosts',
    )
    environment = {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "FLEET_IMAGE": "fleet:1",
        "FLEET_HOST": "198.51.100.10",
        "FLEET_KNOWN_HOSTS": "198.51.100.10 ssh-ed25519 AAAA\n",
        "FLEET_LOGIN_KEY": "invented",
    }
    subprocess.run(["/bin/bash", str(SCRIPT)], env=environment, check=True)

    assert (tmp_path / "sent").read_text() == "image fleet:1\n"
    assert (tmp_path / "hosts").read_text() == "198.51.100.10 ssh-ed25519 AAAA\n"
    arguments = (tmp_path / "arguments").read_text()
    assert "StrictHostKeyChecking=yes" in arguments
    assert "root@198.51.100.10" in arguments


def _tool(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/bash\n{script}\n")
    path.chmod(0o755)
