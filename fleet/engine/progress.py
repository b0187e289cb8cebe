"""What a running engine does and what failed, told while it runs: whose objects, which step, why.

Owns: one listener for all events of a run, which keeps the steps for the account afterwards. Leaves
out: how a line looks (the shell), what the run changed (`changes`), whether pods get ready
(`fleet.cluster.waiting`).
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from fleet.cluster.reasons import safe
from fleet.cluster.report import Failure, Progress
from fleet.engine.events import Complaint, Phase, Step, complaint_of, owner_of, part, step_of
from fleet.engine.restarts import changed_topics, topics_of
from fleet.errors import shown

if TYPE_CHECKING:
    from pulumi.automation.events import EngineEvent

_LOOK, _WORK = "look", "objects"
_STACK = "pulumi:pulumi:Stack"
_STILL = frozenset({"same", "read"})
_DOING = {
    "create": "making",
    "create-replacement": "making",
    "import": "making",
    "delete": "removing",
    "delete-replaced": "removing",
    "refresh": "looking at",
}
_STEPS = {"create": "create", "create-replacement": "create", "delete": "delete"}
_WORDS = {"PersistentVolumeClaim": "claim", "Ingress": "route", "HTTPRoute": "route"}
_DIRECTIVE = re.compile(r"<\{%[^%]*%\}>")
# Said of the run, after the errors that ended it.
_SUMMARY = re.compile(r"(?:preview|update|refresh|destroy) failed")
# What engine and provider say before the reason of the API server, and after it.
_BEFORE = re.compile(
    r"^.*(?:failed to fully initialize or become live: "
    r"|was not successfully (?:created|updated|deleted) by the Kubernetes API server ?: "
    r"|Apply failed with \d+ conflicts?: "
    r"|resource \"?urn:\S+ failed: "
    r"|(?:creating|updating|deleting) urn:\S+: )",
    re.DOTALL,
)
_AFTER = re.compile(r"\n(?:@@|unable to get cluster state:).*$", re.DOTALL)
# What could not be made because a cluster was not; why that was not has been told.
_FOLLOWS = "unknown provider 'urn:pulumi:"
# Names the object, which the line does already, and makes equal reasons differ.
_OBJECT = re.compile(r'^[\w.]+ "[^"]*" is (?=forbidden: |invalid: )')


# The step of a failure that is no object's.
_PROGRAM = "program"


class Together:
    """One progress for runs side by side: what is done of all of them, what happens in any."""

    def __init__(self, progress: Progress, total: int) -> None:
        """Tell `progress` of runs of `total` resources in all."""
        self._progress = progress
        self._total = total
        self._lock = threading.Lock()
        self._known: dict[str, dict[int, tuple[int, Sequence[str]]]] = {}

    def one(self) -> Progress:
        """Return where one of the runs tells how far it is."""
        return _One(self)

    def at(self, run: int, step: str, done: int, now: Sequence[str]) -> None:
        """Take how far one of the runs is."""
        with self._lock:
            known = self._known.setdefault(step, {})
            known[run] = (done, now)
            finished = sum(count for count, _ in known.values())
            doing = [text for _, texts in known.values() for text in texts]
            self._progress.at(step, finished, self._total, doing)

    def say(self, line: str) -> None:
        """Take a line that a person should read once."""
        with self._lock:
            self._progress.say(line)


class _One:
    """The progress of one run among others."""

    def __init__(self, together: Together) -> None:
        self._together = together

    def at(self, step: str, done: int, total: int, now: Sequence[str] = ()) -> None:
        del total
        self._together.at(id(self), step, done, now)

    def say(self, line: str) -> None:
        self._together.say(line)


class EngineWatch:
    """Takes the events of one run, tells what goes on, and keeps what happened."""

    def __init__(
        self,
        progress: Progress,
        total: int = 0,
        verbose: Callable[[str], None] | None = None,
        pool: str | None = None,
    ) -> None:
        """Listen for a run of `total` resources (0: not known); `verbose` takes every event.

        `pool` is the pool that the run is of, where pools have stacks of their own.
        """
        self.failures: list[Failure] = []
        """What did not work so far, each told when it came."""
        self._progress = progress
        self._total = total
        self._verbose = verbose
        self._pool = pool
        self._steps: list[Step] = []
        self._owners: dict[str, Step] = {}
        self._doing: dict[tuple[str, str], str] = {}
        self._finished: dict[str, set[str]] = {_LOOK: set(), _WORK: set()}
        self._blamed: set[str] = set()

    def __call__(self, event: EngineEvent) -> None:
        """Take an event; the Automation API calls this from a thread of its own."""
        step = step_of(event)
        if step is not None:
            self._take_step(step)
        complaint = complaint_of(event)
        if complaint is not None:
            self._take_complaint(complaint)
        if self._verbose is not None:
            self._verbose(_event_line(event, step))

    def begin_again(self) -> bool:
        """Forget failures when only objects failed, and say so; False when the run itself did."""
        if not self.failures or any(failure.step == _PROGRAM for failure in self.failures):
            return False
        self._progress.say(f"once more, for what was refused: {len(self.failures)}")
        self.failures.clear()
        self._blamed.clear()
        self._finished = {_LOOK: set(), _WORK: set()}
        return True

    def planned(self) -> list[Step]:
        """Return the steps that were begun: in a preview, what a run would do."""
        return [step for step in self._steps if step.phase is Phase.BEGUN]

    def happened(self) -> list[Step]:
        """Return the steps that are done, and what the run found before them."""
        return [
            step
            for step in self._steps
            if step.phase is Phase.DONE or (step.phase is Phase.BEGUN and step.op == "refresh")
        ]

    def _take_step(self, step: Step) -> None:
        if step.op not in _STILL:
            # Of the many that stay as they are nothing is told; they would be most of the memory.
            self._steps.append(step)
            self._owners[step.urn] = step
        if step.phase is Phase.FAILED and step.urn not in self._blamed:
            self._blame(step.urn, "the engine gives no reason: run this again with --verbose")
        if not step.custom:
            return
        stage = _LOOK if step.op == "refresh" else _WORK
        key = (stage, step.urn)
        if step.phase is Phase.BEGUN:
            if step.op not in _STILL:
                self._doing[key] = f"{_doing(step)} {_who(step)}"
        else:
            self._doing.pop(key, None)
            self._finished[stage].add(step.urn)
        now = [text for (at, _), text in self._doing.items() if at == stage]
        self._progress.at(stage, len(self._finished[stage]), self._total, list(dict.fromkeys(now)))

    def _take_complaint(self, complaint: Complaint) -> None:
        text = _DIRECTIVE.sub("", complaint.text).strip()
        if _SUMMARY.fullmatch(text) or (complaint.urn and complaint.urn in self._blamed):
            return
        if self.failures and text.startswith(_FOLLOWS):
            return
        self._blame(complaint.urn, reason_in(text))

    def _blame(self, urn: str, cause: str) -> None:
        if urn:
            self._blamed.add(urn)
        step = self._owners.get(urn)
        known = step is not None and step.custom
        failure = Failure(
            user=owner_of(step).user if step and known else None,
            step=_step_words(step) if step and known else _PROGRAM,
            cause=cause,
            pool=self._pool,
        )
        self.failures.append(failure)
        self._progress.say(str(failure))


def reason_in(message: str) -> str:
    """Return the API server's own reason out of what the engine says, as one short line."""
    text = _AFTER.sub("", _DIRECTIVE.sub("", message).strip())
    text = _BEFORE.sub("", text)
    text = re.sub(r"^\d+ errors? occurred:\s*\*\s*", "", text)
    return safe(_OBJECT.sub("", text))


