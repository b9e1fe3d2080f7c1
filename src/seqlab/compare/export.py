"""A comparison for machines: flat records, CSV and JSON, in full precision."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from typing import Any

from seqlab.compare.answer import answer
from seqlab.compare.comparison import Comparison, Section
from seqlab.compare.differences import Difference
from seqlab.compare.scores import Row
from seqlab.compare.statistics import Estimate


def as_csv(comparison: Comparison, per_seed: bool = False) -> str:
    """Return one line a row (or with ``per_seed`` a run), in full precision, empty where there is no number."""
    rows = seed_records(comparison) if per_seed else records(comparison)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: "" if _missing(v) else v for k, v in row.items()} for row in rows)
    return text.getvalue()


def as_json(comparison: Comparison) -> str:
    """Return everything as JSON."""
    return json.dumps(as_dict(comparison), indent=2, allow_nan=False) + "\n"


def records(comparison: Comparison) -> list[dict[str, Any]]:
    """Return one flat mapping a row of the tables, trivial predictors included, in full precision."""
    found = []
    for section in comparison.sections:
        differences = {d.label: d for d in section.differences}
        head = {"data": section.name, "metric": section.metric.name}
        for row in section.rows:
            found.append(
                {
                    **head,
                    "group": row.label,
                    **_flat(row.estimate),
                    **row.costs,
                    **_flat_difference(differences.get(row.label)),
                }
            )
        for name, score in section.baselines.items():
            found.append({**head, "group": name, "mean": score})
    return found


def seed_records(comparison: Comparison) -> list[dict[str, Any]]:
    """Return one flat mapping a run."""
    return [
        {
            "data": section.name,
            "metric": section.metric.name,
            "group": row.label,
            **dict(zip(comparison.over, unit, strict=True)),
            "score": float(score),
            "folder": str(run.folder),
        }
        for section in comparison.sections
        for row in section.rows
        for run, unit, score in zip(row.group.runs, row.group.units, row.scores, strict=True)
    ]


def _flat(e: Estimate) -> dict[str, Any]:
    return {"n": e.n, "mean": e.mean, "sd": e.sd, "low": e.low, "high": e.high}


def _flat_difference(d: Difference | None) -> dict[str, Any]:
    if d is None:
        return {}
    found: dict[str, Any] = {"reference": d.reference, "verdict": d.verdict, "reason": d.reason, "needed": d.needed}
    if d.test is not None:
        e = d.test.difference
        found |= {"pairs": e.n, "difference": e.mean, "difference_low": e.low, "difference_high": e.high}
        found |= {"effect": d.test.effect, "p": d.test.t_p, "p_holm": d.t_holm}
        found |= {"p_signs": d.test.flip_p, "p_signs_holm": d.flip_holm, "p_signs_least": d.test.flip_least}
    return found


def as_dict(comparison: Comparison) -> dict[str, Any]:
    """Return every number as plain values that JSON can hold; None where there is none."""
    ranks = comparison.ranks
    found = {
        "over": list(comparison.over),
        "interval": comparison.interval,
        "level": comparison.level,
        "data_sets": [_section_dict(section, comparison) for section in comparison.sections],
        "ranks": None if ranks is None else dict(vars(ranks)),
        "left_out": [{"folder": str(r.folder), "status": r.status, "error": r.error} for r in comparison.left_out],
        "notes": list(comparison.notes),
    }
    return {key: _plain(value) for key, value in found.items()}


def _section_dict(section: Section, comparison: Comparison) -> dict[str, Any]:
    return {
        "data": section.name,
        "metric": section.metric.name,
        "higher_is_better": section.metric.higher_is_better,
        "definition": section.metric.definition,
        "groups": [_row_dict(row, comparison.over) for row in section.rows],
        "baselines": section.baselines,
        "reference": section.reference,
        "differences": [{"group": d.label, **_flat_difference(d)} for d in section.differences],
        "examples": [dict(vars(d)) for d in section.examples],
        "answer": answer(section, comparison),
        "notes": list(section.notes),
    }


def _row_dict(row: Row, over: Sequence[str]) -> dict[str, Any]:
    scores = [
        {**dict(zip(over, unit, strict=True)), "score": float(score), "folder": str(run.folder)}
        for unit, score, run in zip(row.group.units, row.scores, row.group.runs, strict=True)
    ]
    return {"group": row.label, **_flat(row.estimate), **row.costs, "scores": scores}


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if _missing(value) else value
