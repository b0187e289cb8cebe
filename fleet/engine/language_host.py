"""Runs a project's program for plain `pulumi` on a machine whose engine was built here.

The released language host is not served by the Go module proxy. The Automation API has most of
one, for programs in the same process; it only has to be served, and told the engine's address.
Started by the engine: `python -m fleet.engine.language_host [FLAGS] ENGINE_ADDRESS`.
"""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Callable
from concurrent import futures
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import grpc
from pulumi.automation._server import LanguageServer
from pulumi.runtime.proto import language_pb2_grpc

_LARGEST = 400 * 2**20


def _program() -> None:
    runpy.run_path("__main__.py", run_name="__main__")


class LanguageHost(LanguageServer):
    """The Automation API's server, for a program that is a file."""

    def __init__(self, engine: str) -> None:
        super().__init__(_program)
        self._engine = engine

    def Run(self, request: Any, context: Any) -> Any:  # noqa: N802 - named by gRPC
        """Run the program of the folder that the engine names."""
        os.chdir(request.info.program_directory or request.pwd)
        sys.path.insert(0, str(Path.cwd()))
        # There the base class looks for it; a program of ours takes no arguments.
        request.args[:] = [self._engine]
        run = cast("Callable[..., Any]", vars(LanguageServer)["Run"])  # it has no types
        return run(self, request, context)


def main() -> None:
    """Serve until the engine ends this process."""
    options = [(f"grpc.max_{way}_message_length", _LARGEST) for way in ("send", "receive")]
    server = grpc.server(futures.ThreadPoolExecutor(4), options=options)
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(LanguageHost(sys.argv[-1]), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    with suppress(KeyboardInterrupt):  # so the engine ends it
        server.wait_for_termination()


if __name__ == "__main__":
    main()
