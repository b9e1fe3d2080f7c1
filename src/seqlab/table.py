"""A table of text cells and how it is written: for a terminal, or as Markdown."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace


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
        spare: headings of columns that a narrow screen goes without, the first to go first.
        fold: whether columns that don't fit go on in a table beneath.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: int = 1
    best: int | None = None
    rule: int | None = None
    spare: Sequence[str] = ()
    fold: bool = False


#: Cells up to this long stand on one line; longer ones wrap, to columns of at least this width.
SHORT, NARROWEST = 24, 18


def as_text(table: Table, width: int = 200, colour: bool = False) -> str:
    """Return the table for a terminal of ``width`` columns; what does not fit is named beneath it.

    Args:
        table: what to write.
        width: long cells wrap and spare columns are left out where the table would be wider.
        colour: whether to write terminal codes.
    """
    if table.fold and _width(table) > width and len(table.columns) > table.left + 1:
        return "\n".join(as_text(part, width, colour) for part in _folded(table, width))
    shown, gone = _fitted(table, width)
    text = _drawn(shown, max(width, _width(shown)), colour)  # rather too wide than words cut in two
    if gone:
        text += f"Not shown at this width: {', '.join(gone)}.\n"
    return text


def _drawn(table: Table, width: int, colour: bool) -> str:
    from rich import box
    from rich.console import Console
    from rich.table import Table as Rich
    from rich.text import Text

    rich = Rich(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for number, (name, least) in enumerate(zip(table.columns, _least(table), strict=True)):
        rich.add_column(Text(name), justify="left" if number < table.left else "right", min_width=least)
    for number, row in enumerate(table.rows):
        style = "bold" if number == table.best else None
        rich.add_row(*(Text(cell) for cell in row), style=style, end_section=number + 1 == table.rule)
    text = io.StringIO()
    console = Console(file=text, width=width, force_terminal=colour, highlight=False, legacy_windows=False)
    if table.title:
        console.print(Text(table.title, style="bold"))
    console.print(rich)
    return "\n".join(line.rstrip() for line in text.getvalue().strip("\n").splitlines() if line.strip()) + "\n"


def _fitted(table: Table, width: int) -> tuple[Table, list[str]]:
    """Return the table without as many spare columns as must go, and their headings."""
    gone: list[str] = []
    for name in table.spare:
        if _width(table) <= width:
            break
        if name in table.columns:
            kept = [number for number, heading in enumerate(table.columns) if heading != name]
            table = _only(table, kept)
            gone.append(name)
    return table, gone


def _folded(table: Table, width: int) -> list[Table]:
    """Return tables of as many columns as fit, each with the left ones."""
    head, parts = list(range(table.left)), [list(range(table.left))]
    for number in range(table.left, len(table.columns)):
        if _width(_only(table, [*parts[-1], number])) > width and parts[-1] != head:
            parts.append(head[:])
        parts[-1].append(number)
    return [replace(_only(table, part), title=table.title if part is parts[0] else "", fold=False) for part in parts]


def _only(table: Table, kept: Sequence[int]) -> Table:
    columns, rows = [table.columns[n] for n in kept], [[row[n] for n in kept] for row in table.rows]
    return replace(table, columns=columns, rows=rows)


def _width(table: Table) -> int:
    """Return the least width that a table needs on a screen."""
    return sum(_least(table)) + 2 * len(table.columns) + 2


def _least(table: Table) -> list[int]:
    """Return the least width of each column: short cells stay whole, but for labels, and no word is cut."""
    return [
        max(_longest_word(name), *(_least_of(cell, label=number < table.left) for cell in cells))
        for number, (name, *cells) in enumerate(zip(table.columns, *table.rows, strict=True))
    ]


def _least_of(cell: str, label: bool) -> int:
    if len(cell) <= SHORT and not label:
        return len(cell)
    return max(_longest_word(cell), min(NARROWEST, len(cell)) if not label else 0)


def _longest_word(cell: str) -> int:
    return max((len(word) for word in cell.split()), default=0)


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
