"""How a cost report is shown: a plain table, or JSON.

Leaves out: the figures (`cost`).
"""

from __future__ import annotations

import json
from typing import Any

from fleet.alicloud.cost import CostLine, CostReport
from fleet.alicloud.prices import CURRENCY, NOTED


def cost_text(report: CostReport) -> str:
    """Return the report as lines of text."""
    rows = [(line.item, line.quantity, _amount(line)) for line in report.lines]
    from fleet.cli.tables import table_lines  # noqa: PLC0415 - few commands print one

    return "\n".join(
        (
            f"A month in {CURRENCY}",
            *(f"  {line}" for line in table_lines(rows, right={2})),
            "",
            *_totals(report),
            *(f"  price not known: {item}; add priceCnyHour" for item in report.unknown),
            "",
            "Assumptions",
            *(f"  - {line}" for line in report.assumptions),
        )
    )


def cost_json(report: CostReport) -> str:
    """Return the report as JSON; amounts in the currency named, to two decimals."""
    document: dict[str, Any] = {
        "currency": CURRENCY,
        "pricesNoted": NOTED,
        "users": report.users,
        "lines": [
            {
                "item": line.item,
                "quantity": line.quantity,
                "amount": _rounded(line.amount),
                "peak": _rounded(line.peak),
                "basis": line.basis,
            }
            for line in report.lines
        ],
        "onDemand": _rounded(report.on_demand),
        "peak": _rounded(report.peak),
        "spot": _rounded(report.spot),
        "scheduled": _rounded(report.scheduled),
        "perUser": _rounded(report.a_user),
        "unknown": list(report.unknown),
        "assumptions": list(report.assumptions),
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def _totals(report: CostReport) -> list[str]:
    totals = [f"Total on demand  {report.on_demand:.0f}"]
    if round(report.peak) != round(report.on_demand):
        totals.append(f"Total at peak    {report.peak:.0f}")
    totals.append(f"Total with spot  {report.spot:.0f}")
    if report.scheduled is not None:
        totals.append(f"Total scheduled  {report.scheduled:.0f}")
    if report.a_user is not None:
        totals.append(f"A user           {report.a_user:.0f}  ({report.users} users, on demand)")
    return totals


def _amount(line: CostLine) -> str:
    if line.amount is None:
        return "?"
    return f"{'~' if line.basis == 'estimate' else ''}{line.amount:.0f}"


def _rounded(amount: float | None) -> float | None:
    return None if amount is None else round(amount, 2)
