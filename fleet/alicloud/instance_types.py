"""What an instance type is, read off its name: size, architecture, disks.

Source: the naming scheme of the ECS instance families (c is 1:2, g 1:4, r 1:8 CPU to GiB; `large`
is 2 CPUs, `xlarge` 4, `Nxlarge` 4N; the economy and universal families carry the ratio as `c1mN`).
Families that do not follow it (GPU, bare metal, local disks) have no answer here.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_GENERAL = re.compile(r"ecs\.(?P<kind>[cgr])[0-9]+[a-z]*\.(?P<size>[0-9]*x?large)")
_RATIO = re.compile(r"ecs\.(?:e|u1|u2[a-z]?)-c1m(?P<ratio>[1248])\.(?P<size>[0-9]*x?large)")
_GIB_PER_CPU = {"c": 2, "g": 4, "r": 8}


# Ampere and Yitian machines: g6r, c8y, r8y and those that come after them.
_ARM = re.compile(r"ecs\.[a-z]+[0-9]+(r|y[a-z]*)\.")
# Economy and universal families; the entry class of ESSD is for them only.
_ENTRY = re.compile(r"ecs\.(e|u[0-9][a-z]*)-")


class Size(NamedTuple):
    """CPUs and memory (GiB) of an instance."""

    cpus: int
    memory_gib: int


def architecture_of(instance_type: str) -> str:
    """Return `arm64` or `amd64`."""
    return "arm64" if _ARM.match(instance_type) else "amd64"


def takes_entry_disks(instance_type: str) -> bool:
    """Tell whether disks of the category `cloud_essd_entry` can be attached to this type."""
    return _ENTRY.match(instance_type) is not None


def size_of(instance_type: str) -> Size | None:
    """Return the size of `instance_type`, or None where its name does not tell."""
    if match := _RATIO.fullmatch(instance_type):
        ratio = int(match["ratio"])
    elif match := _GENERAL.fullmatch(instance_type):
        ratio = _GIB_PER_CPU[match["kind"]]
    else:
        return None
    cpus = _cpus(match["size"])
    return Size(cpus, cpus * ratio) if cpus else None


def _cpus(size: str) -> int:
    if size == "large":
        return 2
    count = size.removesuffix("xlarge")
    return 4 * int(count) if count.isdigit() else 4 if size == "xlarge" else 0
