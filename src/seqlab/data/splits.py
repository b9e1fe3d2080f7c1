"""Which example belongs to which split: stratified shares, folds, and texts that occur more than once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold

from seqlab.data._base import SPLITS, Split
from seqlab.errors import RequestError

Indices = NDArray[np.int64]


def carve(labels: NDArray[np.int64], share: float, seed: int) -> tuple[Indices, Indices]:
    """Split off a stratified share: in each class, the given share of its examples, rounded, and never all of them.

    Args:
        labels: (N,) class numbers.
        share: of each class, in [0, 1).
        seed: decides which examples.

    Returns:
        The numbers of the examples that stay and of those split off, both ascending.
    """
    rng = np.random.default_rng(seed)
    off: list[Indices] = []
    for number in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == number))
        off.append(members[: min(round(share * len(members)), len(members) - 1)])
    chosen = np.sort(np.concatenate([np.empty(0, np.int64), *off]))
    return np.setdiff1d(np.arange(len(labels)), chosen), chosen


def take_fold(labels: NDArray[np.int64], fold: int, folds: int, seed: int) -> tuple[Indices, Indices]:
    """Return the examples outside and inside one of ``folds`` stratified folds.

    Raises:
        RequestError: there is no such fold, or a class has fewer examples than there are folds.
    """
    if folds < 2 or not 0 <= fold < folds:
        raise RequestError(f"data.fold counts from 0 to data.folds - 1; got data.fold={fold} data.folds={folds}.")
    fewest = int(np.unique(labels, return_counts=True)[1].min())
    if fewest < folds:
        raise RequestError(f"data.folds={folds} needs as many examples of each class; one class has {fewest}.")
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    parts = list(splitter.split(np.zeros(len(labels)), labels))
    return parts[fold][0].astype(np.int64), parts[fold][1].astype(np.int64)


def split_indices(
    labels: NDArray[np.int64],
    absent: Sequence[Split],
    *,
    fractions: Sequence[float],
    seed: int,
    fold: int = 0,
    folds: int | None = None,
) -> dict[Split, Indices]:
    """Divide the examples of the training source among "train" and the splits that the source lacks.

    Args:
        labels: (N,) class numbers.
        absent: "val", "test", or both.
        fractions: the shares of val and test in a source that lacks them; with folds, the test split is a fold and
            val its share of the rest.
        seed: decides the division, and nothing else does.
        fold: which fold is the test split.
        folds: number of folds; None for shares.
    """
    rest = np.arange(len(labels))
    parts: dict[Split, Indices] = {}
    if "test" in absent:
        rest, parts["test"] = (
            carve(labels, fractions[1], seed) if folds is None else take_fold(labels, fold, folds, seed)
        )
    if "val" in absent:
        # The share of val refers to the whole source, of which a test split by shares has taken its part already.
        whole = 1.0 - fractions[1] if "test" in absent and folds is None else 1.0
        stay, off = carve(labels[rest], fractions[0] / whole, seed + 1)
        rest, parts["val"] = rest[stay], rest[off]
    return {"train": rest, **parts}


def duplicates(
    texts: Mapping[Split, Sequence[str]], labels: Mapping[Split, NDArray[np.int64]]
) -> tuple[dict[Split, NDArray[np.bool_]], dict[str, int]]:
    """Find texts that occurred before, in the order train, val, test; surrounding white space does not count.

    A later split yields to an earlier one, so that no row of val or test decides what is trained on. Inside a split
    a text with another label is a contradiction, not a duplicate: it is counted and kept.

    Returns:
        For each split, (N,) True where the row is to stay; and the counts: ``duplicates/train`` inside a split,
        ``duplicates/train_test`` between two, ``contradictions/train``.
    """
    keep: dict[Split, NDArray[np.bool_]] = {}
    counts: dict[str, int] = {}
    seen: dict[str, dict[Split, set[int]]] = {}
    for split in SPLITS:
        stay = np.ones(len(texts[split]), dtype=np.bool_)
        for row, (text, label) in enumerate(zip(texts[split], labels[split].tolist(), strict=True)):
            where = seen.setdefault(text.strip(), {})
            for kind in _repeats(where, split, label):
                counts[kind] = counts.get(kind, 0) + 1
                stay[row] &= kind.startswith("contradictions")
            where.setdefault(split, set()).add(label)
        keep[split] = stay
    return keep, dict(sorted(counts.items()))


def _repeats(where: Mapping[Split, set[int]], split: Split, label: int) -> list[str]:
    found = [f"duplicates/{earlier}_{split}" for earlier in where if earlier != split]
    if split in where:
        found.append(f"duplicates/{split}" if label in where[split] else f"contradictions/{split}")
    return found
