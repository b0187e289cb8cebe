"""Runs Go: first for the modules and what is left to compile, then for the programs themselves."""

import json
import os
import subprocess
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.go_build.errors import CompileError, ModulesError
from tools.go_build.progress import PACKAGE, Display, Progress
from tools.go_build.toolchain import COMPILE_FLAGS, go_environment, low_priority

Tell = Callable[[str], None]


def weights_of(listing: str) -> dict[str, int]:
    """What each package still to be compiled weighs, from the output of `go list -json`."""
    decoder = json.JSONDecoder()
    weights: dict[str, int] = {}
    text = listing.strip()
    while text:
        package, end = decoder.raw_decode(text)
        if package.get("Stale"):
            weights[package["ImportPath"]] = PACKAGE + _source_size(package)
        text = text[end:].lstrip()
    return weights


def _source_size(package: dict[str, Any]) -> int:
    files = (Path(package["Dir"], name) for name in package.get("GoFiles", ()))
    return sum(file.stat().st_size for file in files)


@dataclass(frozen=True, kw_only=True, slots=True)
class Build:
    """Packages of a module of ours that become programs: each group of them is one run of Go.

    One run gives every core work until its end, so there are more only where Go refuses two
    packages side by side. What an earlier run compiled a later one has.
    """

    title: str
    module: Path
    groups: tuple[tuple[str, ...], ...]
    link_flags: str

    def left_to_compile(self) -> dict[str, int]:
        """Have the modules on this machine; what each package that Go's cache lacks weighs.

        Raises ModulesError when a module cannot be had.
        """
        weights: dict[str, int] = {}
        fields = "-json=ImportPath,Dir,GoFiles,Stale"
        for packages in self.groups:
            command = ["go", "list", "-deps", *COMPILE_FLAGS, fields, *packages]
            listed = subprocess.run(
                command,
                env=go_environment(),
                cwd=self.module,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
            )
            if listed.returncode != 0:
                what = "its Go modules cannot be had"
                raise ModulesError(_failure(self.title, what, listed.stderr))
            weights |= weights_of(listed.stdout)
        return weights

    def run(self, target: Path, tell: Tell) -> None:
        """Compile all of it into the folder `target`.

        Raises ModulesError or CompileError.
        """
        tell(f"getting the Go modules of {self.title}")
        programs = sum(map(len, self.groups))
        progress = Progress(self.left_to_compile(), programs, len(os.sched_getaffinity(0)))
        display = Display(self.title, progress, tell)
        display.start()
        for packages in self.groups:
            self._compile(packages, target, display)

    def _compile(self, packages: Sequence[str], target: Path, display: Display) -> None:
        build = ["go", "build", "-v", *COMPILE_FLAGS, "-ldflags", self.link_flags]
        command = low_priority([*build, "-o", f"{target}{os.sep}", *packages])
        try:
            with _running(command, self.module) as process:
                said = _follow(process.stderr or (), display)
        finally:
            display.end()
        if process.returncode != 0:
            raise CompileError(_failure(self.title, "go build failed", "\n".join(said)))


def _failure(title: str, what: str, output: str) -> str:
    lines = [
        line.strip()
        for line in output.strip().splitlines()
        if not line.startswith("go: downloading")
    ]
    return f"{title}: {what}: {'; '.join(lines[-3:]) or 'go said nothing'}"


@contextmanager
def _running(command: Sequence[str], module: Path) -> Generator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command,
        env=go_environment(),
        cwd=module,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    with process:
        try:
            yield process
        except BaseException:
            # Go would compile on after an interrupt of ours.
            process.terminate()
            raise


def _follow(lines: Iterable[str], display: Display) -> list[str]:
    """Show progress as Go names packages; the lines that name none."""
    said: list[str] = []
    for line in lines:
        name = line.strip()
        display.progress.begin(name)
        if name and name not in display.progress.weights:
            said.append(name)
        display.update()
    return said
