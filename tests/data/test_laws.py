"""The laws that every data set keeps, for every name in ``options("data")`` whose data are at hand."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from seqlab.cells import RecurrentCell
from seqlab.config import build, factory, load, options
from seqlab.data import SPLITS, Batch, SequenceData, Split
from seqlab.data.forecasting import ForecastingData
from seqlab.nn import SequenceModel
from tests.conftest import SHARED_DATA

#: Where ../shared/data holds the files of a preset, and what else it takes to read them.
FILES: dict[str, tuple[str, dict[str, Any]]] = {
    "ag_news": ("ag_news", {}),
    "air_passengers": ("small_ts/airline-passengers.csv", {}),
    "banking77": ("banking77", {}),
    "beijing_pm25": ("beijing_pm25/pollution.csv", {}),
    "cr": ("cr", {}),
    "csv": ("small_ts/monthly-sunspots.csv", {"target": "Sunspots"}),
    "etth1": ("ett/ETTh1.csv", {}),
    "exchange_rate": ("exchange_rate/exchange_rate.csv", {}),
    "jsb_chorales": ("poly_music/JSB_Chorales.mat", {}),
    "m4_weekly": ("m4", {}),
    "min_temperatures": ("small_ts/daily-min-temperatures.csv", {}),
    "mr": ("mr", {}),
    "names": ("names", {}),
    "nottingham": ("poly_music/Nottingham.mat", {}),
    "review_polarity": ("review_polarity", {}),
    "sms_spam": ("sms_spam", {}),
    "sst2": ("sst2", {}),
    "sst5": ("sst5", {}),
    "tweet_emotion": ("tweeteval", {}),
    "ucr": ("ucr_uea", {"set": "ItalyPowerDemand"}),
}
#: Presets for a person's own files, and sets that nobody has given us.
NOT_AT_HAND = {"imdb", "rotten_tomatoes", "sentiment", "text", "token_tags", "tser"}
#: Presets that take a second or more to prepare; all of their kind, of which others stand in the fast suite.
SLOW = {"ag_news", "banking77", "cr", "docstrings", "mr", "names", "nottingham", "review_polarity", "sms_spam"}
SLOW |= {"sst2", "sst5"}
#: Smaller than the default, for speed.
SMALLER = {"polarity": {"sentences": [800, 100, 200]}}
#: Examples that stand in two splits as they were published, where the data module has no duplicates to report.
PUBLISHED_TWICE = {("nottingham", "train", "val"): 1, ("nottingham", "train", "test"): 1}
#: The files of a test split, in which a line may be repeated without touching anything else.
TEST_FILES = {
    "ag_news": ["test.csv"],
    "banking77": ["test.csv"],
    "sst2": ["stsa.binary.test"],
    "sst5": ["stsa.fine.test"],
    "tweet_emotion": ["emotion.test_text.txt", "emotion.test_labels.txt"],
    "ucr": ["ItalyPowerDemand_TEST.ts"],
}
NAMES = [name for name in options("data") if name not in NOT_AT_HAND]
EVERY = [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in NAMES]
every = pytest.mark.parametrize("name", EVERY)


def node(name: str) -> dict[str, Any]:
    found = {**load("data", name), **SMALLER.get(name, {})}
    if name not in FILES:
        return found
    path, arguments = FILES[name]
    if not (SHARED_DATA / path).exists():
        pytest.skip("needs ../shared/data beside the checkout")
    return {**found, **arguments, "path": str(SHARED_DATA / path)}


def ready(name: str, **changes: Any) -> SequenceData:
    data = build({**node(name), **changes}, SequenceData)
    data.setup()
    return data


@functools.cache
def prepared(name: str) -> SequenceData:
    return ready(name)


def some(data: SequenceData, split: Split, count: int = 24) -> Batch:
    """Return examples from the whole of a split, the first and the last among them."""
    examples = data.examples(split)
    return examples.__getitems__(np.unique(np.linspace(0, len(examples) - 1, count).astype(int)).tolist())


def parts(batch: Batch) -> dict[str, Tensor]:
    return {f.name: value for f in fields(batch) if (value := getattr(batch, f.name)) is not None}


def same(first: Batch, second: Batch) -> bool:
    one, other = parts(first), parts(second)
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def own_steps(batch: Batch, row: int) -> dict[str, Tensor]:
    """Return one example, cut to its own length."""
    length = batch.x.shape[1] if batch.lengths is None else int(batch.lengths[row])
    steps = {"x", "mask", "delta", "time"} | ({"y", "y_mask"} if _a_target_a_step(batch) else set())
    return {name: value[row][:length] if name in steps else value[row] for name, value in parts(batch).items()}


def _a_target_a_step(batch: Batch) -> bool:
    return batch.y is not None and batch.y.shape[:2] == batch.x.shape[:2] and batch.future is None


def test_every_preset_is_covered() -> None:
    unknown = {name for name in NAMES if name not in FILES and load("data", name).get("path", "given") is None}
    assert not unknown, "say in FILES where their data are, or in NOT_AT_HAND that they are not"


@every
def test_the_same_split_twice_is_identical(name: str) -> None:
    first, second = prepared(name), ready(name)
    assert first.fingerprint() == second.fingerprint()
    assert first.spec == second.spec
    for split in SPLITS:
        assert len(first.examples(split)) == len(second.examples(split)) > 0
        assert same(some(first, split), some(second, split))


@every
def test_splits_are_disjoint_or_the_overlap_is_told(name: str) -> None:
    data = prepared(name)
    if isinstance(data, ForecastingData):
        owners = np.zeros(len(data.examples("train").rows.targets), dtype=int)
        for split in SPLITS:
            owners[np.unique(data.examples(split).ends[:, None] + np.arange(data.horizon))] += 1
        assert owners.max() == 1
        return
    contents = {split: _contents(data, split) for split in SPLITS}
    notes, dropped = data.notes(), data.notes().get("duplicates") == "drop"
    for one, other in (("train", "val"), ("train", "test"), ("val", "test")):
        earlier = set(contents[one])
        shared = sum(content in earlier for content in contents[other])
        told = notes.get(f"duplicates/{one}_{other}", PUBLISHED_TWICE.get((name, one, other), 0))
        assert shared == (0 if dropped else told), (one, other)


def _contents(data: SequenceData, split: Split) -> list[Any]:
    if hasattr(data, "texts"):
        return [text.strip() for text in data.texts(split)]
    examples, found = data.examples(split), []
    for start in range(0, len(examples), 32):
        batch = examples.__getitems__(range(start, min(start + 32, len(examples))))
        lengths = [batch.x.shape[1]] * len(batch) if batch.lengths is None else batch.lengths.tolist()
        found += [x[:length].tobytes() for x, length in zip(batch.x.numpy(), lengths, strict=True)]
    return found


@every
def test_the_spec_tells_the_truth(name: str) -> None:
    data = prepared(name)
    spec = data.spec
    for split in SPLITS:
        batch = some(data, split)
        count, steps = batch.x.shape[:2]
        assert batch.y is not None
        if spec.input_size is None:
            assert batch.x.dtype == torch.int64
            assert spec.vocabulary_size is not None
            assert 0 <= int(batch.x.min()) <= int(batch.x.max()) < spec.vocabulary_size
        else:
            assert batch.x.dtype == torch.float32
            assert batch.x.shape[2] == spec.input_size
        assert spec.lookback in (None, steps)
        shapes = {
            "forecasting": (count, spec.horizon, spec.output_size),
            "classification": (count,),
            "labelling": (count, steps),
            "regression": (count, spec.output_size),
            "next_step": (count, steps, spec.output_size),
        }
        assert batch.y.shape == shapes[spec.kind]
        if spec.kind in ("classification", "labelling"):
            real = batch.y[batch.y != -100]
            assert batch.y.dtype == torch.int64
            assert 0 <= int(real.min()) <= int(real.max()) < spec.output_size == len(spec.class_names)
        for value in parts(batch).values():
            assert torch.isfinite(value.float()).all()
        assert (batch.future is None) == (spec.future_size == 0)


@every
def test_classes_are_counted_in_the_training_split(name: str) -> None:
    data = prepared(name)
    if data.spec.kind not in ("classification", "labelling"):
        assert data.spec.class_counts == ()
        return
    examples = data.examples("train")
    labels = examples.__getitems__(range(len(examples))).y
    assert labels is not None
    counts = torch.bincount(labels[labels != -100].flatten(), minlength=data.spec.output_size)
    assert counts.tolist() == list(data.spec.class_counts)


@every
def test_a_batch_is_its_examples(name: str) -> None:
    data = prepared(name)
    for split in SPLITS:
        examples = data.examples(split)
        chosen = np.unique(np.linspace(0, len(examples) - 1, 5).astype(int)).tolist()
        together, reversed_ = examples.__getitems__(chosen), examples.__getitems__(chosen[::-1])
        assert together.index.tolist() == chosen
        for row, number in enumerate(chosen):
            alone = own_steps(examples.__getitems__([number]), 0)
            for batch, place in ((together, row), (reversed_, len(chosen) - 1 - row)):
                here = own_steps(batch, place)
                assert here.keys() == alone.keys()
                assert all(torch.equal(here[key], alone[key]) for key in here)


@every
def test_the_record_can_hold_what_is_noted_and_fitted(name: str) -> None:
    data = prepared(name)
    assert json.loads(json.dumps(data.notes())) == data.notes()
    artifacts = dict(data.artifacts())
    if not artifacts:
        return
    again = build(node(name), SequenceData)
    again.restore(artifacts)
    again.setup()
    assert again.spec == data.spec
    assert dict(again.artifacts()) == artifacts
    assert same(some(again, "test"), some(data, "test"))


@every
def test_an_empty_batch_has_the_shapes_of_a_full_one(name: str) -> None:
    data = prepared(name)
    for split in SPLITS:
        empty = data.examples(split).__getitems__([])
        full = data.examples(split).__getitems__([0, 1])
        assert len(empty) == 0
        assert parts(empty).keys() == parts(full).keys()
        for key, value in parts(empty).items():
            assert value.ndim == parts(full)[key].ndim, key
            assert value.dtype == parts(full)[key].dtype, key


@every
def test_trivial_predictors_answer_for_every_batch(name: str) -> None:
    data = prepared(name)
    for split in SPLITS:
        batch = some(data, split)
        assert batch.y is not None
        for predictor in data.baselines(split).values():
            answer = predictor(batch)
            assert torch.isfinite(answer).all()
            if data.spec.kind == "classification":
                torch.testing.assert_close(answer.logsumexp(-1), torch.zeros(len(batch)), atol=1e-4, rtol=0)
                assert answer.shape == (len(batch), data.spec.output_size)
            elif data.spec.kind == "labelling":
                assert answer.shape == (*batch.y.shape, data.spec.output_size)
            else:
                assert answer.shape == batch.y.shape
    assert data.baselines("test")


@every
def test_padding_and_order_change_no_prediction(name: str) -> None:
    data = prepared(name)
    torch.manual_seed(0)
    cell = factory(load("cell", "gru"), RecurrentCell)
    size = {"hidden_size": 8, "bidirectional": data.spec.kind != "next_step"}
    model = build({**load("model", "stack"), **size}, SequenceModel, spec=data.spec, cell=cell).eval()
    examples = data.examples("val")
    chosen = np.unique(np.linspace(0, len(examples) - 1, 6).astype(int)).tolist()
    with torch.no_grad():
        batch = examples.__getitems__(chosen)
        together, turned = model(batch), model(examples.__getitems__(chosen[::-1]))
        for row, number in enumerate(chosen):
            alone = model(examples.__getitems__([number]))[0]
            for answer in (together[row], turned[-1 - row]):
                if _a_target_a_step(batch):
                    answer = answer[: len(alone)]
                torch.testing.assert_close(answer, alone, rtol=1e-4, atol=1e-5)


# --- a changed test row ---


def _another_value(data: ForecastingData, folder: Path) -> str:
    """Copy a source with one value of its first test row changed."""
    from seqlab.data.tables import find_files

    for file in find_files(data.path):
        shutil.copy(file, folder)
    if data.layout == "ragged":
        [copy] = folder.glob("*test*")
        row = 1
    else:
        [copy] = folder.iterdir()
        row = 1 + int(data.examples("test").ends[0])
    lines = copy.read_text().splitlines()
    cells = lines[row].split(",")
    cells[-1] = "123"
    lines[row] = ",".join(cells)
    copy.write_text("\n".join(lines))
    return str(folder if data.layout == "ragged" else copy)


def _another_line(name: str, folder: Path) -> str:
    """Copy a source with the last line of its test files twice."""
    source = SHARED_DATA / FILES[name][0]
    shutil.copytree(source, folder, dirs_exist_ok=True)
    for file in (folder / each for each in TEST_FILES[name]):
        file.chmod(0o644)
        content = file.read_bytes().rstrip(b"\r\n")
        file.write_bytes(content + b"\n" + content.splitlines()[-1] + b"\n")
    return str(folder)


CHANGES: dict[str, Callable[[str, Path], str]] = {
    **dict.fromkeys(TEST_FILES, _another_line),
    **{
        name: lambda name, folder: _another_value(prepared(name), folder)  # type: ignore[arg-type]
        for name in NAMES
        if load("data", name)["_target_"].endswith("ForecastingData")
    },
}


@pytest.mark.parametrize("name", [param for param in EVERY if param.values[0] in CHANGES])
def test_a_changed_test_row_changes_no_training_batch(name: str, tmp_path: Path) -> None:
    before = prepared(name)
    folder = tmp_path / "changed"
    folder.mkdir()
    folder.chmod(0o755)
    after = ready(name, path=CHANGES[name](name, folder))
    assert after.fingerprint() != before.fingerprint()
    assert after.spec == before.spec
    for split in ("train", "val"):
        assert len(before.examples(split)) == len(after.examples(split))
        assert same(some(before, split, 200), some(after, split, 200))
    one, other = (d.examples("test") for d in (before, after))
    assert len(one) != len(other) or not same(one.__getitems__(range(8)), other.__getitems__(range(8)))
