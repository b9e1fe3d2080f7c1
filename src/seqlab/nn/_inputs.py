"""The one boundary where what a person hands to an RNN is checked; below it, shapes are taken for granted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from seqlab.cells import Aux
from seqlab.cells._base import zero_padding
from seqlab.errors import RequestError

_WHOLE = (torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8)


def check_features(x: Tensor, input_size: int, device: torch.device) -> None:
    """Raise RequestError unless x is (B, T, I) of floating point, T at least 1, on the parameters' device."""
    if not x.is_floating_point():
        raise RequestError(f"x must hold floating-point features; got {x.dtype}. Embed tokens first.")
    if x.dim() != 3 or x.shape[2] != input_size or not x.shape[1]:
        hint = " Add the batch axis with x.unsqueeze(0)." if x.dim() == 2 and x.shape[1] == input_size else ""
        raise RequestError(f"x must be (B, T, {input_size}) with T at least 1; got {tuple(x.shape)}.{hint}")
    if x.device != device:
        raise RequestError(f"x is on {x.device} and the parameters on {device}; move one with .to(...).")


def check_lengths(lengths: Tensor | Sequence[int], x: Tensor) -> Tensor:
    """Return the lengths (B,) on x's device.

    Raises:
        RequestError: they are not B whole numbers from 1 to T.
    """
    lengths = torch.as_tensor(lengths)
    batch, steps = x.shape[:2]
    if lengths.dtype not in _WHOLE:
        raise RequestError(f"lengths must be whole numbers; got {lengths.dtype}.")
    if lengths.shape != (batch,):
        raise RequestError(f"lengths must have one entry for each of the {batch} rows; got {tuple(lengths.shape)}.")
    if not torch.compiler.is_compiling():
        wrong = ((lengths < 1) | (lengths > steps)).nonzero().flatten().tolist()
        if wrong:
            raise RequestError(
                f"lengths must be from 1 to T={steps}; row {wrong[0]} has {int(lengths[wrong[0]])}."
                " Leave out rows without a step, or cut what is too long."
            )
    return lengths.to(x.device, torch.int64)


def check_finite(x: Tensor) -> None:
    """Raise RequestError naming the first row and step of x (B, T, I) that hold NaN or infinity."""
    wrong = (~x.isfinite()).nonzero()
    if len(wrong):
        row, step, feature = wrong[0].tolist()
        raise RequestError(
            f"x must be finite; {len(wrong)} values are not, the first at batch index {row}, step {step}, feature"
            f" {feature}. Fill missing values first, or give a mask to a cell that reads one (grud)."
        )


def check_aux(aux: Aux, x: Tensor, lengths: Tensor | None) -> Aux:
    """Return aux with zeros at padded steps.

    Raises:
        RequestError: it isn't an Aux, or mask or delta is not (B, T, I), or time not (B, T).
    """
    if not isinstance(aux, Aux):
        raise RequestError(f"aux must be a seqlab.cells.Aux(mask, delta, time); got {type(aux).__name__}.")
    for name, value in aux._asdict().items():
        expected = tuple(x.shape[:2] if name == "time" else x.shape)
        if value is not None and tuple(value.shape) != expected:
            raise RequestError(f"aux.{name} must be {expected}; got {tuple(value.shape)}.")
    return Aux(*(a if a is None else zero_padding(a.to(x.dtype), lengths) for a in aux))


def check_state(state: Any, expected: Any, where: str = "state") -> None:
    """Raise RequestError unless ``state`` has the nesting, shapes and device of ``expected``."""
    if isinstance(expected, Tensor):
        if not isinstance(state, Tensor):
            raise RequestError(f"{where} must be a tensor {tuple(expected.shape)}; got {type(state).__name__}.")
        if state.shape != expected.shape:
            raise RequestError(f"{where} must be {tuple(expected.shape)}; got {tuple(state.shape)}.")
        if state.device != expected.device:
            raise RequestError(f"{where} is on {state.device} and the parameters on {expected.device}.")
        return
    if not isinstance(state, tuple | list) or len(state) != len(expected):
        got = f"{len(state)} parts" if isinstance(state, tuple | list) else type(state).__name__
        raise RequestError(
            f"{where} must be a tuple of {len(expected)}; got {got}."
            " The state has one cell state a layer, a pair where bidirectional: see RNN.initial_state."
        )
    for number, (part, like) in enumerate(zip(state, expected, strict=True)):
        check_state(part, like, f"{where}[{number}]")
