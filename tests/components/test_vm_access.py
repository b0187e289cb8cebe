"""The way into the machine's cluster: what is sent, what comes back, what is kept."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import yaml

from fleet.alicloud.machine_plan import retained
from tests.support.cloud_world import ADDRESS, PRIVATE_PEM, declare, encoded, engine
from tests.support.clusters import vm
from tests.support.policy import decoded

MACHINE = "i-t4n0abcd1234efgh"


def test_the_kubeconfig_is_made_of_the_machines_answer_and_a_key_of_ours() -> None:
    made = declare(vm())
    config = yaml.safe_load(made.exports["kubeconfig"])

    cluster = config["clusters"][0]["cluster"]
    assert cluster["server"] == f"https://{ADDRESS}:6443"
    assert cluster["certificate-authority-data"] == encoded("the CA")
    user = config["users"][0]["user"]
    assert user["client-certificate-data"] == encoded("the certificate")
    assert user["client-key-data"] == encoded(PRIVATE_PEM)
    assert "kubeconfig" in made.secret_exports


def test_what_goes_to_the_machine_is_public() -> None:
    made = declare(vm())
    command = made.one("Command")

    sent = decoded(command.inputs["environment"]["FLEET_COMMAND"])
    assert "BEGIN CERTIFICATE REQUEST" in sent
    assert PRIVATE_PEM not in sent
    assert command.secret_paths == frozenset()


def test_the_machine_is_asked_once_its_disk_and_address_are_there() -> None:
    made = declare(vm())
    asked = made.one("Command").options.depends_on
    assert made.one("EcsDiskAttachment").urn in asked
    assert made.one("EipAssociation").urn in asked


def test_a_machine_that_answers_nothing_stops_the_run() -> None:
    world = engine()
    world.outputs = {**world.outputs, "command:local:Command": lambda _: {"stdout": "hello"}}
    with pytest.raises(ValueError, match="answer to the access request is missing"):
        declare(vm(), world)


def test_the_command_runs_with_the_python_that_has_the_sdk() -> None:
    run = declare(vm()).one("Command").inputs["create"]
    # The Python of `fleet up`, by the engine's environment; else the one of plain `pulumi`.
    before, python, rest = re.fullmatch(r'"\$\{(\w+):-(.*)\}" (.*)', run).groups()  # type: ignore[union-attr]
    assert before == "FLEET_PYTHON"
    assert rest == "-m fleet.alicloud.cloud_assistant"
    assert Path(python).absolute() == Path(sys.prefix, "bin/python3")
    # A path of this machine would be another one in the state of the next.
    assert Path(python).is_absolute() is not Path(sys.prefix).is_relative_to(Path.cwd())


def test_the_command_runs_as_the_provider_does() -> None:
    environment = declare(vm(profile="ops")).one("Command").inputs["environment"]
    assert environment["FLEET_PROFILE"] == "ops"
    assert environment["FLEET_REGION"] == "ap-southeast-1"
    assert not [key for key in environment if "KEY" in key]


def test_a_new_access_generation_is_a_new_command() -> None:
    first, second = (
        declare(vm(k3s={"accessGeneration": n}))
        .one("Command")
        .inputs["environment"]["FLEET_COMMAND"]
        for n in (1, 2)
    )
    assert first != second


@pytest.mark.parametrize("domain", [None, "fleet.example.com"])
def test_the_address_has_a_name_whatever_the_domain_is(domain: str | None) -> None:
    assert declare(vm(), domain=domain).exports["domain"] == "198-51-100-10.sslip.io"


def test_the_api_is_called_by_address_and_by_domain() -> None:
    machine = declare(vm(), domain="fleet.example.com").one("Instance")
    text = decoded(machine.inputs["userData"])
    files = {file["path"]: file["content"] for file in yaml.safe_load(text)["write_files"]}
    config = yaml.safe_load(files["/etc/rancher/k3s/config.yaml"])
    assert config["tls-san"] == [ADDRESS, "fleet.example.com"]


def test_a_machine_that_is_there_gets_k3s_and_nothing_else() -> None:
    found = {
        "id": MACHINE,
        "availabilityZone": "ap-southeast-1c",
        "status": "Running",
        "eip": "198.51.100.88",
        "publicIp": "",
        "vpcId": "vpc-t4n0abcd1234efgh",
    }
    cluster = vm(instance={"id": MACHINE})
    vpc = {"id": "vpc-t4n0abcd1234efgh", "cidrBlock": "172.30.0.0/16"}
    world = engine(instances=lambda _: {"instances": [found]}, networks=lambda _: {"vpcs": [vpc]})
    made = declare(cluster, world)

    kinds = {r.typ for r in made.resources if r.package == "alicloud" and not r.is_provider}
    assert kinds == set()
    assert made.exports["address"] == "198.51.100.88"
    assert f"instance {MACHINE} (yours)" in retained(cluster)
    sent = decoded(made.one("Command").inputs["environment"]["FLEET_COMMAND"])
    assert "sshd_config.d" not in sent
    # The range of its own network is closed to pods, not the one that would have been made.
    assert "172.30.0.0/16" in sent
    assert "172.20.0.0/16" not in sent


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ([], "no such instance in this region"),
        ([{"availabilityZone": "ap-southeast-1a"}], "it is in ap-southeast-1a"),
        ([{"status": "Stopped"}], "it is Stopped"),
        ([{"eip": ""}], "it has no public address"),
    ],
)
def test_a_machine_that_does_not_fit_is_refused(found: list[dict[str, str]], message: str) -> None:
    base = {
        "availabilityZone": "ap-southeast-1c",
        "status": "Running",
        "eip": "198.51.100.88",
        "publicIp": "",
    }
    answer = {"instances": [base | one for one in found]}
    with pytest.raises(ValueError, match=rf"cluster\.instance\.id: {MACHINE}: {message}"):
        declare(vm(instance={"id": MACHINE}), engine(instances=lambda _: answer))
