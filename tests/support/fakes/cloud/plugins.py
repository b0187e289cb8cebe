"""Provider plugins that live in the test: the engine starts a script, which asks here for a port.

The engine takes any program named `pulumi-resource-NAME` that prints the port of a gRPC server.
Ours is in this process, so that a test sees what the cloud holds, and no process a plugin has to be
started. Leaves out: what a provider does (`providers`).
"""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Callable, Generator, Mapping
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2, struct_pb2
from google.protobuf.json_format import MessageToDict
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from tests.support.recorded import SIGNATURE

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_SCRIPT = """#!/bin/bash
# The connection stays open as long as the engine keeps this plugin.
exec 3<>/dev/tcp/127.0.0.1/{port}
printf '%s\\n' {name} "$PWD" "$(env -0 | base64 -w 0)" >&3
read -r port <&3
echo "$port"
exec cat <&3 >/dev/null
"""

Values = dict[str, Any]
pb: Any = provider_pb2


class Refused(Exception):  # noqa: N818 - an answer, not a failure
    """A provider's no, in the words of the cloud."""


@dataclass(frozen=True, kw_only=True)
class Launch:
    """How the engine started a plugin."""

    folder: Path
    variables: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Thing:
    """A resource as the engine knows it."""

    urn: str
    typ: str
    id: str
    inputs: Values

    @property
    def name(self) -> str:
        """The name that the program gave it."""
        return self.urn.rsplit("::", 1)[-1]


@dataclass(frozen=True, kw_only=True)
class Changes:
    """How a resource differs, and whether it has to be made anew."""

    keys: frozenset[str] = frozenset()
    replaces: frozenset[str] = frozenset()
    deletes_first: bool = False


class Provider:
    """What a plugin does; the plain one remembers and allows everything."""

    def configure(self, launch: Launch, values: Values) -> None:
        """Take the provider's settings; values may be unknown in a preview."""

    def settings_change(self, before: Values, after: Values) -> Changes:
        """Compare the provider's own settings."""
        return compare(before, after)

    def check(self, thing: Thing) -> list[str]:
        """Return what is wrong with the inputs."""
        del thing
        return []

    def compare(self, thing: Thing, before: Values, state: Values) -> Changes:
        """Compare the inputs with those before."""
        del state
        return compare(before, thing.inputs)

    def preview(self, thing: Thing) -> Values:
        """Return what is known beforehand."""
        return thing.inputs

    def create(self, thing: Thing) -> tuple[str, Values]:
        """Make it; return its id and all that is known of it."""
        raise NotImplementedError(thing)

    def update(self, thing: Thing, before: Values) -> Values:
        """Change it; return all that is known of it."""
        raise NotImplementedError(thing, before)

    def delete(self, thing: Thing) -> None:
        """Delete it; `inputs` is all that was known of it."""
        raise NotImplementedError(thing)

    def read(self, thing: Thing) -> Values | None:
        """Return what is there; None when it is gone."""
        return thing.inputs

    def call(self, token: str, arguments: Values) -> Values:
        """Answer a look-up."""
        raise Refused(f"no such function {token} {arguments}")


def compare(before: Values, after: Values, replacing: frozenset[str] = frozenset()) -> Changes:
    """Compare two mappings by their keys."""
    keys = frozenset(key for key in {*before, *after} if before.get(key) != after.get(key))
    return Changes(keys=keys, replaces=keys & replacing)


@dataclass(kw_only=True)
class Event:
    """Something that a provider was asked to do."""

    op: str
    typ: str
    name: str
    error: str | None = None


@dataclass(kw_only=True)
class Record:
    """What was asked of all providers, in order."""

    events: list[Event] = field(default_factory=list[Event])

    def of(self, op: str, typ: str = "") -> list[Event]:
        """Return what was done of a kind, by the end of its type."""
        return [
            event
            for event in self.events
            if event.op == op and event.error is None and event.typ.endswith(typ)
        ]


