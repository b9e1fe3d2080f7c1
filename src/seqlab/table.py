"""A table of text cells and how it is written: for a terminal, or as Markdown."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Cells that are already text.

    Attributes:
        title: a line above; may be empty.
        columns: headings.
        rows: one cell a column.
        left: number of leading columns that are aligned to the left; numbers stand to the right.
        best: number of the row to make bold; None for none.
        rule: number of rows above a dividing line; None for no line.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: int = 1
    best: int | None = None
    rule: int | None = None


def as_text(table: Table, width: int = 200, colour: bool = False) -> str:
    """Return the table for a terminal of ``width`` columns.

    Args:
        table: what to write.
        width: cells wrap where the table would be wider.
        colour: whether to write terminal codes.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table as Rich
    from rich.text import Text

    rich = Rich(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    least = [_longest_word([name, *cells]) for name, *cells in zip(table.columns, *table.rows, strict=True)]
    for number, name in enumerate(table.columns):
        rich.add_column(Text(name), justify="left" if number < table.left else "right", min_width=least[number])
    for number, row in enumerate(table.rows):
        style = "bold" if number == table.best else None
        rich.add_row(*(Text(cell) for cell in row), style=style, end_section=number + 1 == table.rule)
    text = io.StringIO()
    width = max(width, sum(least) + 3 * len(least))  # rather too wide than words cut in two
    console = Console(file=text, width=width, force_terminal=colour, highlight=False, legacy_windows=False)
    if table.title:
        console.print(Text(table.title, style="bold"))
    console.print(rich)
    return "\n".join(line.rstrip() for line in text.getvalue().strip("\n").splitlines() if line.strip()) + "\n"


def _longest_word(cells: Sequence[str]) -> int:
    return max(len(word) for cell in cells for word in (cell.split() or [""]))


def as_markdown(table: Table) -> str:
    """Return the table as GitHub's Markdown."""
    lines = [f"**{_escaped(table.title)}**", ""] if table.title else []
    lines.append(_line(table.columns))
    lines.append(_line([":--" if number < table.left else "--:" for number in range(len(table.columns))]))
    for number, row in enumerate(table.rows):
        cells = [_escaped(cell) for cell in row]
        lines.append(_line([f"**{cells[0]}**", *cells[1:]] if number == table.best else cells))
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(cell: str) -> str:
    for mark in "\\|<>*`[]":
        cell = cell.replace(mark, f"\\{mark}")
    return cell.replace("\n", " ")
