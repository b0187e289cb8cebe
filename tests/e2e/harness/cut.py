"""A connection to the cluster that a test can cut: a TCP relay and a kubeconfig that uses it."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from tests.e2e.harness.kube import Kube

_PIECE = 65536


@dataclass(kw_only=True)
class Cut:
    """The relay; `now` cuts it for good."""

    kubeconfig: Path
    listener: socket.socket
    target: tuple[str, int]
    open: list[socket.socket] = field(default_factory=list[socket.socket])

    def now(self) -> None:
        """Refuse new connections and reset those that are open."""
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for end in self.open:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def serve(self) -> None:
        """Relay connections until `now`."""
        while True:
            try:
                near, _ = self.listener.accept()
                far = socket.create_connection(self.target, timeout=10)
            except OSError:
                return
            far.settimeout(None)
            self.open += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=_copy, args=(source, sink), daemon=True).start()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(_PIECE):
            sink.sendall(piece)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


@contextmanager
def through(kube: Kube, folder: Path) -> Generator[Cut]:
    """Yield a relay to the cluster, with a kubeconfig of the same context name in `folder`."""
    text = kube.ask("config", "view", "--raw", "--minify", "--flatten", "-o", "json")
    config: dict[str, Any] = json.loads(text)
    cluster = cast("dict[str, str]", config["clusters"][0]["cluster"])
    server = urlsplit(cluster["server"])
    listener = socket.create_server(("127.0.0.1", 0))
    cluster["server"] = f"https://127.0.0.1:{listener.getsockname()[1]}"
    cluster.setdefault("tls-server-name", server.hostname or "")
    file = folder / "kubeconfig"
    file.touch(mode=0o600)
    file.write_text(json.dumps(config), encoding="utf-8")
    target = (server.hostname or "", server.port or 443)
    cut = Cut(kubeconfig=file, listener=listener, target=target)
    thread = threading.Thread(target=cut.serve, daemon=True)
    thread.start()
    try:
        yield cut
    finally:
        cut.now()
        thread.join(5)
        file.unlink()
