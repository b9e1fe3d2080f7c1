"""A comparison for people: as tables in a terminal or in Markdown, with the answer in sentences."""

from __future__ import annotations

import math
import textwrap

from seqlab.compare.answer import answer
from seqlab.compare.comparison import Comparison, Section, tally
from seqlab.compare.differences import Difference
from seqlab.compare.ranks import Ranks
from seqlab.compare.scores import Row
from seqlab.compare.wording import decimals, fixed, listed, number, p_value, percent, plural, reference_of, word
from seqlab.runs import Run
from seqlab.table import Table
from seqlab.table import as_markdown as table_markdown
from seqlab.table import as_text as table_text

#: Runs left out that are named on a screen; a file names all.
NAMED = 10


def as_text(comparison: Comparison, per_seed: bool = False, width: int = 200, colour: bool = False) -> str:
    """Return tables, answers and notes for a terminal of ``width`` columns."""
    parts = _parts(comparison, per_seed)
    return "\n".join(table_text(p, width, colour) if isinstance(p, Table) else _wrapped(p, width) for p in parts)


def _wrapped(text: str, width: int) -> str:
    """Return sentences in lines that fit; a list of runs keeps its lines, whose paths are there to be copied."""
    if "\n" in text:
        return text + "\n"
    whole = text.replace(" %", "\N{NO-BREAK SPACE}%")
    lines = textwrap.wrap(whole, width, break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines).replace("\N{NO-BREAK SPACE}", " ") + "\n"


def as_markdown(comparison: Comparison, per_seed: bool = False) -> str:
    """Return tables, answers and notes as Markdown."""
    parts = _parts(comparison, per_seed)
    return "\n".join(table_markdown(p) if isinstance(p, Table) else p.replace("\n  ", "\n- ") + "\n" for p in parts)


def _parts(comparison: Comparison, per_seed: bool) -> list[Table | str]:
    """Return what is shown, in order: the tables, answer and notes of each data set, then what concerns all."""
    parts: list[Table | str] = []
    for section in comparison.sections:
        parts += section_tables(section, comparison)
        if per_seed:
            parts.append(seed_table(section, comparison))
        parts += [answer(section, comparison), *(f"Note: {note}" for note in section.notes)]
    if comparison.ranks:
        parts.append(rank_table(comparison.ranks))
        if comparison.ranks.left_out:
            parts.append(f"Without a rank, for want of a score in every data set: {listed(comparison.ranks.left_out)}.")
    parts += [f"Note: {note}" for note in comparison.notes]
    if comparison.left_out:
        more = len(comparison.left_out) - NAMED
        lines = [f"  {left_out_line(run)}" for run in comparison.left_out[:NAMED]]
        lines += [f"  and {more} more"] * (more > 0)
        parts.append("\n".join([f"Left out: {tally(comparison.left_out)}.", *lines]))
    return parts


def section_tables(section: Section, comparison: Comparison) -> list[Table]:
    """Return one data set's tables: scores, then differences, then those of the test examples."""
    tables = [score_table(section, comparison)]
    if section.differences:
        tables.append(difference_table(section, comparison))
    if section.examples:
        tables.append(example_table(section, comparison))
    return tables


def score_table(section: Section, comparison: Comparison) -> Table:
    """Return the groups with their intervals and costs, the trivial predictors beneath."""
    better = "higher" if section.metric.higher_is_better else "lower"
    digits = decimals(section)
    columns = [_heading(section), plural(comparison.over), section.metric.name, "sd", _interval_name(comparison)]
    rows = [_score_cells(row, digits) for row in section.rows]
    trivial = [[word(name), "", fixed(score, digits), *[""] * 7] for name, score in section.baselines.items()]
    return Table(
        f"{section.metric.name} on {section.name}, {better} is better",
        [*columns, "parameters", "state", "ms/step", "seconds", "MB"],
        [*rows, *trivial],
        best=0 if len(rows) > 1 and section.rows[0].finite else None,
        rule=len(rows) if trivial else None,
        spare=("MB", "sd", "state", "ms/step", "parameters", "seconds"),
    )


def _heading(section: Section) -> str:
    return "cell" if all(row.label == row.group.facts.get("cell") for row in section.rows) else "group"


