"""Why a cluster does not answer: one reason and what to do about it, for each way it can be away.

Decided by types and codes; the wording of a library is not ours to depend on. Leaves out: asking.
"""

from __future__ import annotations

import errno
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

from urllib3.exceptions import (
    ConnectTimeoutError,
    NameResolutionError,
    ProxyError,
    ReadTimeoutError,
)
from websocket import WebSocketTimeoutException

from fleet.cluster.untrusted import one_line

T = TypeVar("T")

# OpenSSL's codes of a certificate that is for another name or address, and of one out of its time.
_OTHER_NAME = frozenset({62, 64})
_EXPIRED = frozenset({9, 10})
_LATE = (ConnectTimeoutError, ReadTimeoutError, WebSocketTimeoutException, TimeoutError)
_CHECK = "check the server's address in your kubeconfig"
_START = "start the cluster (make up starts the bundled one) and run this again"


def within(seconds: float, work: Callable[[], T], late: Exception) -> T:
    """Return what `work` returns; raise `late` when it takes longer, and leave it behind."""
    done: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(work())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not done:
        raise late
    return done[0]


def why_away(error: BaseException, server: str) -> tuple[str, str]:
    """Return the reason of a connection that failed, and what to do about it."""
    host = one_line(server.partition("://")[2].partition("/")[0], 80)
    chain = list(_chain(error))
    # urllib3 calls a refused connection a kind of timeout: the machine's own word comes first.
    for tell in (_tls, _names, _machine, _late):
        for link in chain:
            told = tell(link, host)
            if told is not None:
                return told
    return one_line(str(error), 200), _CHECK


def _names(link: BaseException, host: str) -> tuple[str, str] | None:
    if isinstance(link, NameResolutionError):
        return f"no such host: {host}", _CHECK
    if isinstance(link, ProxyError):
        return f"the proxy does not let us through to {host}", "check HTTPS_PROXY and NO_PROXY"
    return None


def _machine(link: BaseException, host: str) -> tuple[str, str] | None:
    if not isinstance(link, OSError) or not link.strerror:
        return None
    if link.errno == errno.ECONNREFUSED:
        return f"connection refused by {host}", _START
    return one_line(f"{host}: {link.strerror}"), _CHECK


def _late(link: BaseException, host: str) -> tuple[str, str] | None:
    if not isinstance(link, _LATE):
        return None
    return f"no answer from {host} in time", f"{_CHECK}, and whether the network reaches it"


def _tls(link: BaseException, host: str) -> tuple[str, str] | None:
    if not isinstance(link, ssl.SSLError):
        return None
    if not isinstance(link, ssl.SSLCertVerificationError):
        return f"no TLS with {host}: {one_line(link.reason or str(link), 80)}", _CHECK
    if link.verify_code in _OTHER_NAME:
        change = f"{_CHECK}, or give tls-server-name there"
        return f"the certificate of {host} is for another name", change
    if link.verify_code in _EXPIRED:
        return f"the certificate of {host} is out of its time", "renew it, or set the clock"
    return (
        f"the certificate of {host} is signed by an unknown authority:"
        f" {one_line(link.verify_message, 80)}",
        "it is another cluster than your kubeconfig has, or one made anew: fetch its kubeconfig"
        " again",
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it comes from, outermost first."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        link = waiting.pop(0)
        if id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        waiting += [item for item in link.args if isinstance(item, BaseException)]
        waiting += [item for item in (link.__cause__, link.__context__) if item is not None]
