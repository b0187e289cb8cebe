"""What a running engine tells: whose objects, which step, and the API server's own reason."""

from __future__ import annotations

import pytest
from pulumi.automation.events import DiagnosticEvent, EngineEvent, StdoutEngineEvent

from fleet.cluster.report import failure_lines
from fleet.engine.changes import find_changes
from fleet.engine.events import step_of
from fleet.engine.progress import EngineWatch, reason_in
from tests.support.engine_events import recorded, recordings
from tests.support.pods import Told


def watched(name: str, total: int = 0) -> tuple[EngineWatch, Told]:
    told = Told()
    watch = EngineWatch(told, total)
    for event in recorded(name):
        watch(event)
    return watch, told


def complaint(message: str, urn: str = "", severity: str = "error") -> EngineEvent:
    told = DiagnosticEvent(message=message, color="raw", severity=severity, urn=urn)
    return EngineEvent(sequence=1, timestamp=0, diagnostic_event=told)


def test_a_failed_step_names_the_user_the_object_and_the_servers_reason() -> None:
    watch, told = watched("failing")
    assert told.lines == [
        "user alice: update claim: forbidden: only dynamically provisioned pvc can be resized and"
        " the storageclass that provisions the pvc must support resize",
        "user bob.b@example.com: update claim: forbidden: only dynamically provisioned pvc can be"
        " resized and the storageclass that provisions the pvc must support resize",
        "user carol: update claim: invalid: spec: Forbidden: spec is immutable after creation"
        " except resources.requests and volumeAttributesClassName for bound claims",
        "user dave: create claim: forbidden: exceeded quota: tight, requested:"
        " persistentvolumeclaims=1, used: persistentvolumeclaims=3, limited:"
        " persistentvolumeclaims=3",
    ]
    assert [item.user for item in watch.failures] == [
        "alice",
        "bob.b@example.com",
        "carol",
        "dave",
    ]
    assert failure_lines(watch.failures)[0].startswith(
        "users alice, bob.b@example.com: update claim: forbidden: only dynamically"
    )


def test_a_run_whose_objects_were_refused_may_begin_again_and_tells_only_what_fails_then() -> None:
    watch, told = watched("failing")
    assert watch.begin_again()
    assert told.lines[-1] == "once more, for what was refused: 4"
    assert watch.failures == []
    for event in recorded("failing"):
        watch(event)
    assert len(watch.failures) == 4, "the same objects may be blamed again"


def test_a_run_that_failed_itself_does_not_begin_again() -> None:
    watch, told = EngineWatch(Told()), Told()
    watch(complaint("the program is broken"))
    assert not watch.begin_again()
    assert len(watch.failures) == 1
    assert not EngineWatch(told).begin_again(), "nor does one in which nothing failed"
    assert told.lines == []


def test_of_what_stays_as_it_is_nothing_is_kept() -> None:
    events = recorded("failing")
    ops = {step.op for event in events if (step := step_of(event)) is not None}
    watch, _ = watched("failing")
    kept = [*watch.planned(), *watch.happened()]
    assert "same" in ops
    assert kept
    assert "same" not in {step.op for step in kept}


def test_an_object_that_vanished_is_told_with_what_the_server_says() -> None:
    _, told = watched("vanished")
    assert told.lines == ['user carol: update Deployment: deployments.apps "oc-carol" not found']


def test_who_is_worked_on_is_told_and_no_longer_when_it_is_done() -> None:
    _, told = watched("failing", total=40)
    assert told.states[-1] == ("objects", 10, 40, ())
    seen = {text for state in told.states for text in state[3]}
    assert seen == {
        "changing alice",
        "changing bob.b@example.com",
        "changing carol",
        "making dave",
    }


def test_the_words_say_what_is_done_to_whom() -> None:
    def words(name: str) -> set[str]:
        return {text for state in watched(name)[1].states for text in state[3]}

    assert words("image") == {"restarting alice", "changing carol"}
    assert words("state") == {"suspending alice", "resuming carol"}
    assert {"removing alice", "removing pool default"} <= words("destroyed")
    assert "making pool lab" not in words("moved")
    assert words("unchanged") == set()


