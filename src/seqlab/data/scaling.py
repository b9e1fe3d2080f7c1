"""Scalers: fitted on training rows, undone by one product and one sum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["standard", "minmax", "robust", "none"]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scaler:
    """original = scaled * scale + center.

    Attributes:
        center: (C,), subtracted first.
        scale: (C,), never 0: a constant column keeps scale 1 and so becomes all zeros.
        constant: (C,) bool, the columns without spread (of whose middle half, for "robust").
    """

    center: Floats
    scale: Floats
    constant: NDArray[np.bool_]

    @classmethod
    def fit(cls, kind: Kind, values: Floats, leave: NDArray[np.bool_] | None = None) -> Scaler:
        """Fit to ``values`` (N, C).

        Args:
            kind: mean and deviation, minimum and range, median and quartile distance, or 0 and 1.
            values: the training rows.
            leave: (C,) bool, columns that stay as they are.
        """
        center, spread = _FITS[kind](values)
        if leave is not None:
            center, spread = np.where(leave, 0.0, center), np.where(leave, 1.0, spread)
        # A sum of equal floats leaves a deviation of rounding size, not zero.
        constant = spread <= 10 * np.finfo(np.float64).eps * np.maximum(np.abs(center), np.finfo(np.float64).tiny)
        return cls(center, np.where(constant, 1.0, spread), constant)

    def apply(self, values: Floats) -> Floats:
        """Return ``values`` (..., C) in scaled units."""
        return (values - self.center) / self.scale


def _standard(values: Floats) -> tuple[Floats, Floats]:
    return values.mean(axis=0), values.std(axis=0)


def _minmax(values: Floats) -> tuple[Floats, Floats]:
    return values.min(axis=0), np.ptp(values, axis=0)


def _robust(values: Floats) -> tuple[Floats, Floats]:
    low, middle, high = np.percentile(values, (25, 50, 75), axis=0)
    return middle, high - low


def _none(values: Floats) -> tuple[Floats, Floats]:
    return np.zeros(values.shape[1]), np.ones(values.shape[1])


_FITS: dict[Kind, Callable[[Floats], tuple[Floats, Floats]]] = {
    "standard": _standard,
    "minmax": _minmax,
    "robust": _robust,
    "none": _none,
}
