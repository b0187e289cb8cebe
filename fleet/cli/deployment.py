"""What the engine's commands do: read, check, ask, run, tell.

Owns: the order of questions and what is printed. Leaves out: what may be typed (`cli.engine`), the
order of the run itself (`engine.deploy`).
"""

from __future__ import annotations

import os
import shlex
import signal
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import typer
from pulumi.automation.events import EngineEvent

from fleet.cli.progress import reporting
from fleet.cli.shell import (
    FAILED,
    cluster_of,
    interactive,
    read_environment,
    say,
    say_json,
    warn,
)
from fleet.cluster.client import Cluster
from fleet.cluster.owned import owned
from fleet.cluster.purge import purge_user
from fleet.cluster.rollout import wait_ready
from fleet.engine.deploy import Found, Outcome, deploy, keep_seed, look, retained
from fleet.engine.program import ROOT, inline_program
from fleet.engine.seed import Origin
from fleet.engine.settings import EngineSettings, engine_settings, ensure_passphrase
from fleet.engine.stack import EngineStack, Place, engine_stack
from fleet.errors import CHANGES, EngineError, InputError, Problem
from fleet.plan.environment import Plan, make_plan
from fleet.plan.passwords import SEED_KEY
from fleet.stackfile.config import ExistingCluster
from fleet.stackfile.reading import Environment
from fleet.stackfile.seal_file import seal_into

