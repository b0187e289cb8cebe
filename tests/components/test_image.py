"""The four ways to an image: what is built from what, what is only named, what a preview does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
import pytest

from components.image import RuntimeImage, RuntimeImageArgs
from fleet.images.tags import ImageTags, image_reference, image_tags
from fleet.stackfile.image import Image
from tests.support.recording import Engine, run

TAGS = ImageTags(source="src-1", lock="lock-1", version="v1")
DIGEST = "sha256:" + "a" * 64
LOOK_UP = "docker:index/getRegistryImage:getRegistryImage"
TEAM = "registry.example.com/team/runtime"
PUSHED = {"repository": TEAM, "push": True}


def declare(
    settings: Mapping[str, Any], *, preview: bool = False, network: str | None = None
) -> Engine:
    """Run a program with one image and return the record."""

    def program() -> None:
        image = Image.model_validate(settings)
        args = RuntimeImageArgs(image=image, tags=TAGS, network=network)
        pulumi.export("reference", RuntimeImage("runtime", args).reference)

    return run(program, Engine(preview=preview, lookups={LOOK_UP: _found}))


def _found(asked: Mapping[str, Any]) -> dict[str, str]:
    return {"name": asked["name"], "sha256Digest": DIGEST}


def test_the_daemon_builds_the_source_tag_with_buildkit_for_a_named_platform() -> None:
    made = declare({"mode": "daemon", "npmRegistry": "https://npm.example.com"})
    image = made.one("docker:index/image:Image")
    assert image.inputs["imageName"] == "opencode-fleet/runtime:src-1"
    assert image.inputs["skipPush"] is True
    build = image.inputs["build"]
    assert build["builderVersion"] == "BuilderBuildKit"
    assert build["platform"] == "linux/amd64"
    assert build["context"] == "image"
    assert build["dockerfile"] == "image/Dockerfile"
    assert build["args"]["NPM_REGISTRY"] == "https://npm.example.com"
    assert "network" not in build
    assert made.exports["reference"] == "opencode-fleet/runtime:src-1"


def test_a_daemon_without_registry_has_no_cache_source() -> None:
    # The provider refuses cache sources whose name lacks a registry.
    build = declare({"mode": "daemon"}).one("docker:index/image:Image").inputs["build"]
    assert "cacheFrom" not in build
    assert "BUILDKIT_INLINE_CACHE" not in build["args"]


def test_a_daemon_without_bridge_builds_on_the_hosts_network() -> None:
    made = declare({"mode": "daemon"}, network="host")
    assert made.one("docker:index/image:Image").inputs["build"]["network"] == "host"


def test_a_pushed_image_has_three_tags_and_two_of_them_as_cache() -> None:
    made = declare({"mode": "daemon", **PUSHED})
    images = {item.name: item for item in made.of_type("docker:index/image:Image")}
    names = {name: item.inputs["imageName"] for name, item in images.items()}
    assert names == {
        "runtime-source": f"{TEAM}:src-1",
        "runtime-lock": f"{TEAM}:lock-1",
        "runtime-version": f"{TEAM}:v1",
    }
    assert not any(item.inputs["skipPush"] for item in images.values())
    source = images["runtime-source"]
    assert source.inputs["build"]["cacheFrom"] == {"images": [f"{TEAM}:lock-1", f"{TEAM}:v1"]}
    assert source.inputs["build"]["args"]["BUILDKIT_INLINE_CACHE"] == "1"
    for name in ("runtime-lock", "runtime-version"):
        assert source.urn in images[name].options.depends_on


def test_buildkit_takes_platforms_tags_caches_builder_and_time() -> None:
    made = declare(
        {
            "mode": "buildkit",
            **PUSHED,
            "platforms": ["linux/amd64", "linux/arm64"],
            "builder": {"name": "remote"},
            "cacheFrom": ["type=gha"],
            "cacheTo": ["type=gha,mode=max"],
            "timeoutMinutes": 20,
        }
    )
    image = made.one("docker-build:index:Image")
    assert image.inputs["platforms"] == ["linux/amd64", "linux/arm64"]
    assert image.inputs["tags"] == [f"{TEAM}:{tag}" for tag in ("src-1", "lock-1", "v1")]
    assert image.inputs["cacheFrom"] == [
        {"registry": {"ref": f"{TEAM}:lock-1"}},
        {"registry": {"ref": f"{TEAM}:v1"}},
        {"raw": "type=gha"},
    ]
    assert {"raw": "type=gha,mode=max"} in image.inputs["cacheTo"]
    assert {"inline": {}} in image.inputs["cacheTo"]
    assert image.inputs["builder"] == {"name": "remote"}
    assert image.inputs["labels"] == {"opencode-fleet.image": "runtime"}
    assert image.inputs["push"] is True
    assert image.inputs["load"] is False
    assert image.options.retain_on_delete
    assert image.options.timeouts == {"create": "20m", "update": "20m"}
    assert made.exports["reference"] == f"{TEAM}:src-1"


def test_buildkit_without_registry_loads_the_image_into_the_daemon() -> None:
    image = declare({"mode": "buildkit"}).one("docker-build:index:Image")
    assert image.inputs["load"] is True
    assert image.inputs["push"] is False
    assert image.inputs["cacheFrom"] == image.inputs["cacheTo"] == []


@pytest.mark.parametrize("mode", ["daemon", "buildkit"])
def test_a_preview_builds_nothing_and_knows_the_reference(mode: str) -> None:
    made = declare({"mode": mode, **PUSHED}, preview=True)
    images = made.of_type("Image")
    assert images
    assert all(item.inputs["buildOnPreview"] is False for item in images)
    assert made.exports["reference"] == f"{TEAM}:src-1"


def test_a_prebuilt_tag_is_pinned_to_its_digest() -> None:
    made = declare({"mode": "prebuilt", "reference": f"{TEAM}:1.2"})
    assert [call.args["name"] for call in made.calls] == [f"{TEAM}:1.2"]
    assert made.exports["reference"] == f"{TEAM}@{DIGEST}"


@pytest.mark.parametrize("reference", [f"{TEAM}@{DIGEST}", f"{TEAM}:1.2@{DIGEST}"])
def test_a_prebuilt_digest_is_used_without_asking(reference: str) -> None:
    made = declare({"mode": "prebuilt", "reference": reference})
    assert made.calls == []
    assert made.exports["reference"] == reference


def test_a_local_image_needs_no_plugin() -> None:
    made = declare({"mode": "local", "reference": "opencode-fleet/runtime:dev"})
    assert made.calls == []
    assert [item.name for item in made.resources if item.custom] == []
    assert made.exports["reference"] == "opencode-fleet/runtime:dev"


@pytest.mark.parametrize("mode", ["daemon", "buildkit"])
def test_pulumi_and_apply_run_the_same_reference(mode: str, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n", encoding="utf-8")
    image = Image.model_validate({"mode": mode})

    def program() -> None:
        args = RuntimeImageArgs(image=image, tags=image_tags(image, tmp_path, "1.0"))
        pulumi.export("reference", RuntimeImage("runtime", args).reference)

    assert run(program).exports["reference"] == image_reference(image, tmp_path, "1.0")
