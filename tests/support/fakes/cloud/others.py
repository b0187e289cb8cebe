"""The other providers that a cloud environment takes: keys, commands, images, Kubernetes objects.

Keys and certificates are real, commands are run, Kubernetes objects go to the fake API server.
"""

from __future__ import annotations

import datetime
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

from fleet.cluster.kinds import kind_of
from tests.support.fakes.api_objects import RefusedRequest
from tests.support.fakes.api_server import ApiServer
from tests.support.fakes.cloud.plugins import (
    UNKNOWN,
    Changes,
    Launch,
    Provider,
    Refused,
    Thing,
    Values,
    compare,
)

_PEM, _NOTHING = serialization.Encoding.PEM, serialization.NoEncryption()


class Keys(Provider):
    """The tls provider: real keys, requests and certificates; each change makes them anew."""

    def compare(self, thing: Thing, before: Values, state: Values) -> Changes:
        """Every argument replaces."""
        del state
        return compare(before, thing.inputs, frozenset({*before, *thing.inputs}))

    def create(self, thing: Thing) -> tuple[str, Values]:
        """Make a key, a request or a certificate."""
        makers: dict[str, Callable[[Values], Values]] = {
            "PrivateKey": _private_key,
            "CertRequest": _request,
            "SelfSignedCert": _self_signed,
            "LocallySignedCert": _signed,
        }
        made = makers[thing.typ.rsplit(":", 1)[-1]](thing.inputs)
        return thing.name, {**thing.inputs, **made}

    def delete(self, thing: Thing) -> None:
        """Forget it."""


def _private_key(given: Values) -> Values:
    elliptic = given["algorithm"] == "ECDSA"
    key = (
        ec.generate_private_key(ec.SECP256R1())
        if elliptic
        else ed25519.Ed25519PrivateKey.generate()
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    return {
        "privateKeyPem": key.private_bytes(
            _PEM, serialization.PrivateFormat.PKCS8, _NOTHING
        ).decode(),
        "privateKeyOpenssh": key.private_bytes(
            _PEM, serialization.PrivateFormat.OpenSSH, _NOTHING
        ).decode(),
        "publicKeyOpenssh": public.decode() + "\n",
    }


def _loaded(pem: str) -> Any:
    return serialization.load_pem_private_key(pem.encode(), None)


def _subject(given: Values) -> x509.Name:
    subject = given["subject"]
    names = [x509.NameAttribute(NameOID.COMMON_NAME, subject["commonName"])]
    if "organization" in subject:
        names.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, subject["organization"]))
    return x509.Name(names)


def _request(given: Values) -> Values:
    builder = x509.CertificateSigningRequestBuilder().subject_name(_subject(given))
    hosts = [x509.DNSName(name) for name in given.get("dnsNames", ())]
    if hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName(hosts), critical=False)
    made = builder.sign(_loaded(given["privateKeyPem"]), hashes.SHA256())
    return {"certRequestPem": made.public_bytes(_PEM).decode()}


def _certificate(subject: x509.Name, issuer: x509.Name, public: Any, hours: int) -> Any:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(hours=hours))
    )


def _self_signed(given: Values) -> Values:
    key, name = _loaded(given["privateKeyPem"]), _subject(given)
    builder = _certificate(name, name, key.public_key(), given["validityPeriodHours"])
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return {"certPem": builder.sign(key, hashes.SHA256()).public_bytes(_PEM).decode()}


def _signed(given: Values) -> Values:
    request = x509.load_pem_x509_csr(given["certRequestPem"].encode())
    authority = x509.load_pem_x509_certificate(given["caCertPem"].encode())
    builder = _certificate(
        request.subject, authority.subject, request.public_key(), given["validityPeriodHours"]
    )
    for extension in request.extensions:
        builder = builder.add_extension(extension.value, critical=extension.critical)
    made = builder.sign(_loaded(given["caPrivateKeyPem"]), hashes.SHA256())
    return {"certPem": made.public_bytes(_PEM).decode()}


