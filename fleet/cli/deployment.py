"""What the engine's commands do: read, check, ask, run, tell.

Owns: the order of questions and what is printed. Leaves out: what may be typed (`cli.engine`), the
parts of a run (`engine.deploy`).
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import typer

from fleet.cli.progress import watching
from fleet.cli.shell import FAILED, cluster_of, interactive, passphrase, say, say_json, warn
from fleet.cluster.client import Cluster
from fleet.cluster.owned import labels_of, owned
from fleet.cluster.purge import purge_user
from fleet.cluster.report import Failure, Progress, failure_lines
from fleet.cluster.waiting import retry_stuck, wait_ready
from fleet.engine.changes import Changes, find_changes
from fleet.engine.deploy import (
    Found,
    Outcome,
    destroy,
    look,
    named,
    prepare,
    retained,
    run,
    settle,
)
from fleet.engine.program import ROOT, inline_program
from fleet.engine.progress import EngineWatch
from fleet.engine.seed import Origin, Seed, choose_seed, remember_seed
from fleet.engine.settings import (
    BACKEND,
    EngineSettings,
    engine_settings,
    find_engine,
)
from fleet.engine.stack import EngineStack, Place, Program, engine_stack
from fleet.errors import CHANGES, AwayError, InputError, Problem
from fleet.images.tags import resolve_image
from fleet.manifests.pool import pool_objects
from fleet.names import LABEL_USER, SEED_KEY, slug
from fleet.plan.environment import Plan, make_plan
from fleet.plan.passwords import new_seed
from fleet.stackfile.config import ExistingCluster
from fleet.stackfile.project_file import locate, read_yaml
from fleet.stackfile.reading import Environment, load
from fleet.stackfile.seal_file import seal_into
from fleet.stackfile.unsealing import unseal
from fleet.values.secrecy import missing_seed

_LISTED = 40
_OBJECTS_A_USER = 5
_PROVIDERS = 2
_GOES_ON = "the rest was done; mend the cause and run this again: it goes on from here"


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """One environment, to be deployed from here."""

    environment: Environment
    plan: Plan
    place: Place
    secrets_provider: str | None
    """What seals the stack file's secrets; None for a passphrase."""
    settings: EngineSettings
    context: str | None = None
    image: str | None = None
    """An image that the cluster holds, instead of the stack file's."""
    verbose: bool = False

    @classmethod
    def of(
        cls,
        stack: str,
        context: str | None = None,
        image: str | None = None,
        *,
        verbose: bool = False,
    ) -> Deployment:
        """Read the stack file; raise InputError with every problem of it."""
        environment = load(stack, Path.cwd())
        file = locate(stack, Path.cwd())[0].absolute()
        provider = read_yaml(file).get("secretsprovider")
        return cls(
            environment=replace(environment, folder=environment.folder.absolute()),
            plan=make_plan(environment),
            place=Place(name=environment.name, file=file, project=ROOT),
            secrets_provider=None if provider in (None, "passphrase") else str(provider),
            settings=engine_settings(os.environ),
            context=context,
            image=image or os.environ.get("FLEET_IMAGE") or None,
            verbose=verbose,
        )

    # -- up ----------------------------------------------------------------------------------

    def up(self, timeout: float | None, *, confirmed: bool, as_json: bool) -> None:
        """Deploy, wait for the runtimes unless `timeout` is None, purge, say what was done."""
        with _ending_kindly(), self._stack() as stack:
            cluster = self._cluster(stack)
            found = look(stack, cluster, self.plan, self._written_seed(stack))
            claims = self._confirm_purge(found, confirmed=confirmed)
            self._keep_seed(stack, found.seed)
            with watching() as progress:
                recovery = prepare(stack, cluster, found, progress.say)
                watch = self._watch(progress)
                outcome = run(stack, self._program(), recovery, watch)
                failures = list(watch.failures)
                cluster = self._cluster(stack)
                if cluster is not None:
                    if outcome.error is None:
                        settle(stack, cluster, self.plan, recovery, outcome)
                    if timeout is not None:
                        failures += self._wait(cluster, timeout, failures, progress)
            changes = find_changes(watch.happened(), purge=claims, claims=_claims(found))
            purged: list[str] = []
            if cluster is not None and not failures and outcome.error is None:
                purged = self._purge(cluster)
            stays = retained(owned(cluster, self.environment.name)) if cluster else []
        self._tell(_Told(changes, outcome, purged, stays, failures), as_json=as_json)

    def _confirm_purge(self, found: Found, *, confirmed: bool) -> dict[str, list[str]]:
        """Return the claims of users whose data is to be deleted, after a question about them."""
        claims = self._purge_claims(found)
        listed = ", ".join(claim for of_user in claims.values() for claim in of_user)
        if claims and not confirmed and not _asked(f"Delete for good: {listed}?"):
            ids = ", ".join(claims)
            rule = f"the data of these users is deleted for good: {listed}"
            change = "give --yes, or take them out of `purge:`; nothing was done"
            raise InputError([Problem("purge", ids, rule, change)])
        return claims

    def _purge_claims(self, found: Found) -> dict[str, list[str]]:
        owners = _claims(found)
        claims = {
            user: [name for name, owner in owners.items() if owner == slug(user)]
            for user in self.plan.purge
        }
        return {user: names for user, names in claims.items() if names}

    def _purge(self, cluster: Cluster) -> list[str]:
        """Delete the data of everybody listed; one that is gone already costs one look."""
        done: list[str] = []
        for user in self.plan.purge:
            image = self.image or resolve_image(self.environment.config, ROOT)
            done += purge_user(cluster, self.environment.name, user, image, self.plan.pull_secret)
        return done

    def _wait(
        self, cluster: Cluster, timeout: float, failed: Sequence[Failure], progress: Progress
    ) -> list[Failure]:
        broken = {failure.user for failure in failed}
        users = [user for user in self.plan.users if user.active and user.id not in broken]
        if not users:
            return []
        retry_stuck(cluster, users)
        return wait_ready(cluster, users, timeout, progress)

    def _tell(self, told: _Told, *, as_json: bool) -> None:
        urls = {user.id: user.url for user in self.plan.users if user.active}
        if as_json:
            say_json({"environment": self.environment.name, **told.as_json(), "urls": urls})
        else:
            for line in told.lines():
                say(line)
            for user, url in list(urls.items())[:_LISTED]:
                say(f"{url}  user {user}, password: fleet password {user} -s {self.place.name}")
            if len(urls) > _LISTED:
                say(f"… and {len(urls) - _LISTED} more: fleet status -s {self.place.name}")
        if told.outcome.error is not None or told.failures:
            lines = failure_lines(told.failures) or [told.outcome.error or ""]
            for line in lines:
                warn(line)
            warn(_GOES_ON)
            raise SystemExit(FAILED)

    # -- preview, destroy, refresh, wait -----------------------------------------------------

    def preview(self, *, as_json: bool) -> None:
        """Say what `up` would do; exit code 3 when it is anything."""
        with _ending_kindly(), self._stack() as stack:
            cluster = self._cluster(stack)
            found = look(stack, cluster, self.plan, self._written_seed(stack))
            drift = found.drift(self.environment.name)
            with watching() as progress, self._trial(stack, found) as trial:
                watch = self._watch(progress)
                trial.preview(self._program(), watch)
        changes = find_changes(
            watch.planned(), purge=self._purge_claims(found), claims=_claims(found)
        )
        put_back = [
            *(str(record.key) for record in drift.missing),
            *(str(edit.record.key) for edit in drift.edited),
        ]
        unknown = [str(key) for key in drift.unknown]
        if as_json:
            say_json({**changes.as_json(), "putBack": put_back, "takenOver": unknown})
        else:
            lines = changes.lines() if changes.anything or not (put_back or unknown) else []
            for line in lines:
                say(line)
            if put_back:
                say(f"put back  {named(put_back)}: deleted or edited by somebody")
            if unknown:
                say(f"take over {named(unknown)}: ours, but unknown to the engine")
        if changes.anything or put_back or unknown:
            raise SystemExit(CHANGES)

    @contextmanager
    def _trial(self, stack: EngineStack, found: Found) -> Generator[EngineStack]:
        """Yield a stack to look at; one that is not there yet, or has no seed, is a copy."""
        if found.state is not None and found.seed.origin is Origin.STACK_FILE:
            yield stack
            return
        if self.secrets_provider is not None and found.seed.origin is not Origin.STACK_FILE:
            raise InputError([missing_seed()])
        with tempfile.TemporaryDirectory(prefix="opencode-fleet-") as name:
            file = Path(name) / self.place.file.name
            shutil.copyfile(self.place.file, file)
            if found.seed.origin is not Origin.STACK_FILE:
                self._seal(file, found.seed)
            settings = self.settings
            if found.state is None:
                state = {BACKEND: f"file://{name}"}
                settings = replace(settings, variables={**settings.variables, **state})
            place = replace(self.place, file=file)
            with self._open(place, settings) as trial:
                if found.state is None:
                    trial.create(self.secrets_provider)
                yield trial

    def destroy(self, *, confirmed: bool, as_json: bool) -> None:
        """Delete what is not retained, after a question that names it."""
        with _ending_kindly(), self._stack() as stack:
            cluster = self._cluster(stack)
            found = look(stack, cluster, self.plan, self._written_seed(stack))
            stays = retained(found.live or {})
            question = (
                f"Delete the runtimes of {self.environment.name}"
                f" ({len(self.plan.users)} users; {len(stays)} claims and the like are retained)?"
            )
            if not confirmed and not _asked(question):
                warn("destroy: not confirmed: nothing was deleted: give --yes")
                raise SystemExit(FAILED)
            with watching() as progress:
                watch = self._watch(progress, known=found)
                outcome = destroy(stack, cluster, found, watch)
        failures = failure_lines(watch.failures)
        if as_json:
            deleted = [step.urn for step in watch.happened() if step.op == "delete" and step.custom]
            say_json(
                {
                    "environment": self.environment.name,
                    "deleted": [*deleted, *outcome.deleted],
                    "retained": stays,
                    "failures": failures,
                }
            )
        if outcome.error is not None:
            for line in failures or [outcome.error]:
                warn(line)
            warn(_GOES_ON)
            raise SystemExit(FAILED)
        if not as_json:
            self._tell_destroyed(stays)

    def _tell_destroyed(self, stays: Sequence[str]) -> None:
        say(f"{self.environment.name}: destroyed; retained, with everybody's work:")
        for name in stays[:_LISTED]:
            say(f"  {name}")
        if len(stays) > _LISTED:
            say(f"  … and {len(stays) - _LISTED} more")
        say("`fleet up` finds it again; list ids under `purge:` to delete a user's data for good")

    def refresh(self) -> None:
        """Read the cluster into the state."""
        with _ending_kindly(), self._stack() as stack:
            self._cluster(stack)
            stack.clear_dead_locks()
            with watching() as progress:
                watch = self._watch(progress)
                stack.refresh(watch)
        for line in find_changes(watch.happened()).lines(done=True):
            say(line)

    def wait(self, timeout: float, *, as_json: bool) -> None:
        """Wait for every active user's runtime."""
        with watching() as progress:
            cluster = cluster_of(self.environment, self.context, self._kubeconfig)
            failures = self._wait(cluster, timeout, (), progress)
        if as_json:
            say_json({"failures": [str(failure) for failure in failures]})
        elif not failures:
            say(f"{self.environment.name}: every active user's runtime is ready")
        if failures:
            for line in failure_lines(failures):
                warn(line)
            raise SystemExit(FAILED)

    # -- seed, variables ---------------------------------------------------------------------

    def make_seed(self, *, rotate: bool, confirmed: bool) -> None:
        """Seal a seed into the stack file: a remembered or new one, or another in its place."""
        has_one = SEED_KEY in self.environment.secret_keys
        if has_one and not rotate:
            say(f"{self.place.file.name}: {SEED_KEY} is there; --rotate makes another one")
            return
        with self._sealer() as stack:
            seed = choose_seed(self.place.name, self._written_seed(stack), self.settings.data, ())
            if has_one:
                question = "Make another seed? Every user's password changes at the next `up`."
                if not confirmed and not _asked(question):
                    warn("seed: not confirmed: nothing was changed: give --yes")
                    raise SystemExit(FAILED)
                seed = Seed(text=new_seed(seed.identity), origin=Origin.MADE)
            self._keep_seed(stack, seed)
        say(f"{self.place.file.name}: {SEED_KEY} sealed; fleet up -s {self.place.name} to use it")

    def print_variables(self) -> None:
        """Print what a shell needs for plain `pulumi`."""
        engine = find_engine(os.environ)
        variables = {**self.settings.variables, **engine.variables}
        if self.image is not None:
            variables["FLEET_IMAGE"] = self.image
        for name, value in sorted(variables.items()):
            say(f"export {name}={shlex.quote(value)}")

    @contextmanager
    def _sealer(self) -> Generator[EngineStack | None]:
        """Yield what seals secrets; a passphrase needs no engine."""
        if self.secrets_provider is None:
            yield None
        else:
            with self._stack() as stack:
                if stack.state() is None:
                    stack.create(self.secrets_provider)
                yield stack

    def _written_seed(self, stack: EngineStack | None) -> str | None:
        """Return the stack file's seed; None where it has none."""
        if SEED_KEY not in self.environment.secret_keys:
            return None
        if self.secrets_provider is None or stack is None:
            return unseal(str(self.place.file), Path.cwd(), self._passphrase).get(SEED_KEY)
        return stack.secret(SEED_KEY)

    def _keep_seed(self, stack: EngineStack | None, seed: Seed) -> None:
        """Seal a seed into the stack file and remember it, where it is not there yet."""
        if stack is not None and stack.state() is None:
            stack.create(self.secrets_provider)
        if seed.origin is Origin.STACK_FILE:
            return
        if seed.origin is Origin.MADE:
            remember_seed(self.place.name, self.settings.data, seed.text)
        if self.secrets_provider is None or stack is None:
            self._seal(self.place.file, seed)
        else:
            stack.set_secret(SEED_KEY, seed.text)
        warn(f"{self.place.file.name}: {SEED_KEY} sealed: all passwords are derived from it")

    def _seal(self, file: Path, seed: Seed) -> None:
        seal_into(str(file), Path.cwd(), SEED_KEY, seed.text, self._passphrase())

    def _passphrase(self) -> str | None:
        return passphrase()

    # -- engine and cluster ------------------------------------------------------------------

    @contextmanager
    def _stack(self) -> Generator[EngineStack]:
        with self._open(self.place, self.settings) as stack:
            yield stack

    @contextmanager
    def _open(self, place: Place, settings: EngineSettings) -> Generator[EngineStack]:
        def stopping() -> None:
            warn("stopping: the engine finishes what it has begun and writes its state")

        with engine_stack(place, settings, find_engine(os.environ), stopping) as stack:
            yield stack

    def _program(self) -> Program:
        variables = dict(os.environ)
        if self.image is not None:
            variables["FLEET_IMAGE"] = self.image
        return inline_program(self.environment.folder, variables)

    def _watch(self, progress: Progress, known: Found | None = None) -> EngineWatch:
        objects = _PROVIDERS + sum(
            len(pool_objects(pool)) + _OBJECTS_A_USER * len(pool.users) for pool in self.plan.pools
        )
        if known is not None:
            objects = len(known.state.objects) if known.state else 0
        return EngineWatch(progress, objects, progress.say if self.verbose else None)

    def _cluster(self, stack: EngineStack) -> Cluster | None:
        """Return the cluster, which must answer; None where the stack has yet to make it."""
        if self.context is not None or isinstance(self.environment.config.cluster, ExistingCluster):
            return cluster_of(self.environment, self.context)
        kubeconfig = _kubeconfig_in(stack)
        if kubeconfig is None:
            return None
        try:
            return cluster_of(self.environment, None, lambda: kubeconfig)
        except AwayError as error:
            warn(f"{error}: what is in the cluster is not looked at")
            return None

    def _kubeconfig(self) -> str | None:
        with self._stack() as stack:
            return _kubeconfig_in(stack)


