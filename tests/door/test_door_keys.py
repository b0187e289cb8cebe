"""What is derived from the seed, and what is signed by it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from door.control.keys import Keys
from fleet.plan.passwords import derive_password

SEEDS = st.text(min_size=1, max_size=60).map(lambda text: text + "x" * 32)


@given(seed=SEEDS, environment=st.text(min_size=1), user=st.text(), version=st.integers(0, 99))
def test_the_door_derives_the_passwords_that_the_fleet_hands_out(
    seed: str, environment: str, user: str, version: int
) -> None:
    expected = derive_password(seed, environment, user, version)
    assert Keys(seed, environment).password(user, version) == expected


@pytest.mark.parametrize("seed", ["", "qqq", " " * 40, "x" * 31])
def test_a_seed_that_is_none_is_refused_and_not_told(seed: str) -> None:
    with pytest.raises(ValueError, match="too short") as refused:
        Keys(seed, "test")
    assert not seed.strip() or seed not in str(refused.value)


def test_what_is_kept_shows_neither_seed_nor_key() -> None:
    keys = Keys("s" * 43, "test")
    assert "sss" not in repr(keys)
    assert "key" not in repr(keys.signer("a"))


@given(values=st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.none())))
def test_what_was_signed_is_read_again(values: dict[str, object]) -> None:
    signer = Keys("s" * 43, "test").signer("a")
    text = signer.sign(values)
    if len(text) < 8000:
        assert signer.read(text) == values


@given(text=st.text(max_size=200))
def test_nothing_else_is_read_and_nothing_fails(text: str) -> None:
    assert Keys("s" * 43, "test").signer("a").read(text) is None


def test_a_text_of_one_purpose_environment_or_seed_is_none_of_another() -> None:
    text = Keys("s" * 43, "test").signer("a").sign({"u": "alice"})
    assert Keys("s" * 43, "test").signer("b").read(text) is None
    assert Keys("s" * 43, "prod").signer("a").read(text) is None
    assert Keys("t" * 43, "test").signer("a").read(text) is None


def test_a_changed_text_is_none_whatever_is_changed() -> None:
    signer = Keys("s" * 43, "test").signer("a")
    text = signer.sign({"u": "alice"})
    for at, letter in enumerate(text):
        other = "A" if letter != "A" else "B"
        changed = text[:at] + other + text[at + 1 :]
        assert signer.read(changed) is None or json.dumps(signer.read(changed)) == '{"u": "alice"}'
    # The last letter of base64 has bits that say nothing; no other may be changed.
    assert signer.read(text[:-2] + "AA") is None
