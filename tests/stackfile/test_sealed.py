"""Sealed secrets: what Pulumi's own command wrote is read here, and the other way round."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from hypothesis import given
from hypothesis import strategies as st

from fleet.stackfile.sealed import Seal, SealError
from fleet.stackfile.unsealing import unseal
from tests.support.stacks import SMALL, text_of

VECTOR = Path(__file__).parents[1] / "support/corpus" / "sealed" / "Pulumi.vector.yaml"
# Of the test file alone; its secrets are made up.
WORD = "correct horse battery staple"
SECRETS = {
    "modelApiKey": "sk-test-0123456789",
    "otherKey": "schlüssel 钥匙 🔑",
    "linesKey": "two\nlines",
}


@pytest.fixture(scope="module")
def seal() -> Seal:
    """One seal for the module: each takes a third of a second to make."""
    return Seal.create(WORD)


def test_a_file_that_the_pulumi_command_wrote_is_read() -> None:
    assert unseal(str(VECTOR), Path(), lambda: WORD) == SECRETS


def test_the_passphrase_opens_what_it_sealed_and_another_does_not(seal: Seal) -> None:
    sealed = seal.close("a secret")
    assert "a secret" not in sealed
    assert Seal.unlock(seal.salt_line, WORD).open(sealed) == "a secret"
    with pytest.raises(SealError, match="the passphrase is not this stack's"):
        Seal.unlock(seal.salt_line, "another")


@given(text=st.text())
def test_any_text_comes_back(text: str, seal: Seal) -> None:
    assert seal.open(seal.close(text)) == text


def test_the_same_text_is_never_sealed_the_same_way_twice(seal: Seal) -> None:
    assert len({seal.close("x") for _ in range(100)}) == 100


def test_the_format_is_the_documented_one(seal: Seal) -> None:
    version, salt, proof = seal.salt_line.split(":", 2)
    assert version == "v1"
    assert len(base64.b64decode(salt)) == 8
    key = PBKDF2HMAC(SHA256(), 32, base64.b64decode(salt), 1_000_000).derive(WORD.encode())
    marker, nonce, text = proof.split(":")
    assert marker == "v1"
    assert len(base64.b64decode(nonce)) == 12
    assert AESGCM(key).decrypt(base64.b64decode(nonce), base64.b64decode(text), None) == b"pulumi"


@given(text=st.text(max_size=60))
def test_any_damaged_value_is_a_seal_error(text: str, seal: Seal) -> None:
    with pytest.raises(SealError):
        seal.open(text)


@pytest.mark.parametrize("place", [0, 5, 20, -3])
def test_one_changed_character_is_noticed(place: int, seal: Seal) -> None:
    sealed = seal.close("a secret that is long enough")
    changed = "A" if sealed[place] != "A" else "B"
    text = sealed[:place] + changed + sealed[place + 1 if place != -1 else len(sealed) :]
    with pytest.raises(SealError):
        seal.open(text)


def test_a_seal_prints_no_key(seal: Seal) -> None:
    assert "_key" not in repr(seal)


@pytest.mark.skipif(shutil.which("pulumi") is None, reason="the pulumi command is not on PATH")
def test_the_pulumi_command_reads_what_is_sealed_here(seal: Seal, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (tmp_path / "Pulumi.yaml").write_text("name: opencode-fleet\nruntime: yaml\n", encoding="utf-8")
    values = {**SMALL, "modelApiKey": {"secure": seal.close("schlüssel")}}
    text = text_of(values, encryptionsalt=seal.salt_line)
    (tmp_path / "Pulumi.test.yaml").write_text(text, encoding="utf-8")
    environment = {
        **os.environ,
        "PULUMI_BACKEND_URL": f"file://{state}",
        "PULUMI_CONFIG_PASSPHRASE": WORD,
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }

    def pulumi(*words: str) -> str:
        done = subprocess.run(
            ["pulumi", *words],  # noqa: S607 - whichever is on PATH
            cwd=tmp_path,
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout

    pulumi("stack", "init", "test", "--non-interactive")
    assert pulumi("config", "get", "modelApiKey", "--stack", "test").strip() == "schlüssel"
