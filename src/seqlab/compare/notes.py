"""What a person should know before believing a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from seqlab.compare.facts import Facts, decides, shown, varying
from seqlab.compare.mixing import code_of
from seqlab.compare.scores import Metric, Row
from seqlab.runs import Run


def section_notes(rows: Sequence[Row], metric: Metric, over: Sequence[str]) -> tuple[str, ...]:
    """Return the notes of one data set's table."""
    notes = []
    for row in rows:
        if not row.finite:
            pairs = zip(row.group.runs, row.scores, strict=True)
            bad = [run.folder.name for run, score in pairs if not np.isfinite(score)]
            count = f"{len(bad)} of {len(row.scores)} scores are not finite ({', '.join(bad)})"
            notes.append(f"{row.label}: {count}, so it has no mean.")
    if metric.assumed:
        notes.append(f"The runs don't say whether a higher {metric.name} is better; lower is taken as better.")
    if metric.name.startswith("val/"):
        notes.append("The validation split chose the checkpoints, so its scores flatter.")
    if all(len(row.values) == 1 for row in rows):
        notes.append("One run: no interval." if len(rows) == 1 else "One run in each row: no interval and no test.")
    elif len({row.replicates for row in rows}) > 1:
        notes.append(
            f"The rows don't have the same {' and '.join(over)}; a difference uses what its two rows have in common."
        )
    return tuple(notes)


def overall_notes(runs: Sequence[Run], interval: str) -> tuple[str, ...]:
    """Return the notes of a whole comparison."""
    notes = []
    if len(codes := Counter(code_of(run) for run in runs)) > 1:
        notes.append(
            f"Different code made these runs: {'; '.join(f'{n} by {code}' for code, n in codes.most_common())}."
        )
    environments = [run.record.get("environment") or {} for run in runs]
    if packages := varying(
        [{k: v for k, v in (e.get("versions") or {}).items() if k != "seqlab"} for e in environments]
    ):
        notes.append(f"The runs were made with different versions of {', '.join(packages)}.")
    machines = [{k: (e.get("hardware") or {}).get(k) for k in ("processor", "cores", "gpus")} for e in environments]
    if varying(machines):
        notes.append("The runs were made on different hardware: their seconds can't be compared.")
    if interval == "bootstrap":
        notes.append("Bootstrap intervals are too narrow with few seeds: 95 % asked for is about 72 % at 3, 84 % at 5.")
    return tuple(notes)


def config_differences(rows: Sequence[Row]) -> dict[str, list[str]]:
    """Return the settings that differ between rows: key to one value a row, "-" where a row has no such key."""
    all_facts: list[Facts] = [row.group.facts for row in rows]
    return {key: [_value(known, key) for known in all_facts] for key in varying(all_facts) if _worth_showing(key)}


def _worth_showing(key: str) -> bool:
    """Return whether a reader learns from a key; a class path says no more than the choice's name."""
    names = ("cell", "model", "optimizer", "scheduler", "task", "experiment")
    return key in names or (decides(key) and not key.endswith("._target_"))


def _value(known: Facts, key: str) -> str:
    return shown(known[key]) if key in known else "-"
