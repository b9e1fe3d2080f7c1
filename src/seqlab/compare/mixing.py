"""What may not stand in one table: other code, other data, other test examples, other units."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from seqlab.compare.facts import Facts, frozen, is_data, shown, varying
from seqlab.errors import RequestError
from seqlab.runs import Run

#: Keys of data that decide which examples are tested on.
SPLIT_KEYS = frozenset(
    {
        "data.duplicates",
        "data.fold",
        "data.folds",
        "data.fractions",
        "data.horizon",
        "data.label",
        "data.split",
        "data.split_seed",
        "data.target",
    }
)
#: Trivial predictors without anything fitted: equal scores mean equal test examples and equal units.
UNFITTED = ("naive", "seasonal_naive", "drift", "majority", "mean")


def code_of(run: Run) -> str:
    """Return the code that made a run: the version, and the commit where seqlab ran from a checkout."""
    environment = run.record.get("environment") or {}
    version = (environment.get("versions") or {}).get("seqlab", "of unknown version")
    git = environment.get("seqlab_git") or {}
    commit = str(git.get("commit") or "")[:10]
    return f"seqlab {version}" + (f" at {commit}" if commit else "") + (" with changes" if git.get("dirty") else "")


def check_code(runs: Sequence[Run]) -> None:
    """Refuse runs of different code.

    Raises:
        RequestError: with the count of runs by version and commit.
    """
    found = Counter(code_of(run) for run in runs)
    if len(found) > 1:
        listed = "; ".join(f"{count} by {code}" for code, count in found.most_common())
        raise RequestError(
            f"The runs were made by different code: {listed}."
            " Run the older ones again, or pass --allow-mixed-code to compare them all the same."
        )


def check_data(runs: Sequence[tuple[Run, Facts]], over: Sequence[str], data_keys: Sequence[str]) -> None:
    """Refuse runs of one data set that differ in the data or in how it was split.

    Args:
        runs: with their facts.
        over: keys that may differ because they are the replicates.
        data_keys: keys of data that already separate the data sets.

    Raises:
        RequestError: with the way to compare them.
    """
    all_facts = [known for _, known in runs]
    if len({run.data_fingerprint for run, _ in runs}) > 1:
        names = sorted({shown(known.get("data", "data")) for known in all_facts})
        raise RequestError(
            f"The runs were made on different data ({', '.join(names)}); their scores can't be set side by side."
            " Use --by data to compare within each."
            if len(names) > 1
            else f"The data {names[0]} changed between the runs (its fingerprint differs);"
            " their scores can't be set side by side. Run the older ones again, or name their folder alone."
        )
    splits = {key for known in all_facts for key in known if key in SPLIT_KEYS and key not in over}
    if differing := varying(all_facts, splits):
        key = differing[0]
        values = sorted({shown(known.get(key)) for known in all_facts})
        ways = "--over seed,data.fold" if key == "data.fold" else f"--by {','.join([*data_keys, key])}"
        raise RequestError(
            f"The runs were tested on different examples or in different units: {key} is {' or '.join(values[:5])}."
            f" Use {ways}, or name fewer folders."
        )


def metric_info(run: Run, metric: str) -> dict[str, Any]:
    """Return direction and definition of a metric as the run recorded them; empty where it did not."""
    infos = run.record.get("metric_info") or {}
    name = metric.partition("/")[2]
    return dict(infos.get(metric) or infos.get(name) or infos.get(name.partition("/")[0]) or {})


def check_units(runs: Sequence[Run], metric: str, over: Sequence[str]) -> None:
    """Refuse runs whose metric means different things.

    Raises:
        RequestError: its definitions differ, or an unfitted predictor scores differently on the tested examples.
    """
    definitions = sorted({frozen(metric_info(run, metric)) for run in runs})
    if len(definitions) > 1:
        raise RequestError(f"{metric} has different definitions: {'; '.join(definitions)}. Run the older runs again.")
    if any(is_data(key) for key in over):
        return
    for name in UNFITTED:
        scores = [run.baselines[key] for run in runs if (key := f"{name}/{metric}") in run.baselines]
        if scores and max(scores) - min(scores) > 1e-4 * max(map(abs, scores)):
            raise RequestError(
                f"The runs were tested on different examples or in different units: {name} scores a {metric} of"
                f" {min(scores):.6g} in one and {max(scores):.6g} in another. Compare runs of equal data settings."
            )
