"""What was as it should be at the last look is not compared anew; whatever changed since is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fleet.cluster.client import Live
from fleet.cluster.owned import Key
from fleet.engine.looked import Looked, state_path
from fleet.engine.state import State, read_state
from tests.support.engine_state import exported, live, service

WRITTEN = "2026-11-26T13:36:54.122688673Z"
STATE: State = replace(read_state(exported(service())), written=WRITTEN)
LIVE: dict[Key, Live] = {key: live(service()) for key in STATE.objects}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The state of a pool's stack, as the engine writes it."""
    manifest = {"time": WRITTEN, "magic": "x", "version": "v3.215.0"}
    latest: dict[str, Any] = {"manifest": manifest, "resources": []}
    found = state_path(tmp_path, "t.a")
    found.parent.mkdir(parents=True)
    content = {"version": 3, "checkpoint": {"stack": "t.a", "latest": latest}}
    found.write_text(json.dumps(content, indent=4))
    return found


@pytest.fixture
def noted(tmp_path: Path, file: Path) -> Path:
    """A machine that has looked at the stack."""
    looked = Looked.at("t", tmp_path)
    assert looked.as_before("t.a", file, LIVE) is None
    looked.note("t.a", file, LIVE, STATE)
    looked.keep()
    return tmp_path


def again(
    folder: Path, file: Path | None, objects: dict[Key, Live] | None = None, stack: str = "t.a"
) -> State | None:
    found = LIVE if objects is None else objects
    return Looked.at("t", folder).as_before(stack, file, found)


def test_what_is_as_it_was_is_known_without_reading_it(noted: Path, file: Path) -> None:
    found = again(noted, file)
    assert found is not None
    assert (found.written, found.resources, found.objects) == (WRITTEN, STATE.resources, {})


def test_what_was_known_stays_known(noted: Path, file: Path) -> None:
    looked = Looked.at("t", noted)
    assert looked.as_before("t.a", file, LIVE) is not None
    looked.keep()
    assert again(noted, file) is not None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("13:36", "13:37", id="another run"),
        pytest.param('"resources": []', "", id="half a file"),
        pytest.param('"version": 3', '"version": 4', id="newer engine"),
        pytest.param("manifest", "other", id="no manifest"),
    ],
)
def test_a_state_that_changed_is_read(noted: Path, file: Path, old: str, new: str) -> None:
    text = file.read_text()
    file.write_text(text.replace(old, new))
    assert old in text
    assert again(noted, file) is None


def changed(**metadata: Any) -> dict[Key, Live]:
    (key,) = LIVE
    item = live(service())
    item["metadata"] |= metadata
    return {key: item}


def test_objects_that_changed_are_compared(noted: Path, file: Path) -> None:
    (key,) = LIVE
    assert again(noted, file, changed(resourceVersion="2")) is None
    assert again(noted, file, changed(uid="another")) is None
    assert again(noted, file, {}) is None
    assert again(noted, file, {**LIVE, key._replace(name="more"): LIVE[key]}) is None


def test_another_stack_and_a_state_that_is_no_file_are_read(noted: Path, file: Path) -> None:
    assert again(noted, file, stack="t.b") is None
    assert again(noted, None) is None
    assert again(noted, file.with_name("absent.json")) is None


@pytest.mark.parametrize("text", ["", "[]", '{"t.a": 1}', "{"])
def test_a_damaged_memory_is_none(noted: Path, file: Path, text: str) -> None:
    (noted / "looked/t.json").write_text(text)
    assert again(noted, file) is None


def test_a_state_that_was_written_meanwhile_is_not_noted(tmp_path: Path, file: Path) -> None:
    looked = Looked.at("t", tmp_path)
    looked.note("t.a", file, LIVE, replace(STATE, written="before"))
    looked.keep()
    assert again(tmp_path, file) is None