_LISTED = 40


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """One environment, to be deployed from here."""

    environment: Environment
    plan: Plan
    place: Place
    settings: EngineSettings
    context: str | None
    image: str | None
    verbose: bool = False
    failures: list[str] = field(default_factory=list[str])
    counts: dict[str, int] = field(default_factory=dict[str, int])

    @classmethod
    def of(cls, stack: str, context: str | None, image: str | None, *, verbose: bool) -> Deployment:
        """Read the stack file and find the engine; raise InputError or EngineError."""
        environment = read_environment(stack)
        file = environment.folder / f"Pulumi.{environment.name}.yaml"
        return cls(
            environment=environment,
            plan=make_plan(environment),
            place=Place(name=environment.name, file=file.absolute(), project=ROOT),
            settings=engine_settings(os.environ),
            context=context,
            image=image or os.environ.get("FLEET_IMAGE") or None,
            verbose=verbose,
        )

    def up(self, timeout: float | None, *, confirmed: bool, as_json: bool) -> None:
        """Deploy, wait for the runtimes unless `timeout` is None, purge, and say what was done."""
        with _ending_kindly(), self._stack() as stack:
            cluster = self._cluster()
            found = look(stack, cluster, self.plan, self.environment.secrets)
            purge = self._confirmed_purge(cluster, confirmed=confirmed)
            self._seal(stack, found)
            program = inline_program(self.place.project, self.image)
            outcome = deploy(stack, cluster, program, found, self._listen, warn)
            if outcome.failed:
                self._fail()
            waited = self._wait(timeout) if timeout is not None else []
            purged = self._purge(purge)
            self._tell(cluster, outcome, purged, waited, as_json=as_json)

    def preview(self, *, as_json: bool) -> None:
        """Say what `up` would do; exit code 3 when it is anything."""
        with _ending_kindly(), self._stack() as stack:
            cluster = self._cluster()
            look(stack, cluster, self.plan, self.environment.secrets)
            program = inline_program(self.place.project, self.image)
            stack.preview(program, self._listen)
        changes = {op: count for op, count in self.counts.items() if op != "same"}
        if as_json:
            say_json({"changes": changes})
        else:
            say(_counted(changes) or "nothing to do")
        if changes:
            raise SystemExit(CHANGES)

    def destroy(self, *, confirmed: bool, as_json: bool) -> None:
        """Delete what is not retained, after a question."""
        with _ending_kindly(), self._stack() as stack:
            cluster = self._cluster()
            found = look(stack, cluster, self.plan, self.environment.secrets)
            stays = retained(found.live or {})
            question = f"Delete the runtimes of {self.environment.name}?"
            if not confirmed and not _asked(question):
                warn("destroy: not confirmed: nothing was deleted: give --yes")
                raise SystemExit(FAILED)
            if found.state is not None:
                stack.destroy(self._listen)
        if as_json:
            say_json({"environment": self.environment.name, "retained": stays})
            return
        say(f"{self.environment.name}: destroyed; retained, with everybody's work:")
        for name in stays[:_LISTED]:
            say(f"  {name}")
        say("`fleet up` finds it again; list ids under `purge:` to delete a user's data for good")

    def refresh(self) -> None:
        """Read the cluster into the state."""
        with _ending_kindly(), self._stack() as stack:
            self._cluster()
            stack.clear_dead_locks()
            stack.refresh(self._listen)
        say(_counted(self.counts) or "nothing is deployed")

    def wait(self, timeout: float, *, as_json: bool) -> None:
        """Wait for every active user's runtime."""
        failures = self._wait(timeout)
        if as_json:
            say_json({"failures": failures})
        if failures:
            raise SystemExit(FAILED)
        if not as_json:
            say(f"{self.environment.name}: every active user's runtime is ready")

    def make_seed(self, *, rotate: bool, confirmed: bool) -> None:
        """Seal a new seed into the stack file."""
        del rotate, confirmed
        raise EngineError("seed: not yet")

    def print_variables(self) -> None:
        """Print what a shell needs for plain `pulumi`."""
        for name, value in sorted(self.settings.variables.items()):
            say(f"export {name}={shlex.quote(value)}")

    @contextmanager
    def _stack(self) -> Generator[EngineStack]:
        def stopping() -> None:
            warn("stopping: the engine finishes what it has begun and writes its state")

        with engine_stack(self.place, self.settings, stopping) as stack:
            yield stack

    def _cluster(self) -> Cluster | None:
        """Return the cluster, which must answer; None where the program has yet to make it."""
        context, where = self.context, self.environment.config.cluster
        if context is None and isinstance(where, ExistingCluster):
            context = where.context
        if context is None:
            return None
        cluster = Cluster.open(context)
        cluster.ready()
        return cluster

    def _seal(self, stack: EngineStack, found: Found) -> None:
        seed = found.seed
        if seed.origin is Origin.STACK_FILE:
            return
        keep_seed(stack, self.environment.name, seed)
        seal_into(
            str(self.place.file), Path.cwd(), SEED_KEY, seed.text, ensure_passphrase(os.environ)
        )
        warn(f"{self.place.file.name}: {SEED_KEY} sealed: all passwords are derived from it")

    def _confirmed_purge(self, cluster: Cluster | None, *, confirmed: bool) -> Sequence[str]:
        if cluster is None or not self.plan.purge:
            return ()
        ids = ", ".join(self.plan.purge)
        if not confirmed and not _asked(f"Delete the data of {ids} for good?"):
            rule = "deleting data for good is confirmed"
            raise InputError([Problem("purge", ids, rule, "give --yes")])
        return self.plan.purge

    def _purge(self, ids: Sequence[str]) -> list[str]:
        kubectl = cluster_of(self.environment, self.context) if ids else None
        done: list[str] = []
        for user_id in ids:
            if kubectl is not None:
                image = self.image or ""
                done += purge_user(kubectl, self.environment.name, user_id, image)
        return done

    def _wait(self, timeout: float) -> list[str]:
        kubectl = cluster_of(self.environment, self.context)
        users = [user for user in self.plan.users if user.active]
        with reporting() as report:
            failures = wait_ready(kubectl, self.plan.environment, users, timeout, report)
        return [str(failure) for failure in failures]

    def _listen(self, event: EngineEvent) -> None:
        told = event.diagnostic_event
        if told is not None and told.severity == "error":
            self.failures.append(" ".join(told.message.split()))
        if told is not None and self.verbose and told.severity != "debug":
            warn(told.message.rstrip())
        if event.res_outputs_event is not None:
            op = event.res_outputs_event.metadata.op.value
            self.counts[op] = self.counts.get(op, 0) + 1

    def _fail(self) -> None:
        for failure in self.failures:
            warn(failure)
        warn("the rest was done; mend the cause and run this again: it goes on from here")
        raise SystemExit(FAILED)

    def _tell(
        self,
        cluster: Cluster | None,
        outcome: Outcome,
        purged: Sequence[str],
        failures: Sequence[str],
        *,
        as_json: bool,
    ) -> None:
        urls = {user.id: user.url for user in self.plan.users if user.active}
        stays = retained(owned(cluster, self.environment.name)) if cluster else []
        if as_json:
            say_json(
                {
                    "environment": self.environment.name,
                    "changes": self.counts,
                    **outcome.as_json(),
                    "purged": list(purged),
                    "retained": stays,
                    "urls": urls,
                    "failures": list(failures),
                }
            )
        else:
            say(f"{self.environment.name}: {_counted(self.counts)}")
            for url in urls.values():
                say(url)
        if failures:
            for failure in failures:
                warn(failure)
            warn("the rest was done; mend the cause and run this again: it goes on from here")
            raise SystemExit(FAILED)


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {op}" for op, count in sorted(counts.items()))


def _asked(question: str) -> bool:
    return interactive() and typer.confirm(question, err=True)


@contextmanager
def _ending_kindly() -> Generator[None]:
    """Let a command that is told to end clean up, as one that is interrupted does."""
    before = {
        number: signal.signal(number, signal.default_int_handler)
        for number in (signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
