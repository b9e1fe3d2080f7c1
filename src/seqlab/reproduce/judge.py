"""Ours beside the published: one line a row, its mean and interval, and the verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from seqlab.compare.facts import facts, is_data
from seqlab.compare.groups import DataSet, Group
from seqlab.compare.mixing import metric_info
from seqlab.compare.scores import Metric, baselines_of, rows_of
from seqlab.compare.statistics import Array, Estimate, t_interval
from seqlab.errors import RequestError
from seqlab.reproduce.preset import Reproduction, Row
from seqlab.reproduce.recorded import Entry, as_run

Verdict = Literal["reproduced", "better", "near", "missed", "not run", "no published value"]
VERDICTS: tuple[Verdict, ...] = ("reproduced", "better", "near", "missed", "not run", "no published value")
#: Share of a distance that rounding may add to it.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Line:
    """One row of a reproduction's table.

    Attributes:
        row: its overrides.
        estimates: mean and interval, one a metric; none where it was not run.
        published: one number a metric, None where there is none.
        floor: the score of the trivial predictor or the published floor, by the judged metric.
        verdict: on the judged metric.
        seconds: mean of a run.
        parameters: trained ones, token vectors left out.
        seeds: of its runs.
    """

    row: Row
    estimates: tuple[Estimate, ...]
    published: tuple[float | None, ...]
    floor: float | None
    verdict: Verdict
    seconds: float | None = None
    parameters: float | None = None
    seeds: tuple[int, ...] = ()


def verdict(
    mean: float,
    published: float | None,
    higher_is_better: bool,
    tolerance: float,
    miss: float,
    two_sided: bool = False,
) -> Verdict:
    """Return what a mean says of a published value.

    Args:
        mean: ours; NaN where a run has no finite score.
        published: the paper's, not 0; None where it gives none.
        higher_is_better: the metric's direction.
        tolerance: relative distance up to which the value is reproduced.
        miss: relative distance on the bad side beyond which it is missed.
        two_sided: a score that is better than published counts as a distance too: chance is published, for one.
    """
    if published is None:
        return "no published value"
    gain = (mean - published) / abs(published) * (1 if higher_is_better else -1)
    if not math.isfinite(gain):
        return "missed"
    if abs(gain) <= tolerance + ROUNDING:
        return "reproduced"
    if gain > 0 and not two_sided:
        return "better"
    return "near" if abs(gain) <= miss + ROUNDING else "missed"


def lines_of(reproduction: Reproduction, entries: Sequence[Entry]) -> list[Line]:
    """Return a line for each row that was run, planned or published: by data, best first, those not run last.

    Args:
        reproduction: what was to be reproduced.
        entries: its recorded runs.

    Raises:
        RequestError: a run lacks a metric, or those of one row were tested on different examples.
    """
    recorded: dict[Row, list[Entry]] = {}
    for entry in entries:
        if lacking := [name for name in reproduction.metrics if name not in entry["metrics"]]:
            raise RequestError(
                f"A recorded run of {reproduction.name} lacks {lacking[0]}; record it from its folder again."
            )
        recorded.setdefault(_in_order(entry["row"], reproduction), []).append(entry)
    rows = list(dict.fromkeys([*reproduction.published, *reproduction.rows, *sorted(recorded)]))
    places = list(dict.fromkeys(map(_data_of, rows)))
    lines = [_line(reproduction, row, recorded.get(row, [])) for row in rows]
    sign = -1 if entries and _metric(reproduction.metrics[0], entries).higher_is_better else 1
    return sorted(lines, key=lambda line: (places.index(_data_of(line.row)), _place(line, sign)))


def _in_order(row: Mapping[str, str], reproduction: Reproduction) -> Row:
    keys = dict.fromkeys([*(key for key in reproduction.keys if key in row), *row])
    return tuple((key, row[key]) for key in keys)


def _data_of(row: Row) -> Row:
    return tuple((key, value) for key, value in row if is_data(key))


def _place(line: Line, sign: int) -> tuple[int, float]:
    if not line.estimates:
        return 2, 0.0
    mean = line.estimates[0].mean
    return (0, sign * mean) if math.isfinite(mean) else (1, 0.0)


def _metric(name: str, entries: Sequence[Entry]) -> Metric:
    info = metric_info(as_run(entries[0]), name)
    return Metric(name, bool(info.get("higher_is_better", False)))


def _line(reproduction: Reproduction, row: Row, entries: Sequence[Entry]) -> Line:
    published = reproduction.published.get(row, (None,) * len(reproduction.metrics))
    floors = reproduction.floor if isinstance(reproduction.floor, Mapping) else {}
    if not entries:
        return Line(row, (), published, floors.get(row), "not run")
    runs = tuple(as_run(entry) for entry in entries)
    units = tuple((entry["seed"], entry["fold"])[: len(reproduction.over)] for entry in entries)
    data_set = DataSet(reproduction.name, (Group(_label(row), facts(runs[0]), runs, units),))
    scored = [
        rows_of(data_set, _metric(name, entries), reproduction.over, _interval)[0] for name in reproduction.metrics
    ]
    judged = _metric(reproduction.metrics[0], entries)
    floor = baselines_of(data_set, judged).get(str(reproduction.floor), floors.get(row))
    estimates = tuple(one.estimate for one in scored)
    said = verdict(
        estimates[0].mean,
        published[0],
        judged.higher_is_better,
        reproduction.tolerance,
        reproduction.miss,
        reproduction.two_sided,
    )
    costs, seeds = scored[0].costs, tuple(sorted({run.seed for run in runs}))
    return Line(row, estimates, published, floor, said, costs["seconds"], costs["parameters"], seeds)


def _interval(scores: Array, overlap: float) -> Estimate:
    return t_interval(scores, overlap=overlap)


def _label(row: Row) -> str:
    return ",".join(f"{key}={value}" for key, value in row)
