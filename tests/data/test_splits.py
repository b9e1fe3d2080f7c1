"""Stratified shares, folds, and texts that occur more than once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.data.splits import carve, duplicates, split_indices, take_fold
from seqlab.errors import RequestError

LABELS = np.repeat([0, 1, 2], [100, 40, 10])


def test_each_class_gives_its_share() -> None:
    stay, off = carve(LABELS, 0.1, seed=0)
    assert np.bincount(LABELS[off]).tolist() == [10, 4, 1]
    assert sorted([*stay, *off]) == list(range(150))


def test_the_seed_decides_and_nothing_else() -> None:
    first, again, other = (carve(LABELS, 0.1, seed)[1].tolist() for seed in (0, 0, 1))
    assert first == again
    assert first != other


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.floats(0.01, 0.98), st.integers(0, 9))
def test_no_class_leaves_training(labels: list[int], share: float, seed: int) -> None:
    numbers = np.array(labels)
    stay, _ = carve(numbers, share, seed)
    assert set(numbers[stay]) == set(labels)


def test_folds_cover_every_example_once() -> None:
    tests = [split_indices(LABELS, ["val", "test"], fractions=(0.1, 0.1), seed=3, fold=k, folds=10) for k in range(10)]
    assert sorted(i for parts in tests for i in parts["test"]) == list(range(150))
    for parts in tests:
        assert np.bincount(LABELS[parts["test"]]).tolist() == [10, 4, 1]
        assert sorted(i for part in parts.values() for i in part) == list(range(150))
        assert len(parts["val"]) == 14  # a tenth of 90, 36 and 9 each


def test_shares_refer_to_the_whole_source() -> None:
    parts = split_indices(LABELS, ["val", "test"], fractions=(0.2, 0.1), seed=0)
    assert [len(parts[s]) for s in ("train", "val", "test")] == [105, 30, 15]


def test_only_what_is_absent_is_split_off() -> None:
    parts = split_indices(LABELS, ["val"], fractions=(0.2, 0.1), seed=0)
    assert [len(parts[s]) for s in ("train", "val")] == [120, 30]
    assert "test" not in parts


@pytest.mark.parametrize(("fold", "folds", "message"), [(5, 5, "from 0 to"), (0, 1, "from 0 to"), (0, 11, "has 10")])
def test_impossible_folds_are_refused(fold: int, folds: int, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        take_fold(LABELS, fold, folds, 0)


def test_duplicates_are_found_within_and_between_splits() -> None:
    texts = {"train": ["a", "b", "a ", "b", "c"], "val": ["d", "a", "d"], "test": ["a", "d", "e"]}
    labels = {"train": np.array([0, 0, 0, 1, 1]), "val": np.array([0, 0, 0]), "test": np.array([1, 0, 0])}
    keep, counts = duplicates(texts, labels)  # type: ignore[arg-type]
    assert counts == {
        "contradictions/train": 1,
        "duplicates/train": 1,
        "duplicates/train_val": 1,
        "duplicates/val": 1,
        "duplicates/train_test": 1,
        "duplicates/val_test": 2,
    }
    assert keep["train"].tolist() == [True, True, False, True, True]
    assert keep["val"].tolist() == [True, False, False]
    assert keep["test"].tolist() == [False, False, True]


def test_a_test_row_never_decides_what_is_trained_on() -> None:
    labels = {"train": np.array([0, 1]), "val": np.array([0]), "test": np.array([0])}
    kept = [
        duplicates({"train": ["a", "b"], "val": ["c"], "test": [text]}, labels)[0]["train"].tolist()  # type: ignore[arg-type]
        for text in ("a", "z")
    ]
    assert kept[0] == kept[1] == [True, True]
