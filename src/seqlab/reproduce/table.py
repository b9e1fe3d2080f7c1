"""A reproduction's table, for a terminal and for the ledger, and what a person should know of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from seqlab.compare.scores import FOLD
from seqlab.compare.statistics import Estimate
from seqlab.compare.wording import number, percent, plural, word
from seqlab.errors import did_you_mean
from seqlab.reproduce.judge import Line, lines_of
from seqlab.reproduce.preset import Reproduction, Row
from seqlab.reproduce.recorded import Entry, entries_below
from seqlab.table import Table, as_text

#: Significant digits of a column in which nothing is published.
DIGITS = 3
LEVEL = 0.95
#: Of a row that was not run.
NONE = Estimate(0, math.nan, math.nan, math.nan, math.nan)


def table_of(reproduction: Reproduction, lines: Sequence[Line], title: str = "") -> Table:
    """Return the lines as a table; ours has one digit more than the published values of its column.

    Args:
        reproduction: what was to be reproduced.
        lines: of ``lines_of``.
        title: a line above.
    """
    keys = _keys([line.row for line in lines])
    named = [key.rpartition(".")[2] for key in keys]
    heads = [short if named.count(short) == 1 else key for key, short in zip(keys, named, strict=True)] or [""]
    floor = ["floor" if not isinstance(reproduction.floor, str) else word(reproduction.floor)]
    floor = floor if reproduction.floor else []
    judged, *others = reproduction.metrics
    columns = [*heads, plural(reproduction.over), judged, f"{percent(LEVEL)} interval", "published", *floor, "verdict"]
    columns += [column for name in others for column in (name, "published")] + ["parameters", "seconds"]
    digits = [_digits(reproduction, place) for place in range(len(reproduction.metrics))]
    rows = [_cells(reproduction, line, keys, digits, bool(floor)) for line in lines]
    return Table(title, columns, rows, left=len(heads))


def _keys(rows: Sequence[Row]) -> list[str]:
    """Return the keys that tell the rows apart; where there is but one row, all of its keys."""
    keys = list(dict.fromkeys(key for row in rows for key, _ in row))
    varying = [key for key in keys if len({dict(row).get(key) for row in rows}) > 1]
    return varying or keys


def _cells(
    reproduction: Reproduction, line: Line, keys: Sequence[str], digits: Sequence[int], floor: bool
) -> list[str]:
    judged, *others = line.estimates or (NONE,) * len(reproduction.metrics)
    values = dict(line.row)
    low, high = (figure(bound, digits[0] + 1, judged.mean) for bound in (judged.low, judged.high))
    cells = [values.get(key, "-") for key in keys] or [reproduction.name]
    cells.append(_count(reproduction, line.row, judged.n))
    cells.append(figure(judged.mean, digits[0] + 1))
    cells.append("-" if math.isnan(judged.low) else f"{low} to {high}")
    cells.append(figure(line.published[0], digits[0]))
    cells += [figure(line.floor, digits[0] + isinstance(reproduction.floor, str))] * floor
    cells.append(line.verdict)
    for other, published, wanted in zip(others, line.published[1:], digits[1:], strict=True):
        cells += [figure(other.mean, wanted + 1), figure(published, wanted)]
    return [*cells, "-" if line.parameters is None else f"{line.parameters:,.0f}", number(line.seconds)]


def _count(reproduction: Reproduction, row: Row, n: int) -> str:
    missing = row in reproduction.rows and 0 < n < reproduction.replicates
    return f"{n} of {reproduction.replicates}" if missing else str(n or "-")


def _digits(reproduction: Reproduction, metric: int) -> int:
    """Return the most significant digits of a metric's published values."""
    values = [numbers[metric] for numbers in reproduction.published.values()]
    digits = [len(Decimal(repr(value)).normalize().as_tuple().digits) for value in values if value is not None]
    return max([*digits, 2]) if digits else DIGITS


def figure(value: float | None, digits: int, like: float | None = None) -> str:
    """Return a number with some significant digits, or with as many decimals as another has; "-" where there is none.

    Args:
        value: the number.
        digits: significant ones, zeros at the end included.
        like: the number whose decimals to take.
    """
    if value is None or not math.isfinite(value):
        return "-"
    of = abs(value if like is None else like)
    if 0 < of < 1e-4:
        return f"{value:.{digits - 1}e}"
    decimals = digits - 1 - (math.floor(math.log10(of)) if of else 0)
    return f"{value:,.{max(0, decimals)}f}"


def notes_of(reproduction: Reproduction, entries: Sequence[Entry]) -> list[str]:
    """Return what a person should know of the runs: another file than the public one, a floor that is not there."""
    notes = []
    for file, wanted in reproduction.sha256.items():
        for digest in sorted({e["files"][file] for e in entries if file in e["files"]} - {wanted}):
            notes.append(f"{file} is not the public file: its SHA-256 is {digest}, expected {wanted}.")
    floors = {key.partition("/")[0] for e in entries for key in e["baselines"]}
    if entries and isinstance(reproduction.floor, str) and reproduction.floor not in floors:
        notes.append(
            f"The runs have no trivial predictor {reproduction.floor!r}.{did_you_mean(reproduction.floor, floors)}"
        )
    return notes


def rule_of(reproduction: Reproduction) -> str:
    """Return what the verdicts and the interval mean."""
    folds = ", corrected for shared training data" if FOLD in reproduction.over else ""
    interval = f"Interval: Student's t over {plural(reproduction.over)}{folds}."
    if not reproduction.published:
        return interval
    beyond = "farther from it" if reproduction.two_sided else "worse"
    return (
        f"Reproduced is within {percent(reproduction.tolerance)} of the published {reproduction.metrics[0]}, missed is"
        f" {beyond} by more than {percent(reproduction.miss)}, near lies between. {interval}"
    )


def shown(reproduction: Reproduction, folder: Path, width: int) -> str:
    """Return ours beside the published as text for a terminal of ``width`` columns.

    Args:
        reproduction: what was to be reproduced.
        folder: where its runs lie, if there are any.
        width: columns.

    Raises:
        RequestError: the runs lack a metric, or those of a row were tested on different examples.
        RunError: a run's record is corrupt.
    """
    entries = entries_below({reproduction.name: reproduction}, [folder] if folder.is_dir() else [])
    lines = lines_of(reproduction, entries)
    table = table_of(reproduction, lines, f"{reproduction.name}: {reproduction.title[0]}")
    notes = [f"Note: {note}" for note in (*notes_of(reproduction, entries), reproduction.note) if note]
    parts = [f"Source: {reproduction.source}", f"Protocol: {reproduction.protocol}", rule_of(reproduction), *notes]
    return as_text(table, width) + "\n" + "\n".join(parts) + "\n"