def _step_words(step: Step) -> str:
    verb = _STEPS.get(step.op, "update")
    kind = _WORDS.get(step.kind, step.kind)
    if owner_of(step).user is not None:
        return f"{verb} {kind}"
    return f"{verb} {kind} {shown(step.resource)}"


def _who(step: Step) -> str:
    owner = owner_of(step)
    if owner.user is not None:
        return shown(owner.user)
    return f"pool {shown(owner.pool)}" if owner.pool is not None else step.kind


def _doing(step: Step) -> str:
    if step.kind == "Deployment" and step.op == "update":
        old, new = part(step.old or {}, "spec"), part(step.new or {}, "spec")
        if bool(old.get("replicas", 1)) != bool(new.get("replicas", 1)):
            return "resuming" if new.get("replicas", 1) else "suspending"
        before, after = topics_of(part(old, "template")), topics_of(part(new, "template"))
        if new.get("replicas", 1) and changed_topics(before, after):
            return "restarting"
    return _DOING.get(step.op, "changing")


def _event_line(event: EngineEvent, step: Step | None) -> str:
    """Return an event for `--verbose`, in the engine's own words."""
    if step is not None:
        return f"{step.phase} {step.op} {step.type} {shown(step.resource)}"
    told = event.diagnostic_event
    if told is not None:
        return f"{told.severity}: {safe(_DIRECTIVE.sub('', told.message))}"
    printed = event.stdout_event
    return safe(_DIRECTIVE.sub("", printed.message)) if printed else f"event {event.sequence}"
