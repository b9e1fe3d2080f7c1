"""Piano rolls: the published counts, the shift by one frame, trivial scores, and what each bad file says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import torch

from seqlab.config import build, load
from seqlab.data import SPLITS, Batch, SequenceData, Split
from seqlab.data.piano import PianoRolls
from seqlab.errors import RequestError


def whole(data: SequenceData, split: Split) -> Batch:
    examples = data.examples(split)
    return examples.__getitems__(range(len(examples)))


def pieces(*frames: int, seed: int = 0) -> np.ndarray[Any, np.dtype[Any]]:
    rng = np.random.default_rng(seed)
    cells = np.empty((1, len(frames)), dtype=object)
    for i, count in enumerate(frames):
        cells[0, i] = (rng.random((count, 88)) < 0.1).astype(np.uint8)
    return cells


def write(tmp_path: Path, **changes: Any) -> str:
    splits = {"traindata": pieces(5, 9), "validdata": pieces(4, seed=1), "testdata": pieces(6, 2, seed=2)}
    path = tmp_path / "toy.mat"
    scipy.io.savemat(path, {k: v for k, v in {**splits, **changes}.items() if v is not None})
    return str(path)


def prepared(path: str) -> PianoRolls:
    data = PianoRolls(path)
    data.setup()
    return data


def nll(data: SequenceData, name: str) -> float:
    """The mean negative log-likelihood per real frame of the test split: log(1 + e^z) - y z, summed over notes."""
    total, frames = 0.0, 0
    examples, predict = data.examples("test"), data.baselines("test")[name]
    for i in range(len(examples)):
        batch = examples.__getitems__([i])
        assert batch.y is not None
        z = predict(batch).double()
        total += (torch.nn.functional.softplus(z) - batch.y * z).sum().item()
        frames += batch.y.shape[1]
    return total / frames


@pytest.mark.parametrize(
    ("name", "counts", "frames", "floors"),
    [
        ("jsb_chorales", (229, 76, 77), 4648, (11.09, 10.49)),
        ("nottingham", (694, 173, 170), 44293, (10.26, 5.15)),
    ],
)
def test_published_sets_have_their_pieces_and_trivial_scores(
    shared_data: Path, name: str, counts: tuple[int, int, int], frames: int, floors: tuple[float, float]
) -> None:
    data = build({**load("data", name), "path": str(shared_data / "poly_music")}, SequenceData)
    data.setup()
    assert tuple(len(data.examples(split)) for split in SPLITS) == counts
    lengths = data.examples("test").lengths
    assert lengths is not None
    assert lengths.sum() == frames
    assert nll(data, "note_shares") == pytest.approx(floors[0], abs=0.005)
    assert nll(data, "note_transitions") == pytest.approx(floors[1], abs=0.005)


def test_the_target_is_the_next_frame(tmp_path: Path) -> None:
    data = prepared(write(tmp_path))
    batch = whole(data, "train")
    assert batch.y is not None
    assert batch.lengths is not None
    assert batch.lengths.tolist() == [4, 8]
    assert batch.x.dtype == batch.y.dtype == torch.float32
    for row, piece in enumerate(pieces(5, 9)[0]):
        length = len(piece) - 1
        assert np.array_equal(batch.x[row, :length].numpy(), piece[:-1])
        assert np.array_equal(batch.y[row, :length].numpy(), piece[1:])
        assert not batch.x[row, length:].any()
    assert (data.spec.input_size, data.spec.output_size, data.spec.lookback) == (88, 88, None)


def test_shares_are_counted_in_training_alone(tmp_path: Path) -> None:
    data = prepared(write(tmp_path))
    following = np.concatenate([piece[1:] for piece in pieces(5, 9)[0]])
    share = (following.sum(0) + 0.5) / (len(following) + 1)
    batch = whole(data, "test")
    guess = data.baselines("test")["note_shares"](batch)
    assert guess.shape == batch.x.shape
    assert torch.sigmoid(guess[0, 0]).numpy() == pytest.approx(share, rel=1e-5)
    now = np.concatenate([piece[:-1] for piece in pieces(5, 9)[0]]) > 0
    after_on = ((following * now).sum(0) + 0.5) / (now.sum(0) + 1)
    guess = torch.sigmoid(data.baselines("test")["note_transitions"](Batch(torch.ones(1, 1, 88), torch.zeros(1))))
    assert guess[0, 0].numpy() == pytest.approx(after_on, rel=1e-5)


def test_a_folder_holds_the_named_file(tmp_path: Path) -> None:
    write(tmp_path)
    assert PianoRolls(str(tmp_path), "toy.mat").fingerprint() == PianoRolls(str(tmp_path / "toy.mat")).fingerprint()
    with pytest.raises(RequestError, match=r"has no file toys.mat. Did you mean 'toy.mat'"):
        PianoRolls(str(tmp_path), "toys.mat").fingerprint()
    with pytest.raises(RequestError, match=r"data.path is needed"):
        PianoRolls().fingerprint()
    with pytest.raises(RequestError, match="does not exist"):
        PianoRolls(str(tmp_path / "nothing")).fingerprint()


BAD = {
    "missing_split": ({"validdata": None}, "must hold traindata, validdata, testdata; it holds testdata, traindata"),
    "not_88": (
        {"testdata": np.array([[np.zeros((4, 87))], [np.zeros((3, 87))]], dtype=object)},
        r"piece 1: .* got \(4, 87\)",
    ),
    "not_binary": ({"traindata": pieces(3, 4) * 2}, "notes must be 0 or 1; there is 0 to 2"),
    "one_frame": ({"traindata": pieces(3, 1)}, r"piece 2: expected .* two frames or more; got \(1, 88\)"),
    "no_piece": ({"testdata": np.empty((1, 0), dtype=object)}, "testdata holds no piece"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_say_what_is_wrong_and_where(name: str, tmp_path: Path) -> None:
    changes, message = BAD[name]
    with pytest.raises(RequestError, match=message):
        prepared(write(tmp_path, **changes))


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "is empty"), (b"not a matlab file" * 20, "is not a MATLAB file")]
)
def test_what_is_no_matlab_file_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.mat").write_bytes(content)
    with pytest.raises(RequestError, match=message):
        prepared(str(tmp_path / "x.mat"))