def _interval_name(comparison: Comparison) -> str:
    return f"{percent(comparison.level)} interval"


def _score_cells(row: Row, digits: int) -> list[str]:
    e, step = row.estimate, row.costs["seconds_per_step"]
    return [
        row.label,
        str(e.n),
        fixed(e.mean, digits),
        fixed(e.sd, digits),
        _span(e.low, e.high, digits),
        fixed(row.costs["parameters"], 0),
        fixed(row.costs["state_size"], 0),
        number(None if step is None else 1000 * step),
        number(row.costs["seconds"]),
        fixed(row.costs["peak_memory_mb"], 0),
    ]


def _span(low: float, high: float, digits: int) -> str:
    return "-" if math.isnan(low) else f"{fixed(low, digits)} to {fixed(high, digits)}"


def difference_table(section: Section, comparison: Comparison) -> Table:
    """Return the paired differences with their tests."""
    best = " (best)" if section.rows[0].label == section.reference else ""
    digits = decimals(section)
    return Table(
        f"Differences to {reference_of(section)}{best} on the same {plural(comparison.over)}",
        ["", "n", "difference", _interval_name(comparison), "effect", "p (t)", "Holm", "p (signs)", "least", "verdict"],
        [_difference_cells(d, digits) for d in section.differences],
        spare=("least", "p (signs)", "p (t)", "effect"),
    )


def _difference_cells(d: Difference, digits: int) -> list[str]:
    if d.test is None:
        return [d.label, "0", *["-"] * 7, d.reason]
    e = d.test.difference
    cells = [d.label, str(e.n), fixed(e.mean, digits), _span(e.low, e.high, digits), number(d.test.effect)]
    tests = [p_value(p) for p in (d.test.t_p, d.t_holm, d.test.flip_p, d.test.flip_least)]
    needed = f" ({d.needed} needed)" if d.needed else ""
    return [*cells, *tests, d.reason + needed if d.reason else d.verdict]


def example_table(section: Section, comparison: Comparison) -> Table:
    """Return the same differences as the test examples see them."""
    digits, rows, reference = decimals(section), [], reference_of(section)
    for d in section.examples:
        if d.reason:
            rows.append([d.label, *["-"] * 5, d.reason])
            continue
        mcnemar = ", ".join(p_value(p) for p in d.mcnemar) or "-"
        blocks = f"blocks of {d.block}" if d.block > 1 else "single"
        span = _span(d.low, d.high, digits)
        rows.append([d.label, str(d.examples), str(d.seeds), fixed(d.mean, digits), span, mcnemar, blocks])
    return Table(
        f"The same differences to {reference} over the test examples instead of the {plural(comparison.over)}",
        ["", "examples", "runs", "difference", _interval_name(comparison), "McNemar p by seed", "resampled"],
        rows,
        spare=("resampled", "runs", "examples"),
    )


def seed_table(section: Section, comparison: Comparison) -> Table:
    """Return every single score: one line a replicate, one column a group."""
    scores = [dict(zip(row.group.units, row.scores, strict=True)) for row in section.rows]
    units = list(dict.fromkeys(unit for of in scores for unit in of))
    digits = decimals(section)
    return Table(
        f"{section.metric.name} on {section.name} by {', '.join(comparison.over)}",
        [*comparison.over, *(row.label for row in section.rows)],
        [[*map(str, unit), *(fixed(of.get(unit), digits) for of in scores)] for unit in units],
        left=len(comparison.over),
        fold=True,
    )


def rank_table(ranks: Ranks) -> Table:
    """Return the average ranks over data sets."""
    p = "" if ranks.friedman_p is None else f"; Friedman p {p_value(ranks.friedman_p)}"
    return Table(
        f"Average rank over {len(ranks.data_sets)} data sets; critical difference {ranks.critical_difference:.2f}{p}",
        ["", "average rank"],
        [[label, f"{rank:.2f}"] for label, rank in zip(ranks.labels, ranks.ranks, strict=True)],
        best=0,
    )


def left_out_line(run: Run) -> str:
    """Return a run that did not complete, with its error's first line."""
    error = (run.error or "").strip().splitlines()
    return f"{run.folder}: {run.status}" + (f": {error[0]}" if error else "")
