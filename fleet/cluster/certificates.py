"""Which certificates of an environment run out soon: those that browsers see, and the operator's.

Nobody meets them before the day they are refused. Leaves out: renewing them (`fleet up` does that
for the environment's own).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import cast

from fleet.cluster.client import Cluster, Live
from fleet.cluster.untrusted import one_line
from fleet.errors import RefusedError
from fleet.names import LABEL_ENVIRONMENT

SOON = timedelta(days=30)
_LONGEST_NAME = 120


@dataclass(frozen=True, kw_only=True, slots=True)
class Expiry:
    """A certificate that runs out soon, or has."""

    what: str
    at: datetime
    change: str

    def line(self, now: datetime) -> str:
        """Return it as one line."""
        days = (self.at - now).days
        when = f"runs out in {days} days" if self.at > now else "has run out"
        return f"{self.what}: {when} ({self.at:%Y-%m-%d}): {self.change}"


def expiring(cluster: Cluster, environment: str, now: datetime | None = None) -> list[Expiry]:
    """Return what runs out within 30 days, the nearest first."""
    now = now or datetime.now(UTC)
    found = [*_served(cluster, environment), *_own(cluster)]
    return sorted((item for item in found if item.at - now < SOON), key=lambda item: item.at)


def _served(cluster: Cluster, environment: str) -> Iterator[Expiry]:
    """Yield the environment's own certificates; copies in several namespaces once."""
    labels, fields = {LABEL_ENVIRONMENT: environment}, {"type": "kubernetes.io/tls"}
    try:
        secrets = cluster.list("secrets", labels=labels, fields=fields)
    except RefusedError:
        # Whoever may look at runtimes need not be allowed to read Secrets.
        return
    seen: set[str] = set()
    for secret in secrets:
        data = cast("dict[str, str]", secret.get("data") or {})
        text = data.get("tls.crt", "")
        at = _end_of(text)
        if at is not None and text not in seen:
            seen.add(text)
            name = one_line(_name(secret), _LONGEST_NAME)
            change = "fleet up renews it in its last 30 days"
            yield Expiry(what=f"certificate {name}", at=at, change=change)


def _own(cluster: Cluster) -> Iterator[Expiry]:
    at = _end_of(cluster.client_certificate() or "")
    if at is not None:
        yield Expiry(
            what="your access to the cluster",
            at=at,
            change="on a machine made here raise cluster.k3s.accessGeneration and run fleet up;"
            " elsewhere fetch a new kubeconfig",
        )


def _name(secret: Live) -> str:
    metadata = secret["metadata"]
    return f"{metadata.get('namespace', '')}/{metadata['name']}"


def _end_of(text: str) -> datetime | None:
    """Return when the first certificate of a PEM in base64 ends; None where there is none."""
    if not text:
        return None
    # Loaded where there is a certificate only: it takes a tenth of a second.
    from cryptography import x509  # noqa: PLC0415

    try:
        return x509.load_pem_x509_certificate(base64.b64decode(text)).not_valid_after_utc
    except (ValueError, binascii.Error):
        return None