@dataclass(kw_only=True)
class Commands(Provider):
    """The command provider: runs the product's own commands where the engine runs."""

    ran: list[Values] = field(default_factory=list[Values])
    launch: Launch | None = None

    def configure(self, launch: Launch, values: Values) -> None:
        """Take what the engine gives a plugin: its folder, its environment."""
        del values
        self.launch = launch

    def compare(self, thing: Thing, before: Values, state: Values) -> Changes:
        """Triggers replace; all else runs the command again."""
        del state
        return compare(before, thing.inputs, frozenset({"triggers"}))

    def create(self, thing: Thing) -> tuple[str, Values]:
        """Run it."""
        return thing.name, self._run(thing, thing.inputs["create"])

    def update(self, thing: Thing, before: Values) -> Values:
        """Run what is for updates, else the same again."""
        del before
        return self._run(thing, thing.inputs.get("update") or thing.inputs["create"])

    def delete(self, thing: Thing) -> None:
        """Run what is for the end, if anything."""
        if thing.inputs.get("delete"):
            self._run(thing, thing.inputs["delete"])

    def _run(self, thing: Thing, command: str) -> Values:
        given = thing.inputs
        self.ran.append({"name": thing.name, **given})
        launch = self.launch
        if launch is None:
            raise AssertionError("a command before the plugin was set up")
        done = subprocess.run(
            [*(given.get("interpreter") or ["/bin/sh", "-c"]), command],
            env={**launch.variables, **given.get("environment", {})},
            cwd=given.get("dir") or launch.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise Refused(f"exit status {done.returncode}: {done.stderr.strip()}")
        return {**given, "stdout": done.stdout.rstrip("\n"), "stderr": done.stderr}


@dataclass(kw_only=True)
class Images(Provider):
    """Both image providers: what was built and where it was pushed to, by name."""

    built: list[Values]

    def create(self, thing: Thing) -> tuple[str, Values]:
        """Note the build."""
        self.built.append({"typ": thing.typ, "name": thing.name, **thing.inputs})
        name = thing.inputs.get("imageName") or thing.inputs["tags"][0]
        return thing.name, {
            **thing.inputs,
            "imageName": name,
            "repoDigest": f"{name}@sha256:{'0' * 64}",
            "ref": name,
            "digest": f"sha256:{'0' * 64}",
        }

    def update(self, thing: Thing, before: Values) -> Values:
        """Build again."""
        del before
        return self.create(thing)[1]

    def delete(self, thing: Thing) -> None:
        """Leave the image where it is."""

    def call(self, token: str, arguments: Values) -> Values:
        """Look an image up in its registry."""
        if token.endswith("getRegistryImage"):
            return {**arguments, "sha256Digest": f"sha256:{'1' * 64}", "id": arguments["name"]}
        return super().call(token, arguments)


@dataclass(kw_only=True)
class Kubernetes(Provider):
    """The Kubernetes provider: objects in the fake API server, charts in a list."""

    api: ApiServer
    charts: dict[str, Values]
    away: Callable[[], bool] = lambda: False
    """Whether the cluster is gone."""
    settings: Values = field(default_factory=dict[str, Any])
    launch: Launch | None = None

    def configure(self, launch: Launch, values: Values) -> None:
        """Take the kubeconfig: its server must be this cluster."""
        self.launch, self.settings = launch, values

    def settings_change(self, before: Values, after: Values) -> Changes:
        """Another cluster replaces all that is in it."""
        return compare(before, after, frozenset({"clusterIdentifier"}))

    def create(self, thing: Thing) -> tuple[str, Values]:
        """Make an object; one that is there is refused, unless this provider takes over."""
        self._reach()
        if thing.typ.endswith(":Release"):
            self.charts[thing.inputs["name"]] = thing.inputs
            return thing.inputs["name"], thing.inputs
        kind, metadata = kind_of(thing.inputs), thing.inputs["metadata"]
        namespace = metadata.get("namespace")
        with self.api.lock:
            spaces = {item["metadata"]["name"] for item in self.api.of("namespaces")}
            if kind.namespaced and namespace not in {*spaces, "kube-system", "default"}:
                raise Refused(f'namespaces "{namespace}" not found')
            there = [
                item
                for item in self.api.of(kind.plural)
                if item["metadata"]["name"] == metadata["name"]
                and item["metadata"].get("namespace") == namespace
            ]
            if there and not self._takes_over():
                raise Refused(f'{kind.plural} "{metadata["name"]}" already exists')
            self._apply(thing)
        made = f"{namespace}/{metadata['name']}" if namespace else metadata["name"]
        return made, thing.inputs

    def update(self, thing: Thing, before: Values) -> Values:
        """Apply an object."""
        del before
        self._reach()
        if thing.typ.endswith(":Release"):
            self.charts[thing.inputs["name"]] = thing.inputs
        else:
            self._apply(thing)
        return thing.inputs

    def compare(self, thing: Thing, before: Values, state: Values) -> Changes:
        """Compare objects; what never changes in one replaces it."""
        del state
        changes = compare(before, thing.inputs)
        replaces = {"metadata"} if _identity(before) != _identity(thing.inputs) else set[str]()
        if thing.inputs.get("immutable") and "data" in changes.keys:
            replaces.add("data")
        if thing.inputs.get("kind") == "PersistentVolumeClaim":
            was, now = before.get("spec", {}), thing.inputs.get("spec", {})
            fixed = ("storageClassName", "accessModes", "volumeName")
            if any(was.get(key) != now.get(key) for key in fixed):
                replaces.add("spec")
        return Changes(
            keys=changes.keys, replaces=frozenset(replaces), deletes_first=bool(replaces)
        )

    def delete(self, thing: Thing) -> None:
        """Delete an object."""
        self._reach()
        if thing.typ.endswith(":Release"):
            self.charts.pop(thing.inputs["name"], None)
            return
        kind, metadata = kind_of(thing.inputs), thing.inputs["metadata"]
        try:
            self.api.delete(kind, metadata.get("namespace"), metadata["name"], {})
        except RefusedRequest as error:
            if error.status != 404:
                raise Refused(str(error)) from None

    def _apply(self, thing: Thing) -> None:
        item = {key: value for key, value in thing.inputs.items() if not key.startswith("__")}
        self.api.apply(kind_of(item), item, "pulumi", force=True)

    def _takes_over(self) -> bool:
        by_setting = self.settings.get("upsertExistingObjects") in {True, "true"}
        return by_setting or (
            self.launch is not None
            and "PULUMI_K8S_UPSERT_EXISTING_OBJECTS" in self.launch.variables
        )

    def _reach(self) -> None:
        given = self.settings.get("kubeconfig")
        if not given or given == UNKNOWN:
            raise Refused("unable to load Kubernetes client configuration: no kubeconfig")
        content = cast("Any", yaml.safe_load(given))
        server = content["clusters"][0]["cluster"]["server"]
        if server != self.api.address or self.away():
            raise Refused(f"configured Kubernetes cluster is unreachable: {server}")


def _identity(inputs: Values) -> tuple[Any, ...]:
    metadata = inputs.get("metadata", {})
    return inputs.get("kind"), metadata.get("namespace"), metadata.get("name")
