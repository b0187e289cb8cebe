"""Run inside of pods and namespaces: listen on ports, or try connections. Needs only Python.

`knock.py listen` answers on what standard input names, `knock.py try` prints which connections were
answered; both read JSON: [["TCP", "10.0.0.1", 443], …].
"""

from __future__ import annotations

import json
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

SECONDS = 1.5
TRIES = 2


def listen(protocol: str, address: str, port: int) -> None:
    """Answer on a port for ever. UDP must bind the very address: it answers from any otherwise."""
    kind = socket.SOCK_STREAM if protocol == "TCP" else socket.SOCK_DGRAM
    server = socket.socket(socket.AF_INET, kind)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((address, port))
    if protocol == "TCP":
        server.listen(64)
    while True:
        if protocol == "TCP":
            connection, _ = server.accept()
            connection.close()
        else:
            _, sender = server.recvfrom(64)
            server.sendto(b"here", sender)


def knock(row: list[str | int], source: str | None) -> bool:
    """Return whether a connection is answered; a refused one is not."""
    protocol, address, port = str(row[0]), str(row[1]), int(row[2])
    kind = socket.SOCK_STREAM if protocol == "TCP" else socket.SOCK_DGRAM
    for _ in range(TRIES):
        with socket.socket(socket.AF_INET, kind) as client:
            client.settimeout(SECONDS)
            try:
                if source:
                    client.bind((source, 0))
                client.connect((address, port))
                if protocol == "TCP":
                    return True
                client.send(b"there?")
                return client.recv(64) == b"here"
            except OSError:
                continue
    return False


def main() -> None:
    """Do what the first argument says; a second one is the address to come from."""
    rows: list[Any] = json.load(sys.stdin)
    if sys.argv[1] == "listen":
        for row in rows:
            threading.Thread(target=listen, args=row).start()
        return
    source = sys.argv[2] if len(sys.argv) > 2 else None
    with ThreadPoolExecutor(32) as pool:
        answers = pool.map(knock, rows, [source] * len(rows))
        print(json.dumps(list(answers)))  # noqa: T201 - the result


if __name__ == "__main__":
    main()
