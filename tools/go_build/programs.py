"""Finished sets of programs: each a folder named after everything that went into it.

A half-built set never has that name. Sets are kept outside the repository; deleting them costs only
the time to build them again.
"""

import fcntl
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tools.go_build.compiling import Build
from tools.go_build.errors import ToolchainError
from tools.go_build.toolchain import COMPILE_FLAGS, go_version

Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class ProgramSet:
    """Programs that are built together, from one module of ours."""

    title: str
    module: Path
    # Packages that Go takes side by side are one group: see Build.
    groups: tuple[tuple[str, ...], ...]
    # What `go build` calls the programs: the last part of each package's name.
    programs: tuple[str, ...]
    # Variables that are set when linking, such as a program's own version.
    stamps: Mapping[str, str] = field(default_factory=dict[str, str])
    # Further names of a program: name to program.
    names: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def link_flags(self) -> str:
        """Without symbol table and debug information, and stamped."""
        stamps = (f"-X {name}={value}" for name, value in self.stamps.items())
        return " ".join(("-s -w", *stamps))

    def sources_hash(self) -> str:
        """A name for everything but the toolchain that goes into the set."""
        packages = (package for group in self.groups for package in group)
        settings = (*packages, self.link_flags, *COMPILE_FLAGS, *sorted(self.names))
        digest = hashlib.sha256("\0".join(settings).encode())
        for path in sorted(self.module.rglob("*")):
            if path.name in {"go.mod", "go.sum"} or path.suffix == ".go":
                digest.update(f"\0{path.relative_to(self.module)}\0".encode() + path.read_bytes())
        return digest.hexdigest()[:16]

    def complete(self, folder: Path) -> bool:
        """Whether a folder holds every program of the set."""
        return all((folder / name).exists() for name in (*self.programs, *self.names))

    def find(self, cache: Path) -> Path | None:
        """The newest finished set of the present sources, whatever toolchain built it, if any."""
        finished = [f for f in cache.glob(f"{self.sources_hash()}-*") if self.complete(f)]
        return max(finished, key=lambda folder: folder.stat().st_mtime, default=None)

    def ensure(self, cache: Path, tell: Tell) -> Path:
        """The folder of the programs, built first when the cache lacks them.

        A machine that lost its Go toolchain keeps using what it built. Raises BuildError when Go is
        needed and missing or too old, or a build fails; nothing half-built stays.
        """
        try:
            folder = cache / f"{self.sources_hash()}-{go_version(self.title, self.module)}"
        except ToolchainError:
            built = self.find(cache)
            if built is None:
                raise
            return built
        if self.complete(folder):
            return folder
        cache.mkdir(parents=True, exist_ok=True)
        with _alone(cache, self.title, tell):
            # Whoever was waited for may have built it.
            if not self.complete(folder):
                self._build(folder, tell)
        return folder

    def _build(self, folder: Path, tell: Tell) -> None:
        # Leftovers of builds that were killed: nobody else builds while the lock is held.
        for stale in folder.parent.glob(".building-*"):
            shutil.rmtree(stale)
        build = Build(
            title=self.title,
            module=self.module,
            groups=self.groups,
            link_flags=self.link_flags,
        )
        building = Path(tempfile.mkdtemp(prefix=".building-", dir=folder.parent))
        try:
            build.run(building, tell)
            for name, program in self.names.items():
                (building / name).symlink_to(program)
            building.chmod(0o755)
            if folder.exists():
                shutil.rmtree(folder)
            building.rename(folder)
        finally:
            shutil.rmtree(building, ignore_errors=True)


@contextmanager
def _alone(cache: Path, title: str, tell: Tell) -> Generator[None]:
    """Build alone in a cache folder; the kernel frees the lock when its holder dies."""
    with (cache / ".lock").open("a", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell(f"{title}: waiting for another process that builds it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
