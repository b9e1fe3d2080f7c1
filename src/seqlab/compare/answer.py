"""The answer to "which is best, and by how much?" in sentences."""

from __future__ import annotations

import math

from seqlab.compare.comparison import Comparison, Section
from seqlab.compare.differences import Difference
from seqlab.compare.scores import Row
from seqlab.compare.wording import counted, decimals, fixed, listed, percent, reference_of, word

#: Rows that a sentence names before it counts the others.
NAMED = 6


def question(comparison: Comparison) -> str:
    """Return what a comparison asks."""
    names = listed([section.name for section in comparison.sections])
    metrics = {section.metric.name for section in comparison.sections}
    by = f" by {metrics.pop()}" if len(metrics) == 1 else ""
    if sum(len(section.rows) for section in comparison.sections) == 1:
        return f"How well does {comparison.sections[0].rows[0].label} do on {names}{by}?"
    return f"Which is best on {names}{by}, and by how much?"


def answer(section: Section, comparison: Comparison) -> str:
    """Return what one data set's scores say, and what they can't say."""
    parts = [_opening(section, comparison), *_differences(section)]
    if section.reference not in section.baselines:
        parts.append(_trivial(section))
    return " ".join(part for part in parts if part)


def _opening(section: Section, comparison: Comparison) -> str:
    best = section.rows[0]
    if not best.finite:
        return f"On {section.name} no row has finite scores of {section.metric.name}."
    e, digits = best.estimate, decimals(section)
    what = "has the best" if len(section.rows) > 1 else "has a"
    mean = f"On {section.name}, {best.label} {what} {section.metric.name}: {fixed(e.mean, digits)}"
    if math.isnan(e.low):
        return f"{mean} ({counted(e.n, comparison.over)}, so no interval)."
    interval = f"{percent(comparison.level)} interval {fixed(e.low, digits)} to {fixed(e.high, digits)}"
    return f"{mean} ({interval}, {counted(e.n, comparison.over)})."


def _differences(section: Section) -> list[str]:
    subject = "It" if section.rows[0].label == section.reference else reference_of(section)
    told = {
        "worse": [_by(d, section) for d in section.differences if d.verdict == "worse"],
        "better": [_by(d, section) for d in section.differences if d.verdict == "better"],
    }
    against = reference_of(section)
    parts = []
    if told["better"]:
        verb = "is" if len(told["better"]) == 1 else "are"
        parts.append(f"{listed(told['better'])} {verb} better than {against}.")
    if told["worse"]:
        parts.append(f"{subject} is better than {listed(told['worse'])}.")
    return [*parts, *_open(section)]


def _open(section: Section) -> list[str]:
    """Return what the data does not decide, by reason."""
    reasons: dict[str, list[str]] = {}
    for d in section.differences:
        if d.verdict == "open":
            reasons.setdefault(d.reason, []).append(f"{d.label} ({d.needed} needed)" if d.needed else d.label)
    against = reference_of(section)
    parts = []
    for reason, labels in reasons.items():
        named = labels if len(labels) <= NAMED + 1 else [*labels[:NAMED], f"{len(labels) - NAMED} others"]
        if reason.endswith(" to tell apart"):
            parts.append(f"There are {reason.removesuffix(' apart')} {against} from {listed(named)}.")
        else:
            parts.append(f"{against} and {listed(named)}: {reason}.")
    return parts


def _by(difference: Difference, section: Section) -> str:
    """Return ``rnn (by 0.082, 45 %, p = 0.003)``; the share is of the worse score, where lower is better."""
    assert difference.test is not None
    scores = {row.label: row.estimate.mean for row in section.rows} | section.baselines
    worse = scores[difference.label if difference.verdict == "worse" else difference.reference]
    size = abs(difference.test.difference.mean)
    share = [percent(size / worse)] if not section.metric.higher_is_better and worse > 0 else []
    p = "p < 0.001" if difference.t_holm < 0.001 else f"p = {difference.t_holm:.3f}"
    return f"{difference.label} ({', '.join([f'by {fixed(size, decimals(section))}', *share, p])})"


def _trivial(section: Section) -> str:
    """Return how the best row stands to the best trivial predictor."""
    finite = {name: score for name, score in section.baselines.items() if math.isfinite(score)}
    best: Row = section.rows[0]
    if not finite or not best.finite:
        return ""
    sign = 1 if section.metric.higher_is_better else -1
    name, score = max(finite.items(), key=lambda item: sign * item[1])
    told = f"{word(name)} ({fixed(score, decimals(section))})"
    beats = sign * (best.estimate.mean - score) > 0
    return (
        f"The best trivial predictor, {told}, is beaten." if beats else f"Nothing beats the trivial predictor {told}."
    )
