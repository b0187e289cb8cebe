"""One command at a time works on the cluster; the kernel frees the lock when its holder dies."""

import fcntl
import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tools.cluster.errors import ClusterError


def _acquired(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def held(path: Path, *, tell: Callable[[str], None], timeout: float = 1800) -> Generator[None]:
    """Hold the lock at `path` for the length of a `with` block, waiting up to `timeout` seconds.

    Raises ClusterError when another process holds it even then. `tell` gets a line if it must wait.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="ascii") as file:
        deadline = time.monotonic() + timeout
        if not _acquired(file):
            file.seek(0)
            holder = file.read().strip() or "unknown"
            tell(f"waiting for another cluster command to end (process {holder})")
            while not _acquired(file):
                if time.monotonic() >= deadline:
                    message = (
                        f"lock: {path} is held by process {holder} for over {timeout:g} s: "
                        "wait for it or end it, then run this again"
                    )
                    raise ClusterError(message)
                time.sleep(0.2)
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        yield
