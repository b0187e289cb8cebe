"""State files: half a file is mended from what stands beside it, old copies go."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from fleet.engine.state_file import mend_state_file, read_tags, stacks_of, tidy_state

WHOLE, OLD, HALF = b'{"version": 3}', b'{"version": 3, "old": true}', b'{"versi'


def stacks(state: Path) -> Path:
    folder = state / ".pulumi/stacks/opencode-fleet"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_a_state_that_is_whole_or_not_there_is_left(tmp_path: Path) -> None:
    assert mend_state_file(tmp_path, "t") is None
    (stacks(tmp_path) / "t.json").write_bytes(WHOLE)
    (stacks(tmp_path) / "t.json.bak").write_bytes(OLD)
    assert mend_state_file(tmp_path, "t") is None
    assert (stacks(tmp_path) / "t.json").read_bytes() == WHOLE


@pytest.mark.parametrize("damaged", [HALF, b""])
def test_half_a_state_gives_way_to_the_one_before(tmp_path: Path, damaged: bytes) -> None:
    (stacks(tmp_path) / "t.json").write_bytes(damaged)
    (stacks(tmp_path) / "t.json.bak").write_bytes(OLD)
    assert "the one of the run before is used" in (mend_state_file(tmp_path, "t") or "")
    assert (stacks(tmp_path) / "t.json").read_bytes() == OLD
    assert (stacks(tmp_path) / "t.json.damaged").read_bytes() == damaged


@pytest.mark.parametrize("before", [None, HALF])
def test_with_nothing_whole_the_state_begins_anew(tmp_path: Path, before: bytes | None) -> None:
    (stacks(tmp_path) / "t.json").write_bytes(HALF)
    if before is not None:
        (stacks(tmp_path) / "t.json.bak").write_bytes(before)
    assert "made anew from what the cluster has" in (mend_state_file(tmp_path, "t") or "")
    assert not (stacks(tmp_path) / "t.json").exists()


def test_a_compressed_state_is_read_too(tmp_path: Path) -> None:
    (stacks(tmp_path) / "t.json.gz").write_bytes(gzip.compress(WHOLE))
    assert mend_state_file(tmp_path, "t") is None
    (stacks(tmp_path) / "t.json.gz").write_bytes(gzip.compress(WHOLE)[:-9])
    (stacks(tmp_path) / "t.json.gz.bak").write_bytes(gzip.compress(OLD))
    assert mend_state_file(tmp_path, "t") is not None
    assert gzip.decompress((stacks(tmp_path) / "t.json.gz").read_bytes()) == OLD


def test_of_many_runs_copies_the_last_twenty_stay(tmp_path: Path) -> None:
    backups = tmp_path / ".pulumi/backups/opencode-fleet/t"
    history = tmp_path / ".pulumi/history/opencode-fleet/t"
    for folder in (backups, history):
        folder.mkdir(parents=True)
    for run in range(98, 123):  # the numbers do not sort as texts
        (backups / f"t.{run}.json").touch()
        for ending in ("history.json", "history.json.attrs", "checkpoint.json"):
            (history / f"t-{run}.{ending}").touch()
    (backups / "README").touch()
    tidy_state(tmp_path, "t")
    assert sorted(path.name for path in backups.iterdir()) == [
        "README",
        *(f"t.{run}.json" for run in range(103, 123)),
    ]
    assert len(list(history.iterdir())) == 60
    tidy_state(tmp_path, "nobody")


def test_stacks_are_listed_whatever_their_files_are_called(tmp_path: Path) -> None:
    assert stacks_of(tmp_path) == []
    names = ("t.json", "t.json.bak", "t.json.attrs", "t.a.json.gz", "t.json.json", "t.pulumi-tags")
    for name in names:
        (stacks(tmp_path) / name).write_bytes(WHOLE)
    assert stacks_of(tmp_path) == ["t", "t.a", "t.json"]


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ('{"version": 1, "tags": {"opencode-fleet:done": "x"}}', {"opencode-fleet:done": "x"}),
        ('{"version": 1, "tags": null}', {}),
        ("[]", {}),
        ("{", {}),
        (None, {}),
    ],
)
def test_tags_that_cannot_be_read_are_none(
    text: str | None, tags: dict[str, str], tmp_path: Path
) -> None:
    if text is not None:
        (stacks(tmp_path) / "t.a.pulumi-tags").write_text(text)
    assert read_tags(tmp_path, "t.a") == tags
