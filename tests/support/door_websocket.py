"""A websocket client of a few lines: its handshake is written by hand, so that any can be tried.

Short because the library the project has decides too much of the handshake by itself.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Mapping


def handshake(connection: socket.socket, host: str, path: str, headers: Mapping[str, str]) -> int:
    """Ask for a websocket and return the status of the answer."""
    sent = {
        "Host": host,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
    } | dict(headers)
    text = "".join(f"{key}: {value}\r\n" for key, value in sent.items())
    connection.sendall(f"GET {path} HTTP/1.1\r\n{text}\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        piece = connection.recv(1)
        if not piece:
            return 0
        head += piece
    return int(head.split(b" ", 2)[1])


def frame(opcode: int, data: bytes) -> bytes:
    """Return one masked frame, as browsers write it."""
    mask = os.urandom(4)
    size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + struct.pack(">H", len(data))
    body = bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))
    return bytes([0x80 | opcode]) + size + mask + body


def receive(connection: socket.socket, length: int) -> bytes:
    """Return exactly so many bytes, fewer where the connection ends."""
    data = b""
    while len(data) < length and (piece := connection.recv(length - len(data))):
        data += piece
    return data