def test_looking_at_the_cluster_is_a_step_of_its_own() -> None:
    _, told = watched("edited_by_hand")
    looking = [state for state in told.states if state[0] == "look"]
    assert "looking at alice" in {text for state in looking for text in state[3]}
    assert told.states[-1][0] == "objects"


def test_the_account_afterwards_is_of_what_happened() -> None:
    watch, _ = watched("failing")
    assert [item.user for item in find_changes(watch.happened()).users] == ["dave"]
    assert len(find_changes(watch.planned()).users) == 4
    edited, _ = watched("edited_by_hand")
    assert find_changes(edited.planned()).anything


def test_an_error_of_the_program_is_the_environments() -> None:
    told = Told()
    watch = EngineWatch(told)
    watch(complaint("image.opencodeVersion: 9: no such version\n"))
    assert told.lines == ["environment: program: image.opencodeVersion: 9: no such version"]


@pytest.mark.parametrize(
    "event",
    [
        complaint("update failed\n"),
        complaint("preview failed"),
        complaint("resource plugin kubernetes is expected to have version", severity="warning"),
        complaint("registering resource", severity="debug"),
    ],
)
def test_what_is_no_error_of_its_own_is_not_told(event: EngineEvent) -> None:
    told = Told()
    watch = EngineWatch(told)
    watch(event)
    assert (told.lines, watch.failures) == ([], [])


def test_a_failed_step_without_a_word_is_told_all_the_same() -> None:
    told = Told()
    watch = EngineWatch(told)
    for event in recorded("failing"):
        if event.diagnostic_event is None:
            watch(event)
    assert len(told.lines) == 4
    assert told.lines[0].endswith("the engine gives no reason: run this again with --verbose")


CONFLICT = (
    "Preview failed: 1 error occurred:\n\t* the Kubernetes API server reported that"
    ' "opencode-w--default/oc-alice" failed to fully initialize or become live: Server-Side Apply'
    " field conflict detected. See https://www.pulumi.com/registry/packages/kubernetes/ for"
    ' troubleshooting help.\nThe resource managed by field manager "pulumi-kubernetes-6b23b72e" had'
    ' an apply conflict: Apply failed with 1 conflict: conflict with "kubectl-set" using apps/v1:'
    ' .spec.template.spec.containers[name="opencode"].image\n\n\n'
)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (
            CONFLICT,
            'conflict with "kubectl-set" using apps/v1:'
            ' .spec.template.spec.containers[name="opencode"].image',
        ),
        ("1 error occurred:\n\t* connection refused\n\n", "connection refused"),
        ("<{%reset%}>plain<{%fg 1%}>", "plain"),
        ("a\x1b[31m red \x1b[2J", "a red \\x1b[2J"),
        ("key sk-abcdefgh12345678 is bad", "key [hidden] is bad"),
        ("x" * 1000, "x" * 299 + "…"),
    ],
)
def test_a_reason_is_one_short_line(message: str, reason: str) -> None:
    assert reason_in(message) == reason


@pytest.mark.parametrize("name", recordings())
def test_verbose_takes_every_event(name: str) -> None:
    lines: list[str] = []
    watch = EngineWatch(Told(), verbose=lines.append)
    events = recorded(name)
    for event in events:
        watch(event)
    assert len(lines) == len(events)
    assert all(line.isprintable() for line in lines)


def test_verbose_shows_what_the_engine_prints() -> None:
    lines: list[str] = []
    watch = EngineWatch(Told(), verbose=lines.append)
    watch(complaint("careful\n", severity="warning"))
    printed = StdoutEngineEvent(message="hello <{%reset%}>", color="raw")
    watch(EngineEvent(sequence=2, timestamp=0, stdout_event=printed))
    assert lines == ["warning: careful", "hello"]