def _kubeconfig_in(stack: EngineStack) -> str | None:
    if stack.state() is None:
        return None
    found = stack.outputs().get("kubeconfig")
    return found if isinstance(found, str) else None


@dataclass(frozen=True, slots=True)
class _Told:
    """All that is to be said of a run."""

    changes: Changes
    outcome: Outcome
    purged: Sequence[str]
    retained: Sequence[str]
    failures: Sequence[Failure]

    def as_json(self) -> dict[str, Any]:
        failures = [str(failure) for failure in self.failures]
        if self.outcome.error is not None and not failures:
            failures = [self.outcome.error]
        return {
            "changes": self.changes.as_json(),
            **self.outcome.as_json(),
            "purged": list(self.purged),
            "retained": list(self.retained),
            "failures": failures,
        }

    def lines(self) -> Sequence[str]:
        outcome = self.outcome
        lines = self.changes.lines(done=True)
        if outcome.put_back:
            lines.append(f"put back  {named(outcome.put_back)}")
        if outcome.deleted:
            lines.append(f"deleted   {named(outcome.deleted)}: ours, and no longer wanted")
        if outcome.restarted:
            lines.append(f"restarted {named(outcome.restarted)}: their Secret had been edited")
        lines += [f"purged    {item}" for item in self.purged]
        return lines


def _claims(found: Found) -> dict[str, str]:
    """Return the users' claims in the cluster, each with its user as the label has it."""
    return {
        f"{key.namespace}/{key.name}": owner
        for key, item in (found.live or {}).items()
        if key.kind == "PersistentVolumeClaim" and (owner := labels_of(item).get(LABEL_USER))
    }


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
