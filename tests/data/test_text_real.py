"""The well-known sets, from the public files beside the checkout: rows, traps, baselines, padding."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqlab.config import load
from seqlab.data import SPLITS
from seqlab.data.naive_bayes import naive_bayes
from seqlab.data.splits import take_fold
from seqlab.data.text import TextData

FOLDERS = {"tweet_emotion": "tweeteval"}

#: Rows of train, val and test as in the source, and the number of classes.
ROWS: dict[str, tuple[tuple[int, ...], int]] = {
    "ag_news": ((18055, 7600), 4),
    "banking77": ((10003, 3080), 77),
    "cr": ((3775,), 2),
    "mr": ((10662,), 2),
    "names": ((20050,), 18),
    "review_polarity": ((2000,), 2),
    "sms_spam": ((5574,), 2),
    "sst2": ((6920, 872, 1821), 2),
    "sst5": ((8544, 1101, 2210), 5),
    "tweet_emotion": ((3257, 374, 1421), 4),
}


def preset(name: str, folder: Path, **arguments: Any) -> TextData:
    node = load("data", name)
    node.pop("_target_")
    return TextData(**{**node, "path": str(folder / FOLDERS.get(name, name)), "cache": False, **arguments})


@pytest.mark.parametrize("name", ROWS)
def test_rows_and_classes(name: str, shared_data: Path) -> None:
    corpus = preset(name, shared_data).corpus()
    assert (tuple(len(texts) for texts in corpus.texts.values()), len(corpus.class_names)) == ROWS[name]
    assert [len(corpus.labels[split]) for split in corpus.texts] == [len(t) for t in corpus.texts.values()]


def counts(name: str, folder: Path, split: str = "train") -> dict[str, int]:
    corpus = preset(name, folder).corpus()
    return dict(zip(corpus.class_names, np.bincount(corpus.labels[split]).tolist(), strict=True))  # type: ignore[index]


def test_classes_have_the_rows_that_are_known(shared_data: Path) -> None:
    assert counts("cr", shared_data) == {"negative": 1368, "positive": 2407}
    assert counts("mr", shared_data) == {"negative": 5331, "positive": 5331}
    assert counts("sms_spam", shared_data) == {"ham": 4827, "spam": 747}
    assert counts("ag_news", shared_data, "test") == dict.fromkeys(("World", "Sports", "Business", "Sci/Tech"), 1900)
    names = counts("names", shared_data)
    assert max(names, key=names.__getitem__) == "Russian"
    assert names["Russian"] / 20050 == pytest.approx(0.47, abs=0.005)


def test_first_rows_are_read_with_their_labels(shared_data: Path) -> None:
    first = {
        "sst2": ("a stirring , funny and finally transporting re-imagining", "positive"),
        "sst5": ("a stirring , funny and finally transporting re-imagining", "very positive"),
        "banking77": ("I am still waiting on my card?", "card_arrival"),
        "sms_spam": ("Go until jurong point, crazy..", "ham"),
        "tweet_emotion": ("“Worry is a down payment on a problem", "optimism"),
        "names": ("Khoury", "Arabic"),
    }
    for name, (text, label) in first.items():
        corpus = preset(name, shared_data).corpus()
        assert corpus.texts["train"][0].startswith(text)
        assert corpus.class_names[corpus.labels["train"][0]] == label


def test_ag_news_counts_its_classes_from_1_in_one_file_and_from_0_in_the_other(shared_data: Path) -> None:
    corpus = preset("ag_news", shared_data).corpus()
    assert corpus.class_names[corpus.labels["train"][0]] == "Business"
    assert corpus.texts["train"][0].startswith("Update 1: Vivendi, Messier Are Fined \\$1.35 Million")
    assert corpus.class_names[corpus.labels["test"][0]] == "Business"
    assert corpus.texts["test"][0].startswith("Fears for T N pension after talks Unions representing")


def test_rt_polarity_all_needs_latin_1_and_keeps_its_rows(shared_data: Path) -> None:
    files = {"format": "lines", "encoding": "latin-1"}
    corpus = preset("mr", shared_data, path=str(shared_data / "mr" / "rt-polarity.all"), files=files).corpus()
    assert np.bincount(corpus.labels["train"]).tolist() == [5331, 5331]


@pytest.fixture(scope="module")
def sst2(shared_data: Path) -> TextData:
    data = preset("sst2", shared_data)
    data.setup()
    return data


def test_known_duplicates_are_counted(sst2: TextData, shared_data: Path) -> None:
    notes = sst2.notes()
    assert (notes["duplicates/train"], notes["duplicates/train_test"]) == (9, 2)
    assert [notes[f"rows/{split}"] for split in SPLITS] == [6920, 872, 1821]
    assert preset("banking77", shared_data).corpus().notes["texts_of_several_lines/train"] == 10


def test_no_name_is_lost_and_none_is_in_two_splits(shared_data: Path) -> None:
    data = preset("names", shared_data)
    data.setup()
    parts = [set(data.texts(split)) for split in SPLITS]
    assert len(set.union(*parts)) == sum(map(len, parts)) == 20050 - 2600


def test_padding_is_at_most_a_twentieth(shared_data: Path) -> None:
    for name in ("mr", "ag_news"):
        path = shared_data / ("mr" if name == "mr" else "ag_news/test.csv")
        data = preset(name, shared_data, path=str(path), tokenizer={})
        data.setup()
        assert data.batch_size == 64
        assert data.notes()["padding_share"] <= 0.05


# Naive Bayes against known scores. Those were computed with tokenisers of their own, where ours is scikit-learn's
# default (lower-cased words of two letters or more): the difference is at most a point on every set.


def score(
    texts: list[str], labels: Any, judged: list[str], truth: Any, classes: int, characters: bool = False
) -> float:
    found = naive_bayes(texts, labels, {"test": judged}, classes, characters)["test"]
    return float(100 * (found.argmax(1) == truth).mean())


@pytest.mark.parametrize(
    ("name", "ours", "known"),
    [("sst2", 81.93, 81.5), ("sst5", 39.19, 39.6), ("banking77", 80.13, 79.3), ("tweet_emotion", 58.27, 57.9)],
)
def test_naive_bayes_on_official_splits(name: str, ours: float, known: float, shared_data: Path) -> None:
    corpus = preset(name, shared_data).corpus()
    texts, labels = corpus.texts, corpus.labels
    found = score(texts["train"], labels["train"], texts["test"], labels["test"], len(corpus.class_names))
    assert found == pytest.approx(ours, abs=0.05)
    assert found == pytest.approx(known, abs=1.0)


def fold_scores(name: str, folder: Path, folds: list[int]) -> list[float]:
    corpus = preset(name, folder).corpus()
    texts, labels = np.array(corpus.texts["train"], dtype=object), corpus.labels["train"]
    if name == "names":  # one row for each name and nationality
        first = np.unique(np.char.add(texts.astype(str), labels.astype(str)), return_index=True)[1]
        texts, labels = texts[first], labels[first]
    parts = [take_fold(labels, fold, 10, seed=0) for fold in folds]
    return [score(texts[a], labels[a], texts[b], labels[b], len(corpus.class_names), name == "names") for a, b in parts]


@pytest.mark.parametrize(
    ("name", "known", "spread"), [("sms_spam", 98.7, 1.0), ("cr", 79.9, 4.0), ("names", 79.8, 2.0)]
)
def test_naive_bayes_on_a_fold(name: str, known: float, spread: float, shared_data: Path) -> None:
    assert np.mean(fold_scores(name, shared_data, [0, 1])) == pytest.approx(known, abs=spread)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "known"), [("mr", 79.0), ("cr", 79.9), ("sms_spam", 98.7), ("names", 79.8)])
def test_naive_bayes_over_ten_folds(name: str, known: float, shared_data: Path) -> None:
    assert np.mean(fold_scores(name, shared_data, list(range(10)))) == pytest.approx(known, abs=1.0)


def test_the_baseline_of_a_data_module_is_that_score(sst2: TextData) -> None:
    batch = sst2.examples("test").__getitems__(range(1821))
    assert batch.y is not None
    right = sst2.baselines("test")["naive_bayes"](batch).argmax(1) == batch.y
    assert 100 * float(right.float().mean()) == pytest.approx(81.93, abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("name", ROWS)
def test_every_preset_gives_whole_batches(name: str, shared_data: Path) -> None:
    data = preset(name, shared_data)
    data.setup()
    assert data.spec.vocabulary_size is not None
    for split in SPLITS:
        examples = data.examples(split)
        batch = examples.__getitems__(range(min(500, len(examples))))
        assert batch.y is not None
        assert batch.lengths is not None
        assert int(batch.lengths.min()) >= 1
        assert int(batch.x.max()) < data.spec.vocabulary_size
        assert int(batch.y.max()) < data.spec.output_size


@pytest.mark.slow
def test_a_second_start_on_ag_news_takes_under_a_second(shared_data: Path) -> None:
    preset("ag_news", shared_data, cache=True).setup()
    begin = time.perf_counter()
    preset("ag_news", shared_data, cache=True).setup()
    assert time.perf_counter() - begin < 1.0
