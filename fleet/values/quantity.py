"""Kubernetes quantities: parse, compare, and write them the way the API server stores them.

Source: the serialization format in k8s.io/apimachinery `resource.Quantity`. Canonical output
matters because a live object is compared with a rendered one by equality.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

_FORM = re.compile(
    r"(?P<number>[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
    r"(?P<suffix>[numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]{1,2})?"
)
_LONGEST = 40
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_LIMIT = 2**63


# A thousand users share the few quantities of their profiles.
@lru_cache(maxsize=1024)
def parse_quantity(text: str) -> Fraction:
    """Return the value of a Kubernetes quantity in its base unit (cores, or bytes).

    Raises ValueError when `text` is no quantity or does not fit 63 bits.
    """
    match = _FORM.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        raise ValueError(f"{text!r} is not a Kubernetes quantity")
    suffix = match["suffix"] or ""
    if suffix in _BINARY:
        factor = Fraction(2 ** _BINARY[suffix])
    elif suffix in _DECIMAL:
        factor = Fraction(10) ** _DECIMAL[suffix]
    else:
        factor = Fraction(10) ** int(suffix[1:])
    value = Fraction(match["number"]) * factor
    if value >= _LIMIT:
        raise ValueError(f"{text!r} is larger than a Kubernetes quantity can be")
    return value


def canonical_quantity(text: str) -> str:
    """Return the spelling of `text` that the API server stores unchanged (`1000m` → `1`).

    Powers of ten become suffixes (`1e3` → `1k`): both are canonical there, one is enough here.
    """
    value = parse_quantity(text)
    if re.search(r"[KMGTPE]i$", text) and value.denominator == 1:
        for suffix, power in sorted(_BINARY.items(), key=lambda item: -item[1]):
            if value and value % 2**power == 0:
                return f"{int(value / 2**power)}{suffix}"
        return str(int(value))
    for suffix, power in sorted(_DECIMAL.items(), key=lambda item: -item[1]):
        scaled = value / Fraction(10) ** power
        if value and scaled.denominator == 1:
            return f"{int(scaled)}{suffix}"
    return "0"
