"""Programs from Go modules: which toolchain, which set, how far; nothing is compiled here."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.go_build import toolchain
from tools.go_build.compiling import weights_of
from tools.go_build.errors import CompileError, ModulesError, ToolchainError
from tools.go_build.programs import ProgramSet
from tools.go_build.progress import LINK, PACKAGE, SPEED, Display, Progress, words

# A Go that lists one package of this very folder, and builds by writing the program.
GO = """#!/bin/sh
case $1 in
env) echo go1.26.8 ;;
list) echo '{"ImportPath": "example.test/tool", "Dir": "/", "Stale": true}' ;;
build) echo example.test/tool >&2
  while [ "$1" != -o ]; do shift; done
  echo built >"$2/tool" ;;
esac
"""


@pytest.fixture
def module(tmp_path: Path) -> Path:
    folder = tmp_path / "module"
    folder.mkdir()
    (folder / "go.mod").write_text("module example.test/tool", encoding="ascii")
    return folder


@pytest.fixture
def tool(module: Path) -> ProgramSet:
    return ProgramSet(
        title="tool", module=module, groups=((".",),), programs=("tool",), names={"t": "tool"}
    )


@pytest.fixture
def install_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    folder = tmp_path / "go-bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def install(script: str) -> None:
        (folder / "go").write_text(script, encoding="ascii")
        (folder / "go").chmod(0o755)

    return install


@pytest.mark.parametrize(
    ("text", "expected"),
    [("go1.25.3\n", (1, 25)), ("go1.26-rc1", (1, 26)), ("go2.0", (2, 0)), ("", None), ("x", None)],
)
def test_go_versions_are_read(text: str, expected: tuple[int, int] | None) -> None:
    assert toolchain.parse_go_version(text) == expected


def test_settings_of_the_caller_do_not_change_the_programs() -> None:
    env = toolchain.go_environment({"PATH": "/bin", "GOFLAGS": "-mod=mod", "GOPROXY": "off"})
    assert env["GOFLAGS"] == ""
    assert env["CGO_ENABLED"] == "0"
    assert env["PATH"] == "/bin:/usr/local/go/bin"
    # Where modules come from is the operator's to say.
    assert env["GOPROXY"] == "off"


def test_a_set_is_named_by_its_sources_and_settings(tool: ProgramSet, module: Path) -> None:
    first = tool.sources_hash()
    (module / "notes.txt").write_text("x", encoding="ascii")
    assert tool.sources_hash() == first
    (module / "main.go").write_text("x", encoding="ascii")
    second = tool.sources_hash()
    stamped = ProgramSet(
        title="tool", module=module, groups=((".",),), programs=("tool",), stamps={"v": "1"}
    )
    assert len({first, second, stamped.sources_hash()}) == 3


def test_a_set_is_built_once_and_a_half_built_one_is_never_found(
    tool: ProgramSet, tmp_path: Path, install_go: Callable[[str], None]
) -> None:
    install_go(GO)
    cache, told = tmp_path / "cache", list[str]()
    half = cache / f"{tool.sources_hash()}-go1.26.8"
    half.mkdir(parents=True)
    (cache / ".building-dead").mkdir()
    assert tool.find(cache) is None
    folder = tool.ensure(cache, told.append)
    assert folder == half
    assert (folder / "t").read_text(encoding="ascii") == "built\n"
    assert told[-1].startswith("compiling tool from Go modules")
    told.clear()
    assert tool.ensure(cache, told.append) == tool.find(cache) == folder
    assert told == []
    assert sorted(path.name for path in cache.iterdir()) == [".lock", folder.name]


def test_a_machine_that_lost_go_goes_on_with_what_it_built(
    tool: ProgramSet, tmp_path: Path, install_go: Callable[[str], None]
) -> None:
    install_go(GO)
    folder = tool.ensure(tmp_path / "cache", lambda _: None)
    install_go("#!/bin/sh\nexit 1\n")
    assert tool.ensure(tmp_path / "cache", lambda _: None) == folder


@pytest.mark.parametrize(
    "failure",
    [
        ("#!/bin/sh\necho go1.19.8\n", ToolchainError, r"go1.19.8 is too old .* 1\.26 or newer"),
        (
            GO.replace(
                "list) echo", "list) echo 'reading module: 403 Forbidden' >&2; exit 1; echo"
            ),
            ModulesError,
            "tool: its Go modules cannot be had: reading module: 403 Forbidden",
        ),
        (
            GO.replace("build) echo", "build) echo 'main.go:1: broken' >&2; exit 1; echo"),
            CompileError,
            "tool: go build failed: main.go:1: broken",
        ),
    ],
)
def test_each_reason_for_a_failed_build_has_its_own_class_and_leaves_nothing(
    failure: tuple[str, type[Exception], str],
    tool: ProgramSet,
    tmp_path: Path,
    install_go: Callable[[str], None],
) -> None:
    script, error, message = failure
    install_go(script)
    with pytest.raises(error, match=message):
        tool.ensure(tmp_path / "cache", lambda _: None)
    left = {path.name for path in tmp_path.glob("cache/*")}
    assert left <= {".lock"}


def test_only_what_is_not_compiled_yet_counts_by_the_size_of_its_source(tmp_path: Path) -> None:
    (tmp_path / "a.go").write_text("x" * 100, encoding="ascii")
    packages = [
        {"ImportPath": "a", "Dir": str(tmp_path), "GoFiles": ["a.go"], "Stale": True},
        {"ImportPath": "b", "Dir": str(tmp_path), "GoFiles": ["a.go"]},
        {"ImportPath": "c", "Dir": str(tmp_path), "Stale": True},
    ]
    listing = "\n".join(json.dumps(package, indent=2) for package in packages)
    assert weights_of(listing) == {"a": PACKAGE + 100, "c": PACKAGE}


def test_a_package_counts_when_others_took_its_place_and_never_twice() -> None:
    progress = Progress({"a": LINK, "b": LINK, "c": LINK}, programs=1, cores=1)
    progress.begin("a")
    progress.begin("unknown")
    assert progress.share == 0
    assert progress.seconds_left(50) == 4 * LINK / SPEED
    progress.begin("b")
    assert progress.share == 0.25
    # Enough is done for this machine's own speed to count alone.
    assert progress.seconds_left(50) == 150


def test_a_log_gets_a_line_a_minute_with_share_and_time_left() -> None:
    told, now = list[str](), [0.0]
    progress = Progress({"a": LINK, "b": LINK, "c": LINK}, programs=1, cores=1)
    display = Display("tool", progress, told.append, clock=lambda: now[0], live=False)
    display.start()
    for second, package in enumerate("abc"):
        now[0] = second * 50.0
        progress.begin(package)
        display.update()
    display.end()
    assert told == [
        "compiling tool from Go modules (once; less than a minute on 1 idle cores)",
        "tool: 50% compiled, about 2 minutes left",
    ]


def test_a_terminal_has_one_line_that_changes(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    progress = Progress({"a": LINK}, programs=1, cores=1)
    display = Display("tool", progress, lambda _: None, clock=lambda: now[0], live=True)
    display.start()
    now[0] = 1.0
    display.update()
    display.end()
    assert capsys.readouterr().err == "\r\033[Ktool: 0% compiled, less than a minute left\r\033[K"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.0, "less than a minute"), (60.0, "about 2 minutes"), (119.0, "about 2 minutes")],
)
def test_time_left_is_rounded_up(seconds: float, expected: str) -> None:
    assert words(seconds) == expected


def test_the_modules_of_this_project_are_pinned() -> None:
    root = Path(__file__).parents[2] / "tools"
    modules = {path.parent for path in root.rglob("go.mod")}
    # A stand-in that is replaced by path has no sums of its own.
    unpinned = {os.fspath(m.relative_to(root)) for m in modules if not (m / "go.sum").exists()}
    assert unpinned == {"engine_build/go/sdk"}
