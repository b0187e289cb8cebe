"""Addresses of the world, as a network namespace on the cluster's only node, which is this machine.

Only the pods that are named see them; the machine's own traffic to the real ones is not touched.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

KNOCK = Path(__file__).with_name("knock.py")
_NAME, _NEAR, _FAR = "fleet-e2e", "fleet-e2e0", "fleet-e2e1"
# Link-local addresses that no cloud uses for a service; they mean nothing beyond this link.
_NEAR_ADDRESS, _FAR_ADDRESS = "169.254.77.1", "169.254.77.2"
_TABLE = "40961"


def _ip(*words: str, check: bool = True) -> str:
    done = subprocess.run(["/sbin/ip", *words], capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, f"ip {' '.join(words)}: {done.stderr.strip()}"
    return done.stdout


def is_here(address: str) -> bool:
    """Return whether an address is one of this machine's, and we may change its network."""
    links: list[dict[str, Any]] = json.loads(_ip("-j", "address"))
    mine = {one["local"] for link in links for one in link["addr_info"]}
    return os.geteuid() == 0 and address in mine


def can_stand_for(address: str) -> bool:
    """Return whether an address can be put into the namespace: of IPv4, for one machine."""
    found = ip_address(address)
    return found.version == 4 and not found.is_loopback and not found.is_multicast


@dataclass(kw_only=True)
class Outside:
    """The namespace with the addresses in it."""

    addresses: Collection[str]
    listener: subprocess.Popen[str] | None = None

    def listen(self, ports: Sequence[tuple[str, int]]) -> None:
        """Answer on (protocol, port) on every address."""
        command = ["/sbin/ip", "netns", "exec", _NAME, sys.executable, str(KNOCK), "listen"]
        self.listener = subprocess.Popen(command, stdin=subprocess.PIPE, text=True)
        assert self.listener.stdin is not None
        rows = [(protocol, one, port) for one in self.addresses for protocol, port in ports]
        json.dump(rows, self.listener.stdin)
        self.listener.stdin.close()

    def meet(self, pods: Collection[str]) -> None:
        """Let the pods with these addresses and the outside see each other."""
        for pod in pods:
            _ip("rule", "add", "from", pod, "lookup", _TABLE)
            _ip("-n", _NAME, "route", "add", pod, "via", _NEAR_ADDRESS, "dev", _FAR)

    def knock(self, source: str, rows: Sequence[tuple[str, str, int]]) -> list[bool]:
        """Try connections from one of the addresses."""
        done = subprocess.run(
            ["/sbin/ip", "netns", "exec", _NAME, sys.executable, str(KNOCK), "try", source],
            input=json.dumps(rows),
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return json.loads(done.stdout)


@contextmanager
def outside(addresses: Collection[str]) -> Generator[Outside]:
    """Yield a namespace that has `addresses`; all of it is gone afterwards."""
    _remove()
    found = Outside(addresses=addresses)
    try:
        _ip("netns", "add", _NAME)
        _ip("link", "add", _NEAR, "type", "veth", "peer", "name", _FAR, "netns", _NAME)
        _ip("address", "add", f"{_NEAR_ADDRESS}/30", "dev", _NEAR)
        _ip("link", "set", _NEAR, "up")
        _ip("-n", _NAME, "address", "add", f"{_FAR_ADDRESS}/30", "dev", _FAR)
        for link in (_FAR, "lo"):
            _ip("-n", _NAME, "link", "set", link, "up")
        for address in addresses:
            _ip("-n", _NAME, "address", "add", f"{address}/32", "dev", "lo")
            way = ("via", _FAR_ADDRESS, "dev", _NEAR)
            _ip("route", "add", f"{address}/32", *way, "table", _TABLE)
        yield found
    finally:
        if found.listener is not None:
            found.listener.terminate()
            found.listener.wait(10)
        _remove()


def _remove() -> None:
    """Take everything away, also what an ended run left."""
    _ip("rule", "flush", "table", _TABLE, check=False)
    _ip("route", "flush", "table", _TABLE, check=False)
    _ip("link", "del", _NEAR, check=False)
    _ip("netns", "del", _NAME, check=False)
