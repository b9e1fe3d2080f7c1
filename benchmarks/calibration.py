"""Does `seqlab compare` find differences where there are none? A cell against itself under other seeds, many times.

Each repetition draws the scores of four "cells" from one and the same distribution and gives them to the functions that
`seqlab compare` itself uses. Every difference found is false, and an interval either covers the true mean or doesn't.

    python benchmarks/calibration.py                          # normal and skewed scores
    python benchmarks/calibration.py outputs/co2 --seed 1     # and those of recorded runs

Bars: false positives at most 5 % plus three standard errors of so many repetitions, and coverage of Student's interval
on normal scores within 2 points of 95 % (within three standard errors, where few repetitions make that more). Exit code
1 where one is missed. 2,000 repetitions take about ten minutes. Recorded scores need ten runs a row: of fewer, the same
values are drawn again and again, which no score does.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from seqlab.compare import compare
from seqlab.compare.differences import Pairing, differences_of
from seqlab.compare.groups import Group
from seqlab.compare.scores import Metric, Row
from seqlab.compare.statistics import Array, bootstrap_interval, t_interval
from seqlab.table import Table, as_markdown, as_text

LEVEL, CELLS = 0.95, 4
COVERAGE_BAR = 0.02
LEAST_REPETITIONS, LEAST_RECORDED = 2_000, 10
#: draws an array of a shape
Draw = Callable[[np.random.Generator, tuple[int, ...]], Array]


@dataclass(frozen=True)
class Source:
    """A distribution of scores and its mean."""

    name: str
    draw: Draw
    mean: float


@dataclass(frozen=True)
class Rates:
    """Shares of the repetitions in which something happened.

    Attributes:
        t: the paired t test of two cells was below 5 %.
        signs: their sign-flip test was.
        named: Holm over three cells against a named baseline told any of them apart.
        best: Holm over all pairs of four cells told any from the best.
        covered: Student's interval held the true mean.
        bootstrapped: the bootstrap interval did.
    """

    source: str
    n: int
    repetitions: int
    t: float
    signs: float
    named: float
    best: float
    covered: float
    bootstrapped: float


def measure(source: Source, n: int, repetitions: int, rng: np.random.Generator) -> Rates:
    """Compare four cells that are one and the same, ``repetitions`` times with ``n`` seeds each."""
    pairing = Pairing(("seed",), LEVEL, False, rng)
    metric = Metric("test/mse", higher_is_better=False)
    seen = np.zeros(6)
    for _ in range(repetitions):
        scores = source.draw(rng, (CELLS, n))
        rows = sorted((_row(f"cell{i}", values) for i, values in enumerate(scores)), key=lambda row: row.estimate.mean)
        _, to_named = differences_of(rows, {}, "cell0", metric, pairing)
        _, to_best = differences_of(rows, {}, None, metric, pairing)
        pair = next(d.test for d in to_named if d.label == "cell1")
        interval, resampled = t_interval(scores[0], LEVEL), bootstrap_interval(scores[0], rng, LEVEL)
        seen += [
            pair.t_p < 1 - LEVEL,
            pair.flip_p < 1 - LEVEL,
            any(d.verdict != "open" for d in to_named),
            any(d.verdict != "open" for d in to_best),
            interval.low <= source.mean <= interval.high,
            resampled.low <= source.mean <= resampled.high,
        ]
    return Rates(source.name, n, repetitions, *(seen / repetitions).tolist())


def _row(label: str, scores: Array) -> Row:
    units = tuple((seed,) for seed in range(len(scores)))
    return Row(Group(label, {}, (), units), scores, units, scores, 0.0, t_interval(scores, LEVEL), {})


def missed(rates: Rates) -> list[str]:
    """Return the bars that a line of the table misses."""
    chance = 3 * math.sqrt(LEVEL * (1 - LEVEL) / rates.repetitions)
    bar = 1 - LEVEL + chance
    found = [
        f"{rates.source}, n={rates.n}: {name} {100 * rate:.1f} % false positives"
        for name in ("t", "signs", "named", "best")
        if (rate := getattr(rates, name)) > bar
    ]
    if rates.source == "normal" and abs(rates.covered - LEVEL) > max(COVERAGE_BAR, chance):
        found.append(f"{rates.source}, n={rates.n}: coverage {100 * rates.covered:.1f} %")
    return found


def sources(folders: Sequence[str]) -> list[Source]:
    """Return the distributions: normal, skewed, and for each cell of recorded runs its own scores, drawn again."""
    found = [
        Source("normal", lambda rng, shape: rng.normal(0.1, 0.01, shape), 0.1),
        Source("skewed (log-normal)", lambda rng, shape: rng.lognormal(0.0, 1.0, shape), math.exp(0.5)),
    ]
    if folders:
        for section in compare(folders, by=["data"]).sections:
            for row in section.rows:
                if row.finite and len(row.scores) >= LEAST_RECORDED:
                    found.append(_recorded(f"{row.label} on {section.name}", row.scores))
                else:
                    print(f"left out: {row.label} on {section.name}, {len(row.scores)} runs")
    return found


def _recorded(name: str, scores: Array) -> Source:
    return Source(
        f"recorded: {name}, {len(scores)} seeds", lambda rng, shape: rng.choice(scores, shape), float(scores.mean())
    )


def table(rates: Sequence[Rates], seconds: float) -> Table:
    """Return the rates in percent."""
    heads = [
        "scores",
        "n",
        "t, pair",
        "signs, pair",
        "Holm, 3 to a baseline",
        "Holm, 4 to the best",
        "t covers",
        "bootstrap covers",
    ]
    rows = [
        [r.source, str(r.n), *(f"{100 * x:.1f} %" for x in (r.t, r.signs, r.named, r.best, r.covered, r.bootstrapped))]
        for r in rates
    ]
    return Table(
        f"False positives and coverage, {rates[0].repetitions} repetitions each ({seconds:.0f} s)", heads, rows
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Calibration of seqlab compare: a cell against itself.")
    parser.add_argument("folder", nargs="*", help="run folders whose scores to draw from as well")
    parser.add_argument("--repetitions", type=int, default=LEAST_REPETITIONS)
    parser.add_argument("--n", type=lambda text: [int(n) for n in text.split(",")], default=[3, 5, 10, 20])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--markdown", action="store_true")
    asked = parser.parse_args(arguments)
    began = time.perf_counter()
    rng = np.random.default_rng(asked.seed)
    rates = [measure(source, n, asked.repetitions, rng) for source in sources(asked.folder) for n in asked.n]
    found = table(rates, time.perf_counter() - began)
    print(as_markdown(found) if asked.markdown else as_text(found))
    misses = [line for r in rates for line in missed(r)]
    print("\n".join([f"missed: {line}" for line in misses] or ["Every bar is met."]))
    return 1 if misses else 0


if __name__ == "__main__":
    sys.exit(main())
