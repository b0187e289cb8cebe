"""Tables as text: folded to the terminal of a person, one line a row into a pipe."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

# Wider than any row.
_PIPE = 100_000
# The narrowest last column of a table; a terminal without room for it wraps the lines itself.
_FOLDED = 20


def table_lines(
    rows: Sequence[Sequence[str]],
    head: Sequence[str] = (),
    *,
    right: Collection[int] = (),
    person: bool = False,
) -> Iterator[str]:
    """Return the lines of a table; columns in `right` end together. No cell is read as markup."""
    table = Table(box=None, pad_edge=False, header_style="bold", show_header=bool(head))
    columns = list(zip(*([head] if head else []), *rows, strict=True))
    for place, column in enumerate(columns):
        # A link that is cut or folded cannot be opened: only the last column gives way.
        table.add_column(
            Text(column[0] if head else ""),
            justify="right" if place in right else "left",
            no_wrap=place < len(columns) - 1,
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console = Console() if person else Console(width=_PIPE, color_system=None)
    fixed = sum(max(map(cell_len, column)) + 2 for column in columns[:-1])
    console.width = max(console.width, fixed + _FOLDED)
    with console.capture() as printed:
        console.print(table)
    for line in printed.get().splitlines():
        yield line.rstrip()
