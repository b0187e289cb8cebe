"""One environment that is to be deployed from here: its file, its seed, its stack, its cluster.

Owns: how each of them is found and opened. Leaves out: what is done with them (`cli.runs`).
"""

from __future__ import annotations

import shlex
import shutil
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import typer

from fleet.cli.shell import (
    FAILED,
    cluster_of,
    ensured_passphrase,
    interactive,
    passphrase,
    process_variables,
    say,
    warn,
)
from fleet.cluster.client import Cluster
from fleet.cluster.report import Progress
from fleet.engine.deploy import Before
from fleet.engine.locks import held
from fleet.engine.program import ROOT, inline_program
from fleet.engine.progress import EngineWatch
from fleet.engine.seed import Origin, Seed, choose_seed, remember_seed
from fleet.engine.settings import (
    BACKEND,
    EngineSettings,
    engine_settings,
    find_engine,
    plain_variables,
)
from fleet.engine.stack import EngineStack, Place, Program, engine_stack
from fleet.errors import AwayError, InputError
from fleet.images.tags import KINDS
from fleet.manifests.backup import BackupInputs, backup_objects
from fleet.manifests.door import DoorInputs, door_objects
from fleet.manifests.pool import pool_objects
from fleet.names import SEED_KEY
from fleet.plan.environment import Plan, make_plan
from fleet.plan.passwords import new_seed
from fleet.plan.stacks import Part, is_divided
from fleet.stackfile.config import ExistingCluster
from fleet.stackfile.image import ImageMode
from fleet.stackfile.project_file import locate, read_yaml
from fleet.stackfile.reading import Environment, load
from fleet.stackfile.seal_file import seal_into
from fleet.stackfile.unsealing import unseal
from fleet.values.secrecy import missing_seed

