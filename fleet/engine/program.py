"""The Pulumi program, run in this process when the engine calls for it, and what a run leaves out.

Leaves out: what is declared (`components.program`), which plain `pulumi` runs too.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pulumi
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime import resource, rpc
from pulumi.runtime.config import CONFIG, is_config_secret
from pulumi.runtime.proto import source_pb2

from components.program import declare_stack
from fleet.names import PROJECT

ROOT = Path(__file__).parents[2]
"""The checkout: the program of the environments that it deploys, wherever their files are."""


_DIVISION = f"{PROJECT}:stacks"


def inline_program(
    folder: Path, variables: Mapping[str, str], *, whole: bool = False
) -> Callable[[], None]:
    """Return the program for an environment whose scenes are relative to `folder`.

    With `whole` it is one stack, whatever the stack file says: to look at what was never deployed.
    """

    def program() -> None:
        # Paths in the program are relative to it: a state must not hold a machine's own.
        os.chdir(ROOT)
        leave_out_needless()
        known = {key: text for key, text in CONFIG.get().items() if not whole or key != _DIVISION}
        sealed = set(filter(is_config_secret, known))
        declare_stack(pulumi.get_stack(), folder, known, sealed, variables)

    return program


def program_digest() -> str:
    """Return what stands for the program itself: another one may declare other things."""
    text = hashlib.sha256()
    for folder in ("components", "fleet"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            text.update(file.read_bytes())
    return text.hexdigest()


def leave_out_needless() -> None:
    """Take from the SDK, for this process, what costs a third of a run and serves nobody.

    Resources are registered long after the program has returned, hence for good.
    """
    for module, name, stand_in in NEEDLESS:
        setattr(module, name, stand_in)


def _say_nothing(*args: object, **options: object) -> None:
    del args, options


_resolve_outputs = rpc.resolve_outputs


def resolve_needed(res: pulumi.Resource, *answer: Any, **options: Any) -> None:
    """Take from the engine's answer what the program uses.

    Of an object that `components.bridge` declared that is its URN, which was taken before: reading
    it whole, as the cluster has it, is a third of Python's time.
    """
    if type(res) is pulumi.CustomResource:
        answer = (Struct(), Struct(), *answer[2:])
    _resolve_outputs(res, *answer, **options)


NEEDLESS = (
    # Half a dozen messages a resource to the engine, which no run of ours shows.
    (pulumi.log, "debug", _say_nothing),
    # Twenty paths of this machine a resource, a sixth of the state; nothing reads them.
    (resource, "_get_stack_trace", source_pb2.StackTrace),
    (rpc, "resolve_outputs", resolve_needed),
)
"""What is left out: module, name, and what stands there instead."""
