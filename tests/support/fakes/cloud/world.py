"""A whole world for an environment on Alibaba Cloud: the engine is real, the cloud is not.

`fleet` is started as an operator starts it, in a folder with a stack file; the engine loads the
plugins of this world. Leaves out: what each provider does.
"""

from __future__ import annotations

import datetime
import ipaddress
import itertools
import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fleet.alicloud.machine_settings import DATA
from fleet.engine.settings import find_program
from fleet.errors import EngineError
from tests.support.fakes.api_objects import Live
from tests.support.fakes.api_server import ApiServer, api_server
from tests.support.fakes.cloud.alibaba import Alibaba, Cloud, encoded
from tests.support.fakes.cloud.assistant import Machines
from tests.support.fakes.cloud.others import Commands, Images, Keys, Kubernetes
from tests.support.fakes.cloud.plugins import Record, Values, plugins
from tests.support.fakes.ecs_api import KEY_ID, KEY_SECRET, ecs_api
from tests.support.fakes.served import UP
from tests.support.machine import FolderMachine
from tests.support.stacks import shipped_values, text_of, with_value

ROOT = Path(__file__).parents[4]
API_PORT = 6443
_PEM = serialization.Encoding.PEM
_LOOPBACKS = itertools.count(1)


class _Api(Kubernetes):
    """The provider, with the controllers that make pods; Traefik's chart brings its class."""

    def create(self, thing: Any) -> tuple[str, Values]:
        """Make an object, or install a chart."""
        made = super().create(thing)
        if "traefik" in self.charts:
            self.api.put(_ingress_class())
        return made

    def _apply(self, thing: Any) -> None:
        super()._apply(thing)
        item = cast("Live", thing.inputs)
        if item["kind"] == "Deployment":
            _run_pod(self.api, item)


def _run_pod(api: ApiServer, deployment: Live) -> None:
    """Have the pods that a Deployment asks for, ready."""
    template, metadata = deployment["spec"]["template"], deployment["metadata"]
    name, namespace = metadata["name"], metadata["namespace"]
    for kind in ("pods", "replicasets"):
        api.remove(kind, f"{name}-1")
    labels = {**metadata.get("labels", {}), **template["metadata"].get("labels", {})}
    replicas = deployment["spec"].get("replicas", 1)
    stored = api.get("deployments", name)
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas"), replicas)
    stored["metadata"]["generation"] = 1
    api.put({**stored, "status": {"observedGeneration": 1, **counts}})
    common: Live = {"name": f"{name}-1", "namespace": namespace, "labels": labels}
    owner = {"kind": "ReplicaSet", "name": f"{name}-1", "controller": True}
    api.put(
        {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": common,
            "spec": {"replicas": replicas, "template": template},
        }
    )
    uid = api.get("replicasets", f"{name}-1")["metadata"]["uid"]
    if replicas:
        pod = {**common, "ownerReferences": [{**owner, "uid": uid}]}
        api.put(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": pod,
                "spec": template["spec"],
                "status": dict(UP),
            }
        )


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """All of it, for a test that fails."""
        return f"exit {self.code}\n{self.out}\n{self.err}"


