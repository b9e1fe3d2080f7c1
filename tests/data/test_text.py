"""Labelled text from corpus to batch: the laws of a data set, artefacts, vectors, baselines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from seqlab.config import load, options
from seqlab.data import SPLITS, Batches, Loader, Split
from seqlab.data.naive_bayes import FLOOR, naive_bayes, token_scores
from seqlab.data.text import TextData
from seqlab.errors import RequestError

WORDS = ("red", "green", "blue", "sun", "moon", "rain", "cat", "dog")


def frame(rows: int = 200, seed: int = 0) -> pd.DataFrame:
    """Texts whose class is whether "sun" or "moon" occurs in them more often."""
    rng = np.random.default_rng(seed)
    texts = [" ".join(rng.choice(WORDS, rng.integers(2, 12))) for _ in range(rows)]
    return pd.DataFrame({"text": texts, "label": ["sun" if t.count("sun") > t.count("moon") else "no" for t in texts]})


def write(folder: Path, *, test: pd.DataFrame | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    frame().to_csv(folder / "train.csv", index=False)
    frame(60, seed=1).to_csv(folder / "val.csv", index=False)
    (frame(60, seed=2) if test is None else test).to_csv(folder / "test.csv", index=False)
    return folder


def ready(path: Path, **arguments: Any) -> TextData:
    data = TextData(str(path), **{"cache": False, "batch_size": 16, **arguments})
    data.setup()
    return data


def everything(data: TextData, split: Split) -> tuple[list[list[int]], list[int]]:
    examples = data.examples(split)
    batch = examples.__getitems__(range(len(examples)))
    assert batch.y is not None
    return batch.x.tolist(), batch.y.tolist()


def epoch(data: TextData, number: int = 0) -> list[list[int]]:
    examples = data.examples("train")
    batches = Batches(
        len(examples), 16, seed=0, shuffle=True, lengths=examples.lengths, weights=data.sampling_weights()
    )
    batches.epoch = number
    return [batch.index.tolist() for batch in Loader(examples, batches)]


def test_the_same_split_twice_is_identical(tmp_path: Path) -> None:
    frame().to_csv(tmp_path / "a.csv", index=False)
    first, second = ready(tmp_path / "a.csv"), ready(tmp_path / "a.csv")
    for split in SPLITS:
        assert everything(first, split) == everything(second, split)
    assert epoch(first) == epoch(second)
    assert epoch(first) != epoch(first, 1)


def test_splits_are_disjoint_and_complete(tmp_path: Path) -> None:
    frame().assign(text=[f"text {i} {w}" for i, w in enumerate(WORDS * 25)]).to_csv(tmp_path / "a.csv", index=False)
    for arguments in ({}, {"folds": 5, "fold": 3}, {"split_seed": 4}):
        data = ready(tmp_path / "a.csv", **arguments)
        parts = [set(data.texts(split)) for split in SPLITS]
        assert sum(map(len, parts)) == len(set.union(*parts)) == 200


@pytest.mark.parametrize("duplicates", ["keep", "drop"])
def test_a_changed_test_row_changes_no_training_batch(duplicates: str, tmp_path: Path) -> None:
    changed = frame(60, seed=2)
    changed.loc[0, "text"] = frame().loc[3, "text"]
    changed.loc[1, "text"] = "words never seen before"
    before = ready(write(tmp_path / "a"), duplicates=duplicates)
    after = ready(write(tmp_path / "b", test=changed), duplicates=duplicates)
    assert everything(before, "train") == everything(after, "train")
    assert before.spec == after.spec
    assert epoch(before) == epoch(after)
    assert everything(before, "test") != everything(after, "test")


def test_the_spec_tells_the_truth(tmp_path: Path) -> None:
    data = ready(write(tmp_path), ordinal=True, tokenizer={"min_frequency": 1})
    spec = data.spec
    assert (spec.kind, spec.output_size, spec.class_names, spec.ordinal) == ("classification", 2, ("no", "sun"), True)
    assert spec.vocabulary_size == len(WORDS) + 2
    assert spec.input_size is None
    labels = frame().label
    assert spec.class_counts == (int((labels == "no").sum()), int((labels == "sun").sum()))
    x, y = everything(data, "train")
    assert {token for row in x for token in row} == set(range(spec.vocabulary_size)) - {1}
    assert [spec.class_names[number] for number in y] == labels.tolist()


def test_tokens_spell_the_texts(tmp_path: Path) -> None:
    data = ready(write(tmp_path), tokenizer={"min_frequency": 1})
    vocabulary = json.loads(data.artifacts()["tokenizer.json"])["tokenizer"]["model"]["vocab"]
    words = {number: word for word, number in vocabulary.items()}
    for split in SPLITS:
        x, _ = everything(data, split)
        assert [" ".join(words[token] for token in row if token) for row in x] == list(data.texts(split))


def test_every_epoch_holds_every_example_once(tmp_path: Path) -> None:
    data = ready(write(tmp_path))
    assert sorted(i for batch in epoch(data) for i in batch) == list(range(200))


def test_a_cached_start_gives_the_same_and_reads_no_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seqlab.data.cache.code_version", lambda: "fixed")
    path = write(tmp_path)
    first = ready(path, cache=True)
    scores = {name: predict(first.encode(["sun"])) for name, predict in first.baselines("test").items()}
    monkeypatch.setattr(TextData, "corpus", None)
    second = ready(path, cache=True)
    for split in SPLITS:
        assert everything(first, split) == everything(second, split)
    assert first.spec == second.spec
    assert first.notes() == second.notes()
    for name, predict in second.baselines("test").items():
        torch.testing.assert_close(predict(second.encode(["sun"])), scores[name])


def test_notes_count_rows_duplicates_and_cuts(tmp_path: Path) -> None:
    rows = pd.DataFrame({"text": [f"a b c{i}" for i in range(40)], "label": ["x", "y"] * 20})
    for name, part in (("train", [rows, rows.head(3)]), ("val", [rows.head(2)]), ("test", [rows.tail(5)])):
        pd.concat(part).to_csv(tmp_path / f"{name}.csv", index=False)
    kept = ready(tmp_path, tokenizer={"min_frequency": 1, "max_length": 2}).notes()
    assert (kept["rows/train"], kept["truncated/train"]) == (43, 43)
    assert (kept["duplicates/train"], kept["duplicates/train_val"], kept["duplicates/train_test"]) == (3, 2, 5)
    assert kept["texts"].startswith("43 train, 2 val, 5 test; 0.0% of a training epoch is padding")
    assert kept["vocabulary"].startswith("44 tokens; 0.0%")
    assert "3 duplicates in train, 5 duplicates in train test" in kept["repeated texts"]
    assert "43 truncated in train" in kept["treated"]


def test_duplicates_can_be_dropped(tmp_path: Path) -> None:
    rows = frame(40).drop_duplicates("text")
    pd.concat([rows, rows.head(3)]).to_csv(tmp_path / "train.csv", index=False)
    pd.concat([frame(30, seed=5), rows.head(2)]).to_csv(tmp_path / "test.csv", index=False)
    data = ready(tmp_path, duplicates="drop", tokenizer={"min_frequency": 1})
    texts = [text for split in SPLITS for text in data.texts(split)]
    assert len(texts) == len(set(texts)) == len(rows) + 30
    assert len(data.examples("train")) == len(data.texts("train"))


def test_balanced_weights_draw_each_class_alike(tmp_path: Path) -> None:
    data = ready(write(tmp_path), balanced=True)
    weights = data.sampling_weights()
    assert weights is not None
    _, y = everything(data, "train")
    totals = np.bincount(y, weights=weights)
    np.testing.assert_allclose(totals, totals[0])
    drawn = [y[i] for number in range(20) for batch in epoch(data, number) for i in batch]
    assert np.mean(drawn) == pytest.approx(0.5, abs=0.03)  # 4,000 draws: four standard deviations
    assert ready(write(tmp_path)).sampling_weights() is None


def test_artifacts_bring_encoding_and_spec_back_without_the_source(tmp_path: Path) -> None:
    data = ready(write(tmp_path), ordinal=True, tokenizer={"max_length": 3, "truncate": "head"})
    artifacts = json.loads(json.dumps(dict(data.artifacts())))
    restored = TextData(str(tmp_path / "gone"))
    restored.restore(artifacts)
    assert restored.spec == data.spec
    texts = ["sun moon unseen rain cat", "", "SUN"]
    again, before = restored.encode(texts), data.encode(texts)
    assert again.y is None
    for name in ("x", "lengths", "index"):
        assert torch.equal(getattr(again, name), getattr(before, name))
    assert again.x.shape == (3, 3)
    assert again.x[0].tolist() == data.encode(["unseen rain cat"]).x[0].tolist()


def test_a_restored_module_reads_other_files_with_the_old_vocabulary(tmp_path: Path) -> None:
    data = ready(write(tmp_path / "a"), tokenizer={"min_frequency": 1})
    other = frame(60, seed=9).assign(text=lambda f: f.text.str.replace("cat", "zebra"))
    (tmp_path / "b").mkdir()
    other.to_csv(tmp_path / "b" / "train.csv", index=False)
    restored = TextData(str(tmp_path / "b"), tokenizer={"min_frequency": 1})
    restored.restore(data.artifacts())
    restored.setup()
    assert restored.spec == data.spec
    assert restored.notes()["unknown_share/train"] > 0
    for split in SPLITS:
        batch = restored.examples(split).__getitems__(range(len(restored.examples(split))))
        assert torch.equal(batch.x, data.encode(list(restored.texts(split))).x)


# Pretrained vectors

VECTORS = "sun 1.0 2.0 3.0\nmoon -1.0 0.5 0.25\n. . 9 9 9\ncat 0 0 1\nabsent 5 5 5\n"


@pytest.mark.parametrize("header", ["", "5 3\n"])
def test_vectors_are_read_for_the_vocabulary(header: str, tmp_path: Path) -> None:
    (tmp_path / "vectors.txt").write_text(header + VECTORS)
    data = ready(
        write(tmp_path / "a"),
        vectors=str(tmp_path / "vectors.txt"),
        freeze_vectors=True,
        tokenizer={"min_frequency": 1},
    )
    table, spec = data.spec.vectors, data.spec
    assert table is not None
    assert spec.freeze_vectors
    assert table.shape == (10, 3)
    assert table.dtype == torch.float32
    assert data.notes()["vectors_covered"] == pytest.approx(3 / 8)
    assert data.notes()["vectors"].startswith("37.5%")
    number = {word: int(data.encode([word]).x[0, 0]) for word in WORDS}
    assert table[number["sun"]].tolist() == [1.0, 2.0, 3.0]
    assert table[number["moon"]].tolist() == [-1.0, 0.5, 0.25]
    assert table[0].tolist() == [0.0, 0.0, 0.0]
    assert table[number["dog"]].abs().sum() > 0
    restored = TextData(str(tmp_path / "gone"), vectors=str(tmp_path / "gone.txt"), freeze_vectors=True)
    restored.restore(data.artifacts())
    assert restored.spec.vectors is not None
    assert restored.spec.vectors.shape == (10, 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("absent 1 2 3\n", "none of the 8 words"),
        ("sun 1 2 x\n", "line 1: expected `word v1"),
        ("sun 1 2 3\nmoon 1 2\n", "line 2: 2 numbers; the first has 3"),
        ("word\n", "first line"),
        ("", "first line"),
    ],
)
def test_bad_vectors_are_refused(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "vectors.txt").write_text(content)
    with pytest.raises(RequestError, match=message):
        ready(write(tmp_path / "a"), vectors=str(tmp_path / "vectors.txt"), tokenizer={"min_frequency": 1})


def test_missing_vectors_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="there is no file"):
        ready(write(tmp_path / "a"), vectors=str(tmp_path / "vectors.txt"))


# Baselines


def test_naive_bayes_by_hand() -> None:
    # Training: class 0 "good good", class 1 "bad"; counts of 1- and 2-grams: good 2, "good good" 1, bad 1; alpha 1.
    found = naive_bayes(["good good", "bad"], np.array([0, 1]), {"test": ["good", "bad bad", "new"]}, classes=3)["test"]
    zero, one = np.log([(2 + 1) / 6, (0 + 1) / 6]), np.log([(0 + 1) / 4, (1 + 1) / 4])
    joint = np.array([[zero[0], one[0]], [2 * zero[1], 2 * one[1]], [0.0, 0.0]]) + np.log(0.5)
    expected = joint - np.log(np.exp(joint).sum(1, keepdims=True))
    np.testing.assert_allclose(found[:, :2], expected, rtol=1e-5)
    assert (found[:, 2] == FLOOR).all()


def test_token_scores_by_hand() -> None:
    flat, offsets = np.array([2, 2, 3, 3, 1, 3]), np.array([0, 3, 5, 6])  # "2 2 3", "3 1", "3"
    found = token_scores(flat, offsets, np.array([0, 1, 1]), vocabulary_size=5, classes=2)
    # texts with the token, and one more: class 0 has 1, 2, 2, 1 for tokens 1 to 4, class 1 has 2, 1, 3, 1
    ratios = np.log(np.array([1, 2, 2, 1]) / 6) - np.log(np.array([2, 1, 3, 1]) / 7)
    assert (found[0] == 0).all()
    np.testing.assert_allclose(found[1:, 0], ratios / 2, rtol=1e-6)
    np.testing.assert_allclose(found[1:, 1], -ratios / 2, rtol=1e-6)


def test_token_scores_are_of_the_training_texts_and_open_again_as_zeros(tmp_path: Path) -> None:
    data = ready(write(tmp_path / "data"))
    tokens, scores = data.examples("train"), data.spec.token_scores
    expected = token_scores(tokens.flat, tokens.offsets, tokens.labels, data.spec.vocabulary_size, 2)
    np.testing.assert_array_equal(scores.numpy(), expected)
    opened = TextData(str(tmp_path / "data"), cache=False, batch_size=16)
    opened.restore(data.artifacts())
    assert scores.abs().max() > 0.1
    assert torch.equal(opened.spec.token_scores, torch.zeros_like(scores))


def test_naive_bayes_counts_characters_where_there_are_no_words() -> None:
    found = naive_bayes(["甲", "乙"] * 3, np.array([0, 1] * 3), {"test": ["乙", "甲"]}, classes=2)["test"]
    assert found.argmax(1).tolist() == [1, 0]


def test_baselines_answer_by_the_index_of_the_example(tmp_path: Path) -> None:
    data = ready(write(tmp_path))
    whole = data.examples("test").__getitems__(range(60))
    part = data.examples("test").__getitems__([42, 7])
    for name, predict in data.baselines("test").items():
        assert torch.equal(predict(part), predict(whole)[[42, 7]])
        torch.testing.assert_close(predict(whole).exp().sum(1), torch.ones(60), msg=name)
    shares = torch.tensor(data.spec.class_counts) / 200
    torch.testing.assert_close(data.baselines("test")["majority"](part), shares.log().expand(2, 2))


# Presets


def presets() -> list[str]:
    targets = {name: load("data", name)["_target_"] for name in options("data")}
    return [name for name, target in targets.items() if target == "seqlab.data.text.TextData"]


def test_the_well_known_sets_are_there() -> None:
    wanted = "ag_news banking77 cr imdb mr names review_polarity rotten_tomatoes sentiment sms_spam sst2 sst5 text"
    assert {*wanted.split(), "tweet_emotion"} <= set(presets())


@pytest.mark.parametrize("name", presets())
def test_a_preset_without_source_says_what_to_give(name: str) -> None:
    node = load("data", name)
    node.pop("_target_")
    if node["hub"]["id"] is None:
        with pytest.raises(RequestError, match=r"data\.path="):
            TextData(**node)
    else:
        assert TextData(**node).source.options.id == node["hub"]["id"]  # type: ignore[union-attr]
