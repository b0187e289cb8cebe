"""Stacks that do nothing but note what is asked of them, and what runs need beside them.

Leaves out: the engine's command line, which the end-to-end tests run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from fleet.cluster.client import Cluster
from fleet.engine.deploy import Before, Share
from fleet.engine.place import Place
from fleet.engine.progress import EngineWatch
from fleet.engine.seed import Origin, Seed
from fleet.engine.settings import EngineSettings
from fleet.engine.stack import EngineStack, Program
from fleet.engine.state import State
from fleet.plan.environment import Plan
from fleet.plan.stacks import Part
from tests.support.deployed import SEED


@dataclass
class FakeStack:
    """A stack of an environment that is divided."""

    part: Part
    asked: list[str]
    """What was asked of all stacks, in order."""
    place: Place = field(default_factory=lambda: Place(name="t", file=Path(), project=Path()))
    settings: EngineSettings = field(
        default_factory=lambda: EngineSettings(backend=None, data=Path(), variables={})
    )
    holds: State | None = None
    wrote: str = ""
    gives: dict[str, Any] = field(default_factory=dict[str, Any])
    """Its outputs."""
    fails: Exception | None = None

    @property
    def name(self) -> str:
        """What the engine calls it."""
        return self.part.stack

    @property
    def environment(self) -> str:
        """The environment that it belongs to."""
        return self.part.environment

    def _note(self, what: str, fails: Exception | None = None) -> None:
        self.asked.append(f"{what} {self.name}")
        if fails is not None:
            raise fails

    def up(self, program: Program, on_event: object, extra: Mapping[str, str]) -> None:
        """Note it; leave another state."""
        del program, on_event, extra
        if self.holds is not None:
            self.holds = replace(self.holds, written="after the run")
        self._note("up", self.fails)

    def preview(self, program: Program, on_event: object) -> None:
        """Note it."""
        del program, on_event
        self._note("preview", self.fails)

    def refresh(self, on_event: object, targets: Sequence[str] | None = None) -> None:
        """Note it."""
        del on_event, targets
        self._note("refresh", self.fails)

    def destroy(self, on_event: object, *, preview: bool = False) -> None:
        """Note it."""
        del on_event
        self._note("preview of destroy" if preview else "destroy", self.fails)

    def remove(self) -> None:
        """Note it."""
        self._note("remove")

    def state(self) -> State | None:
        """Return what it was given."""
        return self.holds

    def outputs(self) -> dict[str, Any]:
        """Return what it was given."""
        return self.gives

    def set_done(self, text: str) -> None:
        """Keep it."""
        self.wrote = text

    def tidy(self) -> None:
        """Leave everything."""


@dataclass
class FakeConditions:
    """What runs of such stacks need."""

    digests: Mapping[str, str] = field(default_factory=dict[str, str])
    """What each stack is to declare; `new` for one that is not named."""
    ensured: list[str] = field(default_factory=list[str])
    existing: Cluster | None = None

    def program(self) -> Program:
        """Return a program that declares nothing."""
        return lambda: None

    def digest(self, share: Share) -> str:
        """Return what was given."""
        return self.digests.get(share.stack.name, "new")

    def cluster(self) -> Cluster | None:
        """Return none: nothing is asked of it."""
        return None

    def ensure(self, share: Share) -> None:
        """Note it."""
        self.ensured.append(share.stack.name)


@dataclass
class Said:
    """Progress that is kept."""

    lines: list[str] = field(default_factory=list[str])
    figures: list[tuple[str, int, int, list[str]]] = field(
        default_factory=list[tuple[str, int, int, list[str]]]
    )

    def at(self, step: str, done: int, total: int, now: Sequence[str] = ()) -> None:
        """Keep it."""
        self.figures.append((step, done, total, list(now)))

    def say(self, line: str) -> None:
        """Keep it."""
        self.lines.append(line)


def share(asked: list[str], plan: Plan, pool: str | None = None, **changes: Any) -> Share:
    """Return the base stack, or the stack of a pool, of the environment `t`."""
    part = Part(environment="t", pool=pool, divided=True)
    values: dict[str, Any] = {"state": None, "live": None, **changes}
    stack = cast("EngineStack", FakeStack(part=part, asked=asked, holds=values["state"]))
    return Share(stack=stack, plan=part.of(plan), **values)


def fake(found: Share) -> FakeStack:
    """Return the stack of a share as the fake that it is."""
    return cast("FakeStack", found.stack)


def before(*shares: Share) -> Before:
    """Return what there is before a run."""
    return Before(shares=shares, live=None, seed=Seed(text=SEED, origin=Origin.STACK_FILE))


def listeners(shares: Sequence[Share]) -> Callable[[Share], EngineWatch]:
    """Return what listens to runs that tell nothing."""
    del shares
    return lambda one: EngineWatch(Said(), pool=one.pool)
