"""``compare``: from run folders to a Comparison, which holds every number and says them in several formats."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from seqlab.compare.differences import Difference, Pairing, differences_of
from seqlab.compare.examples import ExampleDifference, example_difference
from seqlab.compare.groups import DataSet, data_sets
from seqlab.compare.notes import overall_notes, section_notes
from seqlab.compare.ranks import Ranks, ranks_of
from seqlab.compare.scores import FOLD, Metric, Row, baselines_of, metric_of, rows_of
from seqlab.compare.statistics import Array, Estimate, bootstrap_interval, t_interval
from seqlab.errors import RequestError, did_you_mean
from seqlab.runs import Run, find_runs

if TYPE_CHECKING:
    import pandas as pd

Interval = Literal["t", "bootstrap"]
INTERVALS = ("t", "bootstrap")


@dataclass(frozen=True)
class Section:
    """One data set's part of a comparison.

    Attributes:
        name: the data's.
        metric: what is compared.
        rows: one a group, best first.
        baselines: trivial predictors' scores by name.
        reference: label of what the differences are to; empty with one group.
        differences: of the other groups to the reference, over seeds.
        examples: the same from the test examples, where asked for.
        notes: what a person should know of this part.
    """

    name: str
    metric: Metric
    rows: tuple[Row, ...]
    baselines: dict[str, float]
    reference: str
    differences: tuple[Difference, ...]
    examples: tuple[ExampleDifference, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """What runs say when set side by side. Printing it shows the tables.

    Attributes:
        sections: one a data set.
        ranks: over the data sets; None with one.
        left_out: runs that did not complete.
        notes: what a person should know of the whole.
        over: the keys of the replicates.
        level: coverage of the intervals; tests are made at ``1 - level``.
        interval: "t" or "bootstrap".
    """

    sections: tuple[Section, ...]
    ranks: Ranks | None
    left_out: tuple[Run, ...]
    notes: tuple[str, ...]
    over: tuple[str, ...]
    level: float
    interval: Interval

    def __str__(self) -> str:
        from seqlab.compare.render import as_text

        return as_text(self)

    def to_markdown(self) -> str:
        """Return the tables as Markdown."""
        from seqlab.compare.render import as_markdown

        return as_markdown(self)

    def to_dict(self) -> dict[str, Any]:
        """Return every number in full precision as plain values that JSON can hold."""
        from seqlab.compare.export import as_dict

        return as_dict(self)

    def to_frame(self, per_seed: bool = False) -> pd.DataFrame:
        """Return one row a group (trivial predictors included), or with ``per_seed`` one row a run."""
        import pandas as pd

        from seqlab.compare.export import records, seed_records

        return pd.DataFrame(seed_records(self) if per_seed else records(self))


def compare(
    runs: Iterable[Run | str | os.PathLike[str]] | str | os.PathLike[str],
    metric: str | None = None,
    *,
    split: str | None = None,
    by: Sequence[str] = (),
    over: Sequence[str] = ("seed",),
    baseline: str | None = None,
    interval: Interval = "t",
    level: float = 0.95,
    allow_mixed_code: bool = False,
    examples: bool = False,
    rng: np.random.Generator | None = None,
) -> Comparison:
    """Set runs side by side.

    Args:
        runs: runs, or folders to look for them in.
        metric: ``test/mse`` or ``mse``; the test score of what the runs monitored by default.
        split: train, val or test, where ``metric`` does not say.
        by: config keys or groups to group by (``cell``, ``model.num_layers``); those of data make a part each. By
            default groups are the runs that are equal in all that can change a result, but the seed.
        over: what repeats a run: ``seed``, or ``seed`` and ``data.fold``.
        baseline: label of the row that the others are compared with, or a trivial predictor; the best row by default.
        interval: Student's t, or the percentile bootstrap, which covers too rarely below about 30 seeds.
        level: coverage of the intervals.
        allow_mixed_code: compare runs even if different versions or commits of the code made them.
        examples: also estimate how sure the test examples make a difference (reads the saved predictions).
        rng: for the bootstrap and for sign-flip tests of more than 13 pairs; seeded with 0 by default.

    Raises:
        RequestError: no completed run, an unknown name, or runs that may not be compared.
        RunError: a run's record is corrupt.
    """
    _check_options(interval, level, over)
    completed, left_out = _sorted_by_status(_collected(runs))
    rng = np.random.default_rng(0) if rng is None else rng
    pairing = Pairing(tuple(over), level, interval == "bootstrap", rng)
    sections = tuple(
        _section(part, metric_of(part, metric, split), baseline, pairing, examples)
        for part in data_sets(completed, tuple(by), tuple(over), allow_mixed_code)
    )
    ranks = ranks_of([(s.name, s.metric, s.rows) for s in sections], 1 - level)
    return Comparison(sections, ranks, left_out, overall_notes(completed, interval), tuple(over), level, interval)


def _check_options(interval: str, level: float, over: Sequence[str]) -> None:
    if interval not in INTERVALS:
        raise RequestError(f"--interval {interval} is unknown.{did_you_mean(interval, INTERVALS)}")
    if not 0 < level < 1:
        raise RequestError(f"The level of an interval must lie between 0 and 1; got {level}.")
    if not over:
        raise RequestError("--over needs at least one key; runs are repeated over seed by default.")
    if interval == "bootstrap" and FOLD in over:
        raise RequestError("Folds share training data, which the bootstrap can't account for; use --interval t.")


def _collected(runs: Iterable[Run | str | os.PathLike[str]] | str | os.PathLike[str]) -> list[Run]:
    items = [runs] if isinstance(runs, str | os.PathLike) else list(runs)
    found: dict[Path, Run] = {}
    for item in items:
        for run in [item] if isinstance(item, Run) else find_runs(item):
            found.setdefault(run.folder.resolve(), run)
    if not found:
        where = ", ".join(str(item) for item in items) or "an empty list"
        raise RequestError(f"Expected folders with runs; found no run in {where}. `seqlab train` makes one.")
    return list(found.values())


def _sorted_by_status(runs: Sequence[Run]) -> tuple[list[Run], tuple[Run, ...]]:
    completed = [run for run in runs if run.status == "completed"]
    left_out = tuple(run for run in runs if run.status != "completed")
    if not completed:
        first = left_out[0]
        error = f" The first: {first.folder}: {first.error}" if first.error else f" The first: {first.folder}."
        raise RequestError(f"None of the runs has completed: {tally(left_out)}.{error}")
    return completed, left_out


def tally(runs: Sequence[Run]) -> str:
    """Return how many runs have each status: ``2 failed, 1 running``."""
    return ", ".join(f"{count} {status}" for status, count in sorted(Counter(run.status for run in runs).items()))


def _section(data_set: DataSet, metric: Metric, baseline: str | None, pairing: Pairing, examples: bool) -> Section:
    def estimate(values: Array, overlap: float) -> Estimate:
        if pairing.bootstrap:
            return bootstrap_interval(values, pairing.rng, pairing.level)
        return t_interval(values, pairing.level, overlap)

    rows = rows_of(data_set, metric, pairing.over, estimate)
    trivial = baselines_of(data_set, metric)
    reference, differences = differences_of(rows, trivial, baseline, metric, pairing)
    by_label = {row.label: row for row in rows}
    found: tuple[ExampleDifference, ...] = ()
    if examples and reference in by_label:
        pairs = [(by_label[d.label], by_label[reference]) for d in differences]
        found = tuple(example_difference(a, b, metric, pairing) for a, b in pairs)
    notes = section_notes(rows, metric, pairing.over)
    return Section(data_set.name, metric, rows, trivial, reference, differences, found, notes)
