"""Image tags: equal wherever and whenever they are made, different when the image is."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.errors import InputError
from fleet.images.tags import (
    DOOR,
    TAG_MAX,
    build_args,
    context_files,
    door_build_args,
    image_reference,
    image_tags,
    resolve_image,
    tag,
)
from fleet.stackfile.image import BASE_IMAGE, Image
from tests.support.stacks import SMALL, environment_of

# github.com/distribution/reference: tag.
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
FILES = {"Dockerfile": "FROM base\n", "start": "#!/bin/sh\n", "etc/opencode.json": "{}\n"}


def lay(folder: Path, names: list[str]) -> Path:
    """Lay a build context, its files in a given order."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(FILES[name], encoding="utf-8")
    return folder


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A build context."""
    return lay(tmp_path / "one", list(FILES))


def image(**changes: Any) -> Image:
    """Return image settings, keys as in the stack file."""
    return Image.model_validate(changes)


def test_tags_do_not_depend_on_times_owners_places_or_order(context: Path, tmp_path: Path) -> None:
    other = lay(tmp_path / "elsewhere" / "two", list(reversed(FILES)))
    for path in other.rglob("*"):
        os.utime(path, (1, 1))
    (other / "Dockerfile").chmod(0o600)
    (other / "empty").mkdir()
    assert image_tags(image(), context, "0.1.0") == image_tags(image(), other, "0.1.0")


@pytest.mark.parametrize("name", list(FILES))
def test_any_changed_file_makes_another_source_tag(name: str, context: Path) -> None:
    before = image_tags(image(), context, "0.1.0")
    (context / name).write_text("other\n", encoding="utf-8")
    after = image_tags(image(), context, "0.1.0")
    assert after.source != before.source
    assert (after.lock != before.lock) is (name == "Dockerfile")
    assert after.version == before.version


def test_a_name_a_mode_and_a_link_count(context: Path) -> None:
    tags = {image_tags(image(), context, "0.1.0").source}
    (context / "start").chmod(0o755)
    tags.add(image_tags(image(), context, "0.1.0").source)
    (context / "start").rename(context / "begin")
    tags.add(image_tags(image(), context, "0.1.0").source)
    (context / "start").symlink_to("begin")
    tags.add(image_tags(image(), context, "0.1.0").source)
    (context / "start").unlink()
    (context / "start").symlink_to("Dockerfile")
    tags.add(image_tags(image(), context, "0.1.0").source)
    assert len(tags) == 5


def test_a_link_out_of_the_context_is_never_followed(context: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("x", encoding="utf-8")
    (context / "link").symlink_to(outside)
    names = [name for name, _, _ in context_files(context)]
    assert names == sorted([*FILES, "link"])


@pytest.mark.parametrize(
    "changes",
    [
        {"opencodeVersion": "1.18.32"},
        {"baseImage": "node:22-bookworm-slim"},
        {"npmRegistry": "https://npm.example.com"},
        {"debianMirror": "http://deb.example.com"},
        {"extraToolchains": ["go"]},
        {"platforms": ["linux/arm64"]},
    ],
    ids=str,
)
def test_any_build_setting_makes_another_source_and_lock_tag(
    changes: dict[str, Any], context: Path
) -> None:
    before, after = image_tags(image(), context, "1"), image_tags(image(**changes), context, "1")
    assert after.source != before.source
    assert after.lock != before.lock


def test_settings_that_change_no_byte_of_the_image_change_no_tag(context: Path) -> None:
    plain = image_tags(image(extraToolchains=["go", "build-essential"]), context, "1")
    other = image(
        extraToolchains=["build-essential", "go"],
        mode="buildkit",
        retries=3,
        repository="registry.example.com/team/runtime",
    )
    assert image_tags(other, context, "1") == plain


def test_tags_are_readable_and_valid(context: Path) -> None:
    tags = image_tags(image(), context, "0.1.0")
    assert re.fullmatch(r"src-[0-9a-f]{16}", tags.source)
    assert re.fullmatch(r"lock-[0-9a-f]{16}", tags.lock)
    assert tags.version.startswith("v0.1.0-opencode1.18.33-node-22-bookworm-slim-")
    assert all(TAG.fullmatch(text) for text in (tags.source, tags.lock, tags.version))


@given(st.text(max_size=300), st.text(max_size=300))
def test_any_text_becomes_a_valid_tag_and_two_never_meet(one: str, two: str) -> None:
    assert TAG.fullmatch(tag(one))
    assert len(tag(one)) <= TAG_MAX
    assert one == two or tag(one) != tag(two)


def test_build_arguments_say_what_the_dockerfile_reads() -> None:
    assert build_args(image()) == {"BASE_IMAGE": BASE_IMAGE, "OPENCODE_VERSION": "1.18.33"}
    assert build_args(image(extraToolchains=["go", "build-essential"]))["EXTRA_TOOLCHAINS"] == (
        "build-essential go"
    )


def test_a_given_reference_is_used_as_it_is(context: Path) -> None:
    given = image(mode="local", reference="team/runtime:1")
    assert image_reference(given, context, "1") == "team/runtime:1"
    built = image_tags(image(), context, "1").source
    assert image_reference(image(), context, "1") == f"opencode-fleet/runtime:{built}"


def test_a_mere_tag_of_mode_prebuilt_needs_pulumi(tmp_path: Path) -> None:
    image = {"mode": "prebuilt", "reference": "registry.example.com/a:1"}
    values = {**SMALL, "image": image, "door": {"reference": "registry.example.com/a-door:1"}}
    with pytest.raises(InputError, match="only `pulumi up` looks its digest up"):
        resolve_image(environment_of(values, tmp_path).config, tmp_path)


def test_a_local_reference_is_used_as_it_is(tmp_path: Path) -> None:
    door = {"reference": "b:1"}
    values = {**SMALL, "image": {"mode": "local", "reference": "a:1"}, "door": door}
    config = environment_of(values, tmp_path).config
    assert resolve_image(config, tmp_path) == "a:1"
    assert resolve_image(config, tmp_path, DOOR) == "b:1"


def test_the_doors_image_stands_beside_the_runtimes_with_a_tag_of_its_own(tmp_path: Path) -> None:
    for folder in ("image", "door"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "Dockerfile").write_text("FROM base\n", encoding="utf-8")
    config = environment_of(SMALL, tmp_path).config
    reference = resolve_image(config, tmp_path, DOOR)
    assert reference.startswith("opencode-fleet/runtime-door:src-")
    # What running the sources leaves beside them is in no image.
    (tmp_path / "door" / "__pycache__").mkdir()
    (tmp_path / "door" / "__pycache__" / "x.pyc").write_bytes(b"x")
    assert resolve_image(config, tmp_path, DOOR) == reference
    (tmp_path / "door" / "app.py").write_text("", encoding="utf-8")
    assert resolve_image(config, tmp_path, DOOR) != reference


def test_the_doors_image_takes_the_mirrors_and_nothing_of_opencode() -> None:
    given = image(
        pypiIndex="https://pypi.example.com/simple",
        debianMirror="http://deb.example.com",
        npmRegistry="https://npm.example.com",
    )
    assert door_build_args(given) == {
        "BASE_IMAGE": BASE_IMAGE,
        "DEBIAN_MIRROR": "http://deb.example.com",
        "PYPI_INDEX": "https://pypi.example.com/simple",
    }
