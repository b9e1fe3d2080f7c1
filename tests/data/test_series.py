"""Labelled series: the .ts format, the official sets' counts, gaps and time stamps, and what each bad file says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from seqlab.config import build, load
from seqlab.data import SPLITS, Batch, SequenceData, Split
from seqlab.data.labelled_series import LabelledSeries
from seqlab.data.ts_files import read_ts
from seqlab.errors import RequestError

HEADER = "# a comment\n@problemName Toy\n@timeStamps false\n@classLabel true up down\n@data\n"


def whole(data: SequenceData, split: Split) -> Batch:
    examples = data.examples(split)
    return examples.__getitems__(range(len(examples)))


def write(path: Path, train: str, test: str | None = None, header: str = HEADER) -> str:
    (path / "Toy_TRAIN.ts").write_text(header + train)
    if test is not None:
        (path / "Toy_TEST.ts").write_text(header + test)
    return str(path)


def prepared(path: str, **changes: object) -> LabelledSeries:
    data = LabelledSeries(path, **changes)  # type: ignore[arg-type]
    data.setup()
    return data


CASES = "".join(f"{i},{i + 1},{i + 3}:{10 * i},0,1:{'up' if i % 2 else 'down'}\n" for i in range(10))


@pytest.mark.parametrize(
    ("name", "counts", "steps", "channels", "classes"),
    [
        ("ItalyPowerDemand", (67, 1029), 24, 1, 2),
        ("GunPoint", (50, 150), 150, 1, 2),
        ("SyntheticControl", (300, 300), 60, 1, 6),
        ("BasicMotions", (40, 40), 100, 6, 4),
    ],
)
def test_official_sets_have_their_counts(
    shared_data: Path, name: str, counts: tuple[int, int], steps: int, channels: int, classes: int
) -> None:
    data = build({**load("data", "ucr"), "path": str(shared_data / "ucr_uea"), "set": name}, SequenceData)
    data.setup()
    sizes = [len(data.examples(split)) for split in SPLITS]
    assert (sizes[0] + sizes[1], sizes[2]) == counts
    assert sizes[1] == pytest.approx(0.2 * counts[0], abs=classes / 2)
    batch = whole(data, "test")
    assert batch.x.shape == (counts[1], steps, channels)
    assert batch.lengths is None
    assert (data.spec.input_size, data.spec.output_size, data.spec.lookback) == (channels, classes, steps)
    # Scaled on the training split alone: there, each channel has mean 0 and deviation 1 to rounding.
    train = whole(data, "train").x.double()
    assert train.mean((0, 1)).abs().max().item() < 1e-5
    assert train.std((0, 1), correction=0).sub(1).abs().max().item() < 1e-4


def test_a_case_becomes_channels_and_a_class(tmp_path: Path) -> None:
    data = prepared(write(tmp_path, CASES, "1,2,4:10,0,1:up\n"), scaler="none")
    batch = whole(data, "test")
    assert batch.x.tolist() == [[[1, 10], [2, 0], [4, 1]]]
    assert batch.y is not None
    assert batch.y.tolist() == [0]
    assert data.spec.class_names == ("up", "down")
    assert data.spec.class_counts == (4, 4)
    assert batch.mask is None
    assert batch.time is None


def test_lengths_may_differ(tmp_path: Path) -> None:
    cases = "".join(f"{','.join('1' * n)}:{'up' if n % 2 else 'down'}\n" for n in range(1, 11))
    data = prepared(write(tmp_path, cases, "1,2:up\n"), scaler="none")
    batch = whole(data, "train")
    assert data.spec.lookback is None
    assert batch.lengths is not None
    assert batch.x.sum((1, 2)).tolist() == batch.lengths.tolist()
    assert batch.x.shape[1] == batch.lengths.max()


def test_a_lone_file_gives_all_splits(tmp_path: Path) -> None:
    write(tmp_path, CASES)
    data = prepared(str(tmp_path / "Toy_TRAIN.ts"))
    assert [len(data.examples(split)) for split in SPLITS] == [6, 2, 2]
    rows = [tuple(row) for split in SPLITS for row in whole(data, split).x.flatten(1).tolist()]
    assert len(set(rows)) == 10
    other = prepared(str(tmp_path / "Toy_TRAIN.ts"), split_seed=1)
    assert not torch.equal(whole(data, "val").x, whole(other, "val").x)
    assert data.fingerprint() == other.fingerprint()


def test_missing_values_are_filled_and_marked(tmp_path: Path) -> None:
    path = write(tmp_path, CASES, "?,2,?,?,8:1,?,1,1,1:up\n")
    scale = {"last": [0, 2, 2, 2, 8], "mean": [0, 2, 0, 0, 8], "linear": [0, 2, 4, 6, 8]}
    for fill, expected in scale.items():
        data = prepared(path, scaler="none", fill=fill)
        batch = whole(data, "test")
        assert batch.x[0, :, 0].tolist() == expected
        assert batch.mask is not None
        assert batch.mask[0].T.tolist() == [[0, 1, 0, 0, 1], [1, 0, 1, 1, 1]]
        assert batch.delta is not None
        assert batch.delta[0].T.tolist() == [[0, 1, 1, 2, 3], [0, 1, 2, 1, 1]]
        assert whole(data, "train").mask is None
        assert data.notes()["missing_values/test"] == 4


def test_time_stamps_travel_in_steps(tmp_path: Path) -> None:
    header = HEADER.replace("@timeStamps false", "@timeStamps true")
    cases = "".join(f"(0,{i}),(2,1),(4,3):{'up' if i % 2 else 'down'}\n" for i in range(10))
    data = prepared(write(tmp_path, cases, "(10,1),(11,1),(16,1):up\n", header), scaler="none")
    batch = whole(data, "test")
    assert batch.time is not None
    assert batch.time.tolist() == [[0, 0.5, 3]]
    assert batch.delta is not None
    assert batch.delta[0, :, 0].tolist() == [0, 0.5, 2.5]


def test_a_number_as_label_is_regression(tmp_path: Path) -> None:
    header = HEADER.replace("@classLabel true up down", "@targetLabel true")
    cases = "".join(f"{i},{i}:{3 * i + 1}\n" for i in range(20))
    data = prepared(write(tmp_path, cases, "1,1:7.5\n", header))
    y = whole(data, "train").y
    assert y is not None
    assert data.spec.kind == "regression"
    assert y.mean().item() == pytest.approx(0, abs=1e-6)
    assert y.std(correction=0).item() == pytest.approx(1, abs=1e-6)
    test = whole(data, "test")
    assert test.y is not None
    assert test.y.item() * data.spec.scale[0] + data.spec.center[0] == pytest.approx(7.5, rel=1e-6)
    assert data.baselines("test")["mean"](test).tolist() == [[pytest.approx(0, abs=1e-6)]]


def test_a_constant_channel_becomes_zeros_and_is_named(tmp_path: Path) -> None:
    cases = "".join(f"{i},1,2:7,7,7:{'up' if i % 2 else 'down'}\n" for i in range(10))
    data = prepared(write(tmp_path, cases, "1,2,3:7,7,8:up\n"))
    assert whole(data, "train").x[..., 1].abs().max() == 0
    assert whole(data, "test").x[0, :, 1].tolist() == [0, 0, 1]
    assert data.notes()["constant_channels"] == [1]


def test_a_changed_test_case_changes_no_training_batch(tmp_path: Path) -> None:
    one = whole(prepared(write(tmp_path, CASES, "1,2,4:10,0,1:up\n")), "train")
    two = whole(prepared(write(tmp_path, CASES, "900,?,-4:1,0,1:down\n")), "train")
    assert torch.equal(one.x, two.x)
    assert two.mask is None


def test_a_class_of_the_header_without_cases_is_left_out_and_named(tmp_path: Path) -> None:
    header = HEADER.replace("up down", "up none down")
    data = prepared(write(tmp_path, CASES, "1,2,4:10,0,1:up\n", header))
    assert data.spec.class_names == ("up", "down")
    assert data.notes()["classes_without_cases"] == ["none"]
    majority = data.baselines("test")["majority"](whole(data, "test"))
    assert majority.exp().tolist() == [pytest.approx([0.5, 0.5])]


def test_a_run_takes_its_scaler_along(tmp_path: Path) -> None:
    fitted = prepared(write(tmp_path, CASES, CASES))
    write(tmp_path, CASES.replace("1,", "5,"), CASES)
    restored = LabelledSeries(str(tmp_path))
    restored.restore(fitted.artifacts())
    restored.setup()
    assert torch.equal(whole(restored, "test").x, whole(fitted, "test").x)
    fresh = prepared(str(tmp_path))
    assert not torch.equal(whole(fresh, "test").x, whole(fitted, "test").x)


BAD = {
    "empty": ("", "is empty"),
    "header_only": (HEADER, "a header and no cases"),
    "no_data": (HEADER.replace("@data\n", ""), "no @data line"),
    "no_header": ("1,2,3:up\n", "line 1: expected a header"),
    "csv": ("a,b,label\n1,2,3\n", "Is this a .ts file"),
    "binary": ("@data\0", "binary file"),
    "unknown_word": (
        HEADER.replace("classLabel", "classLabels"),
        "line 4: @classLabels is unknown. Did you",
    ),
    "no_labels": (HEADER.replace("@classLabel true up down", "@classLabel false") + CASES, "its cases have no labels"),
    "label_missing": (HEADER + "1,2,3:1,2,3:\n", "line 6: the label is missing"),
    "label_left_out": (HEADER + "1,2:1,2:up\n1,2:1,2\n", "line 7: 1 channels, .* Is the label missing"),
    "label_question": (HEADER + "1,2:?\n", "line 6: the label is missing"),
    "class_unknown": (HEADER + "1,2:upp\n", "line 6: 'upp' is not a class of the header. Did you mean 'up'"),
    "infinite": (HEADER + "1,inf:up\n", "line 6: the value at step 1 is infinite"),
    "text": (HEADER + "1,x:up\n", "line 6: not a number"),
    "ragged": (HEADER + "1,2:1,2,3:up\n", r"line 6: all channels of a case must be equally long; got lengths \[2, 3\]"),
    "nothing": (HEADER + "?,?:up\n", "line 6: the series has no value at all"),
    "one_class": (HEADER.replace("up down", "up") + "1,2:up\n", "two or more classes"),
    "time_falls": (HEADER.replace("Stamps false", "Stamps true") + "(1,1),(0,1):up\n", "time stamps must rise"),
    "no_pairs": (HEADER.replace("Stamps false", "Stamps true") + "1,2:up\n", r"expected pairs \(time,value\)"),
    "target": (
        HEADER.replace("@classLabel true up down", "@targetLabel true") + "1:x\n" * 10,
        "the target must be a finite",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_say_what_is_wrong_and_where(name: str, tmp_path: Path) -> None:
    text, message = BAD[name]
    (tmp_path / "Toy_TRAIN.ts").write_text(text)
    with pytest.raises(RequestError, match=message):
        LabelledSeries(str(tmp_path), fractions=(0.1, 0.1)).setup()


def test_a_class_in_test_that_training_lacks_is_refused(tmp_path: Path) -> None:
    header = HEADER.replace("up down", "up down level")
    with pytest.raises(RequestError, match=r"Toy_TEST.ts, line 6: the class 'level' has no case in the training split"):
        prepared(write(tmp_path, CASES, "1,2,3:1,2,3:level\n", header))


def test_another_number_of_channels_in_test_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"1 channels; the training cases have 2"):
        prepared(write(tmp_path, CASES, "1,2,3:up\n"))


def test_a_channel_without_values_in_training_is_refused(tmp_path: Path) -> None:
    cases = "".join(f"1,2:?,?:{'up' if i % 2 else 'down'}\n" for i in range(10))
    with pytest.raises(RequestError, match="Channel 1 has no value in the training cases"):
        prepared(write(tmp_path, cases, "1,2:1,2:up\n"))


def test_wrong_requests_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"data.path is needed"):
        LabelledSeries().fingerprint()
    with pytest.raises(RequestError, match="does not exist"):
        LabelledSeries(str(tmp_path / "nothing")).fingerprint()
    with pytest.raises(RequestError, match=r"no <set>_TRAIN.ts file"):
        LabelledSeries(str(tmp_path)).fingerprint()
    write(tmp_path, CASES)
    (tmp_path / "Other_TRAIN.ts").write_text(HEADER + CASES)
    with pytest.raises(RequestError, match=r"2 sets: choose data.set=Other\|Toy"):
        LabelledSeries(str(tmp_path)).fingerprint()
    with pytest.raises(RequestError, match="Did you mean 'Toy'"):
        LabelledSeries(str(tmp_path), "Toi").fingerprint()
    with pytest.raises(RequestError, match=r"data.fill='lasst' is unknown. Did you mean 'last'"):
        LabelledSeries(fill="lasst")  # type: ignore[arg-type]
    with pytest.raises(RequestError, match="leave none for"):
        prepared(write(tmp_path, CASES), set="Toy", fractions=(0.01, 0.5))


def test_the_values_are_those_of_numpy(shared_data: Path) -> None:
    file = read_ts(shared_data / "ucr_uea" / "GunPoint_TRAIN.ts")
    text = (shared_data / "ucr_uea" / "GunPoint_TRAIN.ts").read_text().split("@data")[1].strip().splitlines()
    values = np.array([line.split(":")[0].split(",") for line in text], dtype=float)
    assert np.array_equal(np.stack([case.values[:, 0] for case in file.cases]), values)
