"""The one recording engine of the component and program tests.

Owns: running a Pulumi program in process against mocks, and a plain record of what it declared,
options included (the SDK's own mocks drop them). Every run also checks what the mocks accept and
the real engine or our style does not: duplicate URNs, default providers, stray resources, open
components. Leaves out: what a resource should look like (that is each test's business).
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, cast

import pulumi
from pulumi.runtime import mocks, rpc, settings

from tests.support.recorded import SECRET, SIGNATURE, Lookup, Recorded, open_secrets, options_of
from tests.support.sdk_schema import unknown_to_sdk

STACK_TYPE = "pulumi:pulumi:Stack"
# Packages whose default provider would silently take credentials or a context from the environment.
EXPLICIT_PROVIDERS = frozenset({"alicloud", "kubernetes"})

Outputs = Callable[[Recorded], Mapping[str, Any]]
Answer = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class _Monitor(mocks.MockMonitor):
    """The SDK's mock monitor, with the engine's real URNs and a record of the whole request."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._engine = engine
        # The SDK leaves its requests untyped.
        self._plain = cast("Any", super())

    def make_urn(self, parent: str, type_: str, name: str) -> str:
        # The SDK's own keeps only the last parent type, which hides and invents collisions.
        chain = parent.split("::")[2] if parent else STACK_TYPE
        qualified = type_ if chain == STACK_TYPE else f"{chain}${type_}"
        return f"urn:pulumi:{pulumi.get_stack()}::{pulumi.get_project()}::{qualified}::{name}"

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802  (gRPC's spelling)
        if request.type != STACK_TYPE:
            inputs, secrets = open_secrets(rpc.deserialize_properties(request.object))
            self._engine.record(
                Recorded(
                    urn=self.make_urn(request.parent, request.type, request.name),
                    typ=request.type,
                    name=request.name,
                    custom=request.custom,
                    inputs=inputs,
                    secret_paths=secrets,
                    provider=request.provider,
                    parent=request.parent,
                    options=options_of(request),
                )
            )
        return self._plain.RegisterResource(request)

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802
        self._engine.close(request.urn, rpc.deserialize_properties(request.outputs))
        return self._plain.RegisterResourceOutputs(request)


@dataclass(kw_only=True)
class Engine(mocks.Mocks):
    """What a run is given (config, fake cloud answers) and, afterwards, what it declared.

    `outputs` maps a type token to the outputs that the cloud would add to the inputs; `lookups`
    maps a function token to its answer. A look-up that is not listed fails the run.
    """

    project: str = "opencode-fleet"
    stack: str = "dev"
    preview: bool = False
    config: Mapping[str, str] = field(default_factory=dict[str, str])
    secret_keys: tuple[str, ...] = ()
    outputs: Mapping[str, Outputs] = field(default_factory=dict[str, Outputs])
    lookups: Mapping[str, Answer] = field(default_factory=dict[str, Answer])
    reads: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    """What is read of a resource that is not declared, by its type token."""

    resources: list[Recorded] = field(default_factory=list[Recorded], init=False)
    calls: list[Lookup] = field(default_factory=list[Lookup], init=False)
    exports: dict[str, Any] = field(default_factory=dict[str, Any], init=False)
    secret_exports: frozenset[str] = field(default=frozenset(), init=False)
    warnings: list[str] = field(default_factory=list[str], init=False)
    """What the SDK warned of: deprecated arguments, Outputs used as text."""
    closed: dict[str, Any] = field(default_factory=dict[str, Any], init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def record(self, resource: Recorded) -> None:
        with self._lock:
            self.resources.append(resource)

    def close(self, urn: str, outputs: Any) -> None:
        plain, secrets = open_secrets(outputs)
        with self._lock:
            self.closed[urn] = plain
            if STACK_TYPE in urn and plain:
                self.exports, self.secret_exports = plain, secrets

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        with self._lock:
            found = [r for r in self.resources if (r.typ, r.name) == (args.typ, args.name)]
        state = dict(cast("dict[str, Any]", cast("Any", args).inputs))
        if not found:  # `Resource.get`: read, not declared
            return args.resource_id, {**state, **self.reads.get(args.typ, {})}
        if args.typ in self.outputs:
            state.update(self.outputs[args.typ](found[-1]))
        for key in found[-1].options.additional_secret_outputs:
            if key in state:
                state[key] = {SIGNATURE: SECRET, "value": state[key]}
        return args.resource_id or f"{args.name}-id", state

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        given: dict[str, Any] = open_secrets(cast("Any", args).args)[0]
        with self._lock:
            self.calls.append(Lookup(args.token, given, args.provider))
        if args.token not in self.lookups:
            raise AssertionError(f"unexpected look-up {args.token} {given}")
        return dict(self.lookups[args.token](given)), []

    def of_type(self, typ: str) -> list[Recorded]:
        """Return the resources whose type token is or ends with `typ` (`Instance`), by name."""
        hits = [r for r in self.resources if r.typ == typ or r.typ.split(":")[-1] == typ]
        return sorted(hits, key=lambda resource: resource.name)

    def one(self, typ: str, name: str | None = None) -> Recorded:
        """Return the only resource of this type (and name); fail with what there is instead."""
        hits = [r for r in self.of_type(typ) if name in (None, r.name)]
        if len(hits) != 1:
            raise AssertionError(
                f"{len(hits)} of {typ} {name or ''}; declared: "
                f"{sorted((r.typ, r.name) for r in self.resources)}"
            )
        return hits[0]

    def problems(self) -> list[str]:
        """Return what the real engine or our style would not accept of this run."""
        by_urn = {r.urn: r for r in self.resources}
        found = [f"SDK warning: {warning}" for warning in self.warnings]
        found += [line for r in by_urn.values() for line in unknown_to_sdk(r)]
        found += [
            f"duplicate URN {r.urn}"
            for r in by_urn.values()
            if sum(other.urn == r.urn for other in self.resources) > 1
        ]
        for r in self.resources:
            if not r.custom and r.urn not in self.closed:
                found.append(f"component without register_outputs: {r.urn}")
            above = by_urn.get(r.parent)
            if above is not None and above.custom:
                found.append(f"parent is not a component: {r.urn}")
            if r.package not in EXPLICIT_PROVIDERS or r.is_provider or not r.custom:
                continue
            if above is None:
                found.append(f"outside of any component: {r.urn}")
            if r.provider.rsplit("::", 1)[0] not in by_urn:
                found.append(f"default provider: {r.urn}")
        return found


class _Warnings(logging.Handler):
    def __init__(self, found: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._found = found

    def emit(self, record: logging.LogRecord) -> None:
        self._found.append(record.getMessage())


def _logger(engine: Engine) -> logging.Logger:
    # A logger outside of the tree: nothing is printed, nothing is kept between runs.
    logger = logging.Logger("engine", logging.WARNING)
    logger.addHandler(_Warnings(engine.warnings))
    return logger


@cache
def _own_loop() -> asyncio.AbstractEventLoop:
    # One for all runs: the SDK ties a loop to each worker thread, and threads live with their loop.
    loop = asyncio.new_event_loop()
    # What a failed run leaves unawaited would be logged whenever it is collected, in the middle of
    # some other test.
    loop.set_exception_handler(_ignore)
    return loop


def _ignore(loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
    del loop, context


def _loop() -> asyncio.AbstractEventLoop:
    asyncio.set_event_loop(_own_loop())
    return _own_loop()


def run(program: Callable[[], Any], engine: Engine | None = None) -> Engine:
    """Run `program` as a stack's program, drained, and return the engine with its record.

    `program` may return Outputs: they are awaited, so that a failing `apply` fails the test.
    Raises AssertionError when `Engine.problems` finds any.
    """
    engine = engine or Engine()
    loop = _loop()
    settings.reset_options()
    mocks.set_mocks(
        engine,
        engine.project,
        engine.stack,
        preview=engine.preview,
        logger=_logger(engine),
        monitor=_Monitor(engine),
    )
    pulumi.runtime.set_all_config(dict(engine.config), list(engine.secret_keys))

    def within() -> pulumi.Output[Any]:
        root: Any = settings.get_root_resource()
        result = pulumi.Output.from_input(program())
        root.register_outputs(root.outputs)
        return result

    try:
        cast("Any", mocks).test(within)()
    finally:
        pulumi.runtime.set_all_config({})
        settings.reset_options()
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    if problems := engine.problems():
        raise AssertionError("\n".join(problems))
    return engine
