"""A Git server in a pod: a private repository over HTTPS, a token, an authority of its own.

Owns: its certificate, its objects. The program is a few lines of Python in the runtime image.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.e2e.harness.kube import Kube, is_ready
from tests.e2e.harness.waiting import until

TOKEN = "e2e-git-token"  # noqa: S105 - made up
WORK = "private work"
PORT = 8443
_SERVER = f"""
import base64, http.server, os, ssl

class Forge(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        login = "Basic " + base64.b64encode(b"oauth2:{TOKEN}").decode()
        if self.headers.get("Authorization") == login:
            return super().do_GET()
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="forge"')
        self.end_headers()

os.chdir("/tmp/forge")
server = http.server.ThreadingHTTPServer(("0.0.0.0", {PORT}), Forge)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/srv/forge.pem")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""
_LAY = f"""
set -eu
export HOME=/tmp GIT_CONFIG_GLOBAL=/tmp/gitconfig
git config --global user.name forge; git config --global user.email forge@example.com
mkdir -p /tmp/forge /tmp/work; cd /tmp/work; git init -q; echo '{WORK}' > README
git add README; git commit -qm first; git clone -q --bare /tmp/work /tmp/forge/work.git
cd /tmp/forge/work.git; git update-server-info; exec python3 /srv/forge.py
"""


@dataclass(frozen=True, kw_only=True)
class Forge:
    """The Git server."""

    namespace: str
    authority: str
    """Certificate of the authority that signed its own, as PEM."""

    @property
    def host(self) -> str:
        """Its name for workspaces, with the port."""
        return f"forge.{self.namespace}.svc:{PORT}"


def start_forge(kube: Kube, namespace: str, image: str) -> Forge:
    """Start the server in a namespace that is there, and wait until it answers."""
    authority, bundle = _certificates(f"forge.{namespace}.svc")
    meta = {"name": "forge", "namespace": namespace, "labels": {"app": "forge"}}
    data = {"forge.py": _SERVER, "forge.pem": bundle, "lay.sh": _LAY}
    spec: dict[str, Any] = {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
        "containers": [
            {
                "name": "forge",
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                "command": ["bash", "/srv/lay.sh"],
                "readinessProbe": {"tcpSocket": {"port": PORT}},
                "volumeMounts": [{"name": "source", "mountPath": "/srv"}],
            }
        ],
        "volumes": [{"name": "source", "configMap": {"name": "forge"}}],
    }
    service = {"selector": {"app": "forge"}, "ports": [{"port": PORT}]}
    kube.make(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data},
        {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": service},
        {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec},
    )
    until(
        "the forge is ready",
        lambda: (pod := kube.one("pod", "forge", namespace)) and is_ready(pod),
        60,
    )
    return Forge(namespace=namespace, authority=authority)


def _certificates(host: str) -> tuple[str, str]:
    """Return an authority, and a certificate of its with the key, all as PEM."""
    now = datetime.datetime.now(datetime.UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "e2e authority")])
    made: list[str] = []
    for key, subject in zip(keys, ("e2e authority", host), strict=True):
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)])
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(issuer)
        builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(hours=1))
        builder = builder.not_valid_after(now + datetime.timedelta(days=1))
        is_authority = key is keys[0]
        builder = builder.add_extension(
            x509.BasicConstraints(ca=is_authority, path_length=None), critical=True
        )
        if not is_authority:
            names = x509.SubjectAlternativeName([x509.DNSName(host)])
            builder = builder.add_extension(names, critical=False)
        signed = builder.sign(keys[0], SHA256())
        made.append(signed.public_bytes(Encoding.PEM).decode())
    form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return made[0], made[1] + keys[1].private_bytes(*form).decode()
