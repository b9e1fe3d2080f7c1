"""Differences between groups, paired by replicate, with the family of tests they belong to."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from seqlab.compare.scores import FOLD, Metric, Row, collapse
from seqlab.compare.statistics import Array, Paired, holm, paired, replicates_needed
from seqlab.errors import RequestError, did_you_mean

Verdict = Literal["better", "worse", "open"]
NOT_ENOUGH = "not enough {} to tell apart"


@dataclass(frozen=True)
class Difference:
    """How one group differs from the reference.

    Attributes:
        label: the group.
        reference: what it is compared with.
        test: the paired statistics; None where they can't be had.
        t_holm: p of the paired t test over the family.
        flip_holm: p of the sign-flip test over the family.
        verdict: of the t test at the family's level; "open" is not "equal".
        reason: why it is open, in words.
        needed: how many seeds would tell the two apart (``about 11``), where more would help.
    """

    label: str
    reference: str
    test: Paired | None
    t_holm: float = math.nan
    flip_holm: float = math.nan
    verdict: Verdict = "open"
    reason: str = ""
    needed: str = ""


@dataclass(frozen=True)
class Pairing:
    """How pairs are made and tested."""

    over: tuple[str, ...]
    level: float
    bootstrap: bool
    rng: np.random.Generator


def differences_of(
    rows: Sequence[Row], trivial: dict[str, float], baseline: str | None, metric: Metric, pairing: Pairing
) -> tuple[str, tuple[Difference, ...]]:
    """Return the reference's label and each other row's difference to it.

    Against a named baseline the family is those tests. Against the best, the reference was chosen by the same scores,
    so the family is all pairs: only then does Holm's bound hold for the pairs that are shown.

    Args:
        rows: best first.
        trivial: scores of trivial predictors, which may be named as the baseline too.
        baseline: a row's label, a trivial predictor, or None for the best row.
        metric: for the direction.
        pairing: how.

    Raises:
        RequestError: there is no such baseline.
    """
    if baseline in trivial and baseline not in [row.label for row in rows]:
        pairs = [(row, _constant(row, trivial[baseline])) for row in rows]
        return baseline, _judged(pairs, baseline, metric, pairing)
    reference = _reference(rows, trivial, baseline)
    others = [row for row in rows if row is not reference]
    if baseline is not None:
        return reference.label, _judged([(row, reference) for row in others], reference.label, metric, pairing)
    rest = list(itertools.combinations(others, 2))
    return reference.label, _judged([(row, reference) for row in others], reference.label, metric, pairing, rest)


def _reference(rows: Sequence[Row], trivial: dict[str, float], baseline: str | None) -> Row:
    if baseline is None:
        return rows[0]
    for row in rows:
        if row.label == baseline:
            return row
    raise RequestError(
        f"--baseline {baseline!r} is no row of the table.{did_you_mean(baseline, [*(r.label for r in rows), *trivial])}"
    )


def _constant(row: Row, score: float) -> Row:
    """Return a row that scores the same on every replicate, as a trivial predictor does."""
    scores = np.full_like(row.scores, score)
    return Row(row.group, scores, row.replicates, np.full_like(row.values, score), row.overlap, row.estimate, row.costs)


def shared(a: Row, b: Row, over: Sequence[str]) -> tuple[Array, Array]:
    """Return the scores of two rows on the replicates that both have, in one order."""
    units = [unit for unit in a.group.units if unit in set(b.group.units)]
    sides = []
    for row in (a, b):
        by_unit = dict(zip(row.group.units, row.scores, strict=True))
        sides.append(collapse(units, np.array([by_unit[unit] for unit in units]), over)[1])
    return sides[0], sides[1]


def _judged(
    pairs: Sequence[tuple[Row, Row]],
    reference: str,
    metric: Metric,
    pairing: Pairing,
    rest: Sequence[tuple[Row, Row]] = (),
) -> tuple[Difference, ...]:
    """Return the differences of ``pairs``, tested as one family with the ``rest``."""
    tests = [_test(a, b, pairing) for a, b in (*pairs, *rest)]
    t_holm = holm(np.array([test.t_p if test else math.nan for test in tests]))
    flip_holm = holm(np.array([test.flip_p if test else math.nan for test in tests]))
    alpha = 1 - pairing.level
    found = []
    for (a, b), test, t, flip in zip(pairs, tests, t_holm, flip_holm, strict=False):
        verdict: Verdict = "open"
        reason = needed = ""
        if test is not None and t < alpha:
            verdict = "better" if (test.difference.mean > 0) == metric.higher_is_better else "worse"
        else:
            reason, needed = _reason(a, b, test, alpha / len(tests), pairing.over)
        found.append(Difference(a.label, reference, test, float(t), float(flip), verdict, reason, needed))
    return tuple(found)


def _test(a: Row, b: Row, pairing: Pairing) -> Paired | None:
    if not (a.finite and b.finite):
        return None
    left, right = shared(a, b, pairing.over)
    if len(left) == 0:
        return None
    return paired(left, right, pairing.rng, pairing.level, a.overlap, pairing.bootstrap)


def _reason(a: Row, b: Row, test: Paired | None, alpha: float, over: Sequence[str]) -> tuple[str, str]:
    """Return why two rows are not told apart, and how many replicates would do at ``alpha``."""
    what = "folds" if FOLD in over else "seeds" if tuple(over) == ("seed",) else "replicates"
    if not (a.finite and b.finite):
        return "a score is not finite", ""
    if test is None:
        return f"no {what} in common", ""
    if test.difference.n < 2:
        return f"one of the {what} in common: no test", ""
    if math.isnan(test.effect):
        return "equal" if test.difference.mean == 0 else f"the difference is the same in all {what}: no test", ""
    if what == "folds":
        return NOT_ENOUGH.format(what), ""
    needed = replicates_needed(test.effect, alpha)
    return NOT_ENOUGH.format(what), "over 1,000" if needed is None else f"about {max(needed, test.difference.n + 1):,}"
