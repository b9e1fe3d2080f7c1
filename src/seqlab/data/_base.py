"""What travels from data to model: Batch, Spec, and the contract that every data module keeps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
Kind = Literal["forecasting", "classification", "labelling", "regression", "next_step"]


@dataclass(frozen=True)
class Batch:
    """One batch, gathered whole.

    Attributes:
        x: (B, T, I) float features, or (B, T) int64 tokens.
        index: (B,) int64, the examples' places in their split.
        y: the target. forecasting (B, K, O); classification (B,) int64; labelling (B, T) int64 with -100 at padding;
            regression (B, O); next_step (B, T, O). None when only predicting.
        lengths: (B,) int64, the number of real steps; None when all T are real.
        mask: (B, T, I) float, 1 where x was observed; None when everything was.
        delta: (B, T, I) float, time since the feature was last observed, in steps.
        time: (B, T) float, the time stamp of each step, in steps.
        future: (B, K, F) float, covariates that are known ahead.
        y_mask: same shape as y, 1 where the target was observed; None when everything was.
        center, scale: (B, O) float, original = scaled * scale + center, where each series has its own; None where
            ``Spec.center`` and ``Spec.scale`` hold for all.
        naive_scale: (B, O) float, the mean absolute error of the seasonal-naive forecast on the rows before the split,
            in scaled units: what MASE divides by (Hyndman and Koehler 2006, section 3), 0 where they did not vary.
            Forecasting always gives it.
    """

    x: Tensor
    index: Tensor
    y: Tensor | None = None
    lengths: Tensor | None = None
    mask: Tensor | None = None
    delta: Tensor | None = None
    time: Tensor | None = None
    future: Tensor | None = None
    y_mask: Tensor | None = None
    center: Tensor | None = None
    scale: Tensor | None = None
    naive_scale: Tensor | None = None

    def __len__(self) -> int:
        return self.x.shape[0]

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """Return the batch on ``device``; Lightning calls this."""
        if self.x.device == torch.device(device):
            return self
        present = {f.name: v for f in fields(self) if (v := getattr(self, f.name)) is not None}
        return replace(self, **{name: v.to(device, non_blocking=non_blocking) for name, v in present.items()})

    def pin_memory(self) -> Batch:
        """Return the batch in page-locked memory; torch's DataLoader calls this."""
        present = {f.name: v for f in fields(self) if (v := getattr(self, f.name)) is not None}
        return replace(self, **{name: v.pin_memory() for name, v in present.items()})


@dataclass(frozen=True)
class Spec:
    """All that a model or task may know about the data.

    Attributes:
        kind: what is predicted; names the task that fits.
        output_size: O targets a step (forecasting, regression, next_step), or C classes.
        input_size: I features a step; None for tokens.
        vocabulary_size: V, with 0 the padding and 1 the unknown token; None for features.
        class_names: the C names, in the order of the class numbers.
        lookback: T of every window; None where the length varies.
        horizon: K steps ahead.
        season: steps in a season; None when there is none.
        target_index: which input columns the O targets are; empty when the targets are not among the inputs.
        future_size: F covariates known ahead.
        window_norm: "none", "last" (subtract the window's last value) or "revin", over the target columns.
        center, scale: (O,) of the scaler: original = scaled * scale + center; empty where each series has its own
            (then they travel in ``Batch.center`` and ``Batch.scale``).
        target_names: the O names, in order.
        class_counts: training examples a class, for weights and balance.
        vectors: (V, E) pretrained embedding; None without.
        freeze_vectors: whether the pretrained embedding stays as it is.
        token_scores: (V, C) how much each token speaks for each class in the training texts; None without classes.
        ordinal: whether the classes are ordered grades.
    """

    kind: Kind
    output_size: int
    input_size: int | None = None
    vocabulary_size: int | None = None
    class_names: tuple[str, ...] = ()
    lookback: int | None = None
    horizon: int | None = None
    season: int | None = None
    target_index: tuple[int, ...] = ()
    future_size: int = 0
    window_norm: Literal["none", "last", "revin"] = "none"
    center: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    target_names: tuple[str, ...] = ()
    class_counts: tuple[int, ...] = ()
    vectors: Tensor | None = field(default=None, repr=False, compare=False)
    freeze_vectors: bool = False
    token_scores: Tensor | None = field(default=None, repr=False, compare=False)
    ordinal: bool = False


#: A trivial predictor: what a model would return for the batch.
Predictor: TypeAlias = Callable[[Batch], Tensor]


class Examples(Protocol):
    """One split: a number of examples that are gathered a whole batch at a time."""

    #: (N,) number of steps of each example, for length buckets; None when all are equal.
    lengths: NDArray[np.int64] | None

    def __len__(self) -> int: ...

    def __getitems__(self, indices: Sequence[int]) -> Batch: ...


class SequenceData(ABC):
    """A data module: reads a source, splits it, fits what is fitted on the training split, and gathers batches.

    A subclass's constructor takes plain values and reads nothing; ``setup`` does the work once. The source's bytes
    and schema make the fingerprint; split, fold and batch size do not.
    """

    batch_size: int
    num_workers: int

    @abstractmethod
    def fingerprint(self) -> str:
        """Return the SHA-256 (hex) of source bytes and schema, without preparing anything.

        Raises:
            RequestError: the source is missing or unreadable.
        """

    @abstractmethod
    def setup(self) -> None:
        """Read, split and fit; a second call does nothing.

        Raises:
            RequestError: the source does not hold what the arguments ask for.
        """

    @property
    @abstractmethod
    def spec(self) -> Spec:
        """Return what a model or task may know about the data (after ``setup``)."""

    @abstractmethod
    def examples(self, split: Split) -> Examples:
        """Return the examples of one split (after ``setup``)."""

    def baselines(self, split: Split) -> Mapping[str, Predictor]:
        """Return the trivial predictors of one split by name ("naive", "seasonal_naive", "majority", "naive_bayes").

        Each maps a batch of that split to what a model would return for it (a forecast (B, K, O) in scaled units, log
        probabilities (B, C), ...); the task scores them with its own metrics on the very same batches.
        """
        return {}

    def sampling_weights(self) -> NDArray[np.float64] | None:
        """Return (N,) drawing weights of the training examples; None draws each once an epoch."""
        return None

    def notes(self) -> dict[str, Any]:
        """Return what a person should know of the preparation (counts, shares, skipped rows), for record and screen."""
        return {}

    def artifacts(self) -> Mapping[str, str]:
        """Return fitted text artefacts to keep in the run folder, file name to content (a tokeniser, say)."""
        return {}

    def restore(self, artifacts: Mapping[str, str]) -> None:  # noqa: B027 - most data fits nothing
        """Use what an earlier run fitted (a scaler, a vocabulary) instead of fitting anew; called before ``setup``.

        Args:
            artifacts: as ``artifacts`` returned them.
        """
