"""The rules as a policy pack: `pulumi up --policy-pack policy`.

What one resource says is judged before it is made; what several say together, when all are known.
A value that is not known yet in a preview is not judged in it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pulumi_policy as pack
from pulumi_policy.proxy import UnknownValueError

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from policy import alicloud, kubernetes
from policy.declared import Item, Rule

UNKNOWN = "[not known yet]"
# Of these the offence shows only beside other resources.
_TOGETHER = frozenset({"pools_are_confined", "openings_are_unique"})


def _one(rule: Rule) -> pack.ResourceValidationPolicy:
    def validate(args: pack.ResourceValidationArgs, report: pack.ReportViolation) -> None:
        item = Item(typ=args.resource_type, name=args.name, inputs=_plain(args.props))
        _report(rule, [item], lambda line: report(line, None))

    return pack.ResourceValidationPolicy(_name(rule), _said(rule), validate)


def _all(rule: Rule) -> pack.StackValidationPolicy:
    def validate(args: pack.StackValidationArgs, report: pack.ReportViolation) -> None:
        items = [
            Item(typ=item.resource_type, name=item.name, inputs=_plain(item.props))
            for item in args.resources
        ]
        # What belongs together is told by names, which a preview of a new stack does not know.
        if not any(UNKNOWN in item.inputs.get("metadata", {}).values() for item in items):
            _report(rule, items, lambda line: report(line, None))

    return pack.StackValidationPolicy(_name(rule), _said(rule), validate)


def _plain(value: Any) -> Any:
    """Return what the SDK wraps as plain values; what is not known yet is UNKNOWN."""
    if isinstance(value, Mapping):
        mapping = cast("Mapping[str, Any]", value)
        return {key: _known(mapping, key) for key in mapping}
    if isinstance(value, Sequence) and not isinstance(value, str):
        items = cast("Sequence[Any]", value)
        return [_known(items, index) for index in range(len(items))]
    return value


def _known(holder: Any, key: Any) -> Any:
    try:
        return _plain(holder[key])
    except UnknownValueError:
        return UNKNOWN


def _report(rule: Rule, items: Sequence[Item], report: Callable[[str], None]) -> None:
    for line in rule(items):
        report(line)


def _name(rule: Rule) -> str:
    return rule.__name__.replace("_", "-")


def _said(rule: Rule) -> str:
    return (rule.__doc__ or "").strip().splitlines()[0]


RULES = {**kubernetes.RULES, **alicloud.RULES}
pack.PolicyPack(
    name="opencode-fleet",
    enforcement_level=pack.EnforcementLevel.MANDATORY,
    policies=[(_all if name in _TOGETHER else _one)(rule) for name, rule in RULES.items()],
)
