"""Piano rolls for next-step prediction: Boulanger-Lewandowski et al. 2012 (arXiv:1206.6392), in MATLAB files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqlab.data._base import Batch, Predictor, Spec, Split
from seqlab.data._stored import Stored
from seqlab.data.sequences import Sequences, every_step
from seqlab.data.tables import fingerprint
from seqlab.errors import RequestError, did_you_mean

NOTES = 88
#: The names under which the files hold the splits, as published.
SPLIT_NAMES: dict[Split, str] = {"train": "traindata", "val": "validdata", "test": "testdata"}
#: Added to each note's count before its odds are taken, so that a note that never sounds keeps finite odds.
PRIOR = 0.5


class PianoRolls(Stored):
    """Pieces of music as frames of 88 notes, on or off; from the frames so far, predict the next.

        note 60   on  on  off off          x is all frames but the last, y all but the first
        note 64   off on  on  off

    The file holds the published splits ``traindata``, ``validdata`` and ``testdata``, each a row of pieces, each
    (frames, 88) of 0 and 1. Kind: next_step, x and y (B, T, 88); logits are scored by the sum of 88 Bernoulli negative
    log-likelihoods per frame, averaged over all frames of the split.

    Trivial scores on the test split, in nats per frame, JSB Chorales and Nottingham: each note as often as in training
    (note_shares) 11.09 and 10.26; as often as after the same note was on or off (note_transitions) 10.49 and 5.15.

    Args:
        path: the .mat file, or a folder with ``file``.
        file: the file's name in a folder.
        batch_size: B; published results use whole pieces, one at a time or a few.
        num_workers: loader processes.
    """

    def __init__(
        self, path: str | None = None, file: str = "JSB_Chorales.mat", batch_size: int = 16, num_workers: int = 0
    ) -> None:
        super().__init__(batch_size, num_workers)
        self.path, self.file = path, file

    def fingerprint(self) -> str:
        """Return the SHA-256 (hex) of the file's bytes."""
        return fingerprint([self._place()], ["piano"])

    def prepare(self) -> dict[Split, Sequences]:
        """Read the pieces of all splits."""
        place = self._place()
        content = _load(place)
        missing = [name for name in SPLIT_NAMES.values() if name not in content]
        if missing:
            there = ", ".join(sorted(name for name in content if not name.startswith("__"))) or "nothing"
            raise RequestError(f"{place.name} must hold {', '.join(SPLIT_NAMES.values())}; it holds {there}.")
        return {
            split: _sequences(_pieces(content[name], f"{place.name}, {name}")) for split, name in SPLIT_NAMES.items()
        }

    def describe(self, train: Sequences) -> Spec:
        """Return the Spec: 88 notes in, 88 notes out."""
        return Spec(
            kind="next_step",
            output_size=NOTES,
            input_size=NOTES,
            target_index=tuple(range(NOTES)),
            target_names=tuple(f"note {i}" for i in range(NOTES)),
        )

    def baselines(self, split: Split) -> Mapping[str, Predictor]:
        """Return the logits (B, T, 88) of how often each note sounds in training, and how often after itself."""
        train = self._splits["train"]
        assert train.step_y is not None
        now, following = train.values.view(bool), train.step_y.view(bool)
        frames, on, sounding = len(now), _count(now), _count(following)
        both = _count(now & following)
        after = np.stack([_log_odds(sounding - both, frames - on), _log_odds(both, on)])  # (2, 88)
        return {"note_shares": every_step(_log_odds(sounding, frames)), "note_transitions": _Lookup(after)}

    def _place(self) -> Path:
        if not self.path:
            raise RequestError(f"data.path is needed: {self.file}, or the folder that holds it.")
        path = Path(self.path).expanduser()
        if path.is_dir():
            if not (path / self.file).is_file():
                raise RequestError(
                    f"{path} has no file {self.file}.{did_you_mean(self.file, [p.name for p in path.iterdir()])}"
                )
            return path / self.file
        if not path.is_file():
            raise RequestError(f"data.path={self.path} does not exist.")
        return path


class _Lookup:
    """Logits (B, T, 88) of each note, from a table (2, 88) of what follows when it is off and when it is on."""

    def __init__(self, table: NDArray[np.float32]) -> None:
        self.table = torch.from_numpy(table)

    def __call__(self, batch: Batch) -> Tensor:
        off, on = self.table.to(batch.x.device)
        return torch.where(batch.x > 0.5, on, off)


def _count(frames: NDArray[np.bool_]) -> NDArray[np.int64]:
    counts: NDArray[np.int64] = np.count_nonzero(frames, axis=0)
    return counts


def _log_odds(successes: NDArray[np.int64], trials: NDArray[np.int64] | int) -> NDArray[np.float32]:
    """Return the log odds of as many successes in so many trials, kept finite by the prior."""
    odds: NDArray[np.float32] = np.log((successes + PRIOR) / (trials - successes + PRIOR)).astype(np.float32)
    return odds


def _load(place: Path) -> dict[str, Any]:
    if not place.stat().st_size:
        raise RequestError(f"{place.name} is empty.")
    try:
        content: dict[str, Any] = scipy.io.loadmat(place)
    except (ValueError, TypeError, NotImplementedError, OSError, scipy.io.matlab.MatReadError) as error:
        raise RequestError(f"{place.name} is not a MATLAB file up to version 7: {error}.") from error
    return content


def _pieces(cells: NDArray[Any], where: str) -> list[NDArray[np.uint8]]:
    """Return the pieces of a split, each (frames, 88) of 0 and 1.

    Raises:
        RequestError: there is none, or one is too short, of another shape, or holds anything but 0 and 1.
    """
    pieces: list[NDArray[np.uint8]] = []
    for number, piece in enumerate(np.ravel(cells), 1):
        frames = np.asarray(piece)
        if frames.ndim != 2 or frames.shape[1] != NOTES or len(frames) < 2:
            raise RequestError(
                f"{where}, piece {number}: expected (frames, {NOTES}) with two frames or more; got {frames.shape}."
            )
        if not ((frames == 0) | (frames == 1)).all():
            raise RequestError(
                f"{where}, piece {number}: notes must be 0 or 1; there is {frames.min()} to {frames.max()}."
            )
        pieces.append(frames.astype(np.uint8))
    if not pieces:
        raise RequestError(f"{where} holds no piece.")
    return pieces


def _sequences(pieces: list[NDArray[np.uint8]]) -> Sequences:
    offsets = np.concatenate([[0], np.cumsum([len(piece) - 1 for piece in pieces])]).astype(np.int64)
    past, following = (np.concatenate([piece[cut] for piece in pieces]) for cut in (slice(-1), slice(1, None)))
    return Sequences(past, offsets, step_y=following)
