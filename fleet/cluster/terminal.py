"""A shell in a container, with the operator's terminal as its own.

Owns: the terminal's raw mode and its size, the channels of an exec with a TTY. Leaves out: how a
connection is made (`execution`). What a container prints goes to the terminal as it comes: that is
what a shell is for, and whoever opens one knows whose files it shows.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import sys
import termios
import tty
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import websocket

from fleet.cluster.execution import RESIZE, STDIN, STDOUT, Heard, ended, open_exec, receive
from fleet.errors import ClusterError

if TYPE_CHECKING:
    from fleet.cluster.connection import Connection

_PIECE = 16 * 1024
_LOOK = 1.0


def attach(
    connection: Connection, namespace: str, pod: str, container: str, command: Sequence[str]
) -> int:
    """Run a command on this terminal and return its exit code.

    Raises ClusterError when standard input is no terminal, or the connection is cut.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ClusterError(f"pod {namespace}/{pod}: a shell needs a terminal: give a command")
    words = [("stdin", "true"), ("stdout", "true"), ("tty", "true"), ("container", container)]
    words += [("command", word) for word in command]
    socket = open_exec(connection, namespace, pod, words)
    try:
        with _raw():
            heard = _talk(socket)
        return ended(heard, f"pod {namespace}/{pod}: {command[0]}").code
    except (websocket.WebSocketException, OSError) as error:
        raise connection.away(error) from None
    finally:
        socket.shutdown()


@contextmanager
def _raw() -> Generator[None]:
    """Hand every key to the other side, Ctrl-C too; give the terminal back as it was."""
    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setraw(sys.stdin)
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _talk(socket: websocket.WebSocket) -> Heard:
    heard, size = Heard(), (0, 0)
    keys, screen, wire = sys.stdin.fileno(), sys.stdout.fileno(), socket.fileno()
    reading = [wire, keys]
    while heard.end is None:
        now = shutil.get_terminal_size()
        if size != now:
            size = (now.columns, now.lines)
            told = json.dumps({"Width": size[0], "Height": size[1]}).encode()
            socket.send_binary(bytes([RESIZE]) + told)
        ready, _, _ = select.select(reading, [], [], _LOOK)
        if keys in ready:
            typed = os.read(keys, _PIECE)
            if typed:
                socket.send_binary(bytes([STDIN]) + typed)
            else:
                reading.remove(keys)
        if wire in ready:
            kind, data = receive(socket)
            if kind == websocket.ABNF.OPCODE_CLOSE:
                break
            if data[:1] == bytes([STDOUT]):
                _show(screen, data[1:])
            elif data:
                heard.take(data)
    return heard


def _show(screen: int, data: bytes) -> None:
    while data:
        data = data[os.write(screen, data) :]
