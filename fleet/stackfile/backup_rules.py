"""Rules between the keys of `backup:`, and which secrets it needs.

Short because they are few; apart so that `rules` need not know them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from urllib.parse import urlsplit

from fleet.errors import Problem
from fleet.stackfile.backup import Backup
from fleet.values.ranges import METADATA, overlaps_private

_WIDEST = 2**16


def backup_problems(backup: Backup | None) -> Iterator[Problem]:
    """Yield the broken rules of `backup:`."""
    if backup is None:
        return
    repository, keep = backup.repository, backup.keep
    given = [key for key in ("s3", "nfs", "claim") if getattr(repository, key) is not None]
    if len(given) != 1:
        yield Problem(
            "backup.repository",
            " and ".join(given) or "empty",
            "backups go to exactly one of s3, nfs and claim",
            "write one, e.g. s3: https://oss-cn-hangzhou.aliyuncs.com/my-bucket/fleet",
        )
    if not (keep.daily or keep.weekly or keep.monthly):
        rule = "of every user some backup stays"
        yield Problem("backup.keep", "0, 0 and 0", rule, "raise one of daily, weekly, monthly")
    yield from _ranges(backup)


def _ranges(backup: Backup) -> Iterator[Problem]:
    for index, value in enumerate(backup.allow):
        key, network = f"backup.allow[{index}]", ipaddress.ip_network(value)
        if backup.repository.s3 is None:
            yield Problem(key, value, "it only counts with repository.s3", "remove it")
        elif not overlaps_private(value):
            yield Problem(key, value, "public addresses are reachable already", "remove it")
        elif network.num_addresses > _WIDEST:
            rule = "private stores are allowed one by one, at most a /16 (IPv6: a /112)"
            yield Problem(key, value, rule, "name the store's own network, e.g. 10.1.2.3/32")
        elif any(_holds(network, address) for address in METADATA):
            rule = (
                "it holds the cloud's metadata address, which hands out the machine's credentials"
            )
            yield Problem(key, value, rule, "name the store's own network, e.g. 100.118.28.0/24")
    host = urlsplit(backup.repository.s3 or "").hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return
    if overlaps_private(str(address)) and not any(
        address in ipaddress.ip_network(item) for item in backup.allow
    ):
        yield Problem(
            "backup.repository.s3",
            str(backup.repository.s3),
            "backups reach no private address that is not allowed by name",
            f"add {ipaddress.ip_network(host)} under backup.allow",
        )


def _holds(network: ipaddress.IPv4Network | ipaddress.IPv6Network, address: str) -> bool:
    other = ipaddress.ip_network(address)
    return network.version == other.version and network.overlaps(other)


def backup_secrets(backup: Backup | None) -> Iterator[tuple[str, str, bool]]:
    """Yield the places that name a secret: key, the secret's name, whether it must be there."""
    if backup is None:
        return
    yield "backup.passwordSecret", backup.password_secret, True
    needed = backup.repository.s3 is not None
    yield "backup.accessKeyId", backup.access_key_id, needed
    yield "backup.secretAccessKey", backup.secret_access_key, needed