_OBJECTS_A_USER = 4
_PROVIDERS = 2


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
    given: Mapping[str, str] = field(default_factory=dict[str, str])
    """Images that the cluster holds, instead of the stack file's, by the variables that name them.
    """
    verbose: bool = False

    @classmethod
    def of(
        cls,
        stack: str,
        context: str | None = None,
        given: Mapping[str, str] | None = None,
        *,
        verbose: bool = False,
    ) -> Deployment:
        """Read the stack file; raise InputError with every problem of it."""
        environment = load(stack, Path.cwd())
        file = locate(stack, Path.cwd())[0].absolute()
        provider = read_yaml(file).get("secretsprovider")
        plan, config = make_plan(environment), environment.config
        given = {**_images_in(process_variables()), **(given or {})}
        there = len(given) == len(KINDS) or config.image.mode is ImageMode.LOCAL
        return cls(
            environment=replace(environment, folder=environment.folder.absolute()),
            plan=plan,
            place=Place(
                name=environment.name,
                file=file,
                project=ROOT,
                resources=_count(plan),
                only_kubernetes=there and isinstance(config.cluster, ExistingCluster),
            ),
            secrets_provider=None if provider in (None, "passphrase") else str(provider),
            settings=engine_settings(process_variables()),
            context=context,
            given=given,
            verbose=verbose,
        )

    @contextmanager
    def stack(self) -> Generator[EngineStack]:
        """Yield the environment's stack, which need not exist yet."""
        with self._open(self.place, self.settings, divided=self.divided) as stack:
            yield stack

    @property
    def divided(self) -> bool:
        """Whether pools have stacks of their own."""
        return is_divided(self.environment.config)

    @contextmanager
    def held(self) -> Generator[None]:
        """Hold an environment of several stacks while all of them are worked on."""
        if not self.divided:
            yield
            return
        with held(self.place.name, self.settings.state_folder):
            yield

    def stacks(self, first: EngineStack) -> list[tuple[EngineStack, Plan]]:
        """Return the environment's stacks, each with its part of the plan; the given one first."""
        found = [(first, first.part.of(self.plan))]
        if not self.divided:
            return found
        for pool in sorted({*first.pool_stacks(), *(pool.name for pool in self.plan.pools)}):
            part = Part(environment=self.place.name, pool=pool, divided=True)
            plan = part.of(self.plan)
            found.append((first.of_pool(pool, _count(plan)), plan))
        return found

    @contextmanager
    def trial(self, before: Before) -> Generator[Before]:
        """Yield stacks to look at; of what is not there yet, or has no seed, it is a copy.

        What was never deployed is looked at as one stack.
        """
        first = before.first
        sealed = before.seed.origin is Origin.STACK_FILE
        if first.state is not None and sealed:
            yield before
            return
        if self.secrets_provider is not None and not sealed:
            raise InputError([missing_seed()])
        with tempfile.TemporaryDirectory(prefix="opencode-fleet-") as name:
            file = Path(name) / self.place.file.name
            shutil.copyfile(self.place.file, file)
            if not sealed:
                self._seal(file, before.seed)
            settings = self.settings
            if first.state is None:
                state = {BACKEND: f"file://{name}"}
                variables = {**settings.variables, **state}
                settings = replace(settings, backend=state[BACKEND], variables=variables)
            with self._open(replace(self.place, file=file), settings, divided=False) as trial:
                if first.state is None:
                    trial.create(self.secrets_provider)
                looked = replace(first, stack=trial, plan=self.plan, live=before.live)
                yield replace(before, shares=(looked,))

    @contextmanager
    def _open(
        self, place: Place, settings: EngineSettings, *, divided: bool
    ) -> Generator[EngineStack]:
        engine = find_engine(process_variables())
        with engine_stack(place, settings, engine, warn, divided=divided) as stack:
            yield stack

    def program(self, *, whole: bool = False) -> Program:
        """Return the program that the engine is to run; `whole`: as one stack."""
        variables = {**process_variables(), **self.given}
        return inline_program(self.environment.folder, variables, whole=whole)

    def watch(self, progress: Progress, objects: int, pool: str | None = None) -> EngineWatch:
        """Return a listener to a run of so many objects."""
        return EngineWatch(progress, objects, progress.say if self.verbose else None, pool)

    # -- the cluster

    def existing_cluster(self) -> Cluster | None:
        """Return the cluster, which must answer; None where the stack makes it."""
        if self.context is None and not isinstance(
            self.environment.config.cluster, ExistingCluster
        ):
            return None
        return cluster_of(self.environment, self.context)

    def made_cluster(self, stack: EngineStack) -> Cluster | None:
        """Return the cluster that the stack has made; None where it has not, or it is away."""
        kubeconfig = _kubeconfig_of(stack)
        if kubeconfig is None:
            return None
        try:
            return cluster_of(self.environment, None, lambda: kubeconfig)
        except AwayError as error:
            warn(f"{error}; what is in the cluster is not looked at")
            return None

    def cluster(self) -> Cluster:
        """Return the cluster, which must answer, whoever made it."""

        def kubeconfig() -> str | None:
            with self.stack() as stack:
                return _kubeconfig_of(stack)

        return cluster_of(self.environment, self.context, kubeconfig)

    # -- the seed

    def written_seed(self, stack: EngineStack | None) -> str | None:
        """Return the stack file's seed; None where it has none."""
        if SEED_KEY not in self.environment.secret_keys:
            return None
        if self.secrets_provider is None or stack is None:
            return unseal(str(self.place.file), Path.cwd(), passphrase).get(SEED_KEY)
        self._ensure(stack)
        return stack.secret(SEED_KEY)

    def keep_seed(self, stack: EngineStack | None, seed: Seed) -> None:
        """Make the stack, and seal a seed into the stack file, where they are not there yet."""
        if seed.origin is Origin.MADE:
            remember_seed(self.place.name, self.settings.data, seed.text)
        if self.secrets_provider is None and seed.origin is not Origin.STACK_FILE:
            self._seal(self.place.file, seed)
        if stack is not None:
            self._ensure(stack)
            if self.secrets_provider is not None and seed.origin is not Origin.STACK_FILE:
                stack.set_secret(SEED_KEY, seed.text)
        if seed.origin is not Origin.STACK_FILE:
            warn(f"{self.place.file.name}: {SEED_KEY} sealed: all passwords are derived from it")

    def _ensure(self, stack: EngineStack) -> None:
        if not stack.exists():
            stack.create(self.secrets_provider)

    def _seal(self, file: Path, seed: Seed) -> None:
        seal_into(str(file), Path.cwd(), SEED_KEY, seed.text, ensured_passphrase())

    def make_seed(self, *, rotate: bool, confirmed: bool) -> None:
        """Seal a seed into the stack file: a remembered or new one, or another in its place."""
        has_one = SEED_KEY in self.environment.secret_keys
        if has_one and not rotate:
            say(f"{self.place.file.name}: {SEED_KEY} is there; --rotate makes another one")
            return
        with self._sealer() as stack:
            seed = choose_seed(self.place.name, self.written_seed(stack), self.settings.data, ())
            if has_one:
                question = "Make another seed? Every user's password changes at the next `up`."
                if not confirmed and not asked(question):
                    warn("seed: not confirmed: nothing was changed: give --yes")
                    raise SystemExit(FAILED)
                seed = Seed(text=new_seed(seed.identity), origin=Origin.MADE)
            self.keep_seed(stack, seed)
        say(f"fleet up -s {self.place.name} uses it")

    @contextmanager
    def _sealer(self) -> Generator[EngineStack | None]:
        """Yield what seals secrets; a passphrase needs no engine."""
        if self.secrets_provider is None:
            yield None
        else:
            with self.stack() as stack:
                yield stack

    # -- plain `pulumi`

    def print_variables(self) -> None:
        """Print what a shell needs for plain `pulumi` on the same stack."""
        given = process_variables()
        variables = {**self.settings.variables, **plain_variables(find_engine(given), given)}
        variables.update(self.given)
        for name, value in sorted(variables.items()):
            say(f"export {name}={shlex.quote(value)}")
        if self.divided:
            file = shlex.quote(str(self.place.file))
            say(f"# a pool's stack: pulumi up -s {self.place.name}.POOL --config-file {file}")


def _images_in(variables: Mapping[str, str]) -> dict[str, str]:
    return {
        kind.variable: reference
        for kind in KINDS
        if (reference := variables.get(kind.variable, ""))
    }


def _count(plan: Plan) -> int:
    """Return how many objects the engine makes of a plan, its providers among them."""
    users = sum(len(pool.users) for pool in plan.pools)
    shared = sum(len(pool_objects(pool)) for pool in plan.pools)
    shared += sum(len(backup_objects(pool, BackupInputs(image=""))) for pool in plan.pools)
    door = len(door_objects(plan.door, DoorInputs(image=""))) if plan.has_door else 0
    return _PROVIDERS + door + shared + _OBJECTS_A_USER * users


def _kubeconfig_of(stack: EngineStack) -> str | None:
    if stack.state() is None:
        return None
    kubeconfig = stack.outputs().get("kubeconfig")
    return kubeconfig if isinstance(kubeconfig, str) else None


def asked(question: str) -> bool:
    """Return whether a person says yes."""
    return interactive() and typer.confirm(question, err=True)
