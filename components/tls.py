"""Certificates for the workspaces: self-signed, or cert-manager with Let's Encrypt.

Leaves out: a certificate of your own (`access.tls: secret`), which only has to lie in the cluster,
and the copies of a certificate in the pools' namespaces (`pool`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as k8s
import pulumi_tls as tls

from fleet.alicloud.config_access import Certificates
from fleet.manifests.pool import SharedSecret
from fleet.manifests.user import secret_text
from fleet.names import SELF_SIGNED_SECRET

_DAY = 24
_AUTHORITY_HOURS = 10 * 365 * _DAY
# Browsers refuse server certificates that live longer than 398 days.
_CERTIFICATE_HOURS, _RENEWAL_HOURS = 397 * _DAY, 30 * _DAY
_LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"
_LETS_ENCRYPT_STAGING = "https://acme-staging-v02.api.letsencrypt.org/directory"


@dataclass(frozen=True, kw_only=True, slots=True)
class SelfSignedArgs:
    """For which hosts."""

    hosts: tuple[str, ...]


class SelfSigned(pulumi.ComponentResource):
    """A certificate authority of this environment alone, and one certificate for its hosts."""

    authority: pulumi.Output[str]
    """The authority's certificate (PEM), for users to trust."""
    secret: SharedSecret
    """The certificate with its key, for every pool."""

    def __init__(
        self, name: str, args: SelfSignedArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("opencode-fleet:tls:SelfSigned", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        root_key = _key(f"{name}-authority-key", child)
        root = tls.SelfSignedCert(
            f"{name}-authority",
            private_key_pem=root_key.private_key_pem,
            is_ca_certificate=True,
            subject={"common_name": f"{name} authority", "organization": "opencode-fleet"},
            allowed_uses=["cert_signing", "crl_signing"],
            validity_period_hours=_AUTHORITY_HOURS,
            opts=child,
        )
        key = _key(f"{name}-certificate-key", child)
        request = tls.CertRequest(
            f"{name}-certificate-request",
            private_key_pem=key.private_key_pem,
            subject={"common_name": name, "organization": "opencode-fleet"},
            dns_names=list(args.hosts),
            opts=child,
        )
        certificate = tls.LocallySignedCert(
            f"{name}-certificate",
            cert_request_pem=request.cert_request_pem,
            ca_private_key_pem=root_key.private_key_pem,
            ca_cert_pem=root.cert_pem,
            allowed_uses=["digital_signature", "key_encipherment", "server_auth"],
            validity_period_hours=_CERTIFICATE_HOURS,
            early_renewal_hours=_RENEWAL_HOURS,
            opts=child,
        )
        chain = pulumi.Output.concat(certificate.cert_pem, root.cert_pem)
        self.secret = SharedSecret(
            name=SELF_SIGNED_SECRET,
            type="kubernetes.io/tls",
            data={
                "tls.crt": pulumi.Output.secret(chain).apply(secret_text),
                "tls.key": pulumi.Output.secret(key.private_key_pem).apply(secret_text),
            },
        )
        self.authority = pulumi.Output.unsecret(root.cert_pem)
        self.register_outputs({"authority": self.authority})


@dataclass(frozen=True, kw_only=True, slots=True)
class CertManagerArgs:
    """Whose certificates, proven how."""

    certificates: Certificates
    issuer: str
    ingress_class: str = "traefik"


class CertManager(pulumi.ComponentResource):
    """cert-manager, and a cluster issuer of Let's Encrypt."""

    issuer: pulumi.Output[str]
    """The ClusterIssuer's name."""

    def __init__(
        self, name: str, args: CertManagerArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("opencode-fleet:tls:CertManager", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        release = k8s.helm.v3.Release(
            f"{name}-cert-manager",
            name="cert-manager",
            chart="cert-manager",
            version=args.certificates.chart_version,
            repository_opts={"repo": "https://charts.jetstack.io"},
            namespace="cert-manager",
            create_namespace=True,
            # Kinds that go with the chart would take every certificate along.
            values={"crds": {"enabled": True, "keep": True}},
            opts=child,
        )
        issuer = k8s.apiextensions.CustomResource(
            f"{name}-issuer",
            api_version="cert-manager.io/v1",
            kind="ClusterIssuer",
            metadata={"name": args.issuer},
            spec=issuer_spec(args),
            # No data connects them: the kind exists once the chart is installed.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[release]),
        )
        # Whoever uses the name waits for the issuer.
        self.issuer = issuer.id.apply(lambda _: args.issuer)
        self.register_outputs({"issuer": self.issuer})


def issuer_spec(args: CertManagerArgs) -> dict[str, Any]:
    """Return the spec of the ClusterIssuer: an ACME account and one way to prove a name."""
    wanted = args.certificates
    solver: dict[str, Any]
    if wanted.dns01 is None:
        solver = {"http01": {"ingress": {"ingressClassName": args.ingress_class}}}
    else:
        secret = wanted.dns01.secret_name
        solver = {
            "dns01": {
                "webhook": {
                    "groupName": wanted.dns01.group_name,
                    "solverName": "alidns",
                    "config": {
                        "accessKeyIdRef": {"name": secret, "key": "access-key"},
                        "accessKeySecretRef": {"name": secret, "key": "secret-key"},
                    },
                }
            }
        }
    return {
        "acme": {
            "server": _LETS_ENCRYPT_STAGING if wanted.staging else _LETS_ENCRYPT,
            "email": wanted.email,
            "privateKeySecretRef": {"name": f"{args.issuer}-account"},
            "solvers": [solver],
        }
    }


def _key(name: str, opts: pulumi.ResourceOptions) -> tls.PrivateKey:
    return tls.PrivateKey(name, algorithm="ECDSA", ecdsa_curve="P256", opts=opts)
