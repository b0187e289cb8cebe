"""Certificates: authorities of our own and what they issue, all with elliptic-curve keys.

Files are written whole, keys readable by their owner only. Which certificates exist is decided in
credentials.py.
"""

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_DAYS = 3650
LEAF_DAYS = 365
# A cluster started anew has at least this long before a certificate runs out under it.
RENEW_DAYS = 90


@dataclass(frozen=True, slots=True)
class Subject:
    """Who a certificate is for: name, groups (the O of a name, to Kubernetes), server addresses."""

    name: str
    groups: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()


def write_private(path: Path, content: bytes) -> None:
    """Write a file that never exists half-written nor readable by anybody else."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    part.replace(path)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    # SEC1 ("EC PRIVATE KEY"): the API server's service-account signer reads it, as all others do.
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        message = f"{path}: not an elliptic-curve key"
        raise TypeError(message)
    return key


def _name(subject: Subject) -> x509.Name:
    groups = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in subject.groups]
    return x509.Name([*groups, x509.NameAttribute(NameOID.COMMON_NAME, subject.name)])


def _alternative(address: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(address))
    except ValueError:
        return x509.DNSName(address)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # Clocks of virtual machines step back a little after a resume.
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=days))
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def ensure_key_pair(private: Path, public: Path) -> None:
    """Make the key pair that signs service account tokens, once."""
    if private.exists() and public.exists():
        return
    key = ec.generate_private_key(ec.SECP256R1())
    write_private(private, _key_pem(key))
    encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    write_private(public, key.public_key().public_bytes(encoding, form))


class Authority:
    """A certificate authority in a folder: `NAME.crt` and `NAME.key`, made once."""

    def __init__(self, folder: Path, name: str) -> None:
        self.certificate = folder / f"{name}.crt"
        self.key = folder / f"{name}.key"
        self._folder = folder
        if not (self.certificate.exists() and self.key.exists()):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._create(f"opencode-fleet local cluster {name}")

    def _create(self, common_name: str) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(Subject(common_name))
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        certificate = (
            _builder(subject, subject, key, AUTHORITY_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(authority=True), critical=True)
            .add_extension(identifier, critical=False)
            .sign(key, hashes.SHA256())
        )
        write_private(self.key, _key_pem(key))
        write_private(self.certificate, certificate.public_bytes(serialization.Encoding.PEM))

    def _good(self, path: Path, subject: Subject) -> bool:
        if not (path.exists() and path.with_suffix(".key").exists()):
            return False
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        issuer = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        late = datetime.now(UTC) + timedelta(days=RENEW_DAYS)
        try:
            certificate.verify_directly_issued_by(issuer)
            extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
            addresses = list(extension.value)
        except x509.ExtensionNotFound:
            addresses = []
        except (InvalidSignature, TypeError, ValueError):
            return False
        wanted = [_alternative(address) for address in subject.addresses]
        named = certificate.subject == _name(subject) and addresses == wanted
        return named and certificate.not_valid_after_utc > late

    def issue(self, name: str, subject: Subject) -> tuple[Path, Path]:
        """The certificate and key files `NAME.crt`, `NAME.key`, issued anew only if they must be.

        That is: missing, for another subject or authority, or within RENEW_DAYS of expiry.
        """
        path = self._folder / f"{name}.crt"
        if self._good(path, subject):
            return path, path.with_suffix(".key")
        issuer = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        key = ec.generate_private_key(ec.SECP256R1())
        uses = [ExtendedKeyUsageOID.CLIENT_AUTH]
        if subject.addresses:
            uses.append(ExtendedKeyUsageOID.SERVER_AUTH)
        builder = (
            _builder(_name(subject), issuer.subject, key, LEAF_DAYS)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        )
        if subject.addresses:
            names = x509.SubjectAlternativeName([_alternative(a) for a in subject.addresses])
            builder = builder.add_extension(names, critical=False)
        certificate = builder.sign(_load_key(self.key), hashes.SHA256())
        write_private(path.with_suffix(".key"), _key_pem(key))
        write_private(path, certificate.public_bytes(serialization.Encoding.PEM))
        return path, path.with_suffix(".key")
