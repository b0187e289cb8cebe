"""The image under test: built from image/ as it stands, or the one FLEET_TEST_IMAGE names."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.image.container import ROOT, Runtime, docker
from tools.base_image.daemon import Daemon
from tools.base_image.ensure import ensure

TAG = "opencode-fleet/runtime:test"


@pytest.fixture(scope="session")
def image() -> str:
    """A reference to the runtime image; an unchanged context is not built again by the daemon."""
    named = os.environ.get("FLEET_TEST_IMAGE")
    if named:
        return named
    text = (ROOT / "image/Dockerfile").read_text(encoding="utf-8")
    match = re.search(r"^ARG BASE_IMAGE=(\S+)$", text, re.MULTILINE)
    assert match
    base = ensure(match[1], Daemon(host=""), lambda _: None)
    argument = f"--build-arg=BASE_IMAGE={base}"
    docker("build", "--network=host", argument, f"--tag={TAG}", str(ROOT / "image"))
    return TAG


@pytest.fixture
def fresh(image: str, tmp_path: Path) -> Iterator[Runtime]:
    """Empty volumes, nothing started."""
    runtime = Runtime(image=image, work=tmp_path)
    runtime.prepare()
    yield runtime
    runtime.remove()


@pytest.fixture(scope="module")
def runtime(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    """A running workspace with both scenes, shared by the tests of a module."""
    one = Runtime(image=image, work=tmp_path_factory.mktemp("runtime"))
    one.prepare()
    try:
        done = one.init()
        assert done.returncode == 0, done.stderr
        # A user's own tool and plugin must work without a network, too.
        done = one.shell(
            "cat > /app/.opencode/tools/mine.ts <<< '"
            'import { tool } from "@opencode-ai/plugin"\n'
            'export default tool({ description: "mine", args: { word: tool.schema.string() },\n'
            "  async execute(args) { return `mine says ${args.word}` } })'\n"
            "cat > /app/.opencode/plugins/p.ts <<< '"
            'import { tool } from "@opencode-ai/plugin"\n'
            'export default async () => ({ tool: { plugged: tool({ description: "p", args: {},\n'
            '  async execute() { return "plugged in" } }) } })\''
        )
        assert done.returncode == 0, done.stderr
        one.start("--cpus=2", "--memory=2g")
        yield one
    finally:
        one.remove()
