"""The stand-in base: its name follows from its recipe, and it takes only public things over."""

import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from tools.base_image.__main__ import main
from tools.base_image.commands import BaseImageError, run
from tools.base_image.machine import added_certificates, parse_sources
from tools.base_image.packages import fetch, integrity_of, unpack
from tools.base_image.recipe import NODE, NPM, Recipe

RECIPE = Recipe(
    suite="bookworm",
    sources=("http://mirror.test/debian/ bookworm",),
    node=NODE,
    npm=NPM,
    certificates=(),
)


def certificate(text: str) -> str:
    return f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----"


def test_equal_recipes_have_equal_names_and_any_change_another() -> None:
    others = [
        replace(RECIPE, suite="trixie"),
        replace(RECIPE, sources=()),
        replace(RECIPE, node=replace(NODE, version="22.23.2")),
        replace(RECIPE, npm=replace(NPM, integrity="sha512-x")),
        replace(RECIPE, certificates=(certificate("A"),)),
    ]
    assert RECIPE.reference == replace(RECIPE).reference
    assert len({RECIPE.reference, *(other.reference for other in others)}) == len(others) + 1
    assert RECIPE.reference.startswith("opencode-fleet/base:")


def test_sources_are_debians_own_of_the_suite_without_credentials() -> None:
    listing = "\n".join(
        [
            "Debian|http://mirror.test/debian/|bookworm|main",
            "Debian|http://mirror.test/debian/|bookworm|main",
            "Debian|http://mirror.test/debian/|bookworm|contrib",
            "Debian|http://mirror.test/debian-security/|bookworm-security|main",
            "Debian|http://mirror.test/debian/|trixie|main",
            "Debian|http://name:word@private.test/debian/|bookworm|main",
            "Debian|file:/var/local/debian/|bookworm|main",
            "Somebody|http://other.test/apt/|bookworm|main",
            "broken line",
        ]
    )
    assert parse_sources(listing, "bookworm") == (
        "http://mirror.test/debian-security/ bookworm-security",
        "http://mirror.test/debian/ bookworm",
    )


def test_only_certificates_the_distribution_did_not_bring_are_taken(tmp_path: Path) -> None:
    distributed = tmp_path / "distributed"
    distributed.mkdir()
    (distributed / "a.crt").write_text(certificate("A"), encoding="ascii")
    bundle = tmp_path / "bundle.crt"
    both = [certificate("A"), "# a comment", certificate("B"), certificate("B")]
    bundle.write_text("\n".join(both), encoding="ascii")
    assert added_certificates(bundle, distributed) == (certificate("B"),)
    assert added_certificates(tmp_path / "none.crt", distributed) == ()


def test_a_package_that_is_not_the_pinned_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = tmp_path / "npm"
    client.write_text('#!/bin/sh\necho other > "$5/npm.tgz"; echo npm.tgz\n', encoding="ascii")
    client.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(BaseImageError, match=r"^fetch npm@.*: the registry gave sha512-.*pinned"):
        fetch(NPM, tmp_path)


def test_integrity_is_spelled_as_registries_spell_it(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.write_bytes(b"")
    # The sha512 of nothing, in base64.
    assert integrity_of(path).startswith("sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8X")


def test_unpacking_takes_the_package_folder(tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package/index.js").write_text("1", encoding="ascii")
    with tarfile.open(tmp_path / "one.tgz", "w:gz") as archive:
        archive.add(tmp_path / "package", arcname="package")
    unpack(tmp_path / "one.tgz", tmp_path / "target")
    assert (tmp_path / "target/index.js").read_text(encoding="ascii") == "1"
    assert not (tmp_path / "target.part").exists()


def test_a_failing_or_missing_program_is_one_line_naming_the_step() -> None:
    with pytest.raises(BaseImageError, match=r"^step one: sh ended with 3: second$"):
        run("step one", ["sh", "-c", "echo first >&2; echo second >&2; exit 3"])
    with pytest.raises(BaseImageError, match=r"^step two: no-such-program is not installed"):
        run("step two", ["no-such-program"])


@pytest.mark.parametrize("base", ["", "two words", "-x"])
def test_a_base_that_is_no_reference_is_wrong_input(
    base: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ensure", f"--base={base}"]) == 2
    assert capsys.readouterr().err == f"--base: {base!r}: must be one image reference\n"


def test_without_a_daemon_the_command_says_so_and_prints_no_reference(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tools.base_image", "ensure", "--base", "node:22"]
    done = subprocess.run(
        [*command, "--docker-host", f"unix://{tmp_path}/none.sock"],
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: docker daemon: ")
    assert len(done.stderr.splitlines()) == 1