class _Servicer(provider_pb2_grpc.ResourceProviderServicer):
    """The protocol; one for each start of a plugin."""

    def __init__(self, provider: Provider, launch: Launch, record: Record) -> None:
        self._provider, self._launch, self._record = provider, launch, record

    # The names and the request's type are gRPC's.

    def Handshake(self, request: Any, context: Any) -> Any:  # noqa: N802
        del request, context
        return pb.ProviderHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: N802
        del request, context
        return plugin_pb2.PluginInfo(version="99.0.0")

    def GetSchema(self, request: Any, context: Any) -> Any:  # noqa: N802
        del request, context
        return pb.GetSchemaResponse(schema="{}")

    def CheckConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        del context
        return pb.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        del context
        before, after = values(request.old_inputs), values(request.news)
        return _difference(self._provider.settings_change(before, after))

    def Configure(self, request: Any, context: Any) -> Any:  # noqa: N802
        with _refusing(context):
            self._provider.configure(self._launch, values(request.args))
        return pb.ConfigureResponse(supportsPreview=True, acceptSecrets=False)

    def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        del context
        wrong = self._provider.check(_thing(request, "", request.news))
        failures = [pb.CheckFailure(reason=reason) for reason in wrong]
        return pb.CheckResponse(inputs=request.news, failures=failures)

    def Diff(self, request: Any, context: Any) -> Any:  # noqa: N802
        del context
        thing = _thing(request, request.id, request.news)
        before, state = values(request.old_inputs), values(request.olds)
        return _difference(self._provider.compare(thing, before, state))

    def Create(self, request: Any, context: Any) -> Any:  # noqa: N802
        thing = _thing(request, "", request.properties)
        if request.preview:
            return pb.CreateResponse(properties=struct(self._provider.preview(thing)))
        with self._recorded("create", thing, context):
            made, outputs = self._provider.create(thing)
            return pb.CreateResponse(id=made, properties=struct(outputs))

    def Update(self, request: Any, context: Any) -> Any:  # noqa: N802
        thing = _thing(request, request.id, request.news)
        before = values(request.olds)
        if request.preview:
            known = {**before, **thing.inputs}
            return pb.UpdateResponse(properties=struct(known))
        with self._recorded("update", thing, context):
            return pb.UpdateResponse(properties=struct(self._provider.update(thing, before)))

    def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        thing = _thing(request, request.id, request.properties)
        with self._recorded("delete", thing, context):
            self._provider.delete(thing)
        return empty_pb2.Empty()

    def Read(self, request: Any, context: Any) -> Any:  # noqa: N802
        with _refusing(context):
            found = self._provider.read(_thing(request, request.id, request.properties))
            if found is None:
                return pb.ReadResponse()
            return pb.ReadResponse(id=request.id, inputs=request.inputs, properties=struct(found))

    def Invoke(self, request: Any, context: Any) -> Any:  # noqa: N802
        with _refusing(context):
            answer = self._provider.call(request.tok, values(request.args))
            return pb.InvokeResponse(**{"return": struct(answer)})

    def Cancel(self, request: Any, context: Any) -> Any:  # noqa: N802
        del request, context
        return empty_pb2.Empty()

    def Attach(self, request: Any, context: Any) -> Any:  # noqa: N802
        del request, context
        return empty_pb2.Empty()

    @contextmanager
    def _recorded(self, op: str, thing: Thing, context: Any) -> Generator[None]:
        event = Event(op=op, typ=thing.typ, name=thing.name)
        self._record.events.append(event)
        try:
            yield
        except Refused as error:
            event.error = str(error)
            context.abort(grpc.StatusCode.UNKNOWN, str(error))


@contextmanager
def _refusing(context: Any) -> Generator[None]:
    try:
        yield
    except Refused as error:
        context.abort(grpc.StatusCode.UNKNOWN, str(error))


def _thing(request: Any, identity: str, inputs: Any) -> Thing:
    urn = request.urn
    typ = urn.split("::")[2].split("$")[-1]
    return Thing(urn=urn, typ=typ, id=identity, inputs=values(inputs))


def _difference(changes: Changes) -> Any:
    kind = pb.DiffResponse.DIFF_SOME if changes.keys else pb.DiffResponse.DIFF_NONE
    return pb.DiffResponse(
        changes=kind,
        diffs=sorted(changes.keys),
        replaces=sorted(changes.replaces),
        deleteBeforeReplace=changes.deletes_first,
    )


def values(message: Any) -> Values:
    """Return a message's content; whole numbers as such."""
    return _plain(MessageToDict(message))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        if SIGNATURE in value:
            return _plain(value["value"])  # pyright: ignore[reportUnknownArgumentType]
        return {key: _plain(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list):
        return [_plain(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def struct(content: Mapping[str, Any]) -> struct_pb2.Struct:
    """Return plain values as a message."""
    made = struct_pb2.Struct()
    made.update(dict(content))
    return made


@contextmanager
def plugins(folder: Path, providers: Mapping[str, Callable[[], Provider]]) -> Generator[Record]:
    """Lay the scripts into `folder` and serve until the block ends; yields what was asked."""
    record = Record()
    servers: list[grpc.Server] = []
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    for name in providers:
        script = folder / f"pulumi-resource-{name}"
        script.write_text(_SCRIPT.format(port=port, name=name))
        script.chmod(0o755)

    def answer(connection: socket.socket) -> None:
        with connection, connection.makefile("rw") as lines:
            name, place, given = (lines.readline().strip() for _ in range(3))
            pairs = base64.b64decode(given).decode().rstrip("\0").split("\0")
            launch = Launch(
                folder=Path(place), variables=dict(pair.split("=", 1) for pair in pairs)
            )
            server = grpc.server(
                futures.ThreadPoolExecutor(16),
                options=[("grpc.max_receive_message_length", 400 << 20)],
            )
            servicer = _Servicer(providers[name](), launch, record)
            cast_add: Any = provider_pb2_grpc.add_ResourceProviderServicer_to_server
            cast_add(servicer, server)
            lines.write(f"{server.add_insecure_port('127.0.0.1:0')}\n")
            server.start()
            servers.append(server)
            lines.flush()
            # Until the engine ends the script.
            lines.read()
            server.stop(None)

    def accept() -> None:
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield record
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for server in servers:
            server.stop(None)
