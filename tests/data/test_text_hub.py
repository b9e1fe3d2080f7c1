"""Datasets of the hub: the same code path on a dataset saved to disk, and the hub out of reach."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from seqlab.data import SPLITS
from seqlab.data.text import TextData
from seqlab.errors import RequestError

datasets = pytest.importorskip("datasets")


def part(rows: int, labels: Any = None) -> Any:
    features = datasets.Features(
        {"sentence": datasets.Value("string"), "mood": datasets.ClassLabel(names=["sad", "glad"])}
    )
    return datasets.Dataset.from_dict(
        {
            "sentence": [f"word {i} {'up' if i % 2 else 'down'}" for i in range(rows)],
            "mood": [i % 2 for i in range(rows)] if labels is None else labels,
        },
        features=features,
    )


def saved(folder: Path, **splits: Any) -> str:
    datasets.DatasetDict(splits).save_to_disk(str(folder))
    return str(folder)


def data(path: str, **hub: Any) -> TextData:
    hub = {"text": "sentence", "label": "mood", **hub}
    return TextData(path, hub=hub, cache=False, tokenizer={"min_frequency": 1})


def test_splits_and_names_are_the_datasets_own(tmp_path: Path) -> None:
    source = data(saved(tmp_path / "d", train=part(20), validation=part(6), test=part(8), unsupervised=part(4)))
    source.setup()
    assert [len(source.examples(split)) for split in SPLITS] == [20, 6, 8]
    assert source.spec.class_names == ("glad", "sad")
    assert source.texts("val")[1] == "word 1 up"
    ordered = TextData(source.source.saved.as_posix(), "sentence", "mood", ["sad", "glad"], cache=False)  # type: ignore[union-attr]
    assert ordered.corpus().labels["train"].tolist() == [i % 2 for i in range(20)]
    assert len({source.fingerprint(), ordered.fingerprint()}) == 2


def test_one_dataset_without_splits_is_divided(tmp_path: Path) -> None:
    part(40).save_to_disk(str(tmp_path / "d"))
    source = data(str(tmp_path / "d"))
    source.setup()
    assert [len(source.examples(split)) for split in SPLITS] == [32, 4, 4]


def test_withheld_labels_are_refused_until_another_split_is_named(tmp_path: Path) -> None:
    path = saved(tmp_path / "d", train=part(40), validation=part(10), test=part(6, [-1] * 6))
    with pytest.raises(RequestError, match=r"split test: all 6 labels are -1.*name another split"):
        data(path).corpus()
    source = data(path, train="train", test="validation")
    source.setup()
    assert [len(source.examples(split)) for split in SPLITS] == [36, 4, 10]


@pytest.mark.parametrize(
    ("hub", "message"),
    [
        ({"text": "sentense"}, "no column 'sentense'. Did you mean 'sentence'"),
        ({"train": "training", "test": "test"}, "no split 'training'"),
    ],
)
def test_unknown_names_are_answered(hub: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=message):
        data(saved(tmp_path / "d", train=part(4), test=part(4)), **hub).corpus()


def test_the_hub_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(RequestError, match=r"'nobody/nothing' can't be had.*local copy by data\.path"):
        TextData(hub={"id": "nobody/nothing"}).fingerprint()


def test_the_library_is_imported_only_when_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    source = TextData(hub={"id": "nobody/nothing"})
    with pytest.raises(RequestError, match=r"seqlab\[hub\]"):
        source.fingerprint()
