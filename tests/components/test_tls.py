"""Certificates: self-signed in every namespace, or Let's Encrypt through cert-manager."""

from __future__ import annotations

import base64
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from components.tls import CertManager, CertManagerArgs, SelfSigned, SelfSignedArgs
from fleet.alicloud.config_access import Certificates
from tests.support.cloud_world import OUTPUTS, PRIVATE_PEM
from tests.support.policy import keys_are_secret
from tests.support.recording import Engine, run


def _self_signed() -> Engine:
    def program() -> None:
        opts = pulumi.ResourceOptions(providers=[k8s.Provider("cluster", kubeconfig="{}")])
        args = SelfSignedArgs(hosts=("*.fleet.example.com",))
        made = SelfSigned("fleet-test", args, opts)
        pulumi.export("authority", made.authority)
        pulumi.export("secret", made.secret.data)

    return run(program, Engine(outputs=OUTPUTS))


def _issuer(**changes: Any) -> Engine:
    def program() -> None:
        opts = pulumi.ResourceOptions(providers=[k8s.Provider("cluster", kubeconfig="{}")])
        wanted = Certificates.model_validate({"email": "ops@example.com", **changes})
        args = CertManagerArgs(certificates=wanted, issuer="fleet")
        pulumi.export("issuer", CertManager("fleet-test", args, opts).issuer)

    return run(program, Engine(outputs=OUTPUTS))


def test_the_certificate_comes_with_its_authority_and_its_key_stays_secret() -> None:
    made = _self_signed()
    texts = {key: base64.b64decode(text).decode() for key, text in made.exports["secret"].items()}
    assert texts == {"tls.crt": "CERTIFICATEAUTHORITY", "tls.key": PRIVATE_PEM}
    assert "secret" in made.secret_exports
    assert list(keys_are_secret(made.resources)) == []


def test_the_certificate_is_for_the_hosts_and_browsers_accept_its_age() -> None:
    made = _self_signed()
    assert made.one("CertRequest").inputs["dnsNames"] == ["*.fleet.example.com"]
    signed = made.one("LocallySignedCert").inputs
    assert signed["validityPeriodHours"] <= 398 * 24
    assert 0 < signed["earlyRenewalHours"] < signed["validityPeriodHours"]
    assert "server_auth" in signed["allowedUses"]


def test_the_authority_signs_and_is_public() -> None:
    made = _self_signed()
    authority = made.one("SelfSignedCert").inputs
    assert authority["isCaCertificate"] is True
    assert authority["allowedUses"] == ["cert_signing", "crl_signing"]
    assert made.exports["authority"] == "AUTHORITY"
    assert "authority" not in made.secret_exports


def test_lets_encrypt_proves_by_http_unless_told_otherwise() -> None:
    made = _issuer()
    acme = made.one("kubernetes:cert-manager.io/v1:ClusterIssuer").inputs["spec"]["acme"]
    assert acme["server"] == "https://acme-v02.api.letsencrypt.org/directory"
    assert acme["email"] == "ops@example.com"
    assert acme["solvers"] == [{"http01": {"ingress": {"ingressClassName": "traefik"}}}]
    assert made.exports["issuer"] == "fleet"


def test_a_try_uses_the_staging_service() -> None:
    acme = _issuer(staging=True).one("ClusterIssuer").inputs["spec"]["acme"]
    assert "staging" in acme["server"]


def test_proof_by_dns_names_the_webhook_and_the_secret() -> None:
    dns01 = {"groupName": "acme.example.com", "secretName": "alidns"}
    acme = _issuer(dns01=dns01).one("ClusterIssuer").inputs["spec"]["acme"]
    webhook = acme["solvers"][0]["dns01"]["webhook"]
    assert webhook["groupName"] == "acme.example.com"
    assert webhook["config"]["accessKeySecretRef"] == {"name": "alidns", "key": "secret-key"}


def test_the_issuer_waits_for_the_chart_that_brings_its_kind() -> None:
    made = _issuer()
    assert made.one("Release").urn in made.one("ClusterIssuer").options.depends_on
    assert made.one("Release").inputs["values"]["crds"] == {"enabled": True, "keep": True}
