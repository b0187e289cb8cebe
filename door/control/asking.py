"""A request as it was sent to the door, whoever hands it on, and what may be read from it.

Owns: the host without its port, the caller's address, one header that must be one, what a person's
browser opens as a page, which paths may follow a sign-in. Headers named `X-Door-…` are nginx's:
it sets or removes every one of them (`door/nginx/`).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

_LONGEST_PATH = 4000
# Visible ASCII but the backslash: browsers read `\` as `/`, and drop tabs and line ends.
_PATH = re.compile(r"/(?!/)[!-\[\]-~]*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What somebody asked."""

    host: str
    """In lower case, without the port."""
    method: str
    uri: str
    """Path and query, as typed."""
    headers: Headers
    address: str
    """Who sent it: the nearest address that is no trusted proxy's."""
    hops: tuple[str, ...] = ()
    """Every address it is known to have come through: who connected, and on to `address`."""

    @property
    def path(self) -> str:
        """The path, as typed."""
        return self.uri.partition("?")[0]

    def one(self, name: str) -> str | None:
        """Return a header that is there exactly once; twice is as good as none."""
        values = self.headers.getlist(name)
        return values[0] if len(values) == 1 else None

    @property
    def upgrade(self) -> bool:
        """Whether the connection is to become a websocket, or anything else."""
        return "x-door-upgrade" in self.headers

    @property
    def reads(self) -> bool:
        """Whether the method changes nothing."""
        return self.method in {"GET", "HEAD"}

    @property
    def opens_page(self) -> bool:
        """Whether a person's browser opens a page of its own with it, not part of another."""
        if self.method != "GET" or self.upgrade:
            return False
        mode = self.headers.get("sec-fetch-mode")
        if mode is not None:
            return mode == "navigate" and self.headers.get("sec-fetch-dest") == "document"
        return self.reads_pages

    @property
    def reads_pages(self) -> bool:
        """Whether an answer may be a page: a browser asks and understands HTML."""
        return self.from_browser and "text/html" in self.headers.get("accept", "")

    @property
    def from_browser(self) -> bool:
        """Whether a browser sends it, which must never be asked for Basic credentials.

        Node's `fetch` sends `Sec-Fetch-Mode` alone, and is no browser.
        """
        return self.marked_by_browser or self.headers.get("user-agent", "").startswith("Mozilla/")

    @property
    def marked_by_browser(self) -> bool:
        """Whether a header is there that only browsers set, and no page can remove."""
        return "sec-fetch-site" in self.headers or "sec-fetch-dest" in self.headers


def read_asked(scope: Scope, trusted: Iterable[str]) -> Asked:
    """Return what was asked: what nginx says of it, else what the connection says."""
    headers = Headers(scope=scope)
    query = scope["query_string"].decode("latin-1")
    path = scope.get("raw_path", scope["path"].encode()).decode("latin-1")
    client = scope.get("client")
    hops = _hops(
        headers.get("x-door-peer", client[0] if client else ""),
        ",".join(headers.getlist("x-forwarded-for")),
        trusted,
    )
    return Asked(
        host=_host(headers),
        method=headers.get("x-door-method", scope["method"]),
        uri=headers.get("x-door-uri", path + ("?" + query if query else "")),
        headers=headers,
        address=hops[-1],
        hops=hops,
    )


def within_any(text: str, ranges: Iterable[str]) -> bool:
    """Return whether a text is an address of one of the ranges."""
    if not _is_address(text):
        return False
    address = ipaddress.ip_address(text)
    return any(address in ipaddress.ip_network(one, strict=False) for one in ranges)


def local_path(text: str | None) -> str:
    """Return a path with its query that stays on this host; `/` for anything else."""
    if text is None or len(text) > _LONGEST_PATH or not _PATH.fullmatch(text):
        return "/"
    parts = urlsplit(text)
    return "/" if parts.scheme or parts.netloc else text


def _host(headers: Headers) -> str:
    host = headers.get("x-door-host") or headers.get("host", "")
    return re.sub(r":\d*$", "", host).lower().removesuffix(".")


def _hops(peer: str, forwarded: str, trusted: Iterable[str]) -> tuple[str, ...]:
    """Return the hops that are known; what a proxy says counts as far as it is trusted."""
    ranges = tuple(trusted)
    hops = [peer]
    # A list of hops grows to the right.
    for hop in reversed([part.strip() for part in forwarded.split(",")]):
        if not _is_address(hop) or not within_any(hops[-1], ranges):
            break
        hops.append(hop)
    return tuple(hops)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