@dataclass(kw_only=True)
class World:
    """An operator's folder, and all that is outside of it."""

    folder: Path
    cloud: Cloud
    machines: Machines
    api: ApiServer
    record: Record
    commands: Commands
    variables: dict[str, str]
    built: list[Values] = field(default_factory=list[Values])
    charts: dict[str, Values] = field(default_factory=dict[str, Values])
    name: str = ""
    content: Values = field(default_factory=dict[str, Any])

    def write(self, name: str, changes: Mapping[str, Any]) -> None:
        """Write the shipped stack file of an environment, with places changed; None drops one."""
        self.name = name
        given = shipped_values(ROOT / f"Pulumi.{name}.yaml")
        for path, value in changes.items():
            given = with_value(given, path, value)
        self.content = given
        self._lay()

    def edit(self, path: str, value: object) -> None:
        """Change one place of the stack file."""
        self.content = with_value(self.content, path, value)
        self._lay()

    def _lay(self) -> None:
        file = self.folder / f"Pulumi.{self.name}.yaml"
        before = yaml.safe_load(file.read_text()) if file.exists() else {}
        config = cast("Values", before.get("config", {}))
        sealed = {key: value for key, value in config.items() if "secure" in str(value)}
        salt = {key: before[key] for key in ("encryptionsalt",) if key in before}
        disabled = {"pulumi:disable-default-providers": ["kubernetes", "alicloud"]}
        content = yaml.safe_load(text_of(self.content))
        content["config"] |= {**sealed, **disabled}
        file.write_text(yaml.safe_dump({**salt, **content}, sort_keys=False))

    def fleet(self, *arguments: str) -> Run:
        """Run a command as the operator does; what was recorded before is forgotten."""
        self.record.events.clear()
        done = subprocess.run(
            [str(Path(sys.executable).with_name("fleet")), *arguments, "-s", self.name],
            cwd=self.folder,
            env=self.variables,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        return Run(code=done.returncode, out=done.stdout, err=done.stderr)

    def up(self) -> Run:
        """Deploy, and fail with what was said when that fails."""
        done = self.fleet("up", "--yes", "--timeout", "20")
        assert done.code == 0, done.said
        return done

    def destroy(self) -> Run:
        """Destroy, and fail with what was said when that fails."""
        done = self.fleet("destroy", "--yes")
        assert done.code == 0, done.said
        return done

    def changed(self) -> list[str]:
        """Return what the last command changed, as `op type name`."""
        return [
            f"{event.op} {event.typ.rsplit(':', 1)[-1]} {event.name}"
            for event in self.record.events
        ]


def missing() -> str | None:
    """Return why the engine cannot run here."""
    try:
        find_program(os.environ)
    except EngineError as error:
        return str(error)
    return None


@contextmanager
def world(folder: Path) -> Generator[World]:
    """Make a world with nothing in it."""
    number = next(_LOOPBACKS)
    # A loopback address of our own: k3s' port is the same everywhere.
    address = f"127.{os.getpid() % 200 + 20}.{os.getpid() // 200 % 250}.{number % 250 + 1}"
    for part in ("bin", "project", "home", "machines/disks", "authorities"):
        (folder / part).mkdir(parents=True)
    tls, credential = _authorities(folder / "authorities", address)
    cloud = Cloud(address=address, api=f"https://{address}:{API_PORT}", credential=credential)
    machines = Machines(cloud=cloud, folder=folder / "machines", authorities=folder / "authorities")
    with ExitStack() as stack:
        api = stack.enter_context(api_server(tls, (address, API_PORT)))
        api.token = ""
        cloud.on_change = lambda: setattr(api, "away", _gone(cloud))
        machines.on_ready = lambda machine: _apply_manifests(api, machine)
        endpoint = stack.enter_context(ecs_api(machines.answer))
        variables = _variables(folder, endpoint)
        commands = Commands()
        built: list[Values] = []
        charts: dict[str, Values] = {}
        record = stack.enter_context(
            plugins(
                folder / "bin",
                {
                    "alicloud": lambda: Alibaba(cloud),
                    "tls": Keys,
                    "command": lambda: commands,
                    "docker": lambda: Images(built=built),
                    "docker-build": lambda: Images(built=built),
                    "kubernetes": lambda: _Api(api=api, charts=charts, away=lambda: _gone(cloud)),
                },
            )
        )
        shutil.copytree(ROOT / "scenes", folder / "project/scenes")
        yield World(
            folder=folder / "project",
            cloud=cloud,
            machines=machines,
            api=api,
            record=record,
            commands=commands,
            variables=variables,
            built=built,
            charts=charts,
        )


def _apply_manifests(api: ApiServer, machine: FolderMachine) -> None:
    """Do what k3s does at its start: apply what lies in its folder, and bring Traefik."""
    for file in sorted(machine.path(f"{DATA}/k3s/server/manifests").glob("*.yaml")):
        item = yaml.safe_load(file.read_text())
        if item["kind"] == "StorageClass":
            api.put(item)
    api.put(_ingress_class())


def _ingress_class() -> Live:
    version = {"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass"}
    return {**version, "metadata": {"name": "traefik"}}


def _gone(cloud: Cloud) -> bool:
    return not cloud.of("Instance") and not cloud.of("ManagedKubernetes") and not cloud.yours


def _variables(folder: Path, endpoint: str) -> dict[str, str]:
    engine, tools = folder / "bin", folder / "bin"
    (engine / "pulumi").symlink_to(find_program(os.environ))
    for name, script in (
        ("docker", 'echo "image $2"'),
        ("ssh", f'cat >/dev/null; echo "$@" >>{folder}/ssh.log'),
    ):
        (tools / name).write_text(f"#!/bin/bash\n{script}\n")
        (tools / name).chmod(0o755)
    return {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "HOME": str(folder / "home"),
        "LANG": "C.UTF-8",
        "FLEET_ENGINE_BIN": str(engine),
        "FLEET_ECS_ENDPOINT": endpoint,
        "FLEET_POLL_SECONDS": "0.05",
        "FLEET_PATIENCE": "5",
        "ALICLOUD_ACCESS_KEY": KEY_ID,
        "ALICLOUD_SECRET_KEY": KEY_SECRET,
        "PULUMI_CONFIG_PASSPHRASE": "of a test",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


# -- who the cluster is, and who may come in


def _authorities(folder: Path, address: str) -> tuple[ssl.SSLContext, Values]:
    """Make the cluster's authorities, its server's TLS, and a managed cluster's credential."""
    made = {name: _authority(folder, name) for name in ("server-ca", "client-ca")}
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
    server, key = _issue(*made["server-ca"], "kube-apiserver", names)
    (folder / "served.pem").write_bytes(key + server)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(folder / "served.pem")
    tls.load_verify_locations(folder / "client-ca.crt")
    tls.verify_mode = ssl.CERT_REQUIRED
    client, client_key = _issue(*made["client-ca"], "operator", None)
    credential = {
        "clusterCert": encoded((folder / "server-ca.crt").read_bytes()),
        "clientCert": encoded(client),
        "clientKey": encoded(client_key),
    }
    return tls, credential


def _authority(folder: Path, name: str) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _named(name)
    builder = _builder(subject, subject, key.public_key())
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    usage = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = builder.add_extension(usage, critical=False).sign(key, hashes.SHA256())
    (folder / f"{name}.crt").write_bytes(certificate.public_bytes(_PEM))
    (folder / f"{name}.key").write_bytes(_pem(key))
    return certificate, key


def _issue(
    authority: x509.Certificate,
    signer: ec.EllipticCurvePrivateKey,
    name: str,
    names: x509.SubjectAlternativeName | None,
) -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(_named(name), authority.subject, key.public_key())
    if names is not None:
        builder = builder.add_extension(names, critical=False)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    builder = builder.add_extension(issuer, critical=False)
    return builder.sign(signer, hashes.SHA256()).public_bytes(_PEM), _pem(key)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(subject: x509.Name, issuer: x509.Name, public: Any) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=200))
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        _PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
